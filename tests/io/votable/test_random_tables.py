"""Random tables of every datatype: what astropy writes is read as it was made, and the other way round."""

from __future__ import annotations

import io as std
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from astropy.io import votable
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from starscale import io
from starscale.io.astropy_tables import from_astropy
from starscale.vocabulary.errors import InputError
from support.often import OFTEN

NUMBERS: dict[str, tuple[str, pl.DataType]] = {
    "unsignedByte": ("u1", pl.UInt8()),
    "short": ("i2", pl.Int16()),
    "int": ("i4", pl.Int32()),
    "long": ("i8", pl.Int64()),
    "float": ("f4", pl.Float32()),
    "double": ("f8", pl.Float64()),
}
#: No line breaks: in TABLEDATA they may lay out the document. Last blanks may be padding of a fixed width.
LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), max_codepoint=0xFFFF)
WORDS = st.text(st.sampled_from("abc <&>é☃'\"") | LETTERS, max_size=5).map(lambda text: text.rstrip())
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=5).map(lambda text: text.rstrip(" "))


@dataclass(frozen=True)
class Made:
    """A column as astropy takes it, its FIELD, and the values that must be read."""

    column: Any
    datatype: str
    null: int | None
    expected: pl.Series


def numbers(datatype: str) -> st.SearchStrategy[Any]:
    """One number, or None; the smallest integer is left to mark nulls."""
    code, _ = NUMBERS[datatype]
    if code[0] == "f":
        return st.none() | st.floats(width=32 if code == "f4" else 64, allow_nan=False)
    info = np.iinfo(code)
    return st.none() | st.integers(int(info.min) + 1, int(info.max))


def masked(values: list[Any], code: str) -> np.ma.MaskedArray[Any, Any]:
    """A masked array of any shape from nested lists with None.

    Below the mask lie NaN and the null of the column: astropy writes what it finds there for lists of numbers.
    """
    nested = np.array(values, dtype=object)
    hidden = np.equal(nested, None).astype(bool)
    below = np.iinfo(code).min if code[0] in "iu" else np.nan if code[0] == "f" else False
    return np.ma.MaskedArray(np.where(hidden, below, nested).astype(code), mask=hidden)


@st.composite
def number_column(draw: st.DrawFn, rows: int) -> Made:
    datatype = draw(st.sampled_from(list(NUMBERS)))
    code, dtype = NUMBERS[datatype]
    width = draw(st.sampled_from([0, 0, 2, 3]))
    cell = st.lists(numbers(datatype), min_size=width, max_size=width) if width else numbers(datatype)
    values = draw(st.lists(cell, min_size=rows, max_size=rows))
    null = int(np.iinfo(code).min) if code[0] != "f" else None
    return Made(
        MaskedColumn(masked(values, code)),
        datatype,
        null,
        pl.Series(values, dtype=pl.Array(dtype, width) if width else dtype),
    )


@st.composite
def list_column(draw: st.DrawFn, rows: int) -> Made:
    datatype = draw(st.sampled_from(list(NUMBERS)))
    code, dtype = NUMBERS[datatype]
    values = draw(st.lists(st.lists(numbers(datatype), max_size=4), min_size=rows, max_size=rows))
    column = np.empty(rows, dtype=object)
    for i, value in enumerate(values):
        column[i] = masked(value, code)
    null = int(np.iinfo(code).min) if code[0] != "f" else None
    return Made(column, datatype, null, pl.Series(values, dtype=pl.List(dtype)))


@st.composite
def complex_column(draw: st.DrawFn, rows: int) -> Made:
    code, dtype = draw(st.sampled_from([("c8", pl.Float32()), ("c16", pl.Float64())]))
    part = st.floats(width=32 if code == "c8" else 64, allow_nan=False)
    values = draw(st.lists(st.tuples(part, part), min_size=rows, max_size=rows))
    column = np.array(values, dtype="f4" if code == "c8" else "f8").view(code).reshape(rows)
    expected = pl.Series([list(value) for value in values], dtype=pl.Array(dtype, 2))
    return Made(column, "floatComplex" if code == "c8" else "doubleComplex", None, expected)


@st.composite
def truth_column(draw: st.DrawFn, rows: int) -> Made:
    datatype = draw(st.sampled_from(["boolean", "bit"]))
    one = st.booleans() if datatype == "bit" else st.none() | st.booleans()
    width = draw(st.sampled_from([0, 3, 9]))
    cell = st.lists(one, min_size=width, max_size=width) if width else one
    values = draw(st.lists(cell, min_size=rows, max_size=rows))
    dtype = pl.Array(pl.Boolean, width) if width else pl.Boolean()
    return Made(MaskedColumn(masked(values, "?")), datatype, None, pl.Series(values, dtype=dtype))


@st.composite
def text_column(draw: st.DrawFn, rows: int) -> Made:
    kind, code = draw(st.sampled_from([("char", "S"), ("unicodeChar", "U"), ("unicodeChar", "O")]))
    values = draw(st.lists(ASCII if kind == "char" else WORDS, min_size=rows, max_size=rows))
    expected = [value if value.strip(" ") else None for value in values]
    return Made(np.array(values, dtype=code), kind, None, pl.Series(expected, dtype=pl.String))


@st.composite
def made_tables(draw: st.DrawFn) -> list[Made]:
    rows = draw(st.integers(1, 6))
    kinds: list[Callable[[int], st.SearchStrategy[Made]]] = [
        number_column,
        list_column,
        complex_column,
        truth_column,
        text_column,
    ]
    return draw(st.lists(st.one_of([kind(rows) for kind in kinds]), min_size=1, max_size=9))


def by_astropy(columns: list[Made], serialisation: str) -> bytes:
    """The table as astropy writes it."""
    file = std.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = votable.from_table(Table({f"c{i}": made.column for i, made in enumerate(columns)}))
        for made, about in zip(columns, document.get_first_table().fields, strict=True):
            about.datatype = made.datatype
            about.values.null = made.null
        votable.writeto(document, file, tabledata_format=serialisation)
    return file.getvalue()


def as_made(columns: list[Made], serialisation: str) -> None:
    expected = pl.DataFrame([made.expected.alias(f"c{i}") for i, made in enumerate(columns)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.vot"
        path.write_bytes(by_astropy(columns, serialisation))
        source = io.open_table(path)
        assert source.schema == expected.schema
        assert source.n_rows == expected.height
        assert_frame_equal(source.read(), expected, check_exact=True)
        assert_frame_equal(pl.concat(source.batches(2)), expected, check_exact=True)


SERIALISATIONS = st.sampled_from(["tabledata", "binary", "binary2"])
NO_CHECKS = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)


@given(made_tables(), SERIALISATIONS)
@settings(max_examples=30, deadline=None, suppress_health_check=NO_CHECKS)
def test_what_astropy_writes_is_read_as_it_was_made(columns: list[Made], serialisation: str) -> None:
    as_made(columns, serialisation)


@pytest.mark.slow
@given(made_tables(), SERIALISATIONS)
@settings(max_examples=400 * OFTEN, deadline=None, suppress_health_check=NO_CHECKS)
def test_what_astropy_writes_is_read_as_it_was_made_often(columns: list[Made], serialisation: str) -> None:
    as_made(columns, serialisation)


def of_astropy(path: Path) -> pl.DataFrame:
    """The table as astropy reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = votable.parse(std.BytesIO(path.read_bytes()), verify="exception").get_first_table()
        frame, _, _ = from_astropy(table.to_table(use_names_over_ids=True), str(path))
    return frame.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)).name.keep())


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Columns that a VOTable can hold."""
    rows = draw(st.integers(1, 6))
    series = []
    for i in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from([*NUMBERS, "boolean", "text"]))
        dtype: pl.DataType
        if kind == "text":
            one: st.SearchStrategy[Any] = st.none() | st.text(LETTERS, min_size=1, max_size=5)
            dtype = pl.String()
        elif kind == "boolean":
            one, dtype = st.none() | st.booleans(), pl.Boolean()
        else:
            one, dtype = numbers(kind), NUMBERS[kind][1]
        width = draw(st.sampled_from([0, 0, 3])) if kind != "text" else 0
        cell = st.lists(one, min_size=width, max_size=width) if width else one
        values = draw(st.lists(cell, min_size=rows, max_size=rows))
        series.append(pl.Series(f"c{i}", values, dtype=pl.Array(dtype, width) if width else dtype))
    return pl.DataFrame(series)


def read_by_both(frame: pl.DataFrame) -> None:
    blank = pl.col(pl.String).str.strip_chars(" ") == ""
    ours = frame.with_columns(pl.when(~blank).then(pl.col(pl.String)).name.keep())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.vot"
        io.write(frame, path)
        assert_frame_equal(io.read(path), ours, check_exact=True)
        assert_frame_equal(of_astropy(path), frame, check_exact=True)


@given(frames())
@settings(max_examples=30, deadline=None, suppress_health_check=NO_CHECKS)
def test_what_is_written_is_read_by_both(frame: pl.DataFrame) -> None:
    read_by_both(frame)


@pytest.mark.slow
@given(frames())
@settings(max_examples=400 * OFTEN, deadline=None, suppress_health_check=NO_CHECKS)
def test_what_is_written_is_read_by_both_often(frame: pl.DataFrame) -> None:
    read_by_both(frame)


def never_shorter(columns: list[Made], serialisation: str, place: float, length: int) -> None:
    """A document that lost a piece is refused, or has all the rows that it states."""
    rows = len(columns[0].expected)
    text = by_astropy(columns, serialisation).replace(b"<TABLE>", b'<TABLE nrows="%d">' % rows)
    start = text.index(b"<FIELD") + int(place * (len(text) - text.index(b"<FIELD")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.vot"
        path.write_bytes(text[:start] + text[start + length :])
        try:
            assert io.read(path).height == rows
        except InputError as error:
            assert "t.vot" in str(error)  # noqa: PT017


PLACES, LENGTHS = st.floats(0, 1), st.integers(1, 9) | st.integers(1, 400)


@given(made_tables(), SERIALISATIONS, PLACES, LENGTHS)
@settings(max_examples=30, deadline=None, suppress_health_check=NO_CHECKS)
def test_no_row_is_lost_silently(columns: list[Made], serialisation: str, place: float, length: int) -> None:
    never_shorter(columns, serialisation, place, length)


@pytest.mark.slow
@given(made_tables(), SERIALISATIONS, PLACES, LENGTHS)
@settings(max_examples=400 * OFTEN, deadline=None, suppress_health_check=NO_CHECKS)
def test_no_row_is_lost_silently_often(columns: list[Made], serialisation: str, place: float, length: int) -> None:
    never_shorter(columns, serialisation, place, length)
