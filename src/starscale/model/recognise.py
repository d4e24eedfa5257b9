"""Which survey of a recipe a table belongs to, and the signs that another survey or release made it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from starscale.io import Source
from starscale.surveys import Survey, load_survey, survey_names
from starscale.surveys.derived import derivable
from starscale.tables.api import PROVENANCE_KEY
from starscale.tables.releases import release_problems
from starscale.tables.standardise import spelling
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem

#: Share of the needed columns that a table must have to be taken for one of a survey.
_ENOUGH = 0.5
#: Rows that are read to see the epoch of a catalogue.
_ROWS = 1000
#: Difference of epochs, in years, that is no rounding.
_SAME_EPOCH = 0.1


def recognise(source: Source, surveys: Sequence[Survey], needed: Mapping[str, Collection[str]], where: str) -> str:
    """Return the name of the survey that a table belongs to.

    Parameters
    ----------
    source : Source
    surveys : sequence of Survey
        The surveys that it may be of.
    needed : mapping of str to collection of str
        The columns that the model needs, by survey.
    where : str
        Name of the table in error messages.

    Raises
    ------
    InputError
        It is of none of them, with the reason, or of several.
    """
    names = [survey.name for survey in surveys]
    made = made_for(source)
    if made and made not in names:
        raise InputError(_foreign(where, made, names))
    shares = {survey.name: _share(source, survey, needed[survey.name]) for survey in surveys}
    most = max(shares.values())
    if most[0] >= _ENOUGH:
        return _only([name for name in names if shares[name] == most], where)
    fix = "Name its survey, if it is one of them: --survey, or (table, survey) in Python."
    unknown = Problem(where, "has the columns of no survey of the model", f"one of {', '.join(names)}", fix)
    raise InputError(_of_other_releases(source, surveys, where) or unknown)


def _of_other_releases(source: Source, surveys: Iterable[Survey], where: str) -> list[Problem]:
    """Return the columns of a table that only another release of a survey has."""
    fix = "Give a table of the release that the model was trained on; rename the columns if they were added."
    found = (problem for survey in surveys for problem in release_problems(source.schema, survey, where))
    return [replace(problem, fix=fix) for problem in found]


def _only(names: Sequence[str], where: str) -> str:
    """Return the only one of some surveys."""
    if len(names) > 1:
        fix = "Name its survey: --survey, or (table, survey) in Python."
        raise InputError(Problem(where, f"may be a table of {' or '.join(names)}", "one survey", fix))
    return names[0]


def _share(source: Source, survey: Survey, needed: Collection[str]) -> tuple[float, int]:
    """Return which share of the needed columns a table has, and how many of all columns of the survey."""
    there = spelling(source.schema, survey)
    present = {*there, *derivable(survey.columns, there)}
    if survey.id.column not in present:
        return 0.0, 0
    wanted = set(needed) or {survey.id.column}
    return len(wanted & present) / len(wanted), len(there)


def made_for(source: Source) -> str:
    """Return the survey that the provenance of a table names; empty without one."""
    try:
        record: Mapping[str, Any] = parse_json(source.metadata[PROVENANCE_KEY])
        told = record.get("fetch", record.get("settings"))
        return str(told["survey"]) if isinstance(told, Mapping) and "survey" in told else ""
    except (KeyError, TypeError, ValueError, AttributeError):
        return ""


def foreign_problems(source: Source, survey: Survey, known: Sequence[str], where: str) -> Iterator[Problem]:
    """Yield the signs that a table is of another survey or release than it should be.

    Parameters
    ----------
    source : Source
    survey : Survey
        The survey that it should be of.
    known : sequence of str
        The names of all surveys of the recipe.
    where : str
        Name of the table in error messages.
    """
    made = made_for(source)
    # A table that was fetched with the leading one names the survey of that one.
    if made and made not in known:
        yield _foreign(where, made, [survey.name])
        return
    yield from _of_other_releases(source, [survey], where)
    yield from _other_epoch(source, survey, where)


def _other_epoch(source: Source, survey: Survey, where: str) -> Iterator[Problem]:
    """Yield a problem where the positions are at another epoch than all those of the survey."""
    epoch = survey.position.epoch if survey.position else None
    there = spelling(source.schema, survey).get(epoch.column or "") if epoch and epoch.common else None
    if epoch is None or epoch.default is None or there is None or not source.schema[there].is_numeric():
        return
    values = next(iter(source.batches(_ROWS, [there])))[there].drop_nulls().cast(pl.Float64)
    other = values.filter((values - epoch.default).abs() > _SAME_EPOCH)
    if len(other):
        yield Problem(
            where,
            f"has positions at the epoch {other[0]:g} (column {there!r}){_release_at(float(other[0]), survey)}",
            f"{epoch.default:g}, that of {survey.name}",
            "Identifiers and measurements of another release are not those that the model was trained on.",
        )


def _foreign(where: str, made: str, names: Sequence[str]) -> Problem:
    fix = "Give the table of the release and survey that the model was trained on."
    return Problem(where, f"was made as a table of {made}, as its provenance says", " or ".join(names), fix)


def _release_at(epoch: float, survey: Survey) -> str:
    """Name the other releases of a survey that have their positions at an epoch."""
    known = [load_survey(name) for name in survey.other_releases if name in survey_names()]
    at = [o.name for o in known if o.position and o.position.epoch and o.position.epoch.default == epoch]
    return f", as {', '.join(at)} has" if at else ""
