"""A prediction that is killed again and again ends with the catalogue of an undisturbed one."""

from __future__ import annotations

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


def remove(path: Path) -> None:
    """Remove a file, or the directory of a catalogue."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
