"""Surface density and coverage of a catalogue, counted once in HEALPix cells.

The counts of pieces of a catalogue add up, and a density depends on the whole catalogue alone, so
it is the same however the work is divided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from starscale.tables.arrays import in_order
from starscale.tables.healpix import FINEST, cell_area, cell_type, neighbourhoods, placed_cells
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray

#: Sources that a cell must hold for its density: 7 per cent of Poisson noise. A small catalogue takes a
#: quarter of itself.
ENOUGH = 200
#: A cell is divided into cells of this many orders above, to find which parts of it are covered.
_PARTS = 2
#: Cells of the table that leads to the parts: so many for each part, and at this order at most (13 MB).
_GUIDE_CELLS, _GUIDE_ORDER = 16, 9

#: Occupied cells of an order, sorted, and their counts.
Level = tuple[NDArray[np.signedinteger], NDArray[np.signedinteger]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Density and coverage of a catalogue at some positions. Arrays of shape (n,).

    Parameters
    ----------
    density : ndarray
        Sources per arcsec^2, of the smallest cell around with at least :data:`ENOUGH` sources, over the part
        of it that is covered: its sixteenths that hold a source.
    covered : ndarray of bool
        Whether the sixteenth at the position holds a source.
    edge : ndarray of bool
        Whether that sixteenth, or one that touches it, is empty: the catalogue ends near here, or does
        not reach here at all. A sixteenth holds a dozen sources or more, so that chance leaves none empty.
    """

    density: FloatArray
    covered: NDArray[np.bool_]
    edge: NDArray[np.bool_]


@dataclass(frozen=True)
class DensityMap:
    """Counts of a catalogue in the finest cells.

    Parameters
    ----------
    pixels : ndarray of int, (n_occupied,)
        Occupied nested cells of order :data:`FINEST`, sorted.
    counts : ndarray of int, (n_occupied,)
    """

    pixels: NDArray[np.signedinteger]
    counts: NDArray[np.signedinteger]

    @classmethod
    def of(cls, positions: Positions) -> DensityMap:
        """Count a catalogue, or a piece of one."""
        return cls.count(placed_cells(positions.ra, positions.dec, FINEST))

    @classmethod
    def count(cls, pixels: NDArray[np.signedinteger]) -> DensityMap:
        """Count sources by their cells of order :data:`FINEST`; -1 is none."""
        ordered = in_order(pixels)
        return cls(*_counted(ordered[np.searchsorted(ordered, 0) :]))

    def __add__(self, other: DensityMap) -> DensityMap:
        if not len(self.pixels):
            return other
        pixels, inverse = np.unique(np.concatenate([self.pixels, other.pixels]), return_inverse=True)
        counts = np.zeros(len(pixels), dtype=_count_type(self.total + other.total))
        np.add.at(counts, inverse, np.concatenate([self.counts, other.counts]))
        return DensityMap(pixels, counts)

    def without(self, pixels: NDArray[np.signedinteger]) -> DensityMap:
        """Take out sources that were counted, by their cells, which are not -1."""
        out = DensityMap.count(pixels)
        counts = self.counts.copy()
        counts[np.searchsorted(self.pixels, out.pixels)] -= out.counts
        return DensityMap(self.pixels[counts > 0], counts[counts > 0])

    @property
    def total(self) -> int:
        """Number of sources."""
        return int(self.counts.sum())

    def around(self, ra: FloatArray, dec: FloatArray) -> Surroundings:
        """Describe the catalogue around positions (deg); without a finite position all is 0 and False."""
        return self.at(placed_cells(ra, dec, FINEST))

    def at(self, pixels: NDArray[np.signedinteger]) -> Surroundings:
        """Describe the catalogue around the positions in cells of order :data:`FINEST`; -1 is no position."""
        placed = pixels >= 0
        return Surroundings(np.where(placed, self.density_at(pixels), 0.0), *self.coverage_at(pixels))

    def density_at(self, pixels: NDArray[np.signedinteger]) -> FloatArray:
        """Return the density of :meth:`at` only; undefined where a cell is -1."""
        density: FloatArray = self._parts[1][self._part_of(pixels)]
        return density

    def coverage_at(self, pixels: NDArray[np.signedinteger]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return only whether cells are covered, and whether they are near an edge, as :meth:`at` does."""
        placed = pixels >= 0
        _, _, covered, edge = self._parts
        at = self._part_of(pixels)
        return covered[at] & placed, edge[at] & placed

    def _part_of(self, pixels: NDArray[np.signedinteger]) -> NDArray[np.intp]:
        """Number of the part that holds each cell of order :data:`FINEST`; the first for -1. Shape (n,)."""
        shift, first = self._guide
        pixels = np.maximum(pixels, 0)
        cell = pixels >> shift
        at: NDArray[np.intp] = first[cell].astype(np.intp)
        divided = np.flatnonzero(first[cell + 1] - at > 1)
        starts = self._parts[0]
        at[divided] = np.searchsorted(starts, pixels[divided].astype(starts.dtype), side="right") - 1
        return at

    @cached_property
    def _guide(self) -> tuple[int, NDArray[np.int32]]:
        """First part of each cell of some order: a table that is much faster than a binary search.

        Returns
        -------
        shift : int
            Bits that the numbers of the finest cells have more.
        first : ndarray of int, (n_cells + 1,)
            The part that begins with the cell, or that holds it; at the end the number of parts.
        """
        starts = self._parts[0]
        order = 0
        # Most parts are cells of about the same order: then one of them holds one part, or little more.
        while order < _GUIDE_ORDER and 12 * 4**order < _GUIDE_CELLS * len(starts):
            order += 1
        shift = 2 * (FINEST - order)
        cell = starts >> shift
        first = np.zeros(12 * 4**order + 1, dtype=np.int32)
        # Of several parts that begin in a cell the first is assigned last, and stays.
        first[cell[::-1]] = np.arange(len(starts))[::-1]
        first[-1] = len(starts)
        # Cells in which none begins lie in the one before.
        return shift, np.maximum.accumulate(first, out=first)

    @cached_property
    def _parts(self) -> tuple[NDArray[np.int32], FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """The sphere in parts of one density each: first finest cell, density, covered, edge; sorted.

        A cell with enough sources is divided into four; a quarter without enough keeps the density
        of the whole, and is described in its own quarters, the sixteenths of the whole.
        """
        enough = min(ENOUGH, max(self.total // 4, 1))
        levels = [(self.pixels, self.counts)]
        for _ in range(FINEST):
            levels.append(_coarser(*levels[-1]))
        levels.reverse()
        parts = []
        # The twelve base cells are always described.
        full = np.arange(12)
        for order in range(FINEST + 1):
            density = self._densities(full, order, levels)
            if order == FINEST:
                parts.append(self._described(full, order, density, levels))
                break
            if not len(full):
                break
            quarters = (4 * full[:, None] + np.arange(4)).ravel()
            divided = _count(quarters, *levels[order + 1]) >= enough
            keep = np.flatnonzero(~divided)
            fine = min(order + _PARTS, FINEST)
            split = 4 ** (fine - order - 1)
            small = (split * quarters[keep][:, None] + np.arange(split)).ravel()
            parts.append(self._described(small, fine, np.repeat(density[keep // 4], split), levels))
            full = quarters[divided]
        starts, density, covered, edge = (np.concatenate(column) for column in zip(*parts, strict=True))
        by_start = np.argsort(starts, kind="stable")
        # Numbers of cells need 28 bits: half the width is quicker to search.
        return starts[by_start].astype(np.int32), density[by_start], covered[by_start], edge[by_start]

    def _densities(self, pixels: NDArray[np.signedinteger], order: int, levels: Sequence[Level]) -> FloatArray:
        """Sources per arcsec^2 of the covered part of each cell."""
        fine = min(order + _PARTS, FINEST)
        share = _count(pixels, *_counted(levels[fine][0] >> (2 * (fine - order)))) / 4 ** (fine - order)
        if self.total < ENOUGH:
            # With so few sources, parts may be empty by chance.
            share = np.ones(len(pixels))
        area = cell_area(order) * np.maximum(share, 1e-9)
        # In an empty base cell of a catalogue that has sources elsewhere: one source on the whole sphere.
        floor = 1 / (12 * cell_area(0)) if self.total else 0.0
        return np.asarray(np.maximum(_count(pixels, *levels[order]) / area, floor), dtype=np.float64)

    def _described(
        self, pixels: NDArray[np.signedinteger], order: int, density: FloatArray, levels: Sequence[Level]
    ) -> tuple[NDArray[np.signedinteger], FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """Parts that are cells of one order: first finest cell, density, covered, edge."""
        around = neighbourhoods(pixels, order)
        empty = (_count(around.ravel(), *levels[order]) == 0).reshape(around.shape) & (around >= 0)
        covered = _count(pixels, *levels[order]) > 0
        return pixels << (2 * (FINEST - order)), density, covered, empty.any(axis=1)


class DensitySum:
    """Adds the counts of many pieces of a catalogue.

    A piece is added to others of about its size, as the digits of a binary counter are: to add each to the sum
    of all before would sort that sum anew for every piece.
    """

    def __init__(self) -> None:
        self._parts = [DensityMap.count(np.empty(0, dtype=cell_type(FINEST)))]

    def add(self, piece: DensityMap) -> None:
        """Add the counts of a piece."""
        parts = self._parts
        parts.append(piece)
        while len(parts) > 1 and len(parts[-2].pixels) < 2 * len(parts[-1].pixels):
            last = parts.pop()
            parts[-1] += last

    def total(self) -> DensityMap:
        """The counts of all pieces."""
        return reduce(add, reversed(self._parts))


def _counted(ordered: NDArray[np.signedinteger]) -> Level:
    """Occupied cells and how often each occurs among sorted ones."""
    first = _firsts(ordered)
    return ordered[first], np.diff(first, append=len(ordered)).astype(_count_type(len(ordered)))


def _coarser(pixels: NDArray[np.signedinteger], counts: NDArray[np.int64]) -> Level:
    """Occupied cells and their counts, one order up."""
    above = pixels >> 2
    first = _firsts(above)
    return above[first], np.add.reduceat(counts, first, dtype=counts.dtype) if len(first) else counts


def _count_type(total: int) -> type[np.int32] | type[np.int64]:
    return np.int32 if total <= np.iinfo(np.int32).max else np.int64


def _firsts(ordered: NDArray[np.signedinteger]) -> NDArray[np.intp]:
    """Where each value of a sorted array occurs first."""
    new = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return np.flatnonzero(new)


def _count(
    pixels: NDArray[np.signedinteger], occupied: NDArray[np.signedinteger], counts: NDArray[np.signedinteger]
) -> NDArray[np.signedinteger]:
    """Sources in cells, of the sorted occupied cells and their counts."""
    if not len(occupied):
        return np.zeros(len(pixels), dtype=counts.dtype)
    # The same type as the sorted array, which would otherwise be copied.
    at = np.minimum(np.searchsorted(occupied, pixels.astype(occupied.dtype)), len(occupied) - 1)
    return np.where(occupied[at] == pixels, counts[at], 0)
