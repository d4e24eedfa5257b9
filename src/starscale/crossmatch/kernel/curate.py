"""Curation of the external catalogue before the match: imprecise positions and repeated entries.

After Marrese et al. (2019, A&A 621, A144): sources with absurd position errors take no part, and of
entries that repeat one another only the one with the best astrometry does; a table remembers which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.zones import Zones
from starscale.surveys.schema import Duplicates
from starscale.tables.positions import ARCSEC, Positions
from starscale.vocabulary.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """Columns that tell whether two rows are one source, and which one to keep. Arrays of shape (n,).

    Parameters
    ----------
    magnitudes : mapping of str to ndarray
        By band; NaN where missing.
    preference : ndarray
        The larger, the better; NaN where unknown.
    """

    magnitudes: Mapping[str, FloatArray]
    preference: FloatArray


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
    stands_for: NDArray[np.intp]

    @property
    def duplicate(self) -> NDArray[np.bool_]:
        """Return the rows that repeat another row."""
        return np.asarray(self.stands_for != np.arange(len(self.stands_for)))

    @property
    def stands_for_several(self) -> NDArray[np.bool_]:
        """Return the rows that represent repeated rows."""
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
    """Exclude imprecise and repeated rows from a match.

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
    imprecise = is_imprecise(positions, ceiling)
    left = take_out(positions, imprecise)
    stands_for = np.arange(len(positions))
    if duplicates is not None:
        reach = duplicates.radius / 3600
        links = near_pairs(left, duplicates, Zones.of(left.ra, left.dec, reach, np.flatnonzero(left.valid)))
        links = links[alike(links, duplicates, evidence)]
        repeats = collapse(links, rank_keys(positions, ids, evidence, np.unique(links)))
        stands_for[repeats["row"].to_numpy()] = repeats["stands_for"].to_numpy()
    return Curated(take_out(left, stands_for != np.arange(len(positions))), imprecise, stands_for)


def is_imprecise(positions: Positions, ceiling: float) -> NDArray[np.bool_]:
    """Rows whose position error is above `ceiling` (mas). Shape (n,)."""
    errors = positions.errors
    if errors is None:
        return np.zeros(len(positions), dtype=bool)
    return np.asarray(np.maximum(errors.east, errors.north) > ceiling**2)


def near_pairs(positions: Positions, duplicates: Duplicates, zones: Zones) -> NDArray[np.intp]:
    """Pairs of sorted rows that are near enough to be one source. Shape (n_pairs, 2)."""
    if not len(zones.rows):
        return np.empty((0, 2), dtype=np.intp)
    pairs = zones.themselves(positions.ra, positions.dec, duplicates.radius / 3600)
    apart = positions.directions(pairs[:, 0]) - positions.directions(pairs[:, 1])
    near: NDArray[np.bool_] = np.sum(apart**2, axis=1) <= (2 * np.sin(duplicates.radius * ARCSEC / 2)) ** 2
    return pairs[near]


def alike(pairs: NDArray[np.intp], duplicates: Duplicates, evidence: Evidence | None) -> NDArray[np.bool_]:
    """Whether nothing that is known of two rows says that they are two sources. Shape (n_pairs,)."""
    if evidence is None or not evidence.magnitudes:
        return np.ones(len(pairs), dtype=bool)
    shared, agree = np.zeros(len(pairs), dtype=int), np.ones(len(pairs), dtype=bool)
    for magnitude in evidence.magnitudes.values():
        difference = np.abs(magnitude[pairs[:, 0]] - magnitude[pairs[:, 1]])
        known = np.isfinite(difference)
        shared += known
        agree &= ~known | (difference <= duplicates.tolerance)
    return np.asarray(agree & (shared > 0))


def rank_keys(
    positions: Positions, ids: pl.Series, evidence: Evidence | None, rows: NDArray[np.intp]
) -> pl.DataFrame:
    """What ranks some rows: `row`, `preference`, `error` and `id`."""
    errors = positions.errors
    nothing = np.zeros(len(rows))
    return pl.DataFrame(
        {
            "row": rows,
            "preference": nothing if evidence is None else np.nan_to_num(evidence.preference[rows], nan=-np.inf),
            "error": nothing if errors is None else (errors.east + errors.north)[rows],
            "id": ids.gather(rows),
        }
    )


def collapse(links: NDArray[np.intp], keys: pl.DataFrame) -> pl.DataFrame:
    """Choose the row that represents each group of chained rows.

    Parameters
    ----------
    links : ndarray of int, (n_pairs, 2)
        Pairs of rows that are one source.
    keys : polars.DataFrame
        Of :func:`rank_keys`, for every row of `links` once.

    Returns
    -------
    polars.DataFrame
        For every row that another stands for: `row`, `id`, `stands_for` and `stands_for_id`.
    """
    ranked = keys.sort("preference", "error", "id", descending=[True, False, False])
    rows = ranked["row"].to_numpy()
    n = len(rows)
    by_row = np.argsort(rows)
    number = by_row[np.searchsorted(rows[by_row], links)] if n else links
    # Rows are numbered by rank: the first of a group is the best.
    best = _first_of_groups(number, n)
    table = ranked.select("row", "id").with_columns(
        pl.Series("stands_for", rows[best]), ranked["id"].gather(best).alias("stands_for_id")
    )
    return table.filter(pl.col("row") != pl.col("stands_for")).sort("row")


def _first_of_groups(links: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Smallest number of the group of each of `n` numbers, of which some are linked. Shape (n,)."""
    first = np.arange(n)
    while True:
        lower = first.copy()
        for number, other in (links.T, links.T[::-1]):
            np.minimum.at(lower, number, first[other])
        # A group that was joined to another follows it as a whole.
        lower = lower[lower]
        if np.array_equal(lower, first):
            return first
        first = lower


def take_out(positions: Positions, out: NDArray[np.bool_]) -> Positions:
    """Return the positions, with NaN for rows that are excluded."""
    if not out.any():
        return positions
    return replace(positions, ra=np.where(out, np.nan, positions.ra), dec=np.where(out, np.nan, positions.dec))
