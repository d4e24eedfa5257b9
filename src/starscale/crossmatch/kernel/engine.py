"""The cross-match: the same few steps for a whole catalogue in memory and for every piece of a larger one.

1. :meth:`Matcher.candidates` of every piece, in runs of its leading sources.
2. :meth:`Matcher.sample` of every piece; together they give the model of true pairs (:meth:`Matcher.learn`).
3. :meth:`Matcher.neighbours` of every piece.
4. What can only be counted over the whole sky: best pairs, mates, and what is left without a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.losses import unmatched
from starscale.crossmatch.kernel.matcher import Found, Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import Side, SkyPiece, divide, places
from starscale.crossmatch.kernel.runs import give_back
from starscale.crossmatch.kernel.select import (
    Mode,
    best_pairs,
    choose_pairs,
    neighbour_columns,
    one_to_one,
    with_mates,
)
from starscale.vocabulary.settings.run import MatchConfig


def leading_sources(
    side: Side, covered: NDArray[np.bool_], *, duplicate: NDArray[np.bool_] | None = None
) -> pl.DataFrame:
    """The leading sources with what needs no match to be known of them, for :func:`losses.unmatched`.

    Parameters
    ----------
    side : Side
    covered : ndarray of bool, (n,)
        Whether the searched catalogue reaches each.
    duplicate : ndarray of bool, (n,), optional
        Rows that another one stands for.
    """
    return pl.DataFrame(
        {
            "leading": side.rows,
            "leading_id": side.ids,
            "repeated": np.zeros(len(side), dtype=bool) if duplicate is None else duplicate,
            "placed": side.positions.valid,
            "covered": covered,
        }
    )


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of a match, for the report."""

    mode: Mode
    method: str
    n_lead: int
    n_external: int
    n_imprecise: int
    n_duplicates: int
    n_pairs: int
    n_matched: int
    n_strict: int
    n_loose: int
    radius: float
    median_distance: float


@dataclass(frozen=True, slots=True)
class Match:
    """Result of a match.

    Parameters
    ----------
    best : polars.DataFrame
        Best pair of every leading source: columns of :data:`PAIR_COLUMNS`, and `degree`.
    neighbours : polars.DataFrame
        All good pairs.
    unmatched : polars.DataFrame
        Leading sources without a kept pair, and why.
    """

    best: pl.DataFrame
    neighbours: pl.DataFrame
    unmatched: pl.DataFrame
    model: PairModel


def crossmatch(
    moving: Side,
    standing: Side,
    config: MatchConfig,
    mode: Mode,
    *,
    duplicate: NDArray[np.bool_] | None = None,
    density: DensityMap | None = None,
    order: int | None = None,
) -> Match:
    """Match two catalogues in memory.

    Parameters
    ----------
    moving, standing : Side
        Gaia, and the external catalogue after curation.
    config : MatchConfig
    mode : {"dense", "sparse"}
    duplicate : ndarray of bool, (n_standing,), optional
        Repeated rows that curation took out, to be told in `unmatched` where the external catalogue leads.
    density : DensityMap, optional
        Of the whole searched catalogue, where only the part of it is given that can be reached.
    order : int, optional
        Divide the work into tiles of this HEALPix order; the result is the same.

    Returns
    -------
    Match
    """
    whole = SkyPiece(moving, standing, mode)
    matcher = Matcher(config, mode, DensityMap.count(whole.searched.pixels) if density is None else density)
    pieces = [whole] if order is None else list(divide(moving, standing, mode, config.search_radius, order))
    if not pieces:
        # One that holds nothing gives the tables their columns.
        nothing = np.empty(0, dtype=np.intp)
        pieces = [SkyPiece(moving.take(nothing), standing.take(nothing), mode)]
    found = [run for piece in pieces for run in matcher.candidates(piece)]
    give_back()
    model = PairModel()
    if matcher.by_merit:
        sample = matcher.sample(found)
        give_back()
        model = matcher.learn([sample])
        del sample
    covered = _covered(whole.leading, found)
    give_back()
    neighbours, nearest = matcher.neighbours(found, model)
    del matcher, found
    give_back()
    # Rows come in the order of the leading catalogue, whatever that of the pieces.
    if not neighbours["leading"].is_sorted():
        neighbours = neighbours.sort("leading", maintain_order=True)
    neighbours = with_mates(neighbours) if mode == "dense" else one_to_one(neighbours)
    give_back()
    leading = leading_sources(whole.leading, covered, duplicate=duplicate if mode == "sparse" else None)
    lost = unmatched(leading, nearest, neighbours, config.pairs)
    # Nothing that is not given back stays beside the best pairs.
    neighbours = neighbours.drop("leading", "searched", "leading_id", "searched_id")
    del leading, nearest, covered
    give_back()
    return Match(best_pairs(neighbours), neighbour_columns(neighbours), lost, model)


def _covered(leading: Side, found: Sequence[Found]) -> NDArray[np.bool_]:
    """Whether the searched catalogue reaches each leading source; not where that is in no piece. Shape (n,)."""
    covered = np.zeros(len(leading), dtype=bool)
    for run in found:
        covered[places(run.piece.leading.rows, leading.rows)] = run.covered
    return covered


def statistics(
    match: Match, config: MatchConfig, mode: Mode, *, rows: tuple[int, int], curated: tuple[int, int]
) -> Statistics:
    """Count a match: `rows` of both catalogues, and the (imprecise, repeated) ones that curation took out."""
    counts = {choice: choose_pairs(match.best, choice).height for choice in ("strict", "loose")}
    median = match.best["angular_distance"].median()
    return Statistics(
        mode=mode,
        method=config.method,
        n_lead=rows[0],
        n_external=rows[1],
        n_imprecise=curated[0],
        n_duplicates=curated[1],
        n_pairs=match.neighbours.height,
        n_matched=match.best.height,
        n_strict=counts["strict"],
        n_loose=counts["loose"],
        radius=config.search_radius,
        median_distance=float(median) if isinstance(median, float) else float("nan"),
    )
