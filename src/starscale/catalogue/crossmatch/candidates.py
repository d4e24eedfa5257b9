"""Every pair of two catalogues within a radius, with its displacement.

Gaia moves: its stars are propagated to the epoch of each candidate. All vectors of a pair are given in
the tangent plane of the moving star's catalogue position, so that poles and right ascension 0 are ordinary
places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from starscale.catalogue.crossmatch.pieces import Epochs
from starscale.catalogue.crossmatch.threads import in_threads, runs
from starscale.catalogue.crossmatch.zones import Zones
from starscale.catalogue.positions import MAS, Array, Positions, dot, separation

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
    """

    moving: Rows
    standing: Rows
    distance: Array
    east: Array
    north: Array

    def __len__(self) -> int:
        return len(self.moving)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Candidates:
        """Some of the pairs."""
        return Candidates(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Candidates]) -> Candidates:
        """Pairs of the same two catalogues, one part after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class Targets:
    """Sources that stand, each at its own epoch, sorted for searches around moving ones.

    Parameters
    ----------
    positions : Positions
    radius : float
        Within which the moving sources look at the epoch of the standing one, arcsec.
    zones : Zones
        Of the rows that have a position.
    epochs : Epochs
    """

    positions: Positions
    radius: float
    zones: Zones
    epochs: Epochs

    @classmethod
    def of(cls, positions: Positions, radius: float) -> Targets:
        """Sort the sources that stand."""
        zones = Zones.of(positions.ra, positions.dec, radius / 3600, np.flatnonzero(positions.valid))
        return cls(positions, radius, zones, Epochs.of(positions))

    def candidates(self, moving: Positions) -> Candidates:
        """Find every pair closer than the radius at the epoch of the standing source.

        Parameters
        ----------
        moving : Positions
            Sources that move; one without proper motion or epoch stays where it is.

        Returns
        -------
        Candidates
            Sorted by moving row, then standing row.
        """
        parts = in_threads(lambda run: self._around(moving.take(run), run.start), runs(len(moving)))
        return parts[0] if len(parts) == 1 else Candidates.concatenate(parts)

    def _around(self, moving: Positions, start: int) -> Candidates:
        """Candidates of a run of the moving sources, whose rows are counted from `start`."""
        rows = np.flatnonzero(moving.valid)
        rows = rows[self.zones.order(moving.ra[rows], moving.dec[rows])]
        first, right = self.zones.near(moving.ra[rows], moving.dec[rows], self._reach(moving)[rows])
        left = rows[first]
        order = np.argsort(left * len(self.positions) + right)
        near = _displacements(moving, self.positions, left[order], right[order], self.radius)
        return Candidates(near.moving + start, near.standing, near.distance, near.east, near.north)

    def _reach(self, moving: Positions) -> Array:
        """Radius (deg) about its catalogue position that holds the candidates of each moving source. Shape (n,).

        It is widened by the way to the farthest epoch. A star of ten arcseconds a year so has the wider
        pass that it needs, and does not widen the search for the others.
        """
        # The radial velocity changes the path by a small part of it: a tenth covers any star at any epoch here.
        return np.minimum((self.radius * 1.001 + 1.1e-3 * self.epochs.ways(moving)) / 3600, 180.0)


def _displacements(moving: Positions, standing: Positions, left: Rows, right: Rows, radius: float) -> Candidates:
    """Those of some pairs that are close enough, with their displacements.

    Gnomonic projection about the catalogue position: there uniform motion is a straight line, so the
    position at the candidate's epoch needs no projection at all.
    """
    radial, east, north = moving.triads(left)
    target = standing.directions(right)
    shift_east, shift_north = moving.shifts(left, standing.epoch[right])
    moved = radial + (shift_east * MAS)[:, None] * east + (shift_north * MAS)[:, None] * north
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    distance = separation(moved, target)
    near = distance <= radius
    depth = dot(radial, target)
    return Candidates(
        left[near],
        right[near],
        distance[near],
        (dot(east, target) / depth / MAS - shift_east)[near],
        (dot(north, target) / depth / MAS - shift_north)[near],
    )
