"""All pairs of two sets of positions that may be near each other, by zones of declination.

Both catalogues are sorted by zone and right ascension; what lies in a star's window of a zone is then a
range that two binary searches find (Gray et al. 2007, "The Zones Algorithm", MSR-TR-2006-52). Every star
has a radius of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.catalogue.healpix import Array

Rows = NDArray[np.intp]

#: Degrees that separate two zones in the key by which sources are sorted: more than a circle and its margins.
_STRIDE = 1024.0
#: Degrees that are added to every window, for rounding.
_SLACK = 1e-7
#: Zones are as high as so many times the usual radius: few zones a star, and few strangers in them.
_HEIGHT = 8.0
#: Sources of a window that are looked at one after the other before the end of the window is searched.
_STEPS = 3


@dataclass(frozen=True, slots=True)
class Zones:
    """Sources sorted by zone and right ascension.

    Parameters
    ----------
    height : float
        Of a zone, deg.
    key : ndarray, (m + 1,)
        Sorted; the last is infinite.
    dec : ndarray, (m,)
        deg.
    rows : ndarray of int, (m,)
        Row of each.
    """

    height: float
    key: Array
    dec: Array
    rows: Rows

    @classmethod
    def of(cls, ra: Array, dec: Array, reach: float, rows: Rows) -> Zones:
        """Sort some rows of a catalogue (deg) for searches with a usual radius (deg)."""
        height = max(_HEIGHT * reach, 1e-4)
        key = _key(ra[rows], dec[rows], height)
        order = np.argsort(key)
        rows = rows[order]
        return cls(height, np.append(key[order], np.inf), dec[rows], rows)

    def order(self, ra: Array, dec: Array) -> Rows:
        """Rows of other sources in an order in which neighbours are searched after one another."""
        return np.argsort(_key(ra, dec, self.height))

    def near(self, ra: Array, dec: Array, reach: Array) -> tuple[Rows, Rows]:
        """Find every pair closer than the reach of its first source, and some that are not.

        Parameters
        ----------
        ra, dec : ndarray, (n,)
            deg.
        reach : ndarray, (n,)
            Radius of each, deg, above 0.

        Returns
        -------
        first, second : ndarray of int
            Number of the searching source, and row of the sorted one; no pair twice, in no order.
        """
        reach = reach + _SLACK
        low, high = (_zone(np.clip(dec + side * reach, -90, 90), self.height).astype(np.int64) for side in (-1, 1))
        star, step = _expand(high - low + 1)
        zone = (low[star] + step) * _STRIDE
        window, middle = _window(dec, reach)[star], (ra % 360)[star]
        whole = window >= 180
        found = []
        for turn in (0.0, 360.0, -360.0):
            left, right = middle - window + turn, middle + window + turn
            if turn == 0:
                rows = np.arange(len(star))
                left, right = np.where(whole, -1.0, left), np.where(whole, 361.0, right)
            else:
                # A window that passes 0 or 360 is looked for once more a circle away; a whole circle is not.
                rows = np.flatnonzero((right >= 0) & (left < 360) & ~whole)
            start = np.searchsorted(self.key, zone[rows] + left[rows])
            which, offset = _expand(self._until(start, zone[rows] + right[rows]) - start)
            number, at = star[rows][which], start[which] + offset
            # A zone is higher than most circles.
            level = np.abs(self.dec[at] - dec[number]) <= reach[number]
            found.append((number[level], self.rows[at[level]]))
        first, second = (np.concatenate(side) for side in zip(*found, strict=True))
        return first, second

    def _until(self, start: Rows, right: Array) -> Rows:
        """First sorted source beyond each limit, from a first one on. Shape (n,)."""
        end, within = start.copy(), np.arange(len(start))
        # Most windows hold none or one: a look at the next is quicker than a search.
        for _ in range(_STEPS):
            within = within[self.key[end[within]] <= right[within]]
            end[within] += 1
        end[within] = np.searchsorted(self.key, right[within], side="right")
        return end


def _zone(dec: Array, height: float) -> Array:
    return np.asarray(np.floor((dec + 90) / height))


def _key(ra: Array, dec: Array, height: float) -> Array:
    return np.asarray(_zone(dec, height) * _STRIDE + ra % 360)


def _window(dec: Array, reach: Array) -> Array:
    """Half the width in right ascension of a circle about each position, deg; 180 where it holds a pole."""
    ratio = np.sin(np.radians(reach)) / np.maximum(np.cos(np.radians(dec)), 1e-300)
    beyond = np.abs(dec) + reach >= 90
    return np.where(beyond, 180.0, np.degrees(np.arcsin(np.minimum(ratio, 1.0))) + _SLACK)


def _expand(counts: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Row numbers repeated by their counts, and a number within each. Shapes (sum of counts,)."""
    rows = np.repeat(np.arange(len(counts)), counts)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
