"""ASCII tables: lines of characters with a place for every column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from starscale import io
from starscale.vocabulary.errors import InputError
from support.often import OFTEN
from support.versions import masks_of_astropy


def ascii_table(path: Path, lines: list[str], columns: list[tuple[str, str, int]], **keywords: object) -> Path:
    """Write lines as an ASCII table; columns are name, TFORM and TBCOL."""
    header = fits.Header(
        [
            ("XTENSION", "TABLE"),
            ("BITPIX", 8),
            ("NAXIS", 2),
            ("NAXIS1", len(lines[0])),
            ("NAXIS2", len(lines)),
            ("PCOUNT", 0),
            ("GCOUNT", 1),
            ("TFIELDS", len(columns)),
        ]
    )
    for i, (name, form, begin) in enumerate(columns, 1):
        header[f"TTYPE{i}"], header[f"TFORM{i}"], header[f"TBCOL{i}"] = name, form, begin
    for key, value in keywords.items():
        header[key] = value
    data = "".join(lines).encode()
    primary = fits.PrimaryHDU().header.tostring().encode()
    path.write_bytes(primary + header.tostring().encode() + data + b" " * (-len(data) % 2880))
    return path


def test_blank_is_null(tmp_path: Path) -> None:
    lines = [" 1   1.500", " 2        ", " 3   3.500"]
    path = ascii_table(tmp_path / "t.fits", lines, [("id", "I2", 1), ("mag", "F8.3", 3)], TUNIT2="mag")
    source = io.open_table(path)
    assert source.read().to_dict(as_series=False) == {"id": [1, 2, 3], "mag": [1.5, None, 3.5]}
    assert source.schema == {"id": pl.Int64, "mag": pl.Float64}
    assert source.columns["mag"].unit == "mag"
    assert source.n_rows == 3


def test_every_kind_of_column(tmp_path: Path) -> None:
    lines = [
        "9223372036854775807 1.5D-100 -.5E+3 ab  |999.0",
        "                 -7 2.5+101      1. (c) |N/A  ",
        "                    1d2      INF       |-99  ",
    ]
    columns = [("k", "I19", 1), ("d", "D8.1", 21), ("e", "E6.1", 30), ("s", "A4", 36), ("f", "F5.1", 42)]
    lines = [line.ljust(46) for line in lines]
    lines[2] = lines[2][:19] + " 1d2".ljust(10) + "   INF" + "    " + " |-99  "
    path = ascii_table(tmp_path / "t.fits", lines, [*columns[:3], ("s", "A4", 37), columns[4]], TNULL5="N/A")
    assert io.read(path).to_dict(as_series=False) == {
        "k": [2**63 - 1, -7, None],
        "d": [1.5e-100, 2.5e101, 100.0],
        "e": [-500.0, 1.0, float("inf")],
        "s": ["ab", "(c)", None],
        "f": [999.0, None, -99.0],
    }
    assert pl.concat(io.open_table(path).batches(2)).equals(io.read(path))


def test_a_null_of_the_header(tmp_path: Path) -> None:
    columns = [("n", "I4", 1), ("s", "A4", 5), ("x", "F4.1", 9)]
    path = ascii_table(
        tmp_path / "t.fits",
        ["-999none****", "   1  a  1.5"],
        columns,
        TNULL1="-999",
        TNULL2="none",
        TNULL3="****",
    )
    assert io.read(path).rows() == [(None, None, None), (1, "  a", 1.5)]


def test_factors_and_offsets(tmp_path: Path) -> None:
    columns = [("n", "I4", 1), ("k", "I4", 1), ("x", "F4.1", 5)]
    keywords = {"TZERO1": 9223372036854770000, "TSCAL2": 0.5, "TSCAL3": 2.0, "TZERO3": 1.0}
    path = ascii_table(tmp_path / "t.fits", ["   1 1.5", "        "], columns, **keywords)
    assert io.read(path).rows() == [(9223372036854770001, 0.5, 4.0), (None, None, None)]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([("n", "J4", 1)], "TFORM1 = 'J4', TBCOL1 = 1"),
        ([("n", "I4", 0)], "TBCOL1 = 0"),
        ([("n", "I4", 6)], "ends at character 9 of a row, NAXIS1 says 8"),
        ([("n", "I4", 3)], "column 'n' holds '1 1', expected a whole number"),
        ([("n", "F8.1", 1)], "column 'n' holds '1 1.5', expected a number"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, columns: list[tuple[str, str, int]], said: str) -> None:
    path = ascii_table(tmp_path / "t.fits", ["   1 1.5"], columns)
    with pytest.raises(InputError) as error:
        io.read(path)
    assert said in str(error.value)


def test_too_few_rows(tmp_path: Path) -> None:
    path = ascii_table(tmp_path / "t.fits", ["   1 1.5"] * 1000, [("n", "I4", 1)])
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(InputError, match="NAXIS2 says 1000 rows, the file ends after"):
        io.read(path)


numbers = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text("abc <&'", max_size=5),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def _as_astropy_reads_it(folder: Path, rows: list[tuple[int, float, str, bool]]) -> None:
    """Write lines with exact numbers and compare them with what they were made from, and with astropy."""
    lines = [
        ("" if hide else f"{n}").rjust(21) + ("" if hide else f"{x!r}".replace("e", "D")).rjust(25) + s.ljust(5)
        for n, x, s, hide in rows
    ]
    columns = [("n", "I21", 1), ("x", "D25.17", 22), ("s", "A5", 47)]
    path = ascii_table(folder / "t.fits", lines, columns)
    back = io.read(path)
    assert back["n"].to_list() == [None if hide else n for n, _, _, hide in rows]
    assert back["x"].to_list() == [None if hide else x for _, x, _, hide in rows]
    assert back["s"].to_list() == [s.rstrip() or None for _, _, s, _ in rows]
    theirs = np.ma.filled(Table.read(path)["x"], np.nan)
    assert np.array_equal(theirs, back["x"].fill_null(np.nan).to_numpy(), equal_nan=True)


@masks_of_astropy
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=numbers)
def test_any_ascii_table(tmp_path: Path, rows: list[tuple[int, float, str, bool]]) -> None:
    _as_astropy_reads_it(tmp_path, rows)


@masks_of_astropy
@pytest.mark.slow
@settings(max_examples=400 * OFTEN, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=numbers)
def test_many_ascii_tables(tmp_path: Path, rows: list[tuple[int, float, str, bool]]) -> None:
    _as_astropy_reads_it(tmp_path, rows)
