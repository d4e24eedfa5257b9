"""All pairs of two sets of positions that may be near each other, by zones of declination.

Both catalogues are sorted by zone and right ascension; what lies in a star's window of a zone is then a
range that two binary searches find (Gray et al. 2007, "The Zones Algorithm", MSR-TR-2006-52). Every star
has a radius of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from starscale.tables.arrays import in_order
from starscale.vocabulary.arrays import FloatArray

#: Separation of two zones in the key by which sources are sorted, degrees: more than 360 and the margins.
_STRIDE = 1024.0
#: Degrees that are added to every window, for rounding.
_SLACK = 1e-7
#: Height of a zone in units of the usual radius: a star needs few zones, which hold few other sources.
_HEIGHT = 8.0
#: Sources of a window that are tested one by one before the end of the window is searched.
_STEPS = 3
#: Bits of a number that hold a row, and those that are left for a key.
ROW_BITS, _KEY_BITS = 32, 31


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
    key: FloatArray
    dec: FloatArray
    rows: NDArray[np.intp]

    @classmethod
    def of(cls, ra: FloatArray, dec: FloatArray, reach: float, rows: NDArray[np.intp]) -> Zones:
        """Sort some rows of a catalogue (deg) for searches with a usual radius (deg)."""
        height = max(_HEIGHT * reach, 1e-4)
        key = _key(ra[rows], dec[rows], height)
        order = _order(key)
        rows = rows[order]
        return cls(height, np.append(key[order], np.inf), dec[rows], rows)

    def without(self, out: NDArray[np.bool_]) -> Zones:
        """The same sources but for some rows of the catalogue, given by one value for each of its rows."""
        kept = np.flatnonzero(~out[self.rows])
        if len(kept) == len(self.rows):
            return self
        return Zones(self.height, np.append(self.key[kept], np.inf), self.dec[kept], self.rows[kept])

    def order(self, ra: FloatArray, dec: FloatArray, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Rows of other sources (deg) in about the order of the keys, in which neighbours are searched."""
        return _by_rounded(_rounded(_key(ra, dec, self.height)), rows)

    def near(
        self, ra: FloatArray, dec: FloatArray, reach: FloatArray
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
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
        window, middle = _window(dec, reach), _circle(ra)
        whole = window >= 180
        left, right = np.where(whole, -1.0, middle - window), np.where(whole, 361.0, middle + window)
        star = np.arange(len(ra))
        # A window across 0 or 360 is searched again 360 degrees away; a window of 360 degrees is not.
        again = np.flatnonzero(((left < 0) | (right >= 360)) & ~whole)
        if len(again):
            turn = np.where(left[again] < 0, 360.0, -360.0)
            left, right = np.append(left, left[again] + turn), np.append(right, right[again] + turn)
            star = np.append(star, again)
        found = [self._within(star, low[star], left, right, dec, reach)]
        # Most stars reach one zone only.
        more, step = _expand((high - low)[star])
        if len(more):
            star = star[more]
            found.append(self._within(star, low[star] + 1 + step, left[more], right[more], dec, reach))
        first, second = (np.concatenate(side) for side in zip(*found, strict=True))
        return first, second

    def themselves(self, ra: FloatArray, dec: FloatArray, reach: float) -> NDArray[np.intp]:
        """Find every pair of the sorted sources that are closer than a reach, and some that are not.

        Parameters
        ----------
        ra, dec : ndarray, (n,)
            Of the catalogue from which they were sorted, deg.
        reach : float
            deg.

        Returns
        -------
        ndarray of int, (n_pairs, 2)
            Rows, the smaller first; no pair twice.
        """
        edge, zone = reach + _SLACK, (self.key[:-1] / _STRIDE).astype(np.int32)
        # One window for a zone, where it is widest.
        above = (np.arange(np.max(zone, initial=0) + 1) + 1) * self.height - 90
        farthest = np.minimum(np.maximum(np.abs(above), np.abs(above - self.height)), 90)
        window, upper = _window(farthest, np.full(len(above), edge))[zone], above[zone]
        place = self.key[:-1] - zone * _STRIDE
        # Pairs across 0 or 360, in two zones, or near a pole: few of the sources can be one of these.
        special = (place + window >= 360) | (self.dec + edge >= upper) | (window >= 180)
        number = np.flatnonzero(special)
        first, second = self.near(ra[self.rows[number]], dec[self.rows[number]], np.full(len(number), reach))
        found = [(self.rows[number][first], second)]
        # The others stand one after the other, mostly far apart.
        at, step = np.flatnonzero(window < 180), 0
        while len(at):
            step += 1
            at = at[at + step < len(self.rows)]
            at = at[self.key[at + step] <= self.key[at] + window[at]]
            found.append((self.rows[at], self.rows[at + step]))
        one, two = (np.concatenate(side) for side in zip(*found, strict=True))
        low, high = np.minimum(one, two)[one != two], np.maximum(one, two)[one != two]
        pairs = np.unique((low << ROW_BITS) | high)
        return np.stack([pairs >> ROW_BITS, pairs & ((1 << ROW_BITS) - 1)], axis=1)

    def _within(
        self,
        star: NDArray[np.intp],
        zone: NDArray[np.intp],
        left: FloatArray,
        right: FloatArray,
        dec: FloatArray,
        reach: FloatArray,
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of :meth:`near` in windows of right ascension (deg), each of one star and in one zone."""
        base = zone * _STRIDE
        start = self._search(base + left, "left")
        window, offset = _expand(self._until(start, base + right) - start)
        number, at = star[window], start[window] + offset
        # A zone is higher than most circles.
        level = np.flatnonzero(np.abs(self.dec[at] - dec[number]) <= reach[number])
        return number[level], self.rows[at[level]]

    def _until(self, start: NDArray[np.intp], right: FloatArray) -> NDArray[np.intp]:
        """First sorted source beyond each limit, from a first one on. Shape (n,)."""
        end = start + (self.key[start] <= right)
        within = np.flatnonzero(end > start)
        # Most windows hold at most one source: testing the next one is faster than a search.
        for _ in range(_STEPS - 1):
            within = within[self.key[end[within]] <= right[within]]
            end[within] += 1
        end[within] = self._search(right[within], "right")
        return end

    def _search(self, values: FloatArray, side: Literal["left", "right"]) -> NDArray[np.intp]:
        """Search among the keys between the lowest and the highest of some values.

        Sources that are searched for in the order of the keys (:meth:`order`) need few of them at a time: these
        stay in the processor's caches.
        """
        if not len(values):
            return np.empty(0, dtype=np.intp)
        first, last = np.searchsorted(self.key, (values.min(), values.max()), side)
        return np.asarray(first + np.searchsorted(self.key[first:last], values, side), dtype=np.intp)


def _zone(dec: FloatArray, height: float) -> FloatArray:
    return np.asarray(np.floor((dec + 90) / height))


def _key(ra: FloatArray, dec: FloatArray, height: float) -> FloatArray:
    return np.asarray(_zone(dec, height) * _STRIDE + _circle(ra))


def _circle(ra: FloatArray) -> FloatArray:
    """Right ascensions from 0 to 360, where they mostly lie already."""
    if np.min(ra, initial=0.0) >= 0 and np.max(ra, initial=0.0) < 360:
        return ra
    return ra % 360


def _window(dec: FloatArray, reach: FloatArray) -> FloatArray:
    """At least half the width in right ascension of a circle about each position, deg; 180 near a pole.

    The half width is `arcsin(sin(reach) / cos(dec))`, and `arcsin(x) < x + x^3` up to 1/2.
    """
    ratio = np.radians(reach) / np.maximum(np.cos(np.radians(dec)), 1e-300)
    near_pole = ratio > 0.5
    ratio = np.minimum(ratio, 0.5)
    return np.where(near_pole, 180.0, np.degrees(ratio * (1 + ratio**2)) + _SLACK)


def _rounded(key: FloatArray) -> NDArray[np.int64]:
    """Keys as integers of `_KEY_BITS`: their order is that of the keys, but some become equal."""
    fine = 2.0 ** (_KEY_BITS - 1 - np.floor(np.log2(np.max(key, initial=1.0))))
    return np.asarray((key * fine).astype(np.int64))


def _by_rounded(rounded: NDArray[np.int64], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows in the order of such integers, equal ones by row: as one number each, the fastest way."""
    place = in_order((rounded << ROW_BITS) | rows)
    place &= (1 << ROW_BITS) - 1
    return place


def _order(key: FloatArray) -> NDArray[np.intp]:
    """Order of keys, equal ones by number. Shape (n,)."""
    rounded = _rounded(key)
    order = _by_rounded(rounded, np.arange(len(key)))
    # Few keys share an integer with another one.
    same = np.diff(rounded[order]) == 0
    shared = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(shared):
        among = order[shared]
        order[shared] = among[np.lexsort((key[among], rounded[among]))]
    return order


def _expand(counts: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers repeated by their counts, and a number within each. Shapes (sum of counts,)."""
    rows = np.repeat(np.arange(len(counts)), counts)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
