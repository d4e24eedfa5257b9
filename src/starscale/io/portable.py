"""Column types that every format can hold, for formats with fewer types than Parquet."""

from __future__ import annotations

import polars as pl

from starscale.vocabulary.errors import Problems

_NUMBERS = (
    pl.Boolean,
    pl.Int8,
    pl.Int16,
    pl.Int32,
    pl.Int64,
    pl.UInt8,
    pl.UInt16,
    pl.UInt32,
    pl.UInt64,
    pl.Float32,
    pl.Float64,
    pl.String,
)


def _plain(dtype: pl.DataType) -> pl.DataType | None:
    if isinstance(dtype, pl.Array):
        inner = dtype
        while isinstance(inner, pl.Array):
            inner = inner.inner  # type: ignore[assignment]
        plain = _plain(inner)
        return None if plain is None else pl.Array(plain, dtype.shape)
    if dtype in _NUMBERS:
        return dtype
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.Date, pl.Datetime, pl.Time)):
        return pl.String()
    if isinstance(dtype, (pl.Decimal, pl.Null)):
        return pl.Float64()
    return None


def plain_schema(schema: pl.Schema, where: str) -> pl.Schema:
    """Return the types that columns are written as: dates and categories as text, decimals as floats.

    Raises
    ------
    InputError
        A column has a type that only Parquet can hold (lists of varying length, structures, binary, 128-bit
        integers).
    """
    problems = Problems()
    plain = {}
    for name, dtype in schema.items():
        kind = _plain(dtype)
        if kind is None:
            wide = str(dtype).endswith("Int128")
            fix = "Cast it to text: no format holds 128 bits." if wide else "Write Parquet, or cast it."
            problems.add(where, f"cannot hold column {name!r} of type {dtype}", fix=fix)
        else:
            plain[name] = kind
    problems.raise_if_any()
    return pl.Schema(plain)


def plain_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Cast a frame to the types of :func:`plain_schema`; times are written as ISO 8601."""
    casts = []
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Datetime):
            casts.append(pl.col(name).dt.to_string("iso:strict"))
        elif (plain := _plain(dtype)) is not None and plain != dtype:
            casts.append(pl.col(name).cast(plain))
    return frame.with_columns(casts)


def flat(series: pl.Series) -> pl.Series:
    """Return the elements of a vector column as one flat series; a null row gives a null for every element."""
    return series.reshape((-1,)) if isinstance(series.dtype, pl.Array) else series


def int_range(dtype: pl.DataType) -> tuple[int, int]:
    """Return the smallest and the largest number of an integer type."""
    ends = pl.select(low=dtype.min(), high=dtype.max()).row(0)  # type: ignore[attr-defined]
    return int(ends[0]), int(ends[1])
