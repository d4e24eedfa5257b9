"""SQL expressions of survey files, run files and feature sets: parsed, checked, and applied to tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from starscale.tables.sql.compile import compiled
from starscale.tables.sql.values import Value, cleaned, condition
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.sql.grammar import parse
from starscale.vocabulary.sql.tokens import NotSQLError
from starscale.vocabulary.sql.tree import Node, columns_in

_NUMPY: dict[pl.DataType, type] = {pl.Float32(): np.float32, pl.Float64(): np.float64}
_PIECE = 65_536
#: Begins the names of columns with results; no column of a survey has it.
_VALUE = "\0value "


@dataclass(frozen=True, slots=True)
class RowExpression:
    """An SQL expression that uses one row at a time.

    Attributes
    ----------
    text : str
    where : str
        Name of the expression in error messages.
    tree : Node
    columns : tuple of str
        The columns that it uses, each once, in order of first use.
    """

    text: str
    where: str
    tree: Node
    columns: tuple[str, ...]

    def value(self, schema: Mapping[str, pl.DataType], unclean: Collection[str] = ()) -> Value:
        """Return the expression for columns of these types.

        Parameters
        ----------
        schema : mapping of str to polars.DataType
            Types of all columns that it uses.
        unclean : collection of str
            Columns that may hold NaN or infinity, which are missing values; see :func:`unclean_columns`.

        Returns
        -------
        Value
            Its polars expression has one value for each row, or one value for all. A real number may still be
            NaN or infinity, which :func:`starscale.tables.sql.values.cleaned` turns into null.

        Raises
        ------
        InputError
            The types do not fit: a text compared with a number, for example.
        """
        types = tuple((name, schema[name]) for name in self.columns)
        try:
            return _compiled(self.text, types, frozenset(unclean).intersection(self.columns))
        except NotSQLError as error:
            found = f"{shortened(self.text)!r} cannot be evaluated ({error})"
            raise InputError(Problem(self.where, found)) from None

    def on(self, table: pl.DataFrame) -> pl.Series:
        """Evaluate the expression on a table that has all its columns."""
        value = cleaned(self.value(table.schema, unclean_columns(table, self.columns)))
        return _evaluated(table, [value.expr])[0]

    def mask(self, table: pl.DataFrame, unclean: Collection[str] | None = None) -> pl.Series:
        """Return the rows for which the expression is true.

        Parameters
        ----------
        table : polars.DataFrame
        unclean : collection of str, optional
            Columns that hold NaN or infinity, if they are known.

        Raises
        ------
        InputError
            The expression is no condition, or the types do not fit.
        """
        unclean = unclean_columns(table, self.columns) if unclean is None else unclean
        return _evaluated(table, [self.condition(table.schema, unclean)])[0]

    def condition(self, schema: Mapping[str, pl.DataType], unclean: Collection[str]) -> pl.Expr:
        """Return the expression as a condition, false where it is null.

        Raises
        ------
        InputError
            The expression is no condition, or the types do not fit.
        """
        value = self.value(schema, unclean)
        if value.kind not in ("truth", "null"):
            found = f"{shortened(self.text)!r} is {value.word}"
            raise InputError(Problem(self.where, found, "a predicate, true or false"))
        return condition(value).fill_null(value=False)


def masks_of(
    table: pl.DataFrame, expressions: Sequence[RowExpression], unclean: Collection[str]
) -> list[pl.Series]:
    """Return the rows for which each of several expressions is true, by one query.

    Parameters
    ----------
    table : polars.DataFrame
    expressions : sequence of RowExpression
    unclean : collection of str
        Columns that hold NaN or infinity.

    Raises
    ------
    InputError
        Names every expression that is no condition, or whose types do not fit.
    """
    problems, schema, conditions = Problems(), table.schema, []
    for expression in expressions:
        with problems.collect():
            conditions.append(expression.condition(schema, unclean))
    problems.raise_if_any()
    return _evaluated(table, conditions)


def _evaluated(table: pl.DataFrame, expressions: Sequence[pl.Expr]) -> list[pl.Series]:
    # Added to the table: the result of an expression without columns (TRUE) would have one row.
    names = [f"{_VALUE}{number}" for number in range(len(expressions))]
    found = table.with_columns_seq(value.alias(name) for name, value in zip(names, expressions, strict=True))
    return [found[name].alias("value") for name in names]


@lru_cache(maxsize=1024)
def _compiled(text: str, types: tuple[tuple[str, pl.DataType], ...], unclean: frozenset[str]) -> Value:
    """Compile once for all pieces of a table."""
    return compiled(parse(text), dict(types), unclean)


def row_expression(text: str, where: str, what: str = "an SQL expression") -> RowExpression:
    """Parse an SQL expression that uses one row at a time.

    Parameters
    ----------
    text : str
        SQL with the operators and functions of :mod:`starscale.vocabulary.sql.names`; it can read columns only, no
        files and no other rows.
    where : str
        Name of the expression in error messages.
    what : str
        Kind of expression that is expected, for error messages.

    Raises
    ------
    InputError
        Not SQL, or too long, or a function that is not allowed; names the place in the text.
    """
    try:
        return RowExpression(text, where, parse(text), _columns(text))
    except NotSQLError as error:
        raise InputError(Problem(where, f"{shortened(text)!r} is not {what} ({error})")) from None


@lru_cache(maxsize=1024)
def _columns(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column.name for column in columns_in(parse(text))))


def unclean_columns(table: pl.DataFrame, names: Iterable[str]) -> frozenset[str]:
    """Return those of some columns that hold NaN or infinity."""
    schema = table.schema
    floats = [name for name in dict.fromkeys(names) if schema[name].is_float()]
    return frozenset(name for name in floats if not _is_finite(table[name]))


def _is_finite(values: pl.Series) -> bool:
    """Whether all values are finite or null."""
    # Numbers are read as they lie in memory, in pieces that fit in the cache, which is several times faster; those
    # of nulls may be anything.
    if values.dtype in _NUMPY and all(map(_all_finite, values.get_chunks())):
        return True
    return bool(values.is_finite().all())


def _all_finite(chunk: pl.Series) -> bool:
    array, dtype = chunk.to_arrow(), np.dtype(_NUMPY[chunk.dtype])
    numbers = np.frombuffer(array.buffers()[1] or b"", dtype, len(array), array.offset * dtype.itemsize)
    return all(np.isfinite(numbers[i : i + _PIECE]).all() for i in range(0, len(numbers), _PIECE))


def rename_columns(text: str, names: Mapping[str, str], where: str = "expression") -> str:
    """Rename the columns of an SQL expression; everything else stays as it is written.

    Parameters
    ----------
    text : str
    names : mapping of str to str
        New names of columns, by old name.
    where : str
        Name of the expression in error messages.

    Raises
    ------
    InputError
        The text is not an SQL expression.
    """
    pieces, start = [], 0
    for column in columns_in(row_expression(text, where).tree):
        new = names.get(column.name, column.name)
        if new != column.name:
            quoted = new.replace('"', '""')
            pieces += [text[start : column.at], f'"{quoted}"']
            start = column.end
    return "".join([*pieces, text[start:]])


def shortened(text: str, length: int = 300) -> str:
    """Return a text on one line, cut in the middle where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length // 2]} ... {line[-length // 2 :]}"
