"""Random tables, written by other programs and by us, are read back equal."""

from __future__ import annotations

import csv
import io as std
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from starscale import io

#: Texts that are no number, no truth value, no angle and no word for "missing".
TEXT = st.text(st.sampled_from("abzXé,;|\"' _#-.1"), max_size=8).map(lambda text: f"q{text}z")
PLAIN = st.text(st.sampled_from("abcXYZ_"), min_size=1, max_size=6).map(lambda text: f"q{text}")
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-1000, 1000)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)
#: Kinds of columns: a strategy of values and the type that they are read as.
KINDS: dict[str, tuple[st.SearchStrategy[Any], pl.DataType]] = {
    "integer": (NUMBERS, pl.Int64()),
    "float": (FLOATS, pl.Float64()),
    "truth": (st.booleans(), pl.Boolean()),
    "text": (TEXT, pl.String()),
    "word": (PLAIN, pl.String()),
    "digits": (st.from_regex(r"0[0-9]{1,5}", fullmatch=True), pl.String()),
}


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(KINDS)) -> pl.DataFrame:
    """A table of 1 to 6 rows: identifiers, and up to four columns with values that may be missing."""
    n = draw(st.integers(1, 6))
    columns = {"id": pl.Series(draw(st.lists(st.integers(1, 2**62), min_size=n, max_size=n)), dtype=pl.Int64)}
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))):
        values, dtype = KINDS[kind]
        first = draw(values)
        # One value at least shows the type.
        rest = draw(st.lists(values | st.none(), min_size=n - 1, max_size=n - 1))
        columns[f"c{number}_{kind}"] = pl.Series([first, *rest], dtype=dtype)
    return pl.DataFrame(columns)


def read(content: str | bytes, name: str = "t.csv") -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        source = io.open_table(path)
        table = source.read()
        assert source.lazy().collect().equals(table)
        assert pl.concat([table.clear(), *source.batches(2)]).equals(table)
        return table


def astropy_text(table: pl.DataFrame, kind: str, **options: Any) -> str:
    made = Table()
    for series in table:
        hidden = series.is_null().to_numpy()
        fill = "" if series.dtype == pl.String else 0
        values = np.array(series.fill_null(fill).to_list())
        made[series.name] = MaskedColumn(values, mask=hidden) if hidden.any() else values
    text = std.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.write(text, format=f"ascii.{kind}", **options)
    return text.getvalue()


def same(got: pl.DataFrame, table: pl.DataFrame, *, empty: bool = False) -> None:
    """`empty`: the format cannot tell an empty text from a missing one."""
    if empty:
        got = got.with_columns(pl.col(pl.String).replace("", None))
    assert got.equals(table), (got, table)


def check_pandas(table: pl.DataFrame, separator: str, quoting: int, word: str) -> None:
    frame = pd.DataFrame({s.name: pd.array(s.to_list(), dtype=_PANDAS[s.dtype]) for s in table})
    # Floats are written with all their digits.
    text = frame.to_csv(index=False, sep=separator, quoting=quoting, na_rep=word)
    texts = [name for name in table.columns if name.endswith(("_text", "_word"))]
    if not any(series.null_count() for series in table.drop(texts)):
        # Nothing says that the word means "missing".
        table = table.with_columns(pl.col(texts).fill_null(word))
    same(read(text, "t.tsv" if separator == "\t" else "t.csv"), table)


_PANDAS: dict[pl.DataType, str] = {
    pl.Int64(): "Int64",
    pl.Float64(): "Float64",
    pl.Boolean(): "boolean",
    pl.String(): "string",
}
DIALECTS = st.tuples(
    st.sampled_from([",", "\t", ";", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["null", "NA", "N/A", "--", "\\N"]),
)


def check_csv(table: pl.DataFrame, separator: str, quoting: int, end: str, coding: str) -> None:
    text = std.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerow(table.columns)
    writer.writerows([["" if cell is None else cell for cell in row] for row in table.iter_rows()])
    same(read(text.getvalue().encode(coding)), table, empty=True)


def check_astropy(table: pl.DataFrame, kind: str) -> None:
    name = {"csv": "t.csv", "tab": "t.tsv", "mrt": "t.mrt", "ipac": "t.tbl", "ecsv": "t.ecsv"}.get(kind, "t.txt")
    same(read(astropy_text(table, kind), name), table, empty=True)


SEPARATED = ("csv", "tab", "basic", "commented_header", "ecsv")
DRAWN = ("fixed_width", "fixed_width_two_line", "mrt", "ipac")
FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
ENDS = st.tuples(
    st.sampled_from([",", "\t", ";", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
CHECKS: dict[str, tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]] = {
    "pandas": (lambda table, how: check_pandas(table, *how), (tables(), DIALECTS)),
    "csv": (lambda table, how: check_csv(table, *how), (tables(), ENDS)),
    "astropy": (
        check_astropy,
        (tables(("integer", "float", "text", "word", "digits")), st.sampled_from(SEPARATED)),
    ),
    "drawn": (check_astropy, (tables(("integer", "word", "digits")), st.sampled_from(DRAWN))),
}


@pytest.mark.parametrize("check", CHECKS)
def test_what_others_write_is_read_back(check: str) -> None:
    function, given_ones = CHECKS[check]
    FEW(given(*given_ones)(function))()


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_what_others_write_is_read_back_many_times(check: str) -> None:
    function, given_ones = CHECKS[check]
    MANY(given(*given_ones)(function))()
