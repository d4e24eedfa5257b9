"""Names that the columns of a survey have in copies of the catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import Field

from starscale.vocabulary.strict import Frozen


class CopyColumn(Frozen):
    """The name of a column in a copy of the catalogue, and the unit of its values where a file states none."""

    name: str = Field(min_length=1)
    unit: str = ""


#: Names of one copy, by the column of the survey file; a text is a name whose unit is that of the survey file.
NameSet = dict[str, str | CopyColumn]


def plain(names: NameSet) -> dict[str, str]:
    """Return the names of a set without their units."""
    return {column: entry if isinstance(entry, str) else entry.name for column, entry in names.items()}


def twice(values: Iterable[str]) -> list[str]:
    """Return the values that occur more than once, sorted."""
    return sorted(value for value, number in Counter(values).items() if number > 1)


def check_names(names: Mapping[str, NameSet], columns: Iterable[str]) -> None:
    """Refuse sets of names, by key, that name a column which is not described, or the same name for two columns.

    Raises
    ------
    ValueError
    """
    described = set(columns)
    for key, given in names.items():
        if unknown := sorted(set(given) - described):
            raise ValueError(f"{key}: columns that are not described under [columns]: {', '.join(unknown)}")
        if repeated := twice(plain(given).values()):
            raise ValueError(f"{key}: names that are given to two columns: {', '.join(repeated)}")
