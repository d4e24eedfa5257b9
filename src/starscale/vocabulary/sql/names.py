"""The functions and types of the grammar as data, and why others are refused."""

from __future__ import annotations

from starscale.vocabulary.errors import did_you_mean

_MANY = 1_000
#: Least and largest number of arguments, by name.
FUNCTIONS: dict[str, tuple[int, int]] = (
    dict.fromkeys(("PI",), (0, 0))
    | dict.fromkeys(("ABS", "CEIL", "CEILING", "FLOOR", "SIGN", "SQRT", "CBRT", "EXP"), (1, 1))
    | dict.fromkeys(("LN", "LOG10", "LOG2", "LOG1P", "DEGREES", "RADIANS"), (1, 1))
    | dict.fromkeys(("SIN", "COS", "TAN", "COT", "ASIN", "ACOS", "ATAN"), (1, 1))
    | dict.fromkeys(("SINH", "COSH", "TANH", "ASINH", "ACOSH", "ATANH"), (1, 1))
    | dict.fromkeys(("ROUND", "TRUNCATE", "TRUNC"), (1, 2))
    | dict.fromkeys(("ATAN2", "POWER", "POW", "MOD", "DIV", "NULLIF"), (2, 2))
    | dict.fromkeys(("BITWISE_AND", "BITWISE_OR", "BITWISE_XOR", "ELEMENT"), (2, 2))
    | dict.fromkeys(("COALESCE", "IFNULL", "GREATEST", "LEAST", "CONCAT"), (1, _MANY))
    | dict.fromkeys(("UPPER", "LOWER", "LENGTH", "CHAR_LENGTH", "TRIM", "LTRIM", "RTRIM"), (1, 1))
    | dict.fromkeys(("SUBSTRING", "SUBSTR"), (2, 3))
    | dict.fromkeys(("LEFT", "RIGHT", "STARTS_WITH", "ENDS_WITH"), (2, 2))
    | {"REPLACE": (3, 3)}
)
#: Types of CAST by their names in SQL.
TYPES = {
    "SMALLINT": "int16",
    "INT": "int32",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "REAL": "float32",
    "FLOAT": "float64",
    "DOUBLE": "float64",
    "BOOLEAN": "truth",
    "CHAR": "text",
    "CHARACTER": "text",
    "VARCHAR": "text",
    "TEXT": "text",
}
#: Words that give the time without parentheses.
MOMENTS = frozenset(
    {"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "CURRENT_USER"}
)

_AGGREGATES = (
    *("ANY_VALUE", "APPROX", "ARG_MAX", "ARG_MIN", "ARRAY_AGG", "AVG", "BIT_AND", "BIT_OR", "BIT_XOR", "BOOL_AND"),
    *("BOOL_OR", "CORR", "COUNT", "COVAR", "CUM", "CUME_DIST", "DENSE_RANK", "EVERY", "FIRST", "GROUP_CONCAT"),
    *(
        "GROUPING",
        "HISTOGRAM",
        "KURTOSIS",
        "LAG",
        "LAST",
        "LEAD",
        "LIST",
        "LISTAGG",
        "MAD",
        "MAX",
        "MEAN",
        "MEDIAN",
    ),
    *("MIN", "MODE", "NTH_VALUE", "NTILE", "PERCENT", "PRODUCT", "QUANTILE", "RANK", "REGR", "ROW_NUMBER", "SKEW"),
    *("STDDEV", "STDEV", "STD", "STRING_AGG", "SUM", "VAR", "VARIANCE"),
)
_MOMENT_FUNCTIONS = ("NOW", "TODAY", "GETDATE", "CLOCK_TIMESTAMP", "AGE", *MOMENTS)
_RANDOM = ("RAND", "RANDOM", "UUID", "GEN_RANDOM", "NEWID", "SETSEED")
_ADVICE = {
    "LOG": "is the natural logarithm in ADQL and the decimal one elsewhere: write LN(x) or LOG10(x)",
    "MAX": "depends on many rows; the larger of two values is GREATEST(x, y)",
    "MIN": "depends on many rows; the smaller of two values is LEAST(x, y)",
    "IF": "is written CASE WHEN condition THEN x ELSE y END",
    "IIF": "is written CASE WHEN condition THEN x ELSE y END",
    "ISNAN": "is not needed: NaN is a missing value, x IS NULL",
    "IS_NAN": "is not needed: NaN is a missing value, x IS NULL",
    "SQUARE": "is written x * x",
}


def refused_function(name: str) -> str:
    """Say why a function is not possible."""
    if name in _ADVICE:
        return f"{name} {_ADVICE[name]}"
    if any(name == word or name.startswith(f"{word}_") for word in _AGGREGATES):
        return f"{name} depends on many rows, and this expression uses one at a time"
    if name in _MOMENT_FUNCTIONS:
        return f"{name} depends on the moment"
    if any(name == word or name.startswith(f"{word}_") for word in _RANDOM):
        return f"{name} gives another value each time"
    hint = did_you_mean(name, FUNCTIONS, hint=f"The functions are {', '.join(sorted(FUNCTIONS))}.")
    return f"there is no function {name[:40]}. {hint}"
