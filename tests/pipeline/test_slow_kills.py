"""A prediction that is killed again and again ends with the catalogue of an undisturbed one."""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale import io
from support.often import OFTEN

CHUNK = 1_000


@pytest.fixture(scope="module")
def bundle(sky: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that starts at once: it is the files that are tested here."""
    text = (sky / "run.toml").read_text()
    start, end = text.index("[model]"), text.index("[[compare]]")
    (sky / "mean.toml").write_text(text[:start] + '[model]\nkind = "mean"\n\n' + text[end:])
    ss.train(sky / "mean.toml").save(tmp_path_factory.mktemp("mean") / "model")
    return tmp_path_factory.getbasetemp() / "mean0" / "model"


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "most"), [("parquet", 8), ("fits", 5), ("vot", 5), ("hats", 5)])
def test_killed_at_random_moments(
    bundle: Path, finished: Path, tmp_path: Path, suffix: str, most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL cannot be caught: nothing is cleared away, and what is on the disk must do."""
    stars, target, whole = (
        tmp_path / "stars.parquet",
        tmp_path / f"out.{suffix}",
        tmp_path / "whole" / f"out.{suffix}",
    )
    io.write(pl.concat([io.read(finished / "matched.parquet")] * 12), stars)
    # A server that has the libraries loaded forks the processes: killed are predictions, not imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["starscale.pipeline.training"])
    started = time.monotonic()
    undisturbed = context.Process(target=ss.predict, args=(bundle, stars, whole), kwargs={"chunk": CHUNK})
    undisturbed.start()
    undisturbed.join()
    assert undisturbed.exitcode == 0
    length = time.monotonic() - started
    rng, kills, finishes = random.Random(5), 0, 0
    while kills < most * OFTEN:
        process = context.Process(target=ss.predict, args=(bundle, stars, target), kwargs={"chunk": CHUNK})
        process.start()
        process.join(rng.uniform(0, length))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        assert process.exitcode in (0, -9)
        if process.exitcode == 0:
            assert io.checksum(target) == io.checksum(whole)
            remove(target)
            finishes += 1
    ss.predict(bundle, stars, target, chunk=CHUNK)
    assert io.checksum(target) == io.checksum(whole)
    assert not list(tmp_path.glob("*.unfinished"))
    with capsys.disabled():
        sys.stdout.write(f"\n{suffix}: {kills} kills, {finishes + 1} catalogues, all identical\n")


@pytest.mark.slow
def test_an_applied_model_that_is_killed_ends_in_the_same_tables(bundle: Path, sky: Path, tmp_path: Path) -> None:
    """At later and later moments: while catalogues are cleaned, matched, joined, predicted, reported."""
    names = ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2")
    tables = [sky / "mock" / f"{name}.parquet" for name in names]
    whole, target = tmp_path / "whole" / "out.parquet", tmp_path / "out.parquet"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["starscale.pipeline.apply"])
    started = time.monotonic()
    process = context.Process(target=ss.apply, args=(bundle, tables, whole))
    process.start()
    process.join()
    assert process.exitcode == 0
    length, kills = time.monotonic() - started, 0
    for share in (0.3, 0.7):
        process = context.Process(target=ss.apply, args=(bundle, tables, target))
        process.start()
        process.join(share * length)
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
    assert kills >= 1
    ss.apply(bundle, tables, target)
    assert io.read(target).equals(io.read(whole))
    here, there = (Path(f"{path}.run") for path in (target, whole))
    assert {path.name for path in here.iterdir()} == {path.name for path in there.iterdir()}
    for path in there.glob("*.parquet"):
        assert io.read(here / path.name).equals(io.read(path)), path.name
    steps = [json.loads((folder / "provenance.json").read_text())["steps"] for folder in (here, there)]
    results = [{name: step["result"] for name, step in some.items()} for some in steps]
    assert results[0] == results[1]
    assert not list(tmp_path.rglob("*.unfinished"))


def remove(path: Path) -> None:
    """Remove a file, or the directory of a catalogue."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
