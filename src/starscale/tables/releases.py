"""Tables of another release of a survey, recognised by columns that only that release has."""

from __future__ import annotations

from collections.abc import Iterable

from starscale.surveys import Survey
from starscale.vocabulary.errors import Problem


def release_problems(names: Iterable[str], survey: Survey, where: str) -> list[Problem]:
    """Return a problem for each other release that a table has columns of.

    Parameters
    ----------
    names : iterable of str
        All columns of the table; letter case is ignored.
    survey : Survey
    where : str
        Name of the table in error messages.
    """
    present = {name.lower(): name for name in names}
    problems = []
    for release, columns in survey.other_releases.items():
        found = [present[name.lower()] for name in columns if name.lower() in present]
        if found:
            fix = f"Use the survey {release}. If the columns were added to the table, remove or rename them."
            shown = ", ".join(found)
            problems.append(
                Problem(where, f"has columns of {release} ({shown})", f"a table of {survey.name}", fix)
            )
    return problems
