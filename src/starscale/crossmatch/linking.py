"""Which star of the leading catalogue a row of a label survey belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from starscale.crossmatch.kernel.crosswalk import NEW, OLD
from starscale.crossmatch.kernel.inputs import match_columns, side_of
from starscale.crossmatch.kernel.link import link_by_position
from starscale.crossmatch.kernel.pieces import Side
from starscale.crossmatch.nearby import stars_near
from starscale.crossmatch.neighbourhood import Neighbourhood, route
from starscale.surveys import Survey, load_survey
from starscale.surveys.releases import newest
from starscale.tables.api import read
from starscale.tables.labels import link_by_id
from starscale.tables.opening import open_for
from starscale.tables.positions import positions
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.paths import must_exist
from starscale.vocabulary.settings.match import CrosswalkInput, MatchConfig

#: Rows up to which the leading catalogue is held in memory; of a larger one, only the stars that a row can reach.
HELD = 2_000_000
#: Share of the identifiers of a survey below which a crosswalk seems to be of other releases.
_FEW = 0.9


@dataclass(frozen=True)
class LeadingTable:
    """The catalogue whose identifiers stars get; read when it is first needed, and once.

    Parameters
    ----------
    path : Path
    survey : Survey
    match : MatchConfig
        How positions are matched; mode, radius and choice of pairs aside.
    """

    path: Path
    survey: Survey
    match: MatchConfig

    @cached_property
    def _stars(self) -> Side:
        table = read(self.path, survey=self.survey, columns=match_columns(self.survey))
        return side_of(table, self.survey, str(self.path))

    def by_position(self, table: pl.DataFrame, survey: Survey, radius: float, where: str) -> pl.DataFrame:
        """Links of rows to their star within `radius` (arcsec), at the epoch of the row, one-to-one."""
        config = self.match.model_copy(update={"mode": "sparse", "radius": radius, "pairs": "best"})
        if open_for(self.path, self.survey).n_rows <= HELD:
            return link_by_position(self._stars, table, survey, config, where)[0]
        around = positions(table, survey, where)
        found = stars_near(self.path, self.survey, around, config.search_radius)
        return link_by_position(found.side, table, survey, config, where, density=found.density)[0]


@dataclass(frozen=True)
class Linked:
    """The stars of the rows of a label survey, and how they were found.

    Attributes
    ----------
    links : polars.DataFrame
        `source_id` and `row`, the row number in the table; rows without a star are not there.
    crosswalk : list of dict
        One entry for each table of a crosswalk: its name, the releases, and the number of identifiers that were
        there, found and kept, and lost by reason.
    """

    links: pl.DataFrame
    crosswalk: list[dict[str, Any]] = field(default_factory=list)


def has_own_identifiers(table: pl.DataFrame, survey: Survey) -> bool:
    """Whether a table of a label survey has Gaia identifiers."""
    return survey.gaia is not None and survey.gaia.column in table.columns


def load_crosswalks(entries: Sequence[CrosswalkInput], base: Path) -> tuple[Neighbourhood, ...]:
    """Load the surveys of crosswalks, and check that their tables exist.

    Parameters
    ----------
    entries : sequence of CrosswalkInput
    base : Path
        Folder that relative paths start from.

    Raises
    ------
    InputError
        All problems at once.
    """
    problems, found = Problems(), []
    for entry in entries:
        with problems.collect():
            survey = load_survey(entry.survey, base=base)
            if survey.crosswalk is None:
                fix = "Use a survey that links two releases, or add the section to the survey file."
                raise InputError(
                    Problem(f"crosswalk: survey {survey.name}", "has no section [crosswalk]", fix=fix)
                )
            if entry.path is not None:
                must_exist(base / entry.path, role="crosswalk")
            found.append(Neighbourhood(survey, survey.crosswalk, entry.path, base, entry.limits))
    pairs = [(item.start.release, item.goal.release) for item in found]
    for old, new in sorted({pair for pair in pairs if pairs.count(pair) > 1}):
        problems.add("crosswalk", f"two tables link {old} and {new}", "one for each pair of releases")
    problems.raise_if_any()
    return tuple(found)


def release_of_stars(surveys: Sequence[Survey], lead: Survey | None) -> str | None:
    """Return the release of the stars' identifiers: that of the catalogue, or the newest of the label surveys."""
    if lead is not None:
        return lead.gaia_release
    releases = {survey.gaia.release for survey in surveys if survey.gaia is not None}
    return newest(releases) if releases else None


def refuse_unused(
    crosswalks: Sequence[Neighbourhood], surveys: Sequence[Survey], goal: str | None, problems: Problems
) -> None:
    """Note the crosswalks that lead from the release of no label survey to that of the stars.

    Parameters
    ----------
    crosswalks : sequence of Neighbourhood
    surveys : sequence of Survey
        The label surveys, and that of an external list.
    goal : str or None
        Release of the identifiers of the stars.
    problems : Problems
        Receives the problems.
    """
    releases = sorted({survey.gaia.release for survey in surveys if survey.gaia is not None})
    used = {step.survey.name for release in releases for step in route(crosswalks, release, goal) or []}
    wanted = f"a way from {' or '.join(releases) or 'identifiers of Gaia'} to {goal or 'a release of Gaia'}"
    for item in crosswalks:
        if item.survey.name not in used:
            found = f"links {item.start.release} and {item.goal.release}, which joins no label survey to the stars"
            problems.add(f"crosswalk {item.survey.name}", found, wanted, "Remove it, or name the missing table.")


def crosswalk_messages(walked: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return a sentence for every crosswalk that a survey went through, and a warning where few were found in it.

    Parameters
    ----------
    walked : mapping of str to sequence of mapping
        By survey, :attr:`Linked.crosswalk`.
    """
    said = []
    for survey, steps in walked.items():
        for step in steps:
            way, lost = f"from {step['from']} to {step['to']}", step["identifiers"] - step["kept"]
            said.append(f"{survey}: {step['kept']:,} identifiers {way}, {lost:,} lost")
            if step["found"] < _FEW * step["identifiers"]:
                said.append(
                    f"warning: {step['table']} has {step['found']:,} of the {step['identifiers']:,} identifiers "
                    f"of {survey} ({step['from']}): is it of these releases, and of the whole sky?"
                )
    return said


def link_by_crosswalk(
    table: pl.DataFrame, survey: Survey, goal: str | None, crosswalks: Sequence[Neighbourhood]
) -> Linked | None:
    """Find the star of every row by the Gaia identifier of the survey; None if it has none of a release in reach.

    Parameters
    ----------
    table : polars.DataFrame
    survey : Survey
    goal : str or None
        Release of the identifiers of the stars.
    crosswalks : sequence of Neighbourhood
        Used if the identifiers of the survey are of another release.
    """
    if survey.gaia is None or goal is None or not has_own_identifiers(table, survey):
        return None
    chain = route(crosswalks, survey.gaia.release, goal)
    if chain is None:
        return None
    links, told = link_by_id(table, survey), []
    for step in chain:
        if not links.height:
            break
        ids = links["source_id"].unique(maintain_order=True)
        pairs, counts = step.walk(ids)
        told.append(
            {
                "table": step.where,
                "from": step.start.release,
                "to": step.goal.release,
                **counts,
                "lost": dict(pairs["reason"].drop_nulls().value_counts(sort=True).iter_rows()),
            }
        )
        links = links.join(
            pairs.drop_nulls(NEW), left_on="source_id", right_on=OLD, how="inner", maintain_order="left"
        )
        links = links.select(pl.col(NEW).alias("source_id"), "row")
    return Linked(links, told)


def link(
    table: pl.DataFrame,
    survey: Survey,
    radius: float,
    lead: LeadingTable,
    where: str,
    crosswalks: Sequence[Neighbourhood] = (),
) -> Linked:
    """Find the star of every row: by the survey's own Gaia identifier, through a crosswalk, or by position.

    Stars are found among all rows of the leading catalogue, not only those that passed its cuts:
    otherwise a label whose star was cut would go to a neighbour.
    """
    linked = link_by_crosswalk(table, survey, lead.survey.gaia_release, crosswalks)
    return linked if linked is not None else Linked(lead.by_position(table, survey, radius, where))
