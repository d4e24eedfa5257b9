"""Runs that fetch every table, with labels of five surveys, from a service with the mock sky (MOCK)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale.cli.main import main
from starscale.homogenization.kernel.rows import SurveyRows, gather
from starscale.mock.served import SERVED, in_form, served
from starscale.pipeline.fetch_step import resolve
from starscale.pipeline.pipeline import RunSteps
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.vocabulary.errors import InputError
from support.fake_tap import FakeTap, serving
from support.label_runs import short_run
from support.places import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
TURCHI = ROOT / "examples" / "turchi2024.toml"
LABELS = ("apogee_dr17", "galah_dr3", "gaia_eso_dr5", "rave_dr6_summary", "lamost_dr5")
NOBODY = "http://127.0.0.1:9/tap"


@pytest.fixture(scope="module")
def tables(sky: Path) -> dict[str, pl.DataFrame]:
    """The tables of the mock sky in the names and nulls of their surveys."""
    files = {file.stem: file for file in (sky / "mock").glob("*.parquet")}
    return {name: ss.read(file, survey=name) for name, file in files.items() if name in ss.survey_names()}


@pytest.fixture(scope="module")
def service(tables: dict[str, pl.DataFrame]) -> Iterator[FakeTap]:
    there = served(tables, at={"skymapper_dr2": "gaia"})
    tap = FakeTap({name: frame.with_columns(pl.col(pl.Boolean).cast(pl.String)) for name, frame in there.items()})
    tap.form = "binary2"
    with serving(tap):
        yield tap


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid_without_a_network(example: Path) -> None:
    said = ss.check(example)
    assert "a valid run file" in said[0]
    assert "will be fetched" in said[0]


def steps(run_file: Path, output: Path) -> RunSteps:
    """Fetch all tables of a run."""
    config, base = load_run(run_file)
    fetching = resolve(config, base, output)
    return RunSteps(plan(fetching.config, base, coming=fetching.files), output, "run.toml", jobs=fetching.jobs)


def test_a_run_fetches_the_labels_of_five_surveys_and_puts_them_on_one_scale(
    service: FakeTap, tables: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    run_file = short_run(tmp_path / "run.toml", TURCHI, service.url, box="[0.0, 360.0, -25.0, 30.0]")
    plans = ss.plan_run(run_file)
    assert list(plans) == ["gaia_dr3", "skymapper_dr2", *LABELS]
    output = tmp_path / "run"
    steps(run_file, output).training_set()
    for name in LABELS:
        survey = ss.load_survey(name)
        assert survey.position is not None
        expected = (
            in_form(tables, name).filter(pl.col(survey.position.dec).is_between(-25, 30)).sort(survey.id.column)
        )
        fetched = ss.read(output / f"fetched_{name}.parquet").sort(survey.id.column)
        assert fetched.height == expected.height == plans[name].rows
        assert fetched[survey.id.column].equals(expected[survey.id.column])
        for label in survey.labels.values():
            assert fetched[label.value].sum() == pytest.approx(expected[label.value].sum(), rel=1e-5)
    measured = ss.read(output / "labels_measurements.parquet")
    assert set(measured["survey"].cast(pl.String)) == set(LABELS)
    assert ss.read(output / "training.parquet").height > 100
    # Nothing is asked again.
    asked = len(service.queries)
    steps(run_file, output)
    assert len(service.queries) == asked


SOUTH = """
[catalogue]
survey = "gaia_dr3"
path = "mock/gaia_dr3.parquet"

[[labels]]
survey = "galah_dr3"
path = "mock/galah_dr3.parquet"

[[labels]]
survey = "lamost_dr5"
fetch = {{ box = [0.0, 360.0, -90.0, -30.0], service = "{url}" }}
"""


def test_a_region_without_labels_is_one_error(service: FakeTap, sky: Path, tmp_path: Path) -> None:
    (tmp_path / "mock").symlink_to(sky / "mock")
    run_file = tmp_path / "run.toml"
    run_file.write_text(SOUTH.format(url=service.url))
    assert ss.plan_run(run_file)["lamost_dr5"].rows == 0
    message = (
        r'V/164/stellar5": no row of lamost_dr5 .* is in the box of RA 0 to 360, Dec -90 to -30 deg.*leave this'
    )
    with pytest.raises(InputError, match=message):
        ss.run(run_file, tmp_path / "run")


def test_labels_that_no_star_has_are_one_error(tables: dict[str, pl.DataFrame]) -> None:
    galah = tables["galah_dr3"]
    links = pl.DataFrame(schema={"source_id": pl.Int64, "row": pl.UInt32})
    rows = pl.Series(range(galah.height), dtype=pl.Int32)
    part = SurveyRows(ss.load_survey("galah_dr3"), galah, links, rows, "galah.parquet")
    with pytest.raises(
        InputError, match=r"has a star and a label.*Are galah_dr3 \(RA .* to .*, Dec -.* deg\) and"
    ):
        gather([part])


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["starscale", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_dry_run_prints_every_query(
    service: FakeTap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file = short_run(tmp_path / "run.toml", TURCHI, service.url)
    assert command(monkeypatch, "run", run_file, "--dry-run") == 0
    text = capsys.readouterr().out
    for table in ('"V/164/stellar5"', "external.ravedr6", "external.gaia_eso_survey", "galah_dr3.main_star"):
        assert f"FROM {table} AS t\n" in text
    assert 't."[Fe/H]" AS feh' in text
    assert text.count(" rows, about ") == 8
    assert "nothing was fetched" in text
    assert not (tmp_path / "run").exists()


def test_a_dry_run_without_a_network_prints_the_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file = short_run(tmp_path / "run.toml", ROOT / "examples" / "north.toml", NOBODY)
    assert command(monkeypatch, "run", run_file, "--dry-run") == 0
    text = capsys.readouterr().out
    assert text.count("rows and bytes: not known") == 5
    assert "JOIN sdss_dr16.specobj AS t_j1 ON t.specobjid = t_j1.specobjid" in text
    assert "5 not known" in text


def test_a_dry_run_of_an_applied_model(finished: Path, tmp_path: Path) -> None:
    text = f"""
[model]
bundle = "{finished / "model"}"
[fetch]
cone = [10.0, -20.0, 1.0]
service = "{NOBODY}"
[catalogue]
survey = "gaia_dr3"
fetch = true
[[photometry]]
survey = "skymapper_dr2"
fetch = true
"""
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    plans = ss.plan_run(tmp_path / "run.toml")
    assert list(plans) == ["gaia_dr3", "skymapper_dr2"]
    assert all("CIRCLE('ICRS', 10.0, -20.0, 1.0)" in p.queries["rows"] for p in plans.values())


def test_what_the_service_refuses_is_said_and_the_others_are_counted(
    service: FakeTap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_file = short_run(tmp_path / "run.toml", TURCHI, service.url)
    monkeypatch.setattr(service, "tables", {k: v for k, v in service.tables.items() if "ravedr6" not in k})
    plans = ss.plan_run(run_file)
    assert plans["rave_dr6_summary"].rows is None
    # Old versions of the stand-in for a service name no more than the schema.
    assert "external" in plans["rave_dr6_summary"].reason
    assert plans["lamost_dr5"].rows


def test_all_tables_that_cannot_be_fetched_are_named_at_once(tmp_path: Path) -> None:
    text = TURCHI.read_text(encoding="utf-8").replace('"galah_dr3"', '"galah_dr2"')
    text = text.replace('"lamost_dr5"', '"lamost_dr10"').replace('at = "gaia"', 'at = "vizier"')
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        ss.check(tmp_path / "run.toml")
    said = str(caught.value)
    assert "survey galah_dr2: names no TAP service" in said
    assert "survey lamost_dr10: names no TAP service" in said
    assert "has no archive 'vizier'" in said
    assert "galah_dr3 (datacentral.org.au)" in said


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("box = [330.0, 345.0, -18.0, -4.0]", "", "exactly one of cone, box, cell, ids, positions, whole must be"),
        ("\n[fetch]", "\n[fetch]\nconee = 1", "fetch.conee: unknown key"),
        ("fetch = true", "", r"either `path` .* or `fetch`"),
        ('"lamost_dr5"\nfetch = true', '"lamost_dr5"', r"each needs a `path` or a `fetch`"),
        ('"lamost_dr5"\nfetch = true', '"lamost_dr5"\nfetch = false', r"labels.4.fetch: Input should be"),
    ],
)
def test_mistakes_in_a_run_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = TURCHI.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "run.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        ss.check(tmp_path / "run.toml")


def test_a_region_of_ones_own_replaces_that_of_the_extended_file(tmp_path: Path) -> None:
    text = f'extends = "{TURCHI}"\n[fetch]\ncone = [10.0, -20.0, 1.0]\n'
    (tmp_path / "run.toml").write_text(text)
    assert "a valid run file" in ss.check(tmp_path / "run.toml")[0]
    assert all("CIRCLE('ICRS', 10.0, -20.0, 1.0)" in p.queries["rows"] for p in _offline(tmp_path / "run.toml"))


def _offline(run_file: Path) -> list[ss.FetchEstimate]:
    text = run_file.read_text().replace("[fetch]", f'[fetch]\nservice = "{NOBODY}"')
    run_file.write_text(text)
    return list(ss.plan_run(run_file).values())


def test_the_served_tables_are_those_of_the_survey_files(tables: dict[str, pl.DataFrame]) -> None:
    for name in SERVED:
        survey = ss.load_survey(name)
        assert set(in_form(tables, name).columns) == {c for c, s in survey.columns.items() if not s.expression}
