"""Comparisons of values, in a type in which they compare as their exact values do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from starscale.tables.sql.values import INT128, Value, cast_to, cleaned, integer_type, literal, number, truth
from starscale.vocabulary.sql.tokens import NotSQLError
from starscale.vocabulary.sql.tree import Plain

#: Decimal constants within these bounds are compared with float32 columns in float32.
_FLOAT32 = (float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max))

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def compare(sign: str, a: Value, b: Value) -> Value:
    """Return the comparison of two values; missing where one of them is."""
    left, right = comparable(a, b)
    return truth(_COMPARE[sign](left, right))


def comparable(a: Value, b: Value) -> tuple[pl.Expr, pl.Expr]:
    """Give two values one type in which they compare as their exact values do.

    Raises
    ------
    NotSQLError
        A text and a number, for example.
    """
    kinds = {a.kind, b.kind} - {"null"}
    if "other" in kinds:
        raise NotSQLError("compares values of a type for which only IS NULL is possible (dates, lists, ...)")
    if "text" in kinds and len(kinds) > 1:
        other = a if b.kind == "text" else b
        raise NotSQLError(f"compares a text with {other.word}: texts stand in single quotes, names do not")
    if kinds & {"whole", "real"}:
        return _comparable_numbers(number(a), number(b))
    dtype = pl.String() if kinds == {"text"} else pl.Boolean()
    return cast_to(a, dtype), cast_to(b, dtype)


def _comparable_numbers(a: Value, b: Value) -> tuple[pl.Expr, pl.Expr]:
    if a.is_constant and not b.is_constant:
        right, left = _comparable_numbers(b, a)
        return left, right
    a, b = cleaned(a), cleaned(_exact(b) if a.kind == "whole" else b)
    dtype = _common(a, b)
    return cast_to(a, dtype), cast_to(b, dtype)


def _exact(value: Value) -> Value:
    """Return a constant such as 1e18 as a whole number, which compares exactly with whole numbers."""
    constant = value.constant
    fits = isinstance(constant, float) and constant.is_integer() and abs(constant) < INT128[1]
    return literal(int(constant)) if fits and isinstance(constant, float) else value


def _common(a: Value, b: Value) -> pl.DataType:
    """Return the type in which two numbers are compared."""
    if a.kind == b.kind == "whole":
        within = a.bounds[0] <= b.bounds[0] and b.bounds[1] <= a.bounds[1]
        return a.dtype if a.dtype == b.dtype or (within and b.is_constant) else integer_type(a.bounds, b.bounds)
    single = b.dtype == pl.Float32 or (b.is_constant and _fits_float32(b.constant))
    return pl.Float32() if single and a.dtype == pl.Float32 else pl.Float64()


def _fits_float32(constant: Plain) -> bool:
    """Whether a constant may be rounded to float32: decimals of its range, and whole numbers that it holds."""
    if isinstance(constant, int):
        return abs(constant) <= 2**24
    return isinstance(constant, float) and (constant == 0 or _FLOAT32[0] <= abs(constant) <= _FLOAT32[1])


def is_in(operand: Value, listed: Sequence[Plain]) -> pl.Expr:
    """Whether a value is one of these constants, which are not null."""
    for example in {type(item): item for item in listed}.values():
        comparable(operand, literal(example))
    if operand.kind == "truth" and not all(isinstance(item, bool) for item in listed):
        operand = number(operand)
    if operand.kind == "null":
        return pl.lit(None, pl.Boolean)
    dtype, chosen = _in_type_of(cleaned(operand), listed)
    return cast_to(cleaned(operand), dtype).is_in(pl.Series(chosen, dtype=dtype).implode())


def _in_type_of(operand: Value, listed: Sequence[Plain]) -> tuple[pl.DataType, Sequence[Plain]]:
    """Return the type in which a value is compared with constants, and those that it can be equal to."""
    if operand.kind not in ("whole", "real"):
        return operand.dtype, listed
    numbers = [item for item in listed if isinstance(item, int | float)]
    if operand.kind == "whole":
        return operand.dtype, [int(n) for n in numbers if _is_within(n, operand.bounds)]
    dtype = operand.dtype if all(map(_fits_float32, numbers)) else pl.Float64()
    return dtype, [float(n) for n in numbers]


def _is_within(number: float, bounds: tuple[int, int]) -> bool:
    """Whether a whole number of these bounds can be equal to a number: none of 16 bits is 40,000, or 2.5."""
    return bounds[0] <= number <= bounds[1] and number == int(number)
