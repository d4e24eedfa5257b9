"""The reasons why leading sources have no pair."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.pieces import places
from starscale.crossmatch.kernel.select import Mode, PairChoice, is_clean
from starscale.vocabulary.columns import UNMATCHED_COLUMNS

#: Why a leading source has no pair, in the order in which the reasons are tested.
REASONS = {
    "no_position": "it has no position, or none that is precise enough",
    "duplicate": "it repeats another row of its catalogue",
    "not_covered": "the other catalogue does not reach it",
    "no_candidate": "nothing lies within the search radius",
    "not_compatible": "what lies there is too far away for the position errors",
    "taken": "its neighbours went to sources that they fit better (one-to-one)",
    "several_neighbours": "it has several good neighbours (cleaning)",
    "shared_neighbour": "its neighbour is a good neighbour of others too (cleaning)",
    "counterpart_cut": "its counterpart does not pass the cuts of its own catalogue",
}


def unmatched(
    leading: pl.DataFrame,
    nearest: pl.DataFrame,
    neighbours: pl.DataFrame,
    choice: PairChoice,
    *,
    claims: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Give the reason for each leading source without a pair.

    Parameters
    ----------
    leading : polars.DataFrame
        All leading sources: `leading` (row number, ascending), `leading_id`, whether each is a `repeated`
        entry, has a position (`placed`), and is `covered`: the other catalogue reaches it.
    nearest : polars.DataFrame
        `leading`, `searched_id` and `angular_distance` of the nearest candidate of those sources that have one.
    neighbours : polars.DataFrame
        All good pairs, finished.
    choice : str
        Which pairs are kept.
    claims : polars.DataFrame, optional
        Where `neighbours` are not those of all leading sources: the good pairs of the searched sources that
        are shared, finished or not.

    Returns
    -------
    polars.DataFrame
        Columns of :data:`UNMATCHED_COLUMNS`, in the order of `leading`.
    """
    # Row numbers in order need no join.
    at = places(neighbours["leading"].to_numpy(), leading["leading"].to_numpy())
    kept = np.zeros(leading.height, dtype=bool)
    kept[at[neighbours.select(pl.col("best") & is_clean(choice)).to_series().to_numpy()]] = True
    lost = leading.filter(~kept)
    theirs = neighbours.filter(~kept[at])
    first = theirs.group_by("leading", maintain_order=True).agg(
        pl.col("searched").first(),
        pl.col("searched_id").first().alias("first_id"),
        pl.col("angular_distance").first().alias("first_distance"),
        pl.col("searched_id").get(1, null_on_oob=True).alias("second_id"),
        pl.col("best").any().alias("has_best"),
        pl.len().alias("n"),
    )
    claimants = _other_claimants(neighbours if claims is None else claims, first.select("leading", "searched"))
    told = first.join(nearest, on="leading", how="full", coalesce=True).join(claimants, on="leading", how="left")
    why = (
        pl.when(pl.col("n").is_null())
        .then(_code("not_compatible"))
        .when(~pl.col("has_best"))
        .then(_code("taken"))
        .when(pl.col("n") > 1)
        .then(_code("several_neighbours"))
        .otherwise(_code("shared_neighbour"))
    )
    told = told.with_columns(
        why.alias("why"), pl.coalesce("first_distance", "angular_distance").alias("angular_distance")
    )
    rival = (
        pl.when(pl.col("why") == _code("not_compatible"))
        .then(pl.col("searched_id"))
        .when(pl.col("why") == _code("several_neighbours"))
        .then(pl.col("second_id"))
        .otherwise(pl.col("claimant_id"))
    )
    if leading.schema["leading_id"] != neighbours.schema["searched_id"]:
        # Identifiers of the two catalogues are of different types: all are given as text.
        told = told.with_columns(pl.col("searched_id", "second_id", "claimant_id").cast(pl.String))
    told = told.select("leading", "why", "angular_distance", rival.alias("rival_id"))
    # Few sources have details; the others get nulls.
    lost = lost.join(told, on="leading", how="left", maintain_order="left")
    reason = (
        pl.when("repeated")
        .then(_code("duplicate"))
        .when(~pl.col("placed"))
        .then(_code("no_position"))
        .when(pl.col("why").is_not_null())
        .then(pl.col("why"))
        .when("covered")
        .then(_code("no_candidate"))
        .otherwise(_code("not_covered"))
    )
    texts = pl.lit(pl.Series(list(REASONS)))
    return lost.with_columns(texts.gather(reason).alias("reason")).select(list(UNMATCHED_COLUMNS))


def _code(reason: str) -> pl.Expr:
    """Number of a reason: texts for every source would fill the memory, one for every branch of a choice."""
    return pl.lit(list(REASONS).index(reason), dtype=pl.UInt8)


def counterpart_cut(pairs: pl.DataFrame, mode: Mode, schema: pl.Schema) -> pl.DataFrame:
    """Losses of pairs whose other side was cut afterwards, in the form of :func:`unmatched`."""
    sides = ("source_id", "original_ext_source_id")
    own, other = sides if mode == "dense" else sides[::-1]
    return pairs.select(
        pl.col(own).alias("leading_id"),
        pl.lit("counterpart_cut").alias("reason"),
        pl.col(other).cast(schema["rival_id"]).alias("rival_id"),
        "angular_distance",
    )


def _other_claimants(neighbours: pl.DataFrame, wishes: pl.DataFrame) -> pl.DataFrame:
    """For each source whose candidate is a `searched` one, return the other source with the best pair there."""
    # Few sources are concerned.
    searched, wished = neighbours["searched"].to_numpy(), wishes["searched"].to_numpy()
    wanted = np.zeros(max(searched.max(initial=-1), wished.max(initial=-1)) + 1, dtype=bool)
    wanted[wished] = True
    claims = neighbours.filter(wanted[searched]).select(
        "searched", pl.col("leading").alias("other"), pl.col("leading_id").alias("claimant_id"), "best", "score"
    )
    return (
        wishes.join(claims, on="searched", how="inner")
        .filter(pl.col("leading") != pl.col("other"))
        .sort("leading", "best", "score", "claimant_id", descending=[False, True, True, False])
        .unique("leading", keep="first", maintain_order=True)
        .select("leading", "claimant_id")
    )
