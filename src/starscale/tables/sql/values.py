"""Values of an SQL expression: polars expressions whose kind, type and range are known.

A missing value is null. NaN and infinity are missing, too; they are turned into null where they would otherwise
become a finite number or the result of a comparison, so that most sums need no extra pass over the column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import polars as pl

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.sql.tokens import NotSQLError
from starscale.vocabulary.sql.tree import Plain

ValueKind = Literal["whole", "real", "text", "truth", "null", "other"]

_WORDS: dict[ValueKind, str] = {
    "whole": "a number",
    "real": "a number",
    "text": "a text",
    "truth": "true or false",
    "null": "missing",
    "other": "a value of another type",
}
INT64 = (-(2**63), 2**63 - 1)
INT128 = (-(2**127), 2**127 - 1)
#: Smallest and largest value of each integer type.
BOUNDS: dict[type[pl.DataType], tuple[int, int]] = {
    pl.Int8: (-(2**7), 2**7 - 1),
    pl.Int16: (-(2**15), 2**15 - 1),
    pl.Int32: (-(2**31), 2**31 - 1),
    pl.Int64: INT64,
    pl.Int128: INT128,
    pl.UInt8: (0, 2**8 - 1),
    pl.UInt16: (0, 2**16 - 1),
    pl.UInt32: (0, 2**32 - 1),
    pl.UInt64: (0, 2**64 - 1),
}


@dataclass(frozen=True, slots=True)
class Value:
    """A part of an expression.

    Attributes
    ----------
    expr : polars.Expr
    kind : str
        "whole", "real", "text", "truth", "null" (always missing) or "other" (dates, lists, ...).
    dtype : polars.DataType
        Of `expr`.
    bounds : (int, int)
        Smallest and largest possible value of a whole number.
    finite : bool
        Whether a real number is finite or null.
    is_constant : bool
        Whether the value does not depend on a column; it is then `constant`.
    is_bare : bool
        Whether the value is a column as it stands, which costs nothing to read twice.
    """

    expr: pl.Expr
    kind: ValueKind
    dtype: pl.DataType
    bounds: tuple[int, int] = (0, 0)
    finite: bool = True
    is_constant: bool = False
    constant: Plain = None
    is_bare: bool = False

    @property
    def word(self) -> str:
        """The kind in messages."""
        return _WORDS[self.kind]


def literal(value: Plain) -> Value:
    """Return a constant."""
    if isinstance(value, bool):
        made = truth(pl.lit(value))
    elif isinstance(value, int):
        made = whole(pl.lit(value, integer_type((value, value))), (value, value))
    elif isinstance(value, float):
        made = real(pl.lit(value), finite=True)
    elif isinstance(value, str):
        made = text(pl.lit(value))
    else:
        made = Value(pl.lit(None), "null", pl.Null())
    return replace(made, is_constant=True, constant=value)


def column(name: str, dtype: pl.DataType, *, finite: bool) -> Value:
    """Return a column; `finite` says that it holds no NaN and no infinity."""
    expr = pl.col(name)
    if type(dtype) in BOUNDS:
        return Value(expr, "whole", dtype, BOUNDS[type(dtype)], is_bare=True)
    if dtype in (pl.Float32, pl.Float64):
        return Value(expr, "real", dtype, finite=finite, is_bare=True)
    if dtype.is_numeric():
        return real(expr.cast(pl.Float64), finite=finite)
    if dtype == pl.Boolean:
        return replace(truth(expr), is_bare=True)
    if dtype == pl.String:
        return replace(text(expr), is_bare=True)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return text(expr.cast(pl.String))
    return Value(expr, "null" if dtype == pl.Null else "other", dtype)


def truth(expr: pl.Expr) -> Value:
    """Return a condition."""
    return Value(expr, "truth", pl.Boolean())


def text(expr: pl.Expr) -> Value:
    """Return a text."""
    return Value(expr, "text", pl.String())


def real(expr: pl.Expr, *, finite: bool = False) -> Value:
    """Return a double."""
    return Value(expr, "real", pl.Float64(), finite=finite)


def whole(expr: pl.Expr, bounds: tuple[int, int]) -> Value:
    """Return a whole number of 64 or 128 bits, as its bounds need."""
    return Value(expr, "whole", integer_type(bounds), bounds)


def integer_type(*bounds: tuple[int, int]) -> pl.DataType:
    """Return the type of 64 or 128 bits that holds all numbers within some bounds."""
    fits = all(INT64[0] <= low and high <= INT64[1] for low, high in bounds)
    return pl.Int64() if fits else pl.Int128()


# ---- conversions --------------------------------------------------------------------------------------


def cleaned(value: Value) -> Value:
    """Turn NaN and infinity into null."""
    if value.kind != "real" or value.finite:
        return value
    expr = value.expr.map_batches(_only_finite, return_dtype=value.dtype)
    return replace(value, expr=expr, finite=True, is_bare=False)


def _only_finite(values: pl.Series) -> pl.Series:
    good = values.is_finite()
    return values if good.all() else values.set(~good, None)


def number(value: Value) -> Value:
    """Return a number; a condition counts as 1 or 0.

    Raises
    ------
    NotSQLError
        For a text.
    """
    if value.kind == "truth":
        if isinstance(value.constant, bool):
            return literal(int(value.constant))
        return whole(value.expr.cast(pl.Int64), (0, 1))
    if value.kind not in ("whole", "real", "null"):
        raise NotSQLError(f"a number is needed, and this is {value.word}")
    return value


def as_float(value: Value) -> Value:
    """Return a double, which may be NaN where `value` may be."""
    value = number(value)
    return value if value.dtype == pl.Float64 else real(value.expr.cast(pl.Float64), finite=value.finite)


def as_whole(value: Value, what: str) -> Value:
    """Return a whole number of at least 64 bits."""
    value = number(value)
    if value.kind == "real":
        raise NotSQLError(f"{what} needs whole numbers: write CAST(x AS BIGINT)")
    dtype = integer_type(value.bounds)
    return (
        value if value.dtype == dtype else replace(value, expr=value.expr.cast(dtype), dtype=dtype, is_bare=False)
    )


def condition(value: Value) -> pl.Expr:
    """Return a condition.

    Raises
    ------
    NotSQLError
        For a number or a text.
    """
    if value.kind == "null":
        return pl.lit(None, pl.Boolean)
    if value.kind != "truth":
        raise NotSQLError(f"a condition is needed, and this is {value.word}")
    return value.expr


def alike(values: Sequence[Value], what: str) -> tuple[list[pl.Expr], Callable[[pl.Expr], Value]]:
    """Give values one type, for the branches of a CASE and similar; also return what makes a value of that type.

    Raises
    ------
    NotSQLError
        Texts and numbers, for example.
    """
    kinds = {v.kind for v in values} - {"null"}
    if kinds == {"text"}:
        return [cast_to(v, pl.String()) for v in values], text
    if kinds <= {"truth"}:
        return [cast_to(v, pl.Boolean()) for v in values], truth
    if not kinds <= {"whole", "real", "truth"}:
        found = " and ".join(sorted({_WORDS[kind] for kind in kinds}))
        raise NotSQLError(f"{what} mixes {found}" if len(kinds) > 1 else f"{what} cannot be used on {found}")
    return _alike_numbers([number(v) for v in values])


def _alike_numbers(numbers: Sequence[Value]) -> tuple[list[pl.Expr], Callable[[pl.Expr], Value]]:
    if "real" in {v.kind for v in numbers}:
        return [cleaned(as_float(v)).expr for v in numbers], partial(real, finite=True)
    known = [v.bounds for v in numbers if v.kind != "null"]
    bounds = (min(low for low, _ in known), max(high for _, high in known))
    return [cast_to(v, integer_type(bounds)) for v in numbers], partial(whole, bounds=bounds)


def cast_to(value: Value, dtype: pl.DataType) -> pl.Expr:
    """Return the polars expression in another type."""
    return value.expr if value.dtype == dtype else value.expr.cast(dtype)


def on_series(
    function: Callable[[Sequence[pl.Series]], pl.Series], values: Sequence[pl.Expr], dtype: pl.DataType
) -> pl.Expr:
    """Apply a function to whole columns of one length; its arguments are evaluated once."""

    def aligned(series: Sequence[pl.Series]) -> pl.Series:
        lengths = {len(s) for s in series}
        n = max(lengths) if 0 not in lengths else 0
        return function([s if len(s) == n else s.new_from_index(0, n) for s in series])

    return pl.map_batches(values, aligned, return_dtype=dtype)


def once(operands: Sequence[Value], build: Callable[[Sequence[Value]], Value]) -> Value:
    """Build a value that uses operands more than once, but evaluates them once.

    Otherwise such expressions within one another would cost twice the time with each level.
    """
    if all(v.is_bare or v.is_constant for v in operands):
        return build(operands)
    evaluated = [v for v in operands if not v.is_constant]
    names = {id(v): str(i) for i, v in enumerate(evaluated)}
    made = build([v if v.is_constant else replace(v, expr=pl.col(names[id(v)])) for v in operands])

    def applied(series: Sequence[pl.Series]) -> pl.Series:
        return pl.DataFrame([s.alias(str(i)) for i, s in enumerate(series)]).select(made.expr).to_series()

    return replace(made, expr=on_series(applied, [v.expr for v in evaluated], made.dtype))


def by_numpy(function: Callable[..., FloatArray], *values: Value) -> Value:
    """Apply a function of doubles; where it is not defined the result is missing."""

    def applied(series: Sequence[pl.Series]) -> pl.Series:
        with np.errstate(all="ignore"):
            found = function(*(s.to_numpy() for s in series))
        return pl.Series(series[0].name, np.where(np.isfinite(found), found, np.nan)).fill_nan(None)

    doubles = [cleaned(as_float(v)).expr for v in values]
    return real(on_series(applied, doubles, pl.Float64()), finite=True)


def halved(values: Sequence[Value], join: Callable[[Value, Value], Value]) -> Value:
    """Join many values in a tree of small depth."""
    layer = list(values)
    while len(layer) > 1:
        pairs = [join(layer[i], layer[i + 1]) for i in range(0, len(layer) - 1, 2)]
        layer = pairs + layer[len(pairs) * 2 :]
    return layer[0]
