"""Find the star of every row of a spectroscopic catalogue: the sparse match, with repeats."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.curate import curate
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.engine import Match, crossmatch
from starscale.crossmatch.kernel.inputs import error_ceiling, side_of
from starscale.crossmatch.kernel.pieces import Side
from starscale.surveys import Survey
from starscale.surveys.schema import Duplicates
from starscale.vocabulary.settings.match import MatchConfig

#: Rows of a spectroscopic catalogue closer than this (arcsec) are of the same fibre or slit position.
SAME_STAR = Duplicates(radius=1.0)


def link_by_position(
    lead: Side,
    table: pl.DataFrame,
    survey: Survey,
    config: MatchConfig,
    where: str = "table",
    *,
    density: DensityMap | None = None,
) -> tuple[pl.DataFrame, Match]:
    """Give rows of a spectroscopic catalogue the identifier of their star, by position.

    Rows that repeat a position are one object first, and the objects are matched one-to-one with
    the stars; every row then has the star of its object.

    Parameters
    ----------
    lead : Side
        Gaia.
    table : polars.DataFrame
        The spectroscopic catalogue, standardised.
    survey : Survey
    config : MatchConfig
    where : str
        What to call the table in an error.
    density : DensityMap, optional
        Of all of Gaia, where `lead` is only what lies near the rows.

    Returns
    -------
    links : polars.DataFrame
        `source_id` and `row`, the row number in `table`; rows without a star are left out.
    match : Match
        Of the objects.
    """
    # Identifiers of the survey may repeat; row numbers do not.
    rows = pl.Series(np.arange(table.height, dtype=np.uint32))
    side = side_of(table.with_columns(rows.alias(survey.id.column)), survey, where)
    found = curate(
        side.positions,
        rows,
        ceiling=error_ceiling(survey),
        duplicates=survey.duplicates or SAME_STAR,
    )
    objects = Side(found.positions, rows, side.rows, found.stands_for_several)
    match = crossmatch(lead, objects, config, "sparse", duplicate=found.duplicate, density=density)
    star = match.best.select("source_id", pl.col("original_ext_source_id").alias("stands_for"))
    stands_for = pl.DataFrame({"row": rows, "stands_for": pl.Series(found.stands_for.astype(np.uint32))})
    links = stands_for.join(star, on="stands_for", how="inner", maintain_order="left")
    return links.select("source_id", "row"), match
