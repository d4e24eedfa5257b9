"""Units through every format and back, against astropy's meaning of what was written and of what astropy reads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from astropy import units as u
from astropy.table import Table
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from starscale import io
from starscale.io.units import parse_unit, unit_text
from starscale.vocabulary.columns import Column
from support.units import UNITS, same

FORMATS = ("fits", "vot", "ecsv", "parquet", "csv")
#: Formats that astropy reads with units, and what it calls them.
BY_ASTROPY = {"fits": "fits", "vot": "votable", "ecsv": "ascii.ecsv"}
TEXTS = (
    "days",
    "dex",
    "degree",
    "Angle[deg]",
    "e-/s",
    "nanomaggy",
    "km s^-1",
    "AB mag",
    "furlongs",
    "DN",
    "as",
    "%",
)
CASES = st.lists(st.one_of(UNITS.map(unit_text), st.sampled_from(TEXTS)), min_size=1, max_size=8)


def read_by_astropy(path: Path, kind: str) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Table.read(path, format=kind)


def agrees(theirs: Any, unit: Any, described: str) -> bool:
    """Whether what astropy reads is the unit, the text as it is, or less than that with a note."""
    if isinstance(theirs, u.UnrecognizedUnit) or "(unit: " in described:
        return True
    return same(u.dimensionless_unscaled if theirs is None else theirs, unit)


def check_files(units: list[str], folder: Path) -> None:
    names = [f"x{i}" for i in range(len(units))]
    table = pl.DataFrame({name: [1.5, None] for name in names})
    columns = {
        name: Column(name, "float64", unit, "", "a column") for name, unit in zip(names, units, strict=True)
    }
    for suffix in FORMATS:
        path = folder / f"t.{suffix}"
        io.write(table, path, columns=columns)
        source = io.open_table(path)
        assert source.read().to_dict(as_series=False) == table.to_dict(as_series=False)
        for name in names if suffix != "csv" else []:
            meant, found = parse_unit(columns[name].unit), source.columns[name]
            assert same(parse_unit(found.unit), meant), (suffix, columns[name], found)
            assert found.description == "a column"
        if suffix in BY_ASTROPY:
            check_astropy(read_by_astropy(path, BY_ASTROPY[suffix]), columns)


def check_astropy(table: Any, columns: dict[str, Column]) -> None:
    for number, (name, about) in enumerate(columns.items(), 1):
        # The comment of a FITS column is no description for astropy.
        described = str(table[name].description or table.meta.get(f"TCOMM{number}", ""))
        assert agrees(table[name].unit, parse_unit(about.unit), described), (about, table[name].unit)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CASES)
@example([*TEXTS])
def test_units_through_every_format(tmp_path: Path, units: list[str]) -> None:
    check_files(units, tmp_path)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(UNITS.map(unit_text), st.sampled_from(TEXTS)), min_size=20, max_size=25))
def test_units_through_every_format_many(tmp_path: Path, units: list[str]) -> None:
    """About 500 units: astropy takes 50 ms to refuse a unit."""
    check_files(units, tmp_path)


VOTABLE = """<?xml version="1.0"?><VOTABLE version="{version}" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE><TABLE><FIELD name="x" datatype="double" unit="{unit}"/><DATA><TABLEDATA><TR><TD>2.5</TD></TR>
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""


@pytest.mark.parametrize("version", ["1.3", "1.4"])
@pytest.mark.parametrize(
    "unit", ["days", "dex", "degree", "Angle[deg]", "day", "mas/yr", "nmgy", "electron/s", "as"]
)
def test_a_votable_means_what_it_says(tmp_path: Path, unit: str, version: str) -> None:
    path = tmp_path / "t.vot"
    path.write_text(VOTABLE.format(unit=unit, version=version))
    assert parse_unit(io.open_table(path).columns["x"].unit) == parse_unit(unit)
