"""Arithmetic of values: whole numbers never wrap around, and what is not finite becomes missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from starscale.tables.sql.values import (
    INT128,
    Value,
    as_float,
    as_whole,
    by_numpy,
    cast_to,
    cleaned,
    halved,
    integer_type,
    literal,
    number,
    on_series,
    real,
)
from starscale.vocabulary.sql.tokens import NotSQLError
from starscale.vocabulary.sql.tree import Plain

Bounds = tuple[int, int]
#: Numbers of a sum or product that are joined from left to right; longer ones are halved, to keep the depth small.
_LONGEST_CHAIN = 64


def chain(first: Value, rest: Sequence[tuple[str, Value]]) -> Value:
    """Add, subtract, multiply and divide from left to right."""
    if len(rest) < _LONGEST_CHAIN:
        for sign, value in rest:
            first = arithmetic(sign, first, value)
        return first
    if {"/", "%"} & {sign for sign, _ in rest}:
        raise NotSQLError(f"more than {_LONGEST_CHAIN} numbers divided one after another")
    operator = "*" if rest[0][0] == "*" else "+"
    values = [first, *(negative(v) if sign == "-" else v for sign, v in rest)]
    return halved(values, lambda a, b: arithmetic(operator, a, b))


def arithmetic(sign: str, a: Value, b: Value) -> Value:
    """Return ``a sign b`` for one of ``+ - * / %``.

    Whole numbers are widened to 64 bits, or 128 where the result of their types needs it, and to doubles where
    these are too small as well: they never wrap around. ``/`` divides real numbers.
    """
    a, b = number(a), number(b)
    if sign == "%":
        return remainder(a, b)
    if sign == "/":
        return _ratio(as_float(a), cleaned(as_float(b)), b.constant)
    if a.kind == b.kind == "whole":
        bounds = _BOUNDS[sign](a.bounds, b.bounds)
        if INT128[0] <= bounds[0] and bounds[1] <= INT128[1]:
            dtype = integer_type(bounds, a.bounds, b.bounds)
            return Value(_ARITHMETIC[sign](cast_to(a, dtype), cast_to(b, dtype)), "whole", dtype, bounds)
    return real(_ARITHMETIC[sign](as_float(a).expr, as_float(b).expr))


def _ratio(a: Value, b: Value, divisor: Plain) -> Value:
    if not isinstance(divisor, int | float) or divisor == 0 or abs(math.frexp(divisor)[0]) == 0.5:
        return real(a.expr / b.expr)

    def divided(column: pl.Series) -> pl.Series:
        # polars multiplies by 1 / divisor if there are two rows or more: 3 / 2.5 would be 1.2000000000000002.
        with np.errstate(all="ignore"):
            return pl.Series(column.name, column.to_numpy() / float(divisor))

    return real(a.expr.map_batches(divided, return_dtype=pl.Float64))


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}


def _products(a: Bounds, b: Bounds) -> Bounds:
    ends = [x * y for x in a for y in b]
    return min(ends), max(ends)


_BOUNDS: dict[str, Callable[[Bounds, Bounds], Bounds]] = {
    "+": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "-": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "*": _products,
}


def negative(value: Value) -> Value:
    """Return ``- value``."""
    value = number(value)
    if value.kind == "whole":
        return arithmetic("-", literal(0), value)
    value = as_float(value)
    return real(-value.expr, finite=value.finite)


def remainder(a: Value, b: Value) -> Value:
    """Return the remainder of a division, with the sign of `a`; missing where `b` is 0."""
    if "real" in (a.kind, b.kind) or "null" in (a.kind, b.kind):
        return by_numpy(np.fmod, a, b)
    largest = max(abs(end) for end in a.bounds)
    return _of_wholes(_remainder, a, b, (-largest, largest))


def quotient(a: Value, b: Value) -> Value:
    """Return a division of whole numbers, cut towards zero; missing where `b` is 0."""
    a, b = as_whole(a, "DIV"), as_whole(b, "DIV")
    largest = max(abs(end) for end in a.bounds)
    return _of_wholes(lambda x, y: (x - _remainder(x, y)) // y, a, b, (-largest, largest))


def _of_wholes(function: Callable[[pl.Series, pl.Series], pl.Series], a: Value, b: Value, bounds: Bounds) -> Value:
    dtype = integer_type(a.bounds, b.bounds, bounds)
    both = [cast_to(a, dtype), cast_to(b, dtype)]
    return Value(on_series(lambda s: function(s[0], s[1]), both, dtype), "whole", dtype, bounds)


def _remainder(a: pl.Series, b: pl.Series) -> pl.Series:
    # polars gives the remainder the sign of b, SQL that of a.
    found = a % b
    differs = ((found != 0) & ((found < 0) != (a < 0))).fill_null(False)
    return (found - b).zip_with(differs, found)
