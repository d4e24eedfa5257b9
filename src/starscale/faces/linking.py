"""Which star of the leading catalogue a row of a label survey belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from starscale.catalogue.labels import link_by_id, link_by_position
from starscale.catalogue.match import find_pairs
from starscale.catalogue.positions import Positions, positions
from starscale.faces.tables import position_columns, read
from starscale.surveys import Survey


@dataclass(frozen=True)
class LeadingTable:
    """The catalogue whose identifiers stars get; read when it is first needed, and once.

    Parameters
    ----------
    path : Path
    survey : Survey
    proper_motion : bool
        Whether its stars are moved to the epoch of the row.
    """

    path: Path
    survey: Survey
    proper_motion: bool = True

    @cached_property
    def _stars(self) -> tuple[pl.Series, Positions]:
        table = read(self.path, survey=self.survey, columns=position_columns(self.survey))
        found = positions(table, self.survey, str(self.path))
        return table[self.survey.id.column], found if self.proper_motion else found.without_motion()

    def by_position(self, table: pl.DataFrame, survey: Survey, radius: float, where: str) -> pl.DataFrame:
        """Links of rows to the nearest star within `radius` (arcsec), at the epoch of the row."""
        identifiers, lead = self._stars
        pairs = find_pairs(lead, positions(table, survey, where), radius)
        candidates = pl.DataFrame(
            {
                "source_id": identifiers.gather(pairs.lead),
                "row": pl.Series(pairs.external.astype(np.uint32)),
                "angular_distance": pairs.distance,
            }
        )
        return link_by_position(candidates, pl.Series(np.arange(table.height, dtype=np.uint32)))


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
