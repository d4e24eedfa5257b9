"""Every pair of two catalogues within a radius, with its displacement and the error ellipses of both.

Gaia moves: its stars are propagated to the epoch of each candidate. All vectors and covariances of
a pair are given in the tangent plane of the moving star's catalogue position, so that poles and
right ascension 0 are ordinary places.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from starscale.catalogue.positions import ARCSEC, MAS, Array, Positions, separation

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of a moving and a standing source. All arrays have the shape (n_pairs,).

    Parameters
    ----------
    moving, standing : ndarray of int
        Row numbers of Gaia and of the external catalogue.
    distance : ndarray
        Angle at the epoch of the standing source, arcsec.
    east, north : ndarray
        Displacement, standing minus moving, mas.
    moving_covariance, standing_covariance : ndarray, (n_pairs, 3)
        East, north and cross terms, mas^2.
    """

    moving: Rows
    standing: Rows
    distance: Array
    east: Array
    north: Array
    moving_covariance: Array
    standing_covariance: Array

    def __len__(self) -> int:
        return len(self.moving)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Candidates:
        """Some of the pairs."""
        return Candidates(*(getattr(self, field.name)[which] for field in fields(self)))


def find_candidates(
    moving: Positions, standing: Positions, radius: float, *, unknown_motion: float = 0.0
) -> Candidates:
    """Find every pair closer than `radius` at the epoch of the standing source.

    Parameters
    ----------
    moving : Positions
        Sources that move; one without proper motion or epoch stays where it is.
    standing : Positions
        Sources that stand, each at its own epoch.
    radius : float
        arcsec.
    unknown_motion : float
        Spread of the proper motions that are not known, mas/yr: their position errors grow by it.

    Returns
    -------
    Candidates
        Sorted by moving row, then standing row.
    """
    left, right = find_pairs(moving, standing, radius)
    at = standing.epoch[right]
    distance = separation(moving.vectors(left, at), standing.vectors(right, np.full(len(right), np.nan)))
    near = distance <= radius
    left, right, distance = left[near], right[near], distance[near]
    order = np.lexsort((right, left))
    left, right, distance = left[order], right[order], distance[order]
    east, north, turn = _displacements(moving, standing, left, right)
    return Candidates(
        left,
        right,
        distance,
        east,
        north,
        moved_covariance(moving, left, standing.epoch[right], unknown_motion),
        _turned(standing, right, turn),
    )


def find_pairs(moving: Positions, standing: Positions, radius: float) -> tuple[Rows, Rows]:
    """Row numbers of all pairs that may be closer than `radius` (arcsec), in no order, with some that are not.

    Notes
    -----
    Candidates come from a k-d tree of unit vectors with the moving sources at the middle epoch of
    the others; a source's search radius is widened by the way it can move from there to the
    farthest epoch. Sources are searched in classes of similar radius, so that a star of ten
    arcseconds a year does not widen the search for all the others: this is the wider pass that
    very high proper motions need.
    """
    moving_rows, standing_rows = np.flatnonzero(moving.valid), np.flatnonzero(standing.valid)
    if not len(moving_rows) or not len(standing_rows):
        nobody = np.empty(0, dtype=np.intp)
        return nobody, nobody
    epochs = standing.epoch[standing_rows]
    middle = middle_epoch(epochs)
    years = longest_years(moving, moving_rows, epochs, middle)
    # The radial velocity changes the path by a small part of it: a tenth covers any star at any epoch here.
    reach = radius * ARCSEC + 1.1 * moving.speed()[moving_rows] * MAS * years
    left, right = _within(
        moving.vectors(moving_rows, np.full(len(moving_rows), middle)),
        standing.vectors(standing_rows, np.full(len(standing_rows), np.nan)),
        reach,
    )
    return moving_rows[left], standing_rows[right]


def middle_epoch(epochs: Array) -> float:
    """Middle of the known epochs; NaN where none is known."""
    known = epochs[np.isfinite(epochs)]
    return float((known.min() + known.max()) / 2) if len(known) else float("nan")


def longest_years(moving: Positions, rows: Rows, epochs: Array, middle: float) -> Array:
    """Years that each moving source may have to move from where it is searched. Shape (n_rows,).

    A standing source without an epoch meets the moving one at the latter's own.
    """
    known = epochs[np.isfinite(epochs)]
    if not len(known):
        return np.zeros(len(rows))
    years = np.full(len(rows), (known.max() - known.min()) / 2)
    if len(known) < len(epochs):
        years = np.maximum(years, np.nan_to_num(np.abs(moving.epoch[rows] - middle)))
    return years


def _within(moving: Array, standing: Array, reach: Array) -> tuple[Rows, Rows]:
    """Pairs of rows closer than the `reach` (rad) of the moving row's class."""
    tree = cKDTree(standing)
    # Classes double in radius; 0.1 % of slack covers rounding, the exact cut comes after.
    classes = np.ceil(np.log2(reach / reach.min())).astype(int)
    left, right = [], []
    for number in np.unique(classes):
        rows = np.flatnonzero(classes == number)
        chord = 2 * np.sin(min(reach[rows].max() * 1.001, np.pi) / 2)
        pairs = cKDTree(moving[rows]).sparse_distance_matrix(tree, chord, output_type="ndarray")
        left.append(rows[pairs["i"]])
        right.append(pairs["j"])
    return np.concatenate(left), np.concatenate(right)


def _displacements(
    moving: Positions, standing: Positions, left: Rows, right: Rows
) -> tuple[Array, Array, tuple[Array, Array]]:
    """Displacement (mas) in the plane of the moving source, and the turn from the other's axes to its own.

    Gnomonic projection about the catalogue position: there uniform motion is a straight line, so the
    position at the candidate's epoch needs no projection at all.
    """
    radial, east, north = moving.triads(left)
    target, target_east, _ = standing.triads(right)
    depth = (radial * target).sum(axis=1)
    shift_east, shift_north = moving.shifts(left, standing.epoch[right])
    across = (east * target).sum(axis=1) / depth / MAS - shift_east
    along = (north * target).sum(axis=1) / depth / MAS - shift_north
    # Cosine and sine of the angle between the two easts: far from the poles it is almost nothing.
    cos, sin = (east * target_east).sum(axis=1), (north * target_east).sum(axis=1)
    norm = np.hypot(cos, sin)
    return across, along, (cos / norm, sin / norm)


def moved_covariance(moving: Positions, rows: Rows, at: Array, unknown_motion: float) -> Array:
    """Covariance of moving sources at an epoch: east, north and cross terms, mas^2. Shape (m, 3).

    `C(t) = J C J^T` with `J` of the motion to the epoch (see METHOD in the documentation of
    matching): positions, proper motions and all their correlations. A source whose proper motion is
    not known gets `(unknown_motion * t)^2` on both axes, and every source half the square of its
    parallax, since a position of the other catalogue may have been taken at any time of the year.
    """
    covariance = _columns(moving, rows)
    years = moving.years(rows, at)
    motion = moving.motion_errors
    if moving.pmra is not None and motion is not None:
        t = np.where(moving.moving[rows], years / moving.foreshortening(rows, years), 0.0)
        covariance[:, 0] += 2 * t * motion.ra_pmra[rows] + (t * motion.pmra[rows]) ** 2
        covariance[:, 1] += 2 * t * motion.dec_pmdec[rows] + (t * motion.pmdec[rows]) ** 2
        covariance[:, 2] += t * (motion.ra_pmdec[rows] + motion.dec_pmra[rows]) + t**2 * motion.pm_cross[rows]
    still = ~moving.moving[rows]
    covariance[:, :2] += np.where(still, (unknown_motion * years) ** 2, 0.0)[:, None]
    if moving.parallax is not None:
        covariance[:, :2] += np.clip(np.nan_to_num(moving.parallax[rows]), 0.0, None)[:, None] ** 2 / 2
    return covariance


def _turned(standing: Positions, rows: Rows, turn: tuple[Array, Array]) -> Array:
    """Covariance of standing sources in the axes of the moving one. Shape (m, 3)."""
    own = _columns(standing, rows)
    cos, sin = turn
    east, north, cross = own.T
    return np.stack(
        [
            cos**2 * east - 2 * cos * sin * cross + sin**2 * north,
            sin**2 * east + 2 * cos * sin * cross + cos**2 * north,
            cos * sin * (east - north) + (cos**2 - sin**2) * cross,
        ],
        axis=1,
    )


def _columns(positions: Positions, rows: Rows) -> Array:
    errors = positions.errors
    if errors is None:
        return np.zeros((len(rows), 3))
    return np.stack([errors.east[rows], errors.north[rows], errors.cross[rows]], axis=1)
