"""Columns that are computed from other columns of the same row, and values that are valid under a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Protocol

from pydantic import AfterValidator

from starscale.vocabulary.errors import did_you_mean
from starscale.vocabulary.sql.grammar import parse
from starscale.vocabulary.sql.growth import LONGEST, longest_text
from starscale.vocabulary.sql.tokens import NotSQLError
from starscale.vocabulary.sql.tree import columns_in


def _parsed(text: str) -> str:
    try:
        parse(text)
    except NotSQLError as error:
        raise ValueError(f"is not an SQL expression ({error})") from None
    return text


#: An SQL expression of one row, parsed when the survey file is read.
Sql = Annotated[str, AfterValidator(_parsed)]


@dataclass(frozen=True, slots=True)
class Computed:
    """A column that follows from a role of the survey file; without `expression` it is a column of the table."""

    name: str
    expression: str | None
    valid: str | None
    ucd: str
    description: str


class _Described(Protocol):
    @property
    def expression(self) -> str | None: ...
    @property
    def valid(self) -> str | None: ...


def combined(given: str | None, role: str | None) -> str | None:
    """Return the condition of a column and that of its role in one; no change if that was done before."""
    if given is None or role is None or given == role:
        return given if role is None else role
    return given if given.endswith(f" AND ({role})") else f"({given}) AND ({role})"


def columns_of_sql(text: str | None) -> list[str]:
    """Return the columns that an expression uses, each once, in order of first use."""
    return [] if text is None else list(dict.fromkeys(column.name for column in columns_in(parse(text))))


def inputs_of(name: str, spec: _Described) -> list[str]:
    """Return the columns that expression and condition of a column use, without the column itself."""
    used = dict.fromkeys([*columns_of_sql(spec.expression), *columns_of_sql(spec.valid)])
    return [column for column in used if column != name]


def derivation_problems(columns: Mapping[str, _Described]) -> list[str]:
    """Say which expressions use columns that are not described, or their own result."""
    problems = []
    for name, spec in columns.items():
        for key, text in (("expression", spec.expression), ("valid", spec.valid)):
            for used in columns_of_sql(text):
                if used not in columns:
                    near = did_you_mean(used, columns)
                    found = f"columns.{name}.{key}: {used!r} is not described under [columns]"
                    problems.append(f"{found} ({near})" if near else found)
        if name in columns_of_sql(spec.expression):
            problems.append(f"columns.{name}.expression: the column is computed from itself")
    if not problems:
        try:
            problems += _growing(columns)
        except CycleError as error:
            problems.append(f"columns that are computed from one another: {' <- '.join(error.args[1])}")
    return problems


def _growing(columns: Mapping[str, _Described]) -> list[str]:
    """Say which column is the first whose texts, made from those of others, become too long."""
    lengths: dict[str, float] = {}
    for name in computed(columns):
        if (expression := columns[name].expression) is not None:
            lengths[name] = longest_text(parse(expression), lengths)
            if lengths[name] > LONGEST:
                return [f"columns.{name}.expression: its texts would become longer than {LONGEST:,} bytes"]
    return []


def computed(columns: Mapping[str, _Described]) -> list[str]:
    """Return the columns with an expression or a condition, each after those that it uses.

    Raises
    ------
    CycleError
        Columns that are computed from one another.
    """
    uses = {name: inputs_of(name, spec) for name, spec in columns.items()}
    order = TopologicalSorter(uses).static_order()
    return [name for name in order if columns[name].expression is not None or columns[name].valid is not None]


def derivable(columns: Mapping[str, _Described], present: Iterable[str]) -> list[str]:
    """Return the columns that can be computed in a table with some columns, in the order of computation."""
    known, found = set(present), []
    for name in computed(columns):
        spec = columns[name]
        if name not in known and spec.expression is not None and known.issuperset(inputs_of(name, spec)):
            known.add(name)
            found.append(name)
    return found


def underivable(columns: Mapping[str, _Described], present: Iterable[str]) -> dict[str, list[str]]:
    """Return what is missing in a table for each computed column that is not in it, by column."""
    known = {*present}
    known.update(derivable(columns, known))
    return {
        name: [used for used in inputs_of(name, columns[name]) if used not in known]
        for name in computed(columns)
        if name not in known and columns[name].expression is not None
    }


def unjudged(columns: Mapping[str, _Described], present: Iterable[str]) -> dict[str, list[str]]:
    """Return what is missing in a table to tell which values of a column are valid, by column that is there."""
    known = {*present}
    return {
        name: [used for used in columns_of_sql(columns[name].valid) if used not in known]
        for name in computed(columns)
        if name in known and not known.issuperset(columns_of_sql(columns[name].valid))
    }


def with_inputs(columns: Mapping[str, _Described], wanted: Iterable[str]) -> list[str]:
    """Return some columns and all columns from which they are computed or which say whether they are valid."""
    return _closure(wanted, lambda name: inputs_of(name, columns[name]) if name in columns else [])


def with_sources(columns: Mapping[str, _Described], wanted: Iterable[str]) -> list[str]:
    """Return some columns and all columns from whose values they are computed."""
    return _closure(wanted, lambda name: columns_of_sql(columns[name].expression) if name in columns else [])


def _closure(wanted: Iterable[str], used: Callable[[str], list[str]]) -> list[str]:
    found: dict[str, None] = {}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += used(name)
    return list(found)
