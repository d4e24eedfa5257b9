"""Every pair of two catalogues within a radius, with its displacement and the error ellipses of both.

Gaia moves: its stars are propagated to the epoch of each candidate. All vectors and covariances of
a pair are given in the tangent plane of the moving star's catalogue position, so that poles and
right ascension 0 are ordinary places.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from starscale.catalogue.crossmatch.zones import Zones
from starscale.catalogue.positions import MAS, Array, Positions, separation

Rows = NDArray[np.intp]

#: Moving sources that are searched at a time, and threads at most: the vectors of their pairs are the largest
#: arrays of a match.
_AT_ONCE, _THREADS = 100_000, 4


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

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Candidates:
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
    rows, others = np.flatnonzero(moving.valid), np.flatnonzero(standing.valid)
    zones = Zones.of(standing.ra[others] % 360, standing.dec[others], radius / 3600)
    rows = rows[zones.order(moving.ra[rows] % 360, moving.dec[rows])]
    reach = search_radii(moving, rows, standing.epoch[others], radius)

    def search(start: int) -> Candidates:
        piece = slice(start, start + _AT_ONCE)
        first, second = zones.near(moving.ra[rows[piece]] % 360, moving.dec[rows[piece]], reach[piece])
        return _candidates(moving, standing, rows[piece][first], others[second], radius, unknown_motion)

    # numpy lets go of the interpreter where it works: threads share the processor's cores.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS)) as pool:
        parts = list(pool.map(search, range(0, max(len(rows), 1), _AT_ONCE)))
    order = np.argsort(np.concatenate([part.moving * max(len(standing), 1) + part.standing for part in parts]))
    pieces = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Candidates)}
    # Column by column, so that all candidates are never there twice.
    del parts
    return Candidates(**{name: np.concatenate(pieces.pop(name))[order] for name in list(pieces)})


def search_radii(moving: Positions, rows: Rows, epochs: Array, radius: float) -> Array:
    """Radius (deg) about its catalogue position that holds the candidates of each moving source. Shape (n_rows,).

    It is widened by the way to the farthest epoch. A star of ten arcseconds a year so has the wider
    pass that it needs, and does not widen the search for the others.
    """
    known = epochs[np.isfinite(epochs)]
    years = np.zeros(len(rows))
    if len(known):
        own = moving.epoch[rows]
        years = np.nan_to_num(np.maximum(np.abs(own - known.min()), np.abs(own - known.max())))
    # The radial velocity changes the path by a small part of it: a tenth covers any star at any epoch here.
    return np.minimum((radius * 1.001 + 1.1e-3 * moving.speed()[rows] * years) / 3600, 180.0)


def _candidates(
    moving: Positions, standing: Positions, left: Rows, right: Rows, radius: float, unknown_motion: float
) -> Candidates:
    """Geometry of some pairs: those that are close enough, with displacements and covariances.

    Gnomonic projection about the catalogue position: there uniform motion is a straight line, so the
    position at the candidate's epoch needs no projection at all.
    """
    at = standing.epoch[right]
    radial, east, north = moving.triads(left)
    target, target_east, _ = standing.triads(right)
    shift_east, shift_north = moving.shifts(left, at)
    moved = radial + (shift_east * MAS)[:, None] * east + (shift_north * MAS)[:, None] * north
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    distance = separation(moved, target)
    near = np.flatnonzero(distance <= radius)
    if len(near) < len(left):
        left, right, at, distance = left[near], right[near], at[near], distance[near]
        radial, east, north, target, target_east = (x[near] for x in (radial, east, north, target, target_east))
        shift_east, shift_north = shift_east[near], shift_north[near]
    depth = _dot(radial, target)
    # Cosine and sine of the angle between the two easts: far from the poles it is almost nothing.
    cos, sin = _dot(east, target_east), _dot(north, target_east)
    norm = np.hypot(cos, sin)
    return Candidates(
        left,
        right,
        distance,
        _dot(east, target) / depth / MAS - shift_east,
        _dot(north, target) / depth / MAS - shift_north,
        moved_covariance(moving, left, at, unknown_motion),
        _turned(standing, right, (cos / norm, sin / norm)),
    )


def _dot(a: Array, b: Array) -> Array:
    """Scalar products of rows of vectors. Shapes (n, 3), (n, 3) -> (n,)."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


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
