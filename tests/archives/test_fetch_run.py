"""Fetch as the first step of a run, and as a command; against a service in a thread with the mock sky (MOCK)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale.cli.main import main
from starscale.vocabulary.errors import InputError
from support.fake_tap import FakeTap, serving
from support.recorded_progress import RecordedProgress
from support.tap_surveys import moved

NOBODY = "http://127.0.0.1:9/tap"

RUN = """
title = "fetched"
mock = true
seed = 3

[catalogue]
survey = "surveys/gaia_dr3.toml"
fetch = {{ box = [0, 360, -90, {north}] }}

[[photometry]]
survey = "surveys/skymapper_dr2.toml"
fetch = {{ box = [0, 360, -90, {north}], at = "gaia" }}

[[labels]]
survey = "galah_dr3"
path = "mock/galah_dr3.parquet"

[model]
kind = "ridge"
degree = 1

[importance]
apply = false
"""


@pytest.fixture(scope="module")
def service(sky: Path) -> Iterator[FakeTap]:
    folder = sky / "mock"
    gaia = pl.read_parquet(folder / "gaia_dr3.parquet").with_columns(pl.col(pl.Boolean).cast(pl.String))
    tap = FakeTap(
        {
            "gaiadr3.gaia_source": gaia,
            "gaiaext.gaiaedr3_distance": pl.read_parquet(folder / "bailer_jones_edr3.parquet"),
            "gaiaext.skymapperdr2_master": pl.read_parquet(folder / "skymapper_dr2.parquet"),
        }
    )
    tap.form = "binary2"
    with serving(tap):
        yield tap


@pytest.fixture
def folder(sky: Path, service: FakeTap, tmp_path: Path) -> Path:
    moved(tmp_path / "surveys", service.url)
    (tmp_path / "mock").symlink_to(sky / "mock")
    (tmp_path / "run.toml").write_text(RUN.format(north=-10))
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["starscale", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_run_fetches_first_and_once(folder: Path, service: FakeTap, monkeypatch: pytest.MonkeyPatch) -> None:
    # Paths start from the run file, wherever that is.
    monkeypatch.chdir(folder.parent)
    run_file = Path(folder.name) / "run.toml"
    assert "will be fetched" in ss.check(run_file)[0]
    said: list[str] = []
    ss.run(run_file, folder / "run", progress=RecordedProgress(said))
    assert said[0] == "fetch gaia_dr3 ..."
    gaia = ss.read(folder / "mock" / "gaia_dr3.parquet").filter(pl.col("dec") <= -10)
    fetched = ss.read(folder / "run" / "fetched_gaia_dr3.parquet")
    assert set(fetched["source_id"]) == set(gaia["source_id"])
    assert "r_med_geo" not in fetched.columns
    distances = ss.read(folder / "run" / "fetched_bailer_jones_edr3.parquet")
    assert "r_med_geo" in distances.columns
    assert distances.height == fetched.height
    record = json.loads((folder / "run" / "provenance.json").read_text())
    assert record["steps"]["fetch gaia_dr3"]["result"]["service"] == service.url
    assert "run/fetched_gaia_dr3.parquet" in record["inputs"]
    page = (folder / "run" / "report.html").read_text()
    assert service.url in page
    assert "FROM gaiadr3.gaia_source AS t" in page
    asked = len(service.queries)
    said.clear()
    ss.run(run_file, folder / "run", progress=RecordedProgress(said))
    assert "fetch gaia_dr3: unchanged" in said
    assert len(service.queries) == asked


def test_other_verbs_want_a_table(folder: Path) -> None:
    with pytest.raises(InputError, match=r"is still to be fetched.*'starscale run' fetches it"):
        ss.train(folder / "run.toml")


def test_a_table_has_one_source(folder: Path) -> None:
    text = RUN.format(north=-10)
    (folder / "run.toml").write_text(text.replace("fetch = { box", 'path = "x.parquet"\nfetch = { box'))
    with pytest.raises(InputError, match=r"photometry\.0: either `path` \(a table on disk\) or `fetch`"):
        ss.run(folder / "run.toml", folder / "run")
    (folder / "run.toml").write_text(text.replace(", at = ", ", att = "))
    with pytest.raises(InputError, match=r"unknown key.*Did you mean 'at'"):
        ss.run(folder / "run.toml", folder / "run")
    (folder / "run.toml").write_text(text.replace("at =", 'match = ["tmass"], at ='))
    with pytest.raises(InputError, match=r"fetch\.match: is not for a run"):
        ss.run(folder / "run.toml", folder / "run")
    assert not (folder / "run").exists()


def test_the_command(
    folder: Path, service: FakeTap, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    survey, output = folder / "surveys" / "gaia_dr3.toml", folder / "gaia.fits"
    wanted = ["fetch", survey, "--box", 0, 360, -90, -5]
    assert command(monkeypatch, *wanted, "--dry-run") == 0
    text = capsys.readouterr().out
    assert f"service: {service.url}" in text
    assert "t.dec BETWEEN -90.0 AND -5.0" in text
    assert " rows, about " in text
    assert command(monkeypatch, *wanted, "-o", output, "--cuts", "--without", "bright") == 0
    shown = capsys.readouterr()
    assert "the cuts left" in shown.out
    assert f"rows written to {output}" in shown.out
    assert command(monkeypatch, *wanted, "-o", output, "--cuts", "--without", "bright") == 0
    assert "there already" in capsys.readouterr().out
    assert output.exists()
    some = ss.read(output)["source_id"].head(3)
    ss.write(pl.DataFrame({"source_id": [*some, 12345]}), folder / "ids.csv")
    assert command(monkeypatch, "fetch", survey, "--ids", folder / "ids.csv", "-o", folder / "i.csv") == 0
    shown = capsys.readouterr()
    assert "no row for 1 of the identifiers" in shown.out
    assert "no cuts were applied" in shown.err
    assert command(monkeypatch, "check", folder / "i.csv", "--survey", survey) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gaia_dr3", "--whole"], "--output: is missing"),
        (["gaia_dr3", "-o", "x.parquet"], "must be given, not none"),
        (["gaia_dr3", "--whole", "-o", "x.docx"], "x.docx"),
        (["gaia_dr3", "--whole", "--cut", "ruwe", "--dry-run"], "NAME=SQL"),
        (["gaia_dr3", "--whole", "--cut", "x=pg_sleep(9) > 1", "--dry-run"], "there is no function PG_SLEEP"),
        (["galah_dr2", "--whole", "--dry-run"], "names no TAP service"),
        (["gaia_dr3", "--ids", "nothing.csv", "--dry-run"], "nothing.csv"),
        (
            ["gaia_dr3", "--whole", "-o", "x.parquet", "--service", NOBODY],
            "the connection is refused",
        ),
    ],
)
def test_mistakes_are_one_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "fetch", *arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.startswith("starscale: ")
    assert not list(tmp_path.iterdir())


def test_a_dry_run_without_a_network_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "fetch", "tmass", "--cone", 10, -5, 1, "--dry-run", "--service", NOBODY) == 0
    text = capsys.readouterr().out
    assert "CIRCLE('ICRS', 10.0, -5.0, 1.0)" in text
    assert f"the archive could not be asked ({NOBODY}: the connection is refused" in text
