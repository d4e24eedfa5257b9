"""SQL expressions in survey files, run files and feature sets.

They are evaluated row by row. The value of an aggregate (the mean of a column) would depend on how a table is
divided into pieces, so aggregates are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

import polars as pl
from polars.exceptions import PolarsError

from starscale.vocabulary.errors import InputError, Problem

_AGGREGATE = re.compile(
    r"\b(avg|corr|count|covar\w*|first|last|max|mean|median|min|mode|quantile\w*|std\w*|sum|var\w*)\s*\(|\bover\s*\(",
    re.IGNORECASE,
)
#: A text, a quoted name, or a bare word.
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|[A-Za-z_]\w*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
#: Words of SQL that may follow, or be followed by, another word.
_KEYWORDS = frozenset(
    {"AND", "AS", "AT", "BETWEEN", "BOTH", "CASE", "DISTINCT", "DIV", "ELSE", "END", "ESCAPE", "FOR", "FROM"}
    | {"ILIKE", "IN", "IS", "LEADING", "LIKE", "MOD", "NOT", "NULL", "OR", "PRECISION", "REGEXP", "RLIKE"}
    | {"SIMILAR", "THEN", "TO", "TRAILING", "UNSIGNED", "VARYING", "WHEN", "WITH", "XOR", "ZONE"}
)


def row_expression(text: str, where: str, what: str = "an SQL expression") -> pl.Expr:
    """Parse an SQL expression that uses one row at a time.

    Parameters
    ----------
    text : str
        SQL, as polars reads it; it has access to columns only, not to files.
    where : str
        Name of the expression in error messages.
    what : str
        Kind of expression that is expected, for error messages.

    Raises
    ------
    InputError
        Not SQL, or an aggregate over rows, or text after the end of the expression.
    """
    found = _AGGREGATE.search(_QUOTED.sub("''", text))
    if found:
        name = found.group(0).rstrip("( ").upper()
        raise InputError(
            Problem(
                where, f"{text!r} uses {name}, which depends on many rows", f"{what} that uses one row at a time"
            )
        )
    left_over = _left_over(text)
    if left_over:
        raise InputError(Problem(where, f"{text!r} is not {what} (unexpected {left_over!r})"))
    try:
        return pl.sql_expr(text)
    except PolarsError as error:
        first_line = str(error).splitlines()[0]
        raise InputError(Problem(where, f"{text!r} is not {what} ({first_line})")) from None


def _left_over(text: str) -> str | None:
    """Return the token before which the expression should have ended: a semicolon, or a word after a word.

    polars takes a word after a word for an alias of the column, and before 1.40 ignored all that followed.
    """
    tokens: list[str] = re.findall(r"[\w.]+|\S", _QUOTED.sub("''", text))
    for first, second in pairwise(["", *tokens]):
        words = re.match(r"[\w.]", first) and re.match(r"[\w.]", second)
        if second == ";" or (words and not {first.upper(), second.upper()} & _KEYWORDS):
            return second
    return None


def rename_columns(text: str, names: Mapping[str, str]) -> str:
    """Rename the columns of an SQL expression; quoted texts are not changed.

    Parameters
    ----------
    text : str
    names : mapping of str to str
        New names of columns, by old name.
    """

    def renamed(found: re.Match[str]) -> str:
        token = found.group(0)
        new = names.get(token.strip('"')) if not token.startswith("'") else None
        return token if new is None or new == token.strip('"') else f'"{new}"'

    return _TOKEN.sub(renamed, text)


def columns_of(expression: pl.Expr) -> list[str]:
    """Return the columns that an expression uses, each once, in order of first use."""
    return list(dict.fromkeys(expression.meta.root_names()))
