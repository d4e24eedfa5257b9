"""Columns that a user renames in a table of no particular survey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starscale.surveys.names import twice
from starscale.vocabulary.errors import Problems, did_you_mean


def new_names(names: Sequence[str], rename: Mapping[str, str] | None, where: str) -> dict[str, str]:
    """Return the name of every column after a renaming.

    Parameters
    ----------
    names : sequence of str
        Columns of the table.
    rename : mapping of str to str or None
        Present name, by new name.
    where : str
        Name of the table in error messages.

    Raises
    ------
    InputError
        Every name that the table does not have, and every name that two columns would have.
    """
    given, problems = dict(rename or {}), Problems()
    for new, old in given.items():
        if old not in names:
            wanted = f"the column that becomes {new!r}"
            problems.add(f"{where}: column {old!r}", "is missing", wanted, did_you_mean(old, names))
    for old in twice(given.values()):
        problems.add(f"{where}: column {old!r}", "has two new names", "one")
    becomes = {name: name for name in names} | {old: new for new, old in given.items() if old in names}
    for name in twice(becomes.values()):
        fix = "Rename the other column too."
        problems.add(f"{where}: column {name!r}", "is there already", "a name that no column has", fix)
    problems.raise_if_any()
    return becomes
