"""Put the external catalogue in order before the match: imprecise positions and repeated entries.

After Marrese et al. (2019, A&A 621, A144): sources with absurd position errors take no part, and of
entries that repeat one another only the one with the best astrometry does; a table remembers which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from starscale.catalogue.positions import ARCSEC, Array, Positions
from starscale.surveys.schema import Duplicates

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What tells whether two rows are one source, and which of them to keep. Arrays of shape (n,).

    Parameters
    ----------
    magnitudes : mapping of str to ndarray
        By band; NaN where missing.
    preference : ndarray
        The larger, the better; NaN where unknown.
    """

    magnitudes: Mapping[str, Array]
    preference: Array


@dataclass(frozen=True, slots=True)
class Curated:
    """A catalogue of which only the rows that take part in a match still have a position.

    Parameters
    ----------
    positions : Positions
        Rows that take no part have NaN as right ascension and declination.
    imprecise : ndarray of bool, (n,)
        Rows whose position error is above the ceiling.
    stands_for : ndarray of int, (n,)
        Row that takes part for each row: its own number, unless it repeats another.
    """

    positions: Positions
    imprecise: NDArray[np.bool_]
    stands_for: Rows

    @property
    def duplicate(self) -> NDArray[np.bool_]:
        """Rows that another one stands for."""
        return np.asarray(self.stands_for != np.arange(len(self.stands_for)))

    @property
    def stands_for_several(self) -> NDArray[np.bool_]:
        """Rows that stand for others as well."""
        several = np.zeros(len(self.stands_for), dtype=bool)
        several[self.stands_for[self.duplicate]] = True
        return several

    def table(self, ids: pl.Series) -> pl.DataFrame:
        """Identifiers of the rows that repeat another, and of the one that stands for them."""
        rows = np.flatnonzero(self.duplicate)
        return pl.DataFrame(
            {
                "original_ext_source_id": ids.gather(rows),
                "clean_ext_source_id": ids.gather(self.stands_for[rows]),
            }
        )


def curate(
    positions: Positions,
    ids: pl.Series,
    *,
    ceiling: float,
    duplicates: Duplicates | None = None,
    evidence: Evidence | None = None,
) -> Curated:
    """Take imprecise and repeated rows out of a match.

    Parameters
    ----------
    positions : Positions
    ids : polars.Series, (n,)
        Decide between equally good rows.
    ceiling : float
        Largest believable position error, mas.
    duplicates : Duplicates, optional
        When two rows are one source; None: never.
    evidence : Evidence, optional
        Magnitudes and preference; without it nearness and the position errors decide.
    """
    n = len(positions)
    imprecise = np.zeros(n, dtype=bool)
    if positions.errors is not None:
        imprecise = np.maximum(positions.errors.east, positions.errors.north) > ceiling**2
    stands_for = np.arange(n)
    left = _without(positions, imprecise)
    if duplicates is not None:
        first, second = duplicate_pairs(left, duplicates, evidence)
        stands_for = representatives(n, first, second, _ranking(positions, ids, evidence))
    return Curated(_without(left, stands_for != np.arange(n)), imprecise, stands_for)


def duplicate_pairs(positions: Positions, duplicates: Duplicates, evidence: Evidence | None) -> tuple[Rows, Rows]:
    """Pairs of rows that are one source."""
    rows = np.flatnonzero(positions.valid)
    if not len(rows):
        return rows, rows
    vectors = positions.without_motion().vectors(rows, np.full(len(rows), np.nan))
    chord = 2 * np.sin(duplicates.radius * ARCSEC / 2)
    pairs = cKDTree(vectors).query_pairs(chord, output_type="ndarray")
    first, second = rows[pairs[:, 0]], rows[pairs[:, 1]]
    if evidence is None or not evidence.magnitudes:
        return first, second
    shared, agree = np.zeros(len(first), dtype=int), np.ones(len(first), dtype=bool)
    for magnitude in evidence.magnitudes.values():
        difference = np.abs(magnitude[first] - magnitude[second])
        known = np.isfinite(difference)
        shared += known
        agree &= ~known | (difference <= duplicates.tolerance)
    same = agree & (shared > 0)
    return first[same], second[same]


def representatives(n: int, first: Rows, second: Rows, ranking: Rows) -> Rows:
    """Row that stands for each of `n` rows: the best ranked (lowest) of those that pairs chain together."""
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    order = np.lexsort((ranking, group))
    best = np.empty(group.max() + 1 if n else 0, dtype=np.intp)
    best[group[order[::-1]]] = order[::-1]
    return np.asarray(best[group] if n else np.empty(0, dtype=np.intp))


def _ranking(positions: Positions, ids: pl.Series, evidence: Evidence | None) -> Rows:
    """Number of every row, the best first."""
    n = len(positions)
    preference = np.zeros(n) if evidence is None else np.nan_to_num(evidence.preference, nan=-np.inf)
    error = np.zeros(n) if positions.errors is None else positions.errors.east + positions.errors.north
    identifier = ids.rank("ordinal").to_numpy()
    ranking = np.empty(n, dtype=np.intp)
    ranking[np.lexsort((identifier, error, -preference))] = np.arange(n)
    return ranking


def _without(positions: Positions, out: NDArray[np.bool_]) -> Positions:
    if not out.any():
        return positions
    return replace(positions, ra=np.where(out, np.nan, positions.ra), dec=np.where(out, np.nan, positions.dec))
