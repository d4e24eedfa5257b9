"""Surface density and coverage of a catalogue, counted once in HEALPix cells.

The counts of pieces of a catalogue add up, and a density depends on the whole catalogue alone, so
it is the same however the work is divided.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from starscale.catalogue.healpix import Array, Cells, cell_area, cells, neighbourhoods
from starscale.catalogue.positions import Positions

#: Finest cells that are counted: 0.86 arcmin on a side.
FINEST = 12
#: Sources that a cell must hold for its density: 7 per cent of Poisson noise. A small catalogue takes a
#: quarter of itself.
ENOUGH = 200
#: A cell is divided by this many orders to see which parts of it are covered.
_PARTS = 2


@dataclass(frozen=True)
class DensityMap:
    """Counts of a catalogue in the finest cells.

    Parameters
    ----------
    pixels : ndarray of int, (n_occupied,)
        Occupied nested cells of order :data:`FINEST`, sorted.
    counts : ndarray of int, (n_occupied,)
    """

    pixels: Cells
    counts: NDArray[np.int64]
    _levels: dict[int, tuple[Cells, NDArray[np.int64]]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, positions: Positions) -> DensityMap:
        """Count a catalogue, or a piece of one."""
        good = positions.valid
        pixels, counts = np.unique(cells(positions.ra[good], positions.dec[good], FINEST), return_counts=True)
        return cls(pixels, counts.astype(np.int64))

    def __add__(self, other: DensityMap) -> DensityMap:
        pixels, inverse = np.unique(np.concatenate([self.pixels, other.pixels]), return_inverse=True)
        counts = np.zeros(len(pixels), dtype=np.int64)
        np.add.at(counts, inverse, np.concatenate([self.counts, other.counts]))
        return DensityMap(pixels, counts)

    @property
    def total(self) -> int:
        """Number of sources."""
        return int(self.counts.sum())

    def _level(self, order: int) -> tuple[Cells, NDArray[np.int64]]:
        """Occupied cells of an order and their counts."""
        if order not in self._levels:
            above = self.pixels >> (2 * (FINEST - order))
            first = np.flatnonzero(np.diff(above, prepend=-1))
            counts = np.add.reduceat(self.counts, first) if len(first) else self.counts
            self._levels[order] = (above[first], counts)
        return self._levels[order]

    def _count(self, pixels: Cells, order: int) -> NDArray[np.int64]:
        occupied, counts = self._level(order)
        if not len(occupied):
            return np.zeros(len(pixels), dtype=np.int64)
        at = np.minimum(np.searchsorted(occupied, pixels), len(occupied) - 1)
        return np.where(occupied[at] == pixels, counts[at], 0)

    def _orders(self, pixels: Cells) -> NDArray[np.intp]:
        """Finest order at which the cell of each position holds enough sources; 0 where none does."""
        enough = min(ENOUGH, max(self.total // 4, 1))
        orders = np.zeros(len(pixels), dtype=np.intp)
        left = np.arange(len(pixels))
        for order in range(FINEST, 0, -1):
            good = self._count(pixels[left] >> (2 * (FINEST - order)), order) >= enough
            orders[left[good]] = order
            left = left[~good]
        return orders

    def density(self, ra: Array, dec: Array) -> Array:
        """Sources per arcsec^2 near each position (deg). Shape (n,).

        That of the smallest cell around it with at least :data:`ENOUGH` sources, over the part of
        the cell that is covered: its sixteenths that hold a source. 0 only for an empty catalogue.
        """
        pixels = cells(ra, dec, FINEST)
        unique, inverse = np.unique(pixels, return_inverse=True)
        orders = self._orders(unique)
        density = np.zeros(len(unique))
        for order in np.unique(orders):
            rows = np.flatnonzero(orders == order)
            own = unique[rows] >> (2 * (FINEST - order))
            parts = min(_PARTS, FINEST - int(order))
            fine, _ = self._level(int(order) + parts)
            occupied, covered = np.unique(fine >> (2 * parts), return_counts=True)
            here = np.searchsorted(occupied, own)
            here = np.minimum(here, max(len(occupied) - 1, 0))
            count = self._count(own, int(order))
            if len(occupied):
                share = covered[here] / 4**parts if self.total >= ENOUGH else np.ones(len(rows))
                density[rows] = count / (cell_area(int(order)) * share)
        # In an empty base cell of a catalogue that has sources elsewhere: one source on the whole sphere.
        floor = 1 / (12 * cell_area(0)) if self.total else 0.0
        return np.maximum(density, floor)[inverse]

    def near_edge(self, ra: Array, dec: Array) -> NDArray[np.bool_]:
        """Where the catalogue ends near a position (deg), or does not reach it at all. Shape (n,).

        True where the position's own cell or one of its neighbours is empty, of cells so large that
        they hold about a dozen sources or more nearby.
        """
        pixels, inverse = np.unique(cells(ra, dec, FINEST), return_inverse=True)
        orders = self._orders(pixels)
        edge = np.zeros(len(pixels), dtype=bool)
        for order in np.unique(orders):
            rows = np.flatnonzero(orders == order)
            fine = min(int(order) + _PARTS, FINEST)
            around = neighbourhoods(pixels[rows] >> (2 * (FINEST - fine)), fine)
            empty = self._count(around.ravel(), fine).reshape(around.shape) == 0
            edge[rows] = (empty & (around >= 0)).any(axis=1)
        return edge[inverse]

    def covers(self, ra: Array, dec: Array) -> NDArray[np.bool_]:
        """Where the cell of a position (deg), as in :meth:`near_edge`, holds sources. Shape (n,)."""
        pixels, inverse = np.unique(cells(ra, dec, FINEST), return_inverse=True)
        orders = np.minimum(self._orders(pixels) + _PARTS, FINEST)
        covered = np.zeros(len(pixels), dtype=bool)
        for order in np.unique(orders):
            rows = np.flatnonzero(orders == order)
            covered[rows] = self._count(pixels[rows] >> (2 * (FINEST - int(order))), int(order)) > 0
        return covered[inverse]
