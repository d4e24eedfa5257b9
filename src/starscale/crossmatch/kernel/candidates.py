"""Every pair of two catalogues within a radius, with its displacement.

Gaia moves: its stars are propagated to the epoch of each candidate. All vectors of a pair are given in
the tangent plane of the moving star's catalogue position, so that poles and right ascension 0 are ordinary
places.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from starscale.crossmatch.kernel.pieces import Epochs, Side, row_type
from starscale.crossmatch.kernel.runs import runs
from starscale.crossmatch.kernel.zones import ROW_BITS, Zones
from starscale.io.threads import in_threads
from starscale.tables.arrays import in_order
from starscale.tables.positions import MAS, Positions, Sines, dot, length, separation
from starscale.vocabulary.arrays import FloatArray

#: Runs whose pairs share their memory: together they are worth asking the system for it.
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of a moving and a standing source. All arrays have the shape (n_pairs,).

    Parameters
    ----------
    moving, standing : ndarray of int
        Row numbers of Gaia and of the external catalogue.
    distance : ndarray
        Angle at the epoch of the standing source, arcsec.
    east, north : ndarray of float32
        Displacement, standing minus moving, mas.
    fast : ndarray of bool
        Whether the moving source goes farther than the radius between the two epochs.
    sin_ra, cos_ra, sin_dec, cos_dec : ndarray of float32
        Of the moving source, where the axes are. They cost more to find again than to keep; what is turned with
        them, errors and offsets of the frame, is known to fewer digits than they have.
    turn_cos, turn_sin : ndarray of float32
        Cosine and sine of the angle between the axes of the two sources.
    """

    moving: NDArray[np.signedinteger]
    standing: NDArray[np.signedinteger]
    distance: FloatArray
    east: NDArray[np.float32]
    north: NDArray[np.float32]
    fast: NDArray[np.bool_]
    sin_ra: NDArray[np.float32]
    cos_ra: NDArray[np.float32]
    sin_dec: NDArray[np.float32]
    cos_dec: NDArray[np.float32]
    turn_cos: NDArray[np.float32]
    turn_sin: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.moving)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Candidates:
        """Some of the pairs."""
        return Candidates(*(getattr(self, field.name)[which] for field in fields(self)))

    def vectors(self, rows: NDArray[np.signedinteger]) -> FloatArray:
        """Displacements of some pairs as vectors on the sphere, mas. Shape (m, 3)."""
        sines = Sines(
            *(values[rows].astype(np.float64) for values in (self.sin_ra, self.cos_ra, self.sin_dec, self.cos_dec))
        )
        return self.east[rows, None] * sines.east() + self.north[rows, None] * sines.north()

    def along(self, x: FloatArray, y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Components of vectors along the axes, east and north. Shapes (n_pairs,)."""
        return (
            y * self.cos_ra - x * self.sin_ra,
            z * self.cos_dec - (x * (self.sin_dec * self.cos_ra) + y * (self.sin_dec * self.sin_ra)),
        )

    @classmethod
    def empty(cls, n: int, rows: DTypeLike = np.int64) -> Candidates:
        """Room for `n` pairs, with row numbers of a type.

        It is the system's own, which has it back as soon as none of its pairs is used any more: what an allocator
        is given back it may keep.
        """
        kinds: dict[str, DTypeLike] = {"moving": rows, "standing": rows, "distance": np.float64, "fast": np.bool_}
        types = [np.dtype(kinds.get(field.name, np.float32)) for field in fields(cls)]
        # The longest first, so that all are aligned.
        order = sorted(range(len(types)), key=lambda i: -types[i].itemsize)
        room = mmap(-1, max(n * sum(kind.itemsize for kind in types), 1))
        columns: dict[int, NDArray[Any]] = {}
        start = 0
        for i in order:
            columns[i] = np.frombuffer(room, types[i], n, start)
            start += n * types[i].itemsize
        return cls(*(columns[i] for i in range(len(types))))

    @classmethod
    def concatenate(cls, parts: Sequence[Candidates]) -> Candidates:
        """Pairs of the same two catalogues, one part after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class SearchTargets:
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
    def of(cls, side: Side, radius: float) -> SearchTargets:
        """Sort the sources that stand."""
        return cls(side.positions, radius, side.zones(radius / 3600), Epochs.of(side.positions))

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
        return Candidates.concatenate(self.by_runs(moving, whole=True))

    def by_runs(self, moving: Positions, *, whole: bool = False) -> list[Candidates]:
        """The same for every run of the moving sources (:func:`threads.runs`).

        Their rows are counted from the first of the run, or of the `whole`.
        """
        pairs, every = self._near(moving), runs(len(moving))
        ends = np.searchsorted(pairs, [run.stop << ROW_BITS for run in every])
        rows = row_type(max(len(moving), len(self.positions)))
        rooms: list[Candidates] = []
        # Runs write into common memory: small arrays of every thread would leave it in pieces.
        for first in range(0, len(every), _TOGETHER):
            together = slice(first, first + _TOGETHER)
            borders = np.append(ends[first - 1] if first else 0, ends[together])
            room = Candidates.empty(int(borders[-1] - borders[0]), rows)
            rooms += [room.take(slice(*pair)) for pair in itertools.pairwise(borders - borders[0])]

        def displaced(number: int) -> Candidates:
            run, mine = every[number], rooms[number]
            here = pairs[ends[number] - len(mine) : ends[number]]
            left, right = here >> ROW_BITS, here & ((1 << ROW_BITS) - 1)
            found = mine.take(slice(_displacements(moving, self.positions, left, right, self.radius, mine)))
            if not whole:
                np.subtract(found.moving, run.start, out=found.moving)
            return found

        return in_threads(displaced, range(len(every)))

    def _near(self, moving: Positions) -> NDArray[np.int64]:
        """Pairs that may be near enough, sorted: each as one number, the moving row before the standing one."""
        reach = np.concatenate(in_threads(lambda run: self._reach(moving.take(run)), runs(len(moving))))
        rows = np.flatnonzero(moving.valid)
        # In the order of the targets, so that those of a run lie together.
        rows = self.zones.order(moving.ra[rows], moving.dec[rows], rows)

        def near(run: slice) -> NDArray[np.int64]:
            mine = rows[run]
            first, right = self.zones.near(moving.ra[mine], moving.dec[mine], reach[mine])
            return (mine[first] << ROW_BITS) | right

        return in_order(np.concatenate(in_threads(near, runs(len(rows)))))

    def _reach(self, moving: Positions) -> FloatArray:
        """Radius (deg) about its catalogue position that holds the candidates of each moving source. Shape (n,).

        It is widened by the way to the farthest epoch. A star of ten arcseconds a year so has the wider
        pass that it needs, and does not widen the search for the others.
        """
        # The radial velocity changes the path by a small part of it: a tenth covers any star at any epoch here.
        return np.minimum((self.radius * 1.001 + 1.1e-3 * self.epochs.ways(moving)) / 3600, 180.0)


def _displacements(
    moving: Positions,
    standing: Positions,
    left: NDArray[np.signedinteger],
    right: NDArray[np.signedinteger],
    radius: float,
    out: Candidates,
) -> int:
    """Write those of some pairs that are close enough, with their displacements; how many they are.

    Gnomonic projection about the catalogue position: there uniform motion is a straight line, so the
    position at the candidate's epoch needs no projection at all.
    """
    here, there = moving.sines(left), standing.sines(right)
    radial, east, north, target = here.radial(), here.east(), here.north(), there.radial()
    shift_east, shift_north = moving.shifts(left, standing.epoch[right])
    moved = radial + (shift_east * MAS)[:, None] * east + (shift_north * MAS)[:, None] * north
    moved /= length(moved)[:, None]
    distance = separation(moved, target)
    depth = dot(radial, target)
    # Far from the poles the two easts are almost one.
    cos, sin = (dot(axis, there.east()) for axis in (east, north))
    norm = np.hypot(cos, sin)
    columns = (
        left,
        right,
        distance,
        dot(east, target) / depth / MAS - shift_east,
        dot(north, target) / depth / MAS - shift_north,
        np.hypot(shift_east, shift_north) > radius * 1000,
        here.sin_ra,
        here.cos_ra,
        here.sin_dec,
        here.cos_dec,
        cos / norm,
        sin / norm,
    )
    near = np.flatnonzero(distance <= radius)
    for field, values in zip(fields(Candidates), columns, strict=True):
        getattr(out, field.name)[: len(near)] = values if len(near) == len(values) else values[near]
    return len(near)
