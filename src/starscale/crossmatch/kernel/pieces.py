"""Division of a match into pieces of the sky that can be processed in any order.

A piece holds the leading sources of one HEALPix cell, the tile, and every source of the searched
catalogue that one of them can reach: those of the tile and of a margin around it, wide enough for
the fastest star concerned. Pieces therefore have all candidates of their leading sources, and the
result of a match does not depend on how it is divided.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.runs import runs
from starscale.crossmatch.kernel.select import Mode
from starscale.crossmatch.kernel.zones import Zones
from starscale.tables.healpix import FINEST, cell_area, cell_type, neighbourhoods, placed_cells, surrounding
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray

#: Order of the cells by which sources are sorted.
SORT_ORDER = FINEST
#: Orders by which the cells of a margin are finer than its tile, at most: 128 along an edge. More cells take more
#: time to find than the rows that they leave out.
EDGE_ORDERS = 7
#: Smallest distance between a point of a cell and cells that are not its neighbours, over the root of its area.
NARROWEST = 0.25


def row_type(n: int) -> type[np.int32] | type[np.int64]:
    """Return the shortest integer type for row numbers, which take much of the memory of a match."""
    return np.int32 if n <= np.iinfo(np.int32).max else np.int64


@dataclass(frozen=True)
class Side:
    """One of the two catalogues, or a piece of it. Arrays have the shape (n,).

    Parameters
    ----------
    positions : Positions
    ids : polars.Series
        Identifiers.
    rows : ndarray of int
        Row numbers in the whole catalogue.
    several : ndarray of bool
        Rows that stand for several entries of their catalogue.
    brightness : ndarray, optional
        Magnitudes.
    sorted_rows : mapping of float to Zones
        Rows with a position, sorted for searches with a usual radius (deg), where that was done before.
    cells : ndarray of int, optional
        What `pixels` returns, where it was found before.
    """

    positions: Positions
    ids: pl.Series
    rows: NDArray[np.signedinteger]
    several: NDArray[np.bool_]
    brightness: FloatArray | None = None
    sorted_rows: dict[float, Zones] = field(default_factory=dict, compare=False)
    cells: NDArray[np.signedinteger] | None = None

    @classmethod
    def of(cls, positions: Positions, ids: pl.Series, **more: NDArray[np.generic] | None) -> Side:
        """A whole catalogue."""
        n = len(positions)
        side = cls(positions, ids, np.arange(n, dtype=row_type(n)), np.broadcast_to(np.False_, n))
        return replace(side, **{name: value for name, value in more.items() if value is not None})  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def pixels(self) -> NDArray[np.signedinteger]:
        """Nested cells of order :data:`SORT_ORDER`; -1 without a position. Shape (n,)."""
        return tiles_of(self.positions, SORT_ORDER) if self.cells is None else self.cells

    def zones(self, reach: float) -> Zones:
        """Rows with a position, sorted for searches with a usual radius (deg); given away where they were."""
        found = self.sorted_rows.pop(reach, None)
        if found is not None:
            return found
        return Zones.of(self.positions.ra, self.positions.dec, reach, np.flatnonzero(self.positions.valid))

    def take(self, rows: NDArray[np.signedinteger] | slice) -> Side:
        """Return some rows, in the order given; a slice is not copied."""
        brightness = None if self.brightness is None else self.brightness[rows]
        cells = None if self.cells is None else self.cells[rows]
        several = self.several[rows]
        return Side(self.positions.take(rows), self.ids[rows], self.rows[rows], several, brightness, cells=cells)


@dataclass(frozen=True, slots=True)
class SkyPiece:
    """A piece of the sky: Gaia is the moving side, the external catalogue the standing one; one of them leads."""

    moving: Side
    standing: Side
    mode: Mode

    @property
    def leading(self) -> Side:
        """The side for whose sources counterparts are searched."""
        return self.moving if self.mode == "dense" else self.standing

    @property
    def searched(self) -> Side:
        """The side in which counterparts are searched."""
        return self.standing if self.mode == "dense" else self.moving

    def runs(self) -> list[SkyPiece]:
        """Divide it into runs of its leading sources, which share what is searched.

        Where standing sources lead, the piece is one run: they have their pairs when all that moves was searched.
        """
        if self.mode == "sparse":
            return [self]
        return [SkyPiece(self.moving.take(run), self.standing, self.mode) for run in runs(len(self.moving))]


@dataclass(frozen=True, slots=True)
class Epochs:
    """First and last epoch of the external sources; NaN where none is known."""

    first: float
    last: float

    @classmethod
    def of(cls, positions: Positions) -> Epochs:
        """Those of a catalogue, or of a piece of it."""
        known = positions.epoch[np.isfinite(positions.epoch) & positions.valid]
        return cls(float(known.min()), float(known.max())) if len(known) else cls(np.nan, np.nan)

    def __or__(self, other: Epochs) -> Epochs:
        return Epochs(float(np.fmin(self.first, other.first)), float(np.fmax(self.last, other.last)))

    def ways(self, moving: Positions) -> FloatArray:
        """Farthest that stars move between their own epoch and those here, mas; 0 where unknown. Shape (n,)."""
        years = np.maximum(np.abs(moving.epoch - self.first), np.abs(moving.epoch - self.last))
        return np.asarray(moving.speed() * np.nan_to_num(years), dtype=np.float64)

    def longest_way(self, moving: Positions) -> float:
        """Farthest that any of these stars moves, arcsec, with some allowance for its radial velocity."""
        return float(1.1 * np.max(self.ways(moving), initial=0.0) / 1000)


#: No epoch is known.
NO_EPOCHS = Epochs(np.nan, np.nan)


def tiles_of(positions: Positions, order: int) -> NDArray[np.signedinteger]:
    """Tile of every source at an order; -1 for one without position. Shape (n,)."""
    return placed_cells(positions.ra, positions.dec, order)


def places(rows: NDArray[np.signedinteger], ordered: NDArray[np.signedinteger]) -> NDArray[np.signedinteger]:
    """Where some row numbers stand among distinct sorted ones, which hold them all. Shape (n,)."""
    # All rows of a catalogue stand at their own numbers.
    whole = not len(ordered) or ordered[-1] == len(ordered) - 1
    return rows if whole else np.searchsorted(ordered, rows)


def ranges_around(tile: int, order: int, margin: float) -> NDArray[np.signedinteger]:
    """Ranges of cells of :data:`SORT_ORDER` that hold a tile and everything within a margin of it.

    Parameters
    ----------
    tile, order : int
    margin : float
        arcsec.

    Returns
    -------
    ndarray of int, (n, 2)
        First cell and the one after the last, of ranges that do not overlap.
    """
    fine = margin_order(margin, order)
    if fine <= order:
        around = neighbourhoods(np.array([tile >> (2 * (order - fine))]), fine).ravel()
        around = np.unique(around[around >= 0]).astype(np.int64)
    else:
        around = surrounding(tile, order, fine)
    shift = 2 * (SORT_ORDER - fine)
    ranges = np.stack([around << shift, (around + 1) << shift], axis=1)
    if fine > order:
        whole = 2 * (SORT_ORDER - order)
        ranges = np.concatenate([ranges, [[tile << whole, (tile + 1) << whole]]])
    return ranges[np.argsort(ranges[:, 0])].astype(cell_type(SORT_ORDER))


def tiles_in(ranges: NDArray[np.signedinteger], order: int) -> set[int]:
    """Tiles of an order that hold a cell of some ranges of :func:`ranges_around`."""
    shift = 2 * (SORT_ORDER - order)
    first, last = ranges[:, 0] >> shift, (ranges[:, 1] - 1) >> shift
    # Ranges at the border of a tile are many, and each lies in one tile; few hold several.
    several = np.flatnonzero(first < last)
    return set(np.unique(first).tolist()).union(*(range(first[i], last[i] + 1) for i in several))


def margin_order(margin: float, order: int) -> int:
    """Order at which everything within a margin (arcsec) of a cell lies in it or in its neighbours.

    The finest one, up to :data:`EDGE_ORDERS` above that of the tile.
    """
    fine = min(SORT_ORDER, order + EDGE_ORDERS)
    while fine > 0 and NARROWEST * np.sqrt(cell_area(fine)) < margin:
        fine -= 1
    return fine


def on_border(pixels: NDArray[np.signedinteger], order: int, fine: int) -> NDArray[np.bool_]:
    """Whether each cell of :data:`SORT_ORDER` lies in a cell of order `fine` at the border of a tile of `order`.

    Nobody else in the tile can lie in the ranges around another tile whose margin has this order
    (:func:`margin_order`). Shape (n,).
    """
    if fine <= order:
        return np.ones(len(pixels), bool)
    # Places along both edges of the tile are the even and the odd bits.
    one = ((1 << 2 * (fine - order)) - 1) // 3
    within = pixels >> (2 * (SORT_ORDER - fine))
    x, y = within & one, (within >> 1) & one
    return np.asarray((x == 0) | (x == one) | (y == 0) | (y == one))


def in_ranges(pixels: NDArray[np.signedinteger], ranges: NDArray[np.signedinteger]) -> NDArray[np.bool_]:
    """Whether each cell of :data:`SORT_ORDER` lies in one of some sorted ranges. Shape (n,)."""
    at = np.searchsorted(ranges[:, 0], pixels, side="right") - 1
    return np.asarray((at >= 0) & (pixels < ranges[np.maximum(at, 0), 1]))


def among(rows: NDArray[np.signedinteger], ordered: NDArray[np.signedinteger]) -> NDArray[np.bool_]:
    """Whether each of some rows is one of sorted ones, of which there may be many more. Shape (n,)."""
    at = np.searchsorted(ordered, rows)
    found = at < len(ordered)
    found[found] = ordered[at[found]] == rows[found]
    return found
