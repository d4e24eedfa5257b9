"""E(B-V) of stars from a map: its unit, its range of distances, and what is flagged."""

from __future__ import annotations

from enum import IntFlag
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from starscale.dust.description import DustMap
from starscale.dust.healpix_map import HealpixMap
from starscale.dust.query import DustmapsMap
from starscale.vocabulary.arrays import FloatArray


class ReddeningFlag(IntFlag):
    """Bits of the flag of E(B-V)."""

    NO_POSITION = 1
    NO_DISTANCE = 2
    OUTSIDE_MAP = 4
    BEYOND_MAP = 8
    NEARER_THAN_MAP = 16


#: What the bits mean, and what the value is then.
REDDENING_MEANING: dict[ReddeningFlag, str] = {
    ReddeningFlag.NO_POSITION: "the position is missing: no value",
    ReddeningFlag.NO_DISTANCE: "the map needs a distance, which is missing or not positive: no value",
    ReddeningFlag.OUTSIDE_MAP: "the map has no value at this place: no value",
    ReddeningFlag.BEYOND_MAP: "farther than the map reaches: the value at its largest distance, a lower limit",
    ReddeningFlag.NEARER_THAN_MAP: "nearer than the map begins: its first value, in proportion to the distance",
}


class MapValues(Protocol):
    """A map that was opened. `distances` (pc) is empty for values along the whole line of sight."""

    distances: FloatArray

    def at(
        self, ra: FloatArray, dec: FloatArray, distance: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return values and errors in the unit of the map; NaN where it has none. Shape (n,)."""


class ReddeningMap:
    """A dust map with its description."""

    def __init__(self, about: DustMap, folder: Path) -> None:
        self.about = about
        self._values = _opened(about, folder)

    @property
    def needs_distance(self) -> bool:
        """Whether E(B-V) depends on the distance."""
        return len(self._values.distances) > 0

    def reddening(
        self, ra: FloatArray, dec: FloatArray, distance: FloatArray | None
    ) -> tuple[FloatArray, FloatArray, NDArray[np.int32]]:
        """Return E(B-V), its error, and the flags of stars.

        Parameters
        ----------
        ra, dec : ndarray, (n,)
            Positions, deg, ICRS; NaN: missing.
        distance : ndarray, (n,), or None
            Distances, pc; NaN: missing. None if, and only if, the map needs none.

        Returns
        -------
        ebv, error : ndarray, (n,)
            mag, on the scale of the map; NaN: no value.
        flag : ndarray of int32, (n,)
            See :class:`ReddeningFlag`.
        """
        flag = np.zeros(len(ra), dtype=np.int32)
        good = np.isfinite(ra) & np.isfinite(dec)
        flag[~good] |= ReddeningFlag.NO_POSITION
        share = np.ones(len(ra))
        if distance is not None:
            known = np.isfinite(distance) & (np.nan_to_num(distance) > 0)
            flag[good & ~known] |= ReddeningFlag.NO_DISTANCE
            good &= known
            distance, share = self._within(distance, good, flag)
        ebv, error = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
        if good.any():
            some = None if distance is None else distance[good]
            values, errors = self._values.at(ra[good], dec[good], some)
            ebv[good] = values * self.about.factor * share[good]
            if errors is not None:
                error[good] = errors * self.about.factor * share[good]
        flag[good & ~np.isfinite(ebv)] = ReddeningFlag.OUTSIDE_MAP
        return ebv, error, flag

    def _within(
        self, distance: FloatArray, good: NDArray[np.bool_], flag: NDArray[np.int32]
    ) -> tuple[FloatArray, FloatArray]:
        """Return distances within the map, and the share of the first value that nearer stars get."""
        near, far = self._values.distances[0], self._values.distances[-1]
        flag[good & (distance > far)] |= ReddeningFlag.BEYOND_MAP
        flag[good & (distance < near)] |= ReddeningFlag.NEARER_THAN_MAP
        return np.clip(distance, near, far), np.minimum(distance / near, 1.0)


def _opened(about: DustMap, folder: Path) -> MapValues:
    if about.healpix is not None:
        return HealpixMap(about.healpix, folder)
    if about.dustmaps is not None:
        return DustmapsMap(about.dustmaps)
    raise ValueError(f"the map {about.name} has no source")
