"""Whether a table still has the values of the table that it was made from, and so their units."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import polars as pl

from starscale.io import Source
from starscale.io.units import same_unit
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import Problems

#: Values of a column that are looked up, and rows in memory.
_SAMPLE, _CHUNK = 1000, 250_000


def with_units_of_values(
    table: Source, origin: Source, known: Mapping[str, Column], given: Collection[str]
) -> dict[str, Column]:
    """Return what `origin` states about columns, without the units of those that `table` has in another unit.

    Parameters
    ----------
    table, origin : Source
        A table, and the one that it was made from. A column without any of its values there was converted.
    known : mapping of str to Column
        Descriptions from elsewhere, whose units such a column has.
    given : collection of str
        Columns whose unit the caller states.

    Raises
    ------
    InputError
        A column has other values than in `origin`, and no unit is known but that of `origin`.
    """
    units = _units_to_take(table, origin, given)
    expected = {name: known.get(name, Column(name)).unit for name in units}
    # Of columns in the unit of the survey the values need not be read.
    schema = table.schema
    asked = [n for n, unit in units.items() if schema[n].is_numeric() and not same_unit(unit, expected[n])]
    changed, problems = _without_common_values(table, origin, asked), Problems()
    for name in changed:
        if expected[name]:
            continue
        found = f"has none of the values in {origin.path}, whose unit ({units[name]}) it would get"
        fix = "Name the survey that it was read with (surveys=), or state the unit (columns=)."
        problems.add(f"column {name!r}", found, "the values of `like`", fix)
    problems.raise_if_any()
    return {**origin.columns, **{name: replace(origin.columns[name], unit="") for name in changed}}


def _units_to_take(table: Source, origin: Source, given: Collection[str]) -> dict[str, str]:
    """Return the units of `origin` for those columns of `table` whose unit is not stated otherwise."""
    own = {name for name, about in table.columns.items() if about.unit}
    wanted = set(table.schema) - own - set(given)
    return {name: there.unit for name, there in origin.columns.items() if there.unit and name in wanted}


def _without_common_values(table: Source, origin: Source, names: Iterable[str]) -> list[str]:
    """Return the columns of which no value, but for zero, stands in the other table."""
    missing = {}
    for name in names:
        values = table.read([name])[name].cast(pl.Float32)
        some = values.filter(values.is_finite() & (values != 0)).unique(maintain_order=True).head(_SAMPLE)
        if len(some):
            missing[name] = some
    if not missing:
        return []
    for frame in origin.batches(_CHUNK, list(missing)):
        found = [n for n, some in missing.items() if some.is_in(frame[n].cast(pl.Float32).implode()).any()]
        missing = {name: some for name, some in missing.items() if name not in found}
        if not missing:
            break
    return list(missing)
