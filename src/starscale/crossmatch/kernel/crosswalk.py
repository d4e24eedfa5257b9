"""One-to-one pairs of sources of two releases of Gaia, from a table of neighbours.

The rule: of the rows within the limits, a pair is kept if each source is the nearest of the other. At equal
distance the smaller magnitude difference decides; sources equal in both have no pair. Beyond the distance `sure`,
the magnitude difference must be known, and no other source may be less than twice as far. A star whose nearest
source is nearer to another star has no pair: it does not get the next one.
"""

from __future__ import annotations

import polars as pl

from starscale.vocabulary.settings.match import CrosswalkLimits

#: Columns of rows of neighbours: identifiers of the release that is left and of the one that is wanted; mas; mag.
OLD, NEW, DISTANCE, DIFFERENCE = "old", "new", "distance", "difference"
#: A source this many times as far as the nearest one is no rival of it.
_TIMES = 2.0
#: Reasons why an identifier has no counterpart.
ABSENT = "not in the crosswalk"
NO_DISTANCE = "no distance in the crosswalk"
FAR = "no source near enough"
UNLIKE = "no source of the same magnitude"
TIED = "several sources equally near"
UNKNOWN = "the nearest source has no magnitude difference"
CLAIMED = "the source is nearer to another one"


def within(rows: pl.DataFrame, limits: CrosswalkLimits) -> pl.DataFrame:
    """Return the rows whose sources can be the same star."""
    unlike = pl.col(DIFFERENCE).abs() > limits.magnitude_difference
    return rows.filter(pl.col(DISTANCE) <= limits.distance, ~unlike.fill_null(False))


def one_to_one(ids: pl.Series, rows: pl.DataFrame, limits: CrosswalkLimits) -> pl.DataFrame:
    """Find the counterpart of every identifier.

    Parameters
    ----------
    ids : polars.Series, (n,)
        Different identifiers of the release that is left.
    rows : polars.DataFrame, (m, 4)
        Every row of the table of neighbours of these identifiers, and every row of the sources that these rows
        name; each pair once.
    limits : CrosswalkLimits

    Returns
    -------
    polars.DataFrame, (n, 3)
        `old`, in the order of `ids`; `new`, null for identifiers without a counterpart; `reason` why not.
    """
    good = within(rows, limits)
    unknown = pl.col(DIFFERENCE).is_null() & (pl.col(DISTANCE) > limits.sure)
    forth = _nearest(good, OLD, NEW, limits.sure)
    back = _nearest(good, NEW, OLD, limits.sure).rename({OLD: "claimant"})
    found = (
        pl.DataFrame({OLD: ids})
        .join(_seen(rows, limits), on=OLD, how="left", maintain_order="left")
        .join(forth, on=OLD, how="left", maintain_order="left")
        .join(back, on=NEW, how="left", maintain_order="left")
        .join(good.select(OLD, NEW, unknown.alias("unknown")), on=[OLD, NEW], how="left", maintain_order="left")
    )
    causes = {
        ABSENT: pl.col("seen").is_null(),
        NO_DISTANCE: ~pl.col("has_distance"),
        FAR: ~pl.col("near"),
        UNLIKE: ~pl.col("good"),
        TIED: pl.col(NEW).is_null(),
        UNKNOWN: pl.col("unknown"),
        CLAIMED: pl.col("claimant").ne_missing(pl.col(OLD)),
    }
    reason = pl.coalesce(pl.when(cause).then(pl.lit(name)) for name, cause in causes.items())
    return found.with_columns(reason.alias("reason")).select(
        OLD, pl.when(pl.col("reason").is_null()).then(pl.col(NEW)).alias(NEW), "reason"
    )


def _seen(rows: pl.DataFrame, limits: CrosswalkLimits) -> pl.DataFrame:
    """Return what the rows of each identifier have: any row, a distance, a near source, a good one."""
    good = within(rows, limits).select(OLD).unique().with_columns(good=pl.lit(True))
    return (
        rows.group_by(OLD)
        .agg(
            seen=pl.lit(True),
            has_distance=pl.col(DISTANCE).is_not_null().any(),
            near=(pl.col(DISTANCE) <= limits.distance).fill_null(False).any(),
        )
        .join(good, on=OLD, how="left")
        .with_columns(pl.col("good").fill_null(False))
    )


def _nearest(good: pl.DataFrame, key: str, other: str, sure: float) -> pl.DataFrame:
    """Return the nearest source of each `key`; null if it cannot be told which one that is."""
    ordered = good.with_columns(pl.col(DIFFERENCE).abs()).sort(key, DISTANCE, DIFFERENCE, nulls_last=True)
    distance, difference = pl.col(DISTANCE), pl.col(DIFFERENCE)
    equal = (distance == distance.first()) & difference.eq_missing(difference.first())
    rival = (distance < _TIMES * distance.first()) & (distance.first() > sure)
    return ordered.group_by(key, maintain_order=True).agg(
        pl.when((equal | rival).sum() == 1).then(pl.col(other).first()).alias(other)
    )
