"""Which star of the leading catalogue a row of a label survey belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from starscale.crossmatch.kernel.inputs import match_columns, side_of
from starscale.crossmatch.kernel.link import link_by_position
from starscale.crossmatch.kernel.pieces import Side
from starscale.crossmatch.nearby import stars_near
from starscale.surveys import Survey
from starscale.tables.api import read
from starscale.tables.labels import link_by_id
from starscale.tables.opening import open_for
from starscale.tables.positions import positions
from starscale.vocabulary.settings.run import MatchConfig

#: Rows up to which the leading catalogue is held in memory; of a larger one, only the stars that a row can reach.
HELD = 2_000_000


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


def has_own_identifiers(table: pl.DataFrame, survey: Survey, release: str | None) -> bool:
    """Whether a label survey delivers identifiers of this Gaia release."""
    return survey.gaia is not None and survey.gaia.column in table.columns and survey.gaia.identifiers == release


def link(table: pl.DataFrame, survey: Survey, radius: float, lead: LeadingTable, where: str) -> pl.DataFrame:
    """Find the star of every row: by the survey's own Gaia identifier, else by position.

    Stars are found among all rows of the leading catalogue, not only those that passed its cuts:
    otherwise a label whose star was cut would go to a neighbour.

    Returns
    -------
    polars.DataFrame
        `source_id` and `row`, the row number in `table`; rows without a star are not there.
    """
    if has_own_identifiers(table, survey, lead.survey.gaia_release):
        return link_by_id(table, survey)
    return lead.by_position(table, survey, radius, where)
