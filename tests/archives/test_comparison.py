"""Survey files against the TAP_SCHEMA of their archive, told by a service in the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import starscale as ss
from starscale.archives.tap.retry import Retry
from starscale.cli.main import app
from starscale.surveys import load_survey
from starscale.surveys.archive import Copy
from starscale.vocabulary.errors import InputError, StarscaleError
from support.fake_tap import FakeTap, serving

QUICK = Retry(attempts=2, first=0.01)
#: Names of types: those of VOTable, as ESA's archives write them, and those of ADQL.
TYPES = {
    "bool": ("boolean", "BOOLEAN"),
    "int16": ("short", "SMALLINT"),
    "int32": ("int", "INTEGER"),
    "int64": ("long", "adql:BIGINT"),
    "float32": ("float", "REAL"),
    "float64": ("double", "DOUBLE"),
    "string": ("char", "VARCHAR(*)"),
}
Row = dict[str, str | None]


def place_of(name: str) -> Copy:
    return load_survey(name).places[0]


def described(name: str, style: int = 0) -> list[Row]:
    """TAP_SCHEMA.columns of an archive that agrees with the survey file in everything."""
    survey, place = load_survey(name), place_of(name)
    owner = {column: join.table for join in place.joins for column in join.columns}
    rows = [
        {
            "table_name": owner.get(column, place.table).replace('"', ""),
            "column_name": column,
            "datatype": TYPES[spec.dtype][style],
            "unit": spec.unit or None,
        }
        for column, spec in survey.columns.items()
        if spec.expression is None
    ]
    keys = [(join.table, join.on) for join in place.joins]
    keys += [(n.table, c) for n in place.neighbours for c in (n.lead_id, n.external_id, *n.columns)]
    bridges = [n.bridge for n in place.neighbours if n.bridge is not None]
    keys += [(n.table, n.bridge.on) for n in place.neighbours if n.bridge is not None]
    keys += [(bridge.table, column) for bridge in bridges for column in (bridge.on, bridge.external_id)]
    rows += [{"table_name": t, "column_name": c, "datatype": "long", "unit": None} for t, c in keys]
    return [*rows, {"table_name": place.table, "column_name": "solution_id", "datatype": "long", "unit": None}]


def frames(rows: list[Row]) -> dict[str, pl.DataFrame]:
    kinds = dict.fromkeys(("table_name", "column_name", "datatype", "unit"), pl.String)
    table = pl.DataFrame(rows, schema=kinds)
    return {"TAP_SCHEMA.columns": table, "TAP_SCHEMA.tables": table.select("table_name").unique()}


@pytest.fixture(scope="module")
def tap() -> Iterator[FakeTap]:
    service = FakeTap({})
    with serving(service):
        yield service


def compare(tap: FakeTap, name: str, rows: list[Row], **chosen: str) -> list[str]:
    tap.tables = frames(rows)
    return ss.check_archive(name, service=tap.url, retry=QUICK, **chosen)


def problems(tap: FakeTap, name: str, rows: list[Row]) -> str:
    with pytest.raises(InputError) as error:
        compare(tap, name, rows)
    return str(error.value)


def changed(rows: list[Row], column: str, **new: str | None) -> list[Row]:
    assert column in [row["column_name"] for row in rows]
    return [{**row, **new} if row["column_name"] == column else row for row in rows]


@pytest.mark.parametrize("name", ["gaia_dr4", "gaia_dr3_neighbourhood", "skymapper_dr4", "rave_dr6"])
@pytest.mark.parametrize("style", [0, 1])
def test_an_archive_that_agrees_gives_no_difference(tap: FakeTap, name: str, style: int) -> None:
    said = compare(tap, name, described(name, style))
    assert [text for text in said if text.startswith("note: ")] == []
    assert any(" columns found, 1 others not used" in text for text in said)


def test_what_a_role_or_a_cut_needs_is_an_error(tap: FakeTap) -> None:
    rows = changed(described("gaia_dr4"), "ruwe", column_name="ruwe_dr4")
    rows = [row for row in rows if row["column_name"] != "phot_rp_mean_mag"]
    text = problems(tap, "gaia_dr4", rows)
    assert "2 problems" in text
    assert "column 'ruwe': does not exist (needed for the cut ruwe). Did you mean 'ruwe_dr4'" in text
    assert "column 'phot_rp_mean_mag': does not exist" in text


def test_what_nothing_needs_is_a_note(tap: FakeTap) -> None:
    rows = changed(described("gaia_dr4"), "duplicated_source", column_name="source_duplicated")
    said = compare(tap, "gaia_dr4", rows)
    notes = [text for text in said if text.startswith("note: ")]
    assert len(notes) == 1
    assert "'duplicated_source' does not exist" in notes[0]


@pytest.mark.parametrize(
    ("column", "new", "harmful"),
    [
        ("parallax", {"unit": "uas"}, False),
        ("parallax", {"unit": "mas.yr**-1"}, True),
        ("parallax", {"unit": "furlongs"}, False),
        ("parallax", {"unit": None}, False),
        ("source_id", {"datatype": "double"}, True),
        ("ruwe", {"datatype": "double"}, False),
        ("non_single_star", {"datatype": "boolean"}, False),
    ],
)
def test_units_and_types(tap: FakeTap, column: str, new: Row, harmful: bool) -> None:
    rows = changed(described("gaia_dr4"), column, **new)
    if harmful:
        assert repr(next(iter(new.values()))) in problems(tap, "gaia_dr4", rows)
        return
    notes = [text for text in compare(tap, "gaia_dr4", rows) if text.startswith("note: ")]
    assert len(notes) == (new != {"unit": None})


def test_missing_tables(tap: FakeTap) -> None:
    rows = [
        {**row, "table_name": str(row["table_name"]).replace("all_source_flags", "all_sources_flags")}
        for row in described("gaia_dr4")
    ]
    text = problems(tap, "gaia_dr4", rows)
    assert "table gaiadr4.all_source_flags: does not exist. Did you mean 'gaiadr4.all_sources_flags'" in text


def test_tables_listed_without_their_schema(tap: FakeTap) -> None:
    rows = [{**row, "table_name": str(row["table_name"]).rpartition(".")[2]} for row in described("gaia_dr4")]
    assert [text for text in compare(tap, "gaia_dr4", rows) if text.startswith("note: ")] == []


def test_columns_of_the_archives_own_match(tap: FakeTap) -> None:
    rows = [row for row in described("tmass") if row["column_name"] != "number_of_mates"]
    assert "column 'number_of_mates': does not exist" in problems(tap, "tmass", rows)
    rows = [row for row in described("tmass") if row["column_name"] != "original_psc_source_id"]
    assert "column 'original_psc_source_id': does not exist" in problems(tap, "tmass", rows)
    rows = [row for row in described("tmass") if row["table_name"] != "gaiadr3.tmass_psc_xsc_join"]
    assert "table gaiadr3.tmass_psc_xsc_join: does not exist" in problems(tap, "tmass", rows)


COMPUTED = {name for name, spec in load_survey("gaia_dr4").columns.items() if spec.expression is not None}
DELIVERED = sorted(set(load_survey("gaia_dr4").columns) - COMPUTED - {j.on for j in place_of("gaia_dr4").joins})


@settings(max_examples=20)
@given(st.sets(st.sampled_from(DELIVERED), max_size=6))
def test_every_missing_column_is_told_and_no_other(tap: FakeTap, gone: set[str]) -> None:
    """Of random columns taken from an archive, those that are needed are problems, and the others are notes."""
    rows = [row for row in described("gaia_dr4") if row["column_name"] not in gone]
    try:
        told = "\n".join(compare(tap, "gaia_dr4", rows))
    except InputError as error:
        told = "\n".join([str(error), *error.__notes__])
    assert {name for name in DELIVERED if f"column {name!r}" in told} == gone


def test_a_service_that_hiccups_and_one_that_is_out_of_order(tap: FakeTap) -> None:
    tap.faults["sync"].extend(["503"])
    assert compare(tap, "gaia_dr4", described("gaia_dr4"))
    tap.faults["sync"].extend(["503", "503"])
    with pytest.raises(StarscaleError, match="HTTP 503"):
        compare(tap, "gaia_dr4", described("gaia_dr4"))
    assert not any("Authorization" in headers for headers in tap.headers)


def test_the_command(tap: FakeTap, tmp_path: Path) -> None:
    tap.tables = frames(described("gaia_dr4"))
    text = (Path(ss.__file__).parent / "surveys" / "gaia_dr4.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace("https://gea.esac.esa.int/tap-server/tap", tap.url))
    done = CliRunner().invoke(app, ["check", "--archive", str(tmp_path / "mine.toml")])
    assert done.exit_code == 0, done.output
    assert "nothing wrong found" in done.output
    tap.tables = frames([row for row in described("gaia_dr4") if row["column_name"] != "ra"])
    done = CliRunner().invoke(app, ["check", "--archive", str(tmp_path / "mine.toml")])
    assert isinstance(done.exception, InputError)
    for arguments in ([], ["x.csv", "--archive", "gaia_dr4"]):
        done = CliRunner().invoke(app, ["check", *arguments])
        assert "one of PATH and --archive" in str(done.exception)
    with pytest.raises(InputError, match="names no TAP service"):
        ss.check_archive("galah_dr2")
