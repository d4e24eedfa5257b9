"""What the readers of tables in memory have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from starscale.io.table import describe, without_nan
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems

#: What the conversion of values raises; the errors of pyarrow are ValueErrors and TypeErrors.
REFUSED = (TypeError, ValueError, OverflowError, NotImplementedError, pl.exceptions.PolarsError)
_FIX = "Convert it to values of one plain type, or leave it out."


def _undescribed(schema: pl.Schema) -> dict[str, Column]:
    return describe(schema, {})


@dataclass(frozen=True, slots=True)
class Contents:
    """A table of another library, whose columns are converted on demand.

    Attributes
    ----------
    names : list of str
        Names of the columns.
    series : callable
        Returns a column as a series; raises one of :data:`REFUSED`, or an InputError, for what no column can hold.
    described : callable
        Returns unit, UCD and description of the converted columns, given their types.
    metadata : mapping of str to str
        Texts about the table.
    """

    names: list[str]
    series: Callable[[str], pl.Series]
    described: Callable[[pl.Schema], dict[str, Column]] = _undescribed
    metadata: Mapping[str, str] = field(default_factory=dict)

    def frame(self, columns: Iterable[str], where: str) -> pl.DataFrame:
        """Convert the named columns.

        Raises
        ------
        InputError
            Names every column that cannot be converted.
        """
        problems, found = Problems(), []
        for name in columns:
            with problems.collect():
                found.append(self._column(name, f"{where}: column {name!r}"))
        problems.raise_if_any()
        return without_nan(pl.DataFrame(found))

    def _column(self, name: str, label: str) -> pl.Series:
        try:
            return self.series(name).alias(name)
        except REFUSED as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(Problem(label, f"cannot be converted: {reason[0]}", fix=_FIX)) from error


def names_of(given: Sequence[object], where: str) -> list[str]:
    """Return column names as texts, and refuse names that are tuples or that are repeated.

    Raises
    ------
    InputError
        Names every unsuitable name.
    """
    problems = Problems()
    for name in given:
        if isinstance(name, tuple):
            fix = "Join the levels of the names first."
            problems.add(where, f"has a column called {name!r}", "a text for each name", fix)
    names = [str(name) for name in given]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found = f"has {names.count(name)} columns called {name!r}"
        problems.add(where, found, "names that differ", "Rename or drop one.")
    problems.raise_if_any()
    return names
