"""Units of tables that starscale wrote: values are converted once, and a file states the unit that they have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale.io import open_table
from starscale.tables.columns.likeness import with_units_of_values

SURVEY = """
name = "own"
title = "A survey whose files hold degrees"
kind = "photometric"
id = { column = "object" }
[position]
ra = "ra"
dec = "dec"
ra_error = "e_ra"
dec_error = "e_ra"
[labels]
teff = { value = "teff", error = "e_teff" }
[columns]
object = { dtype = "int64" }
ra = { unit = "deg" }
dec = { unit = "deg" }
e_ra = { unit = "mas", file_unit = "deg", description = "error of the position" }
teff = {}
e_teff = {}
"""

RAW = {
    "object": [1, 2, 3],
    "ra": [1.0, 2.0, 3.0],
    "dec": [1.0, 2.0, 3.0],
    "e_ra": [1e-5, 2e-5, None],
    "teff": [5.0, 6.1, 4.5],
    "e_teff": [0.06, 0.05, None],
}
STANDARD = [36.0, 72.0, None]


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(SURVEY)
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw.fits"
    kilokelvin = {name: ss.Column(name, unit="kK") for name in ("teff", "e_teff")}
    ss.write(pl.DataFrame(RAW), path, columns=kilokelvin)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv", ".hats"])
def test_values_are_converted_once(suffix: str, raw: Path, survey: Path, tmp_path: Path) -> None:
    """However often a table is cleaned, copied, renamed, filtered or read with another program."""
    clean, other, again = tmp_path / f"clean{suffix}", tmp_path / "other.vot", tmp_path / "again.parquet"
    ss.clean(raw, survey=survey, output=clean)
    assert ss.read(clean, survey=survey)["e_ra"].to_list() == pytest.approx(STANDARD)
    ss.convert(clean, other, rename={"sigma": "e_ra"})
    assert ss.read(other, survey=survey, rename={"e_ra": "sigma"})["e_ra"].to_list() == pytest.approx(STANDARD)
    ss.write(ss.read(clean), again, like=clean)
    ss.clean(again, survey=survey, output=other)
    assert ss.read(other, survey=survey)["e_ra"].to_list() == pytest.approx(STANDARD)
    ss.write(ss.read(raw, survey=survey), clean, surveys=[survey])
    assert ss.read(clean, survey=survey)["e_ra"].to_list() == pytest.approx(STANDARD)
    assert ss.read(raw, survey=survey)["e_ra"].to_list() == pytest.approx(STANDARD)


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".ecsv"])
def test_values_are_converted_once_through_astropy(suffix: str, raw: Path, survey: Path, tmp_path: Path) -> None:
    clean, again = tmp_path / f"clean{suffix}", tmp_path / f"again{suffix}"
    ss.clean(raw, survey=survey, output=clean)
    table = Table.read(clean)
    assert ss.read(table, survey=survey)["e_ra"].to_list() == pytest.approx(STANDARD)
    table.write(again, **({"format": "votable"} if suffix == ".vot" else {}))
    assert ss.read(again, survey=survey)["e_ra"].to_list() == pytest.approx(STANDARD)


def test_values_are_converted_once_through_arrow(raw: Path, survey: Path, tmp_path: Path) -> None:
    ss.clean(raw, survey=survey, output=tmp_path / "clean.parquet")
    table = pq.read_table(tmp_path / "clean.parquet")
    assert ss.read(table, survey=survey)["e_ra"].to_list() == pytest.approx(STANDARD)


def test_a_format_without_units_is_refused(raw: Path, survey: Path, tmp_path: Path) -> None:
    for make in (
        lambda output: ss.clean(raw, survey=survey, output=output),
        lambda output: ss.write(ss.read(raw, survey=survey), output, surveys=[survey]),
    ):
        with pytest.raises(ss.InputError, match=r"'e_ra'; expected a format with units\. Write \.ecsv"):
            make(tmp_path / "clean.csv")
        assert not (tmp_path / "clean.csv").exists()


def test_the_description_is_that_of_the_survey(raw: Path, survey: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean.ecsv"
    ss.clean(raw, survey=survey, output=clean)
    ss.convert(clean, tmp_path / "copy.ecsv")
    text = (tmp_path / "copy.ecsv").read_text()
    assert text.count("error of the position (e_ra converted to this unit)") == 1


def test_converted_values_do_not_get_the_unit_of_the_raw_table(raw: Path, survey: Path, tmp_path: Path) -> None:
    output, standard = tmp_path / "out.fits", ss.read(raw, survey=survey)
    ss.write(standard, output, like=raw, surveys=[survey])
    assert [str(Table.read(output)[name].unit) for name in ("teff", "e_teff")] == ["K", "K"]
    assert ss.read(output, survey=survey)["e_teff"].to_list() == pytest.approx([60.0, 50.0, None])
    with pytest.raises(ss.InputError, match=r"column 'e_teff': has none of the values .*kK.*surveys="):
        ss.write(standard, tmp_path / "refused.fits", like=raw)
    assert not (tmp_path / "refused.fits").exists()
    ss.write(standard, output, like=raw, columns={"e_teff": ss.Column("e_teff", unit="K")})
    assert str(Table.read(output)["e_teff"].unit) == "K"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32) | st.none(), min_size=1, max_size=30), st.data())
def test_a_selection_keeps_the_unit(values: list[float | None], data: st.DataObject) -> None:
    """Whatever rows are selected, in any order, and whatever the float type."""
    kind = data.draw(st.sampled_from([pl.Float32, pl.Float64]))
    table = Table({"x": np.array(values, dtype=float)}, units={"x": "mJy"})
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=30))
    chosen = ss.read(table)[rows].cast(kind) if rows else ss.read(table).clear().cast(kind)

    assert with_units_of_values(open_table(chosen), open_table(table), {}, ())["x"].unit == "mJy"
