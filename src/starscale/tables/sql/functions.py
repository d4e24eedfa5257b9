"""What the allowed functions do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from starscale.tables.sql.arithmetic import arithmetic, quotient
from starscale.tables.sql.comparisons import compare
from starscale.tables.sql.values import (
    BOUNDS,
    Value,
    alike,
    as_float,
    as_whole,
    by_numpy,
    cast_to,
    cleaned,
    condition,
    literal,
    number,
    once,
    real,
    text,
    truth,
    whole,
)
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.sql.tokens import NotSQLError

Function = Callable[[Sequence[Value]], Value]
#: Longest pattern of LIKE.
_LONGEST_PATTERN = 1000
_WILD = {"%": ".*", "_": "."}
#: Characters with a meaning in regular expressions.
_SPECIAL = frozenset("\\.+*?()|[]{}^$#&~-")


def _of_real(function: Callable[[pl.Expr], pl.Expr], *, finite: bool = False) -> Function:
    """Return a function of one double that is not finite where its argument is not.

    `finite` says that it is finite wherever its argument is.
    """

    def applied(values: Sequence[Value]) -> Value:
        value = as_float(values[0])
        return real(function(value.expr), finite=finite and value.finite)

    return applied


def _of_finite(function: Callable[[pl.Expr], pl.Expr], *, finite: bool = True) -> Function:
    """Return a function of one double that would be finite for an argument that is not."""
    return lambda values: real(function(cleaned(as_float(values[0])).expr), finite=finite)


def _logarithm(function: Callable[[FloatArray], FloatArray]) -> Function:
    """Return a logarithm that is exact for powers of its base: polars gives 2.9999999999999996 for LOG10(1000)."""

    def applied(column: pl.Series) -> pl.Series:
        # NaN for null, which is missing as well.
        with np.errstate(all="ignore"):
            return pl.Series(column.name, function(column.to_numpy()))

    return _of_real(lambda x: x.map_batches(applied, return_dtype=pl.Float64))


def _of_numpy(function: Callable[..., FloatArray]) -> Function:
    return lambda values: by_numpy(function, *values)


# ---- numbers ------------------------------------------------------------------------------------------


def _absolute(values: Sequence[Value]) -> Value:
    value = number(values[0])
    if value.kind != "whole":
        value = as_float(value)
        return real(value.expr.abs(), finite=value.finite)
    low, high = value.bounds
    bounds = (0, max(abs(low), abs(high)))
    made = whole(value.expr, bounds)
    return replace(made, expr=cast_to(value, made.dtype).abs())


def _sign(values: Sequence[Value]) -> Value:
    value = number(values[0])
    value = value if value.kind == "whole" else cleaned(as_float(value))
    return whole(value.expr.sign().cast(pl.Int64), (-1, 1))


def _rounding(function: Callable[[pl.Expr], pl.Expr] | None, by_digits: Callable[..., FloatArray]) -> Function:
    """Return a rounding function; whole numbers stay as they are unless digits before the point are rounded."""

    def rounded(values: Sequence[Value]) -> Value:
        value = number(values[0])
        digits = _digits(values[1]) if values[1:] else 0
        if value.kind == "whole" and digits >= 0:
            return as_whole(value, "ROUND")
        if digits == 0 and function is not None:
            return real(function(cleaned(as_float(value)).expr), finite=True)
        return by_numpy(lambda x: by_digits(x, digits), value)

    return rounded


def _digits(value: Value) -> int:
    if not isinstance(value.constant, int) or not -15 <= value.constant <= 15:
        raise NotSQLError("the number of digits is a whole number from -15 to 15")
    return int(value.constant)


def _round_digits(x: FloatArray, digits: int) -> FloatArray:
    """Round half away from zero, as databases do; numpy rounds half to even."""
    found = np.floor(_scaled(np.abs(x), digits) + 0.5)
    return np.copysign(_scaled(found, -digits), x)


def _truncate_digits(x: FloatArray, digits: int) -> FloatArray:
    return _scaled(np.trunc(_scaled(x, digits)), -digits)


def _scaled(x: FloatArray, digits: int) -> FloatArray:
    """Return x times a power of ten; the powers that are used are exact numbers."""
    return x * 10.0**digits if digits >= 0 else x / 10.0**-digits


def _power(values: Sequence[Value]) -> Value:
    base, exponent = (cleaned(as_float(v)).expr for v in values)
    return real(base**exponent)


def _bits(sign: str) -> Function:
    def applied(values: Sequence[Value]) -> Value:
        return bits(sign, values[0], values[1])

    return applied


def bits(sign: str, a: Value, b: Value) -> Value:
    """Return ``a & b``, ``a | b`` or ``a ^ b`` of whole numbers."""
    a, b = as_whole(a, "a test of bits"), as_whole(b, "a test of bits")
    common = as_whole(whole(a.expr, (min(a.bounds[0], b.bounds[0]), max(a.bounds[1], b.bounds[1]))), "")
    left, right = cast_to(a, common.dtype), cast_to(b, common.dtype)
    found = {"&": left & right, "|": left | right, "^": left.xor(right)}[sign]
    masks = [v.bounds[1] for v in (a, b) if v.bounds[0] >= 0]
    if sign == "&" and masks:
        return Value(found, "whole", common.dtype, (0, min(masks)))
    size = 127 if common.dtype == pl.Int128 else 63
    return whole(found, (-(2**size), 2**size - 1))


def complement(value: Value) -> Value:
    """Return ``~ value``, which is -1 - value."""
    return arithmetic("-", literal(-1), as_whole(value, "a complement of bits"))


# ---- several values -----------------------------------------------------------------------------------


def _extreme(function: Callable[[list[pl.Expr]], pl.Expr], name: str) -> Function:
    def applied(values: Sequence[Value]) -> Value:
        exprs, make = alike(values, name)
        return make(function(exprs))

    return applied


def _null_if(values: Sequence[Value]) -> Value:
    def made(both: Sequence[Value]) -> Value:
        a, b = both
        found = pl.when(compare("=", a, b).expr.fill_null(value=False)).then(None).otherwise(a.expr)
        return Value(found, a.kind, a.dtype, a.bounds)

    return once([cleaned(v) for v in values], made)


# ---- arrays --------------------------------------------------------------------------------------------


def _element(values: Sequence[Value]) -> Value:
    """Return a number of an array, counted from 0 as in survey files; missing where the array is shorter."""
    array, place = values[0], values[1].constant
    if isinstance(place, bool) or not isinstance(place, int) or place < 0:
        raise NotSQLError("the place in an array is a whole number, counted from 0")
    if array.kind == "null":
        return array
    numbers = array.expr.arr if isinstance(array.dtype, pl.Array) else array.expr.list
    inner = getattr(array.dtype, "inner", None)
    if array.kind != "other" or inner is None or not inner.is_numeric():
        raise NotSQLError(f"ELEMENT takes an array of numbers, and this is {array.word}")
    return real(numbers.get(place, null_on_oob=True).cast(pl.Float64), finite=False)


# ---- texts --------------------------------------------------------------------------------------------


def a_text(value: Value) -> pl.Expr:
    """Return a text.

    Raises
    ------
    NotSQLError
        For a number.
    """
    if value.kind not in ("text", "null"):
        raise NotSQLError(f"a text is needed, and this is {value.word}: write CAST(x AS VARCHAR)")
    return cast_to(value, pl.String())


def _of_text(function: Callable[[pl.Expr], pl.Expr]) -> Function:
    return lambda values: text(function(a_text(values[0])))


def _count(value: Value) -> int:
    if isinstance(value.constant, bool) or not isinstance(value.constant, int):
        raise NotSQLError("places and lengths in texts are whole numbers, not columns")
    return value.constant


def _part(value: Value, start: int, length: int | None) -> Value:
    """Return the characters from `start`, which counts from 1, as SQL-92 defines it also before the text."""
    if length is not None and length < 0:
        raise NotSQLError("the length of a text is negative")
    first = max(start, 1)
    kept = None if length is None else max(start + length - first, 0)
    return text(a_text(value).str.slice(first - 1, kept))


def _substring(values: Sequence[Value]) -> Value:
    return _part(values[0], _count(values[1]), _count(values[2]) if values[2:] else None)


def _left(values: Sequence[Value]) -> Value:
    return _part(values[0], 1, _count(values[1]))


def _right(values: Sequence[Value]) -> Value:
    length = _count(values[1])
    if length < 0:
        raise NotSQLError("the length of a text is negative")
    return text(a_text(values[0]).str.tail(length))


def _length(values: Sequence[Value]) -> Value:
    return whole(a_text(values[0]).str.len_chars().cast(pl.Int64), (0, 2**32))


def _replace(values: Sequence[Value]) -> Value:
    found, new = values[1].constant, values[2].constant
    if not isinstance(found, str) or not isinstance(new, str):
        raise NotSQLError("REPLACE takes constant texts")
    return text(a_text(values[0]).str.replace_all(found, new, literal=True) if found else a_text(values[0]))


def _concatenated(values: Sequence[Value]) -> Value:
    """Join texts; missing ones are left out, as databases do."""
    exprs = [a_text(v if v.kind in ("text", "null") else cast(v, "text", None)).fill_null("") for v in values]
    return text(pl.concat_str(exprs))


def joined(values: Sequence[Value]) -> Value:
    """Join texts by ``||``; missing where one of them is."""
    return text(pl.concat_str([a_text(v) for v in values]))


def like(value: Value, pattern: Value, escape: Value | None, *, ignore_case: bool) -> Value:
    """Return whether a text has the form of a pattern, in which % is any text and _ any character."""
    if "null" in {v.kind for v in (value, pattern, escape) if v is not None}:
        return truth(pl.lit(None, pl.Boolean))
    if not isinstance(pattern.constant, str) or len(pattern.constant) > _LONGEST_PATTERN:
        raise NotSQLError(f"the pattern of LIKE is a text in quotes, of {_LONGEST_PATTERN} characters at most")
    mark = None if escape is None else escape.constant
    start = "(?si)" if ignore_case else "(?s)"
    expression = f"{start}\\A{_regular(pattern.constant, mark)}\\z"
    return truth(a_text(value).str.contains(expression, literal=False))


def _regular(pattern: str, mark: object) -> str:
    """Return a pattern of LIKE as a regular expression."""
    if mark is not None and not (isinstance(mark, str) and len(mark) == 1):
        raise NotSQLError("ESCAPE takes one character in quotes")
    pieces, characters = [], iter(pattern)
    for character in characters:
        if character == mark:
            character = next(characters, "")
            if character not in ("%", "_", mark):
                raise NotSQLError("the ESCAPE character of a pattern stands before %, _ or itself")
        elif character in _WILD:
            pieces.append(_WILD[character])
            continue
        pieces.append(f"\\{character}" if character in _SPECIAL else character)
    return "".join(pieces)


# ---- types --------------------------------------------------------------------------------------------

_TYPES: dict[str, pl.DataType] = {
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
}
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def cast(value: Value, name: str, length: int | None) -> Value:
    """Convert to a type of :data:`starscale.vocabulary.sql.names.TYPES`; what cannot be converted is missing."""
    if value.kind == "other":
        raise NotSQLError("CAST of a date, list or the like is not possible")
    if name == "text":
        return _as_text(value, length)
    if name == "truth":
        return _as_truth(value)
    dtype, value = _TYPES[name], cleaned(value)
    expr = value.expr.str.strip_chars() if value.kind == "text" else value.expr
    expr = expr.cast(dtype, strict=False)
    if type(dtype) in BOUNDS:
        return Value(expr, "whole", dtype, BOUNDS[type(dtype)])
    return Value(expr, "real", dtype, finite=False)


def _as_text(value: Value, length: int | None) -> Value:
    expr = cast_to(cleaned(value), pl.String())
    return text(expr if length is None else expr.str.head(length))


def _as_truth(value: Value) -> Value:
    if value.kind != "text":
        return value if value.kind in ("truth", "null") else compare("<>", value, literal(0))
    low = value.expr.str.strip_chars().str.to_lowercase()
    words = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
    return truth(low.replace_strict(words, default=None, return_dtype=pl.Boolean))


def cases(branches: Sequence[tuple[Value, Value]], otherwise: Value) -> Value:
    """Return the value of the first branch whose condition is true."""
    exprs, make = alike([*(value for _, value in branches), otherwise], "CASE")
    result = pl.when(condition(branches[0][0])).then(exprs[0])
    for (test, _), expr in zip(branches[1:], exprs[1:-1], strict=True):
        result = result.when(condition(test)).then(expr)  # type: ignore[assignment]
    return make(result.otherwise(exprs[-1]))


#: What each function of :data:`starscale.vocabulary.sql.names.FUNCTIONS` does.
BUILD: dict[str, Function] = {
    "ABS": _absolute,
    "ACOS": _of_real(lambda x: x.arccos()),
    "ACOSH": _of_real(lambda x: x.arccosh()),
    "ASIN": _of_real(lambda x: x.arcsin()),
    "ASINH": _of_real(lambda x: x.arcsinh()),
    "ATAN": _of_finite(lambda x: x.arctan()),
    "ATAN2": _of_numpy(np.arctan2),
    "ATANH": _of_real(lambda x: x.arctanh()),
    "BITWISE_AND": _bits("&"),
    "BITWISE_OR": _bits("|"),
    "BITWISE_XOR": _bits("^"),
    "CBRT": _of_real(lambda x: x.cbrt(), finite=True),
    "CEIL": _rounding(lambda x: x.ceil(), lambda x, _: x),
    "COALESCE": _extreme(pl.coalesce, "COALESCE"),
    "CONCAT": _concatenated,
    "COS": _of_real(lambda x: x.cos(), finite=True),
    "COSH": _of_real(lambda x: x.cosh()),
    "COT": _of_real(lambda x: 1 / x.tan()),
    "DEGREES": _of_real(lambda x: x.degrees()),
    "DIV": lambda values: quotient(values[0], values[1]),
    "ELEMENT": _element,
    "ENDS_WITH": lambda values: truth(a_text(values[0]).str.ends_with(a_text(values[1]))),
    "EXP": _of_finite(lambda x: x.exp(), finite=False),
    "FLOOR": _rounding(lambda x: x.floor(), lambda x, _: x),
    "GREATEST": _extreme(pl.max_horizontal, "GREATEST"),
    "LEAST": _extreme(pl.min_horizontal, "LEAST"),
    "LEFT": _left,
    "LENGTH": _length,
    "LN": _of_real(lambda x: x.log()),
    "LOG10": _logarithm(np.log10),
    "LOG1P": _of_real(lambda x: x.log1p()),
    "LOG2": _logarithm(np.log2),
    "LOWER": _of_text(lambda t: t.str.to_lowercase()),
    "LTRIM": _of_text(lambda t: t.str.strip_chars_start(" ")),
    "MOD": lambda values: arithmetic("%", values[0], values[1]),
    "NULLIF": _null_if,
    "PI": lambda _: literal(math.pi),
    "POWER": _power,
    "RADIANS": _of_real(lambda x: x.radians(), finite=True),
    "REPLACE": _replace,
    "RIGHT": _right,
    "ROUND": _rounding(lambda x: x.round(mode="half_away_from_zero"), _round_digits),
    "RTRIM": _of_text(lambda t: t.str.strip_chars_end(" ")),
    "SIGN": _sign,
    "SIN": _of_real(lambda x: x.sin(), finite=True),
    "SINH": _of_real(lambda x: x.sinh()),
    "SQRT": _of_real(lambda x: x.sqrt()),
    "STARTS_WITH": lambda values: truth(a_text(values[0]).str.starts_with(a_text(values[1]))),
    "SUBSTRING": _substring,
    "TAN": _of_real(lambda x: x.tan(), finite=True),
    "TANH": _of_finite(lambda x: x.tanh()),
    "TRIM": _of_text(lambda t: t.str.strip_chars(" ")),
    "TRUNCATE": _rounding(None, _truncate_digits),
    "UPPER": _of_text(lambda t: t.str.to_uppercase()),
}
BUILD |= {
    "CEILING": BUILD["CEIL"],
    "CHAR_LENGTH": BUILD["LENGTH"],
    "IFNULL": BUILD["COALESCE"],
    "POW": BUILD["POWER"],
    "SUBSTR": BUILD["SUBSTRING"],
    "TRUNC": BUILD["TRUNCATE"],
}
