"""Ten thousand random tables through every format and back: what goes in is what comes out.

Each table is made from a number; ten of them are written side by side. A column that fails has the number at the
end of its name: ``check(range(1234, 1235), ".fits", folder)`` sends that table alone.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from starscale import io
from starscale.io.portable import int_range
from starscale.io.units import same_unit
from starscale.vocabulary.columns import Column
from support.kinds_of_tables import KINDS, Stated
from support.often import OFTEN
from support.seeded_tables import BESIDE, side_by_side

#: Tables of one slow test, about ten seconds.
SIZE = 500
FORMATS = (".parquet", ".fits", ".vot", ".ecsv", ".csv", "memory")
#: Types that a text file has not; the whole numbers of a VOTable have signs.
WIDER: dict[str, dict[pl.DataType, pl.DataType]] = {
    ".vot": {pl.UInt64(): pl.Int64()},
    ".csv": {pl.Int16(): pl.Int64(), pl.Int32(): pl.Int64(), pl.UInt8(): pl.Int64(), pl.Float32(): pl.Float64()},
}


def fits_into(column: pl.Series, suffix: str) -> bool:
    """Whether a format can hold a column: others are refused, and tested so elsewhere."""
    if suffix == ".vot":
        return column.dtype != pl.UInt64 or (column.max() or 0) < 2**63
    if suffix == ".fits" and column.dtype in (pl.Int64, pl.UInt64) and column.null_count():
        # A number that the column does not contain marks what is missing.
        return {column.min(), column.max()} != set(int_range(column.dtype))
    return True


def prepared(table: Stated, suffix: str) -> Stated:
    """The table as far as a format can hold it."""
    frame = table.frame.select(column for column in table.frame if fits_into(column, suffix))
    if suffix == ".csv":
        # Texts that look like numbers are numbers there; a letter before them makes a column of texts.
        frame = frame.with_columns(pl.col(pl.String).str.replace("^", "q"), k=pl.int_range(pl.len()))
    return Stated(frame, {**table.units, "k": ""}, table.order)


def opened(table: Stated, suffix: str, folder: Path, kind: int) -> tuple[io.Source, bool]:
    """Send a table through a format, and tell whether that keeps units."""
    if suffix == "memory":
        made, units = list(KINDS.values())[kind % len(KINDS)]
        return io.open_table(made(table)), units
    columns = {name: Column(name, unit=table.units[name]) for name in table.frame.columns}
    io.write(table.frame, folder / f"t{suffix}", columns=columns)
    return io.open_table(folder / f"t{suffix}"), suffix != ".csv"


def same(found: pl.Series, wanted: pl.Series, suffix: str) -> bool:
    """Whether two columns have the same values, in the types of a format."""
    if suffix == ".csv" and wanted.null_count() == len(wanted):
        return found.null_count() == len(found) == len(wanted)
    if suffix == ".csv" and wanted.dtype == pl.UInt64:
        return found.dtype in (pl.Int64, pl.UInt64) and found.to_list() == wanted.to_list()
    kind = WIDER.get(suffix, {}).get(wanted.dtype, wanted.dtype)
    return found.dtype == kind and found.cast(wanted.dtype).equals(wanted, null_equal=True)


def check(seeds: range, suffix: str, folder: Path) -> None:
    """Send the tables of some numbers through a format, side by side."""
    table = prepared(side_by_side(seeds), suffix)
    source, units = opened(table, suffix, folder, seeds[0] // BESIDE)
    wanted, found = table.frame.fill_nan(None), source.read()
    assert set(found.columns) == set(wanted.columns), (seeds, found.columns)
    assert source.n_rows == found.height == wanted.height, seeds
    for name in wanted.columns:
        assert same(found[name], wanted[name], suffix), (name, found[name], wanted[name])
        assert not units or same_unit(source.columns[name].unit, table.units[name]), name


@pytest.mark.parametrize("suffix", FORMATS)
def test_some_tables(suffix: str, tmp_path: Path) -> None:
    for first in range(0, 2 * BESIDE, BESIDE):
        check(range(first, first + BESIDE), suffix, tmp_path)
    check(range(3, 4), suffix, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 1_500 * OFTEN, SIZE))
def test_many_tables(start: int, tmp_path: Path) -> None:
    """Six thousand in the nightly tests."""
    for first in range(start, start + SIZE, BESIDE):
        for suffix in FORMATS:
            check(range(first, first + BESIDE), suffix, tmp_path)
