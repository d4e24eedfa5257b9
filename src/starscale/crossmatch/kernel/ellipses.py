"""Error ellipses of the two sources of a pair, in the axes of the moving one and at the epoch of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from starscale.crossmatch.kernel.candidates import Candidates
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Ellipses:
    """Covariances in a tangent plane. Arrays of shape (n,), mas^2.

    Parameters
    ----------
    east, north : ndarray
        Variances.
    cross : ndarray
        Covariance of the two.
    """

    east: FloatArray
    north: FloatArray
    cross: FloatArray

    def take(self, which: NDArray[np.intp] | slice) -> Ellipses:
        """Some of them."""
        return Ellipses(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Ellipses]) -> Ellipses:
        """Concatenate parts."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class PairEllipses:
    """Error ellipses of both sources of some pairs.

    Parameters
    ----------
    moving, standing : Ellipses, n_pairs
    """

    moving: Ellipses
    standing: Ellipses

    @classmethod
    def of(
        cls,
        pairs: Candidates,
        moving: Positions,
        standing: Positions,
        *,
        unknown_motion: float = 0.0,
    ) -> PairEllipses:
        """Propagate the ellipses of the moving sources, and turn those of the standing ones.

        Parameters
        ----------
        pairs : Candidates
        moving, standing : Positions
            The catalogues of the pairs.
        unknown_motion : float
            Spread of the proper motions that are not known, mas/yr: their position errors grow by it.
        """
        at = standing.epoch[pairs.standing]
        moved = moved_ellipses(moving, pairs.moving, at, unknown_motion)
        return cls(moved, _turned(_own(standing, pairs.standing), pairs.turn_cos, pairs.turn_sin))

    def take(self, which: NDArray[np.intp] | slice) -> PairEllipses:
        """Some of them."""
        return PairEllipses(self.moving.take(which), self.standing.take(which))

    @classmethod
    def concatenate(cls, parts: Sequence[PairEllipses]) -> PairEllipses:
        """Concatenate parts."""
        return cls(*(Ellipses.concatenate([getattr(p, field.name) for p in parts]) for field in fields(cls)))


def moved_ellipses(moving: Positions, rows: NDArray[np.intp], at: FloatArray, unknown_motion: float) -> Ellipses:
    """Error ellipses of moving sources at an epoch. Shape (m,).

    `C(t) = J C J^T` with `J` of the motion to the epoch (see METHOD in the documentation of
    matching): positions, proper motions and all their correlations. A source whose proper motion is
    not known gets `(unknown_motion * t)^2` on both axes, and every source half the square of its
    parallax, since a position of the other catalogue may have been taken at any time of the year.
    """
    own = _own(moving, rows)
    east, north, cross = own.east, own.north, own.cross
    years, moves = moving.years(rows, at), moving.moves(rows)
    motion = moving.motion_errors
    if moving.pmra is not None and motion is not None:
        t = np.where(moves, years / moving.foreshortening(rows, years), 0.0)
        east = east + (2 * t * motion.ra_pmra[rows] + (t * motion.pmra[rows]) ** 2)
        north = north + (2 * t * motion.dec_pmdec[rows] + (t * motion.pmdec[rows]) ** 2)
        cross = cross + (t * (motion.ra_pmdec[rows] + motion.dec_pmra[rows]) + t**2 * motion.pm_cross[rows])
    unknown = np.where(moves, 0.0, (unknown_motion * years) ** 2)
    east, north = east + unknown, north + unknown
    if moving.parallax is not None:
        anytime = np.clip(np.nan_to_num(moving.parallax[rows]), 0.0, None) ** 2 / 2
        east, north = east + anytime, north + anytime
    return Ellipses(east, north, cross)


def _turned(own: Ellipses, cos: NDArray[np.float32], sin: NDArray[np.float32]) -> Ellipses:
    """Ellipses in axes that are turned by an angle of this cosine and sine. Shape (n,)."""
    east, north, cross = own.east, own.north, own.cross
    return Ellipses(
        cos**2 * east - 2 * cos * sin * cross + sin**2 * north,
        sin**2 * east + 2 * cos * sin * cross + cos**2 * north,
        cos * sin * (east - north) + (cos**2 - sin**2) * cross,
    )


def _own(positions: Positions, rows: NDArray[np.intp]) -> Ellipses:
    """Error ellipses of some rows as they are; 0 where a catalogue has none."""
    errors = positions.errors
    if errors is None:
        return Ellipses(*np.zeros((3, len(rows))))
    return Ellipses(*(values[rows].astype(np.float64) for values in (errors.east, errors.north, errors.cross)))
