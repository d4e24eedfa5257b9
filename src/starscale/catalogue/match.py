"""Pairs of two catalogues on the sphere: every pair within a radius, then the best of each star.

The leading catalogue (Gaia) is moved by its proper motions to the epoch of each candidate. What
makes one neighbour better than another is :func:`score`, now the plain separation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from starscale.catalogue.positions import ARCSEC, MAS, Array, Positions, separation
from starscale.vocabulary.columns import PAIR_COLUMNS
from starscale.vocabulary.flags import PairFlag

PairChoice = Literal["strict", "loose", "best"]


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """All pairs within the radius: row numbers of both catalogues and separation (arcsec), shape (n_pairs,)."""

    lead: NDArray[np.intp]
    external: NDArray[np.intp]
    distance: Array


def find_pairs(lead: Positions, external: Positions, radius: float) -> Neighbourhood:
    """Find every pair closer than `radius` at the epoch of the external source.

    Parameters
    ----------
    lead : Positions
        Sources that move; one without proper motion or epoch stays where it is.
    external : Positions
        Sources that stand, each at its own epoch.
    radius : float
        arcsec.

    Returns
    -------
    Neighbourhood
        Sorted by leading row, then external row.

    Notes
    -----
    Candidates come from a k-d tree of unit vectors with the leading sources at the middle external
    epoch; a source's search radius is widened by the way it can move from there to the farthest
    external epoch. Sources are searched in classes of similar radius, so that a star of ten
    arcseconds per year does not widen the search for all the others.
    """
    lead_rows, external_rows = np.flatnonzero(lead.valid), np.flatnonzero(external.valid)
    if not len(lead_rows) or not len(external_rows):
        nobody = np.empty(0, dtype=np.intp)
        return Neighbourhood(nobody, nobody, np.empty(0))
    epochs = external.epoch[external_rows]
    known = epochs[np.isfinite(epochs)]
    middle = float((known.min() + known.max()) / 2) if len(known) else np.nan
    reach = radius * ARCSEC + lead.speed()[lead_rows] * MAS * _longest_years(lead, lead_rows, epochs, middle)
    lead_vectors = lead.vectors(lead_rows, np.full(len(lead_rows), middle))
    external_vectors = external.vectors(external_rows, np.full(len(external_rows), np.nan))
    left, right = _candidates(lead_vectors, external_vectors, reach)
    lead_rows, external_rows = lead_rows[left], external_rows[right]
    at = external.epoch[external_rows]
    distance = separation(lead.vectors(lead_rows, at), external_vectors[right])
    good = distance <= radius
    order = np.lexsort((external_rows[good], lead_rows[good]))
    return Neighbourhood(lead_rows[good][order], external_rows[good][order], distance[good][order])


def _longest_years(lead: Positions, rows: NDArray[np.intp], epochs: Array, middle: float) -> Array:
    """Years that each leading source may have to move from where it is searched. Shape (n_rows,).

    An external source without an epoch meets the leading one at the latter's own.
    """
    known = epochs[np.isfinite(epochs)]
    if not len(known):
        return np.zeros(len(rows))
    years = np.full(len(rows), (known.max() - known.min()) / 2)
    if len(known) < len(epochs):
        years = np.maximum(years, np.nan_to_num(np.abs(lead.epoch[rows] - middle)))
    return years


def _candidates(lead: Array, external: Array, reach: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of rows closer than the `reach` (rad) of the leading row's class."""
    tree = cKDTree(external)
    # Classes double in radius; 0.1 % of slack covers rounding, the exact cut comes after.
    classes = np.ceil(np.log2(reach / reach.min())).astype(int)
    left, right = [], []
    for number in np.unique(classes):
        rows = np.flatnonzero(classes == number)
        chord = 2 * np.sin(min(reach[rows].max() * 1.001, np.pi) / 2)
        pairs = cKDTree(lead[rows]).sparse_distance_matrix(tree, chord, output_type="ndarray")
        left.append(rows[pairs["i"]])
        right.append(pairs["j"])
    return np.concatenate(left), np.concatenate(right)


def score(pairs: Neighbourhood) -> Array:
    """Figure of merit of every pair, higher is better. Shape (n_pairs,)."""
    return -pairs.distance


def best_neighbours(
    pairs: Neighbourhood, merit: Array, lead: Positions, external: Positions, ids: tuple[pl.Series, pl.Series]
) -> pl.DataFrame:
    """One row for each leading source that has a neighbour: its best one, in the Gaia archive's columns.

    Parameters
    ----------
    pairs : Neighbourhood
    merit : ndarray, (n_pairs,)
    lead, external : Positions
    ids : pair of polars.Series, (n_lead,) and (n_external,)
        Identifiers of both catalogues.

    Returns
    -------
    polars.DataFrame
        Columns of :data:`PAIR_COLUMNS`, sorted by leading row, and `external_degree`: how many
        leading sources have this external source as a good neighbour.
    """
    neighbours = np.bincount(pairs.lead, minlength=len(lead))
    degree = np.bincount(pairs.external, minlength=len(external))
    # Ties go to the lower identifier, so that the order of rows never decides.
    rank = ids[1].rank("ordinal").to_numpy().astype(np.float64)
    order = np.lexsort((rank[pairs.external], -merit, pairs.lead))
    first = np.ones(len(order), dtype=bool)
    first[1:] = pairs.lead[order][1:] != pairs.lead[order][:-1]
    best = order[first]
    runner_up = np.full(len(lead), -np.inf)
    np.maximum.at(runner_up, pairs.lead[order[~first]], merit[order[~first]])
    best_lead, best_external = pairs.lead[best], pairs.external[best]
    chosen = np.bincount(best_external, minlength=len(external))
    mates = chosen[best_external] - 1
    flag = (
        np.where(neighbours[best_lead] > 1, PairFlag.SEVERAL_NEIGHBOURS, 0)
        | np.where(mates > 0, PairFlag.HAS_MATES, 0)
        | np.where(~lead.moving[best_lead], PairFlag.NO_PROPER_MOTION, 0)
        | np.where(~external.own_epoch[best_external], PairFlag.NO_EPOCH, 0)
        | np.where(runner_up[best_lead] == merit[best], PairFlag.TIE, 0)
    )
    return pl.DataFrame(
        {
            "source_id": ids[0].gather(best_lead),
            "original_ext_source_id": ids[1].gather(best_external),
            "angular_distance": pairs.distance[best],
            "number_of_neighbours": neighbours[best_lead].astype(np.int32),
            "number_of_mates": mates.astype(np.int32),
            "score": merit[best],
            "xm_flag": flag.astype(np.int32),
            "external_degree": degree[best_external].astype(np.int32),
        }
    )


def choose_pairs(best: pl.DataFrame, choice: PairChoice) -> pl.DataFrame:
    """Keep the clean pairs.

    `strict`: exactly one good neighbour on either side; `loose`: one neighbour and no mates;
    `best`: every star's best neighbour. Returns the columns of :data:`PAIR_COLUMNS`.
    """
    condition = {
        "strict": (pl.col("number_of_neighbours") == 1) & (pl.col("external_degree") == 1),
        "loose": (pl.col("number_of_neighbours") == 1) & (pl.col("number_of_mates") == 0),
        "best": pl.lit(True),
    }[choice]
    return best.filter(condition).select(*PAIR_COLUMNS)


@dataclass(frozen=True, slots=True)
class MatchStatistics:
    """Counts of a match, for the report."""

    n_lead: int
    n_external: int
    n_pairs: int
    n_matched: int
    n_strict: int
    n_loose: int
    radius: float
    median_distance: float


def match_catalogues(
    lead: Positions, external: Positions, ids: tuple[pl.Series, pl.Series], *, radius: float
) -> tuple[pl.DataFrame, MatchStatistics]:
    """Find all pairs and the best neighbour of every leading source, and count.

    Returns
    -------
    best : polars.DataFrame
        See :func:`best_neighbours`; :func:`choose_pairs` takes the clean ones.
    statistics : MatchStatistics
    """
    pairs = find_pairs(lead, external, radius)
    best = best_neighbours(pairs, score(pairs), lead, external, ids)
    counts = {choice: choose_pairs(best, choice).height for choice in ("strict", "loose")}
    median = best["angular_distance"].median()
    return best, MatchStatistics(
        n_lead=len(lead),
        n_external=len(external),
        n_pairs=len(pairs.lead),
        n_matched=best.height,
        n_strict=counts["strict"],
        n_loose=counts["loose"],
        radius=radius,
        median_distance=float(median) if isinstance(median, float) else float("nan"),
    )
