"""Coordinates that lie on the sphere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from starscale.surveys import Survey
from starscale.tables.arrays import all_within
from starscale.vocabulary.errors import Problem


def off_the_sphere(columns: Iterable[pl.Series], survey: Survey, where: str) -> Iterator[Problem]:
    """Yield a problem for each coordinate of a survey, in degrees, that is out of range in some rows.

    A right ascension may be given from -180 degrees, or one turn too high.
    """
    role, table = survey.position, {column.name: column for column in columns}
    for name, low, high in ((role.ra, -360.0, 720.0), (role.dec, -90.0, 90.0)) if role is not None else ():
        values = table.get(name, pl.Series(dtype=pl.Float64))
        if not values.dtype.is_numeric() or all_within(values, low, high):
            continue
        found = values.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
        outside = int(((found < low) | (found > high)).sum())
        if outside:
            yield Problem(
                f"{where}: column {name!r}",
                f"{outside} of {len(values)} values are out of range (smallest {found.min():g}, "
                f"largest {found.max():g})",
                f"degrees, {low:g} to {high:g}",
                "Are the columns swapped, or is the unit not degrees? If the value means 'missing', list it under "
                "`sentinels` in the survey file.",
            )
