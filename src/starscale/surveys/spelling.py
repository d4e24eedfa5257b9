"""How a table spells the columns of a survey: the survey file's names, those of another archive, or a user's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from starscale.surveys.names import CopyColumn, plain, twice
from starscale.surveys.schema import Survey
from starscale.vocabulary.errors import Problem, Problems, did_you_mean


@dataclass(frozen=True, slots=True)
class Spelling:
    """The columns of a survey in a table.

    Attributes
    ----------
    columns : dict of str to str
        Name in the table, by column of the survey.
    chosen : str
        The set of names that the table uses; empty: the names of the survey file itself.
    rivals : tuple of str
        Other sets that fit equally well and that would find other columns.
    units : dict of str to str
        Unit of the chosen set, by column, for values whose unit the file does not state.
    """

    columns: dict[str, str]
    chosen: str = ""
    rivals: tuple[str, ...] = ()
    units: dict[str, str] = field(default_factory=dict)


class _Names:
    """The names of a table, which are found in any case of letters."""

    def __init__(self, names: Iterable[str]) -> None:
        self.exact: set[str] = set()
        self.lower: dict[str, str] = {}
        for name in names:
            self.exact.add(name)
            self.lower.setdefault(name.lower(), name)

    def find(self, *candidates: str) -> str | None:
        """Return the spelling of the first candidate that the table has."""
        for candidate in candidates:
            if candidate in self.exact:
                return candidate
            if candidate.lower() in self.lower:
                return self.lower[candidate.lower()]
        return None


def find_spelling(names: Iterable[str], survey: Survey) -> Spelling:
    """Find the columns of a survey among the names of a table.

    A set of names is chosen as a whole: the one that finds most columns, and that of the survey file itself if no
    other finds more. Columns that a set lacks are taken under the names of the survey file, but no name that means
    another column in the set. Exact names of the survey file are preferred to those of a set, and all are
    preferred to an alias. The case of letters matters in a set, and in no other name. What `rename` of the survey
    says precedes everything.

    Parameters
    ----------
    names : iterable of str
        Columns of the table.
    survey : Survey

    Returns
    -------
    Spelling
    """
    table = _Names(names)
    own = _own(table, survey)
    found = {key: _of_set(table, plain(given)) for key, given in survey.names.items()}
    best = max(map(len, found.values()), default=0)
    if best <= len(own):
        return Spelling(_with_rename(own, table, survey))
    first, *others = (key for key, columns in found.items() if len(columns) == best)
    columns = _filled(found[first], table, survey, plain(survey.names[first]))
    rivals = tuple(key for key in others if found[key] != found[first])
    return Spelling(
        _with_rename(columns, table, survey), first, rivals, _units(columns, found[first], survey, first)
    )


def _units(columns: Mapping[str, str], found: Mapping[str, str], survey: Survey, key: str) -> dict[str, str]:
    """Return the units of a set, for the columns that are taken from it."""
    return {
        column: entry.unit
        for column, entry in survey.names[key].items()
        if isinstance(entry, CopyColumn) and column in found and columns[column] == found[column]
    }


def _own(table: _Names, survey: Survey) -> dict[str, str]:
    found = {column: table.find(column, *spec.aliases) for column, spec in survey.columns.items()}
    return {column: name for column, name in found.items() if name is not None}


def _of_set(table: _Names, given: Mapping[str, str]) -> dict[str, str]:
    """Find the names of a set, in their case: in VizieR's SDSS, upmag is a PSF and uPmag a Petrosian magnitude."""
    found = {column: (name, _as_id(name)) for column, name in given.items()}
    return {column: name for column, both in found.items() for name in both if name in table.exact}


def _as_id(name: str) -> str:
    """Return a name in the form that astropy gives to names of VOTables: ``[Fe/H]`` becomes ``__Fe_H_``."""
    start = name if re.match(r"[A-Za-z_]", name) else f"_{name}"
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", start)


def _filled(found: Mapping[str, str], table: _Names, survey: Survey, given: Mapping[str, str]) -> dict[str, str]:
    """Add the columns that a set lacks, under the names of the survey file; none that the set uses otherwise."""
    meant = {name.lower(): column for column, name in given.items() if name.lower() != column.lower()}
    columns = {}
    for column, spec in survey.columns.items():
        free = [c for c in (column, *spec.aliases) if meant.get(c.lower(), column) == column]
        exact = [column] if column in free and column in table.exact else []
        names = (*exact, found.get(column), table.find(*free))
        columns[column] = next(filter(None, names), "")
    return {column: name for column, name in columns.items() if name}


def _with_rename(columns: Mapping[str, str], table: _Names, survey: Survey) -> dict[str, str]:
    """Put the names that the user gives in place of those found."""
    given = {column: name for column, name in survey.rename.items() if name in table.exact}
    kept = {column: name for column, name in columns.items() if name not in given.values()}
    return {column: (kept | given)[column] for column in survey.columns if column in kept or column in given}


def with_rename(survey: Survey, rename: Mapping[str, str] | None) -> Survey:
    """Return a survey whose columns are found under the names that the user gives.

    Parameters
    ----------
    survey : Survey
    rename : mapping of str to str or None
        Name in the table, by column of the survey.

    Raises
    ------
    InputError
        Every name that is not a column of the survey, and every name that is given for two columns.
    """
    if not rename:
        return survey
    problems = Problems()
    for column in rename:
        if column not in survey.columns:
            fix = did_you_mean(column, survey.columns)
            problems.add(
                "rename", f"{column!r} is not a column of {survey.name}", "NEW=OLD, NEW a column of it", fix
            )
    for name in twice(rename.values()):
        problems.add("rename", f"{name!r} is given for two columns", "one column")
    problems.raise_if_any()
    return survey.model_copy(update={"rename": {**survey.rename, **rename}})


def spelling_problems(names: Iterable[str], survey: Survey, where: str) -> list[Problem]:
    """Return what is wrong with the spelling of a table: names that are not there, or that contradict each other.

    Parameters
    ----------
    names : iterable of str
        All columns of the table.
    survey : Survey
    where : str
        Name of the table in error messages.
    """
    given = list(dict.fromkeys(names))
    found, problems = find_spelling(given, survey), Problems()
    for column, name in survey.rename.items():
        if name not in given:
            wanted = f"the column that becomes {column!r}"
            problems.add(f"{where}: column {name!r}", "is missing", wanted, did_you_mean(name, given))
    if found.rivals:
        sets = ", ".join((found.chosen, *found.rivals))
        fix = "Say which column is which: --rename NEW=OLD, or rename in Python and in a run file."
        problems.add(where, f"fits the names of {sets} equally well", "the names of one archive", fix)
    taken = set(found.columns.values())
    for column, name in found.columns.items():
        if name != column and column in given and column not in taken:
            fix = "Remove one of them, or rename it with `starscale convert --rename NEW=OLD`."
            problems.add(where, f"has a column {column!r}, and {name!r} becomes {column!r}", "one of them", fix)
    return problems.items
