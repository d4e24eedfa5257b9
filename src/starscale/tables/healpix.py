"""HEALPix cells of positions, in the nested scheme (Gorski et al. 2005, ApJ 622, 759), by healpix.

Libraries that know the neighbours of a cell import the coordinates of astropy, with which every command starts
later, or have a licence under which this package could not be given away. Neighbours are therefore computed here,
from the plane in which cells are squares (Calabretta & Roukema 2007, MNRAS 381, 865).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

healpix = Later("healpix")

#: Order of the finest cells used here: 0.86 arcmin on a side. Numbers of coarser cells follow by a bit shift.
FINEST = 12
#: Positions converted at a time.
_AT_ONCE = 100_000
#: Area of the sphere, arcsec^2.
SPHERE = 4 * np.pi * np.degrees(1) ** 2 * 3600.0**2
#: Steps to a cell itself and its neighbours along the two edges of its base cell, towards north-east and
#: north-west; among them those to the east and to the west, with the two steps beside each.
_STEPS = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])
_EAST, _WEST = (6, 7, 3), (2, 1, 5)
#: Masks by which every second bit of a number is gathered, and the shifts between them.
_MASKS = (
    (1, 0x3333333333333333),
    (2, 0x0F0F0F0F0F0F0F0F),
    (4, 0x00FF00FF00FF00FF),
    (8, 0x0000FFFF0000FFFF),
    (16, 0x00000000FFFFFFFF),
)
_EVERY_SECOND = 0x5555555555555555


def cell_type(order: int) -> type[np.int32] | type[np.int64]:
    """Return the shortest integer type for the cells of an order; cell numbers dominate the memory of a match."""
    return np.int32 if 12 * 4**order <= np.iinfo(np.int32).max else np.int64


def cells(ra: FloatArray, dec: FloatArray, order: int) -> NDArray[np.int64]:
    """Nested cell of every position (deg) at an order. Shape (n,).

    Positions must be finite, and not beyond the poles.
    """
    ra, dec = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    if np.min(ra, initial=0.0) < 0:
        # Below -360 degrees healpix (2025.1) returns cells that do not exist.
        ra = ra % 360
    return np.asarray(healpix.ang2pix(1 << order, ra, dec, nest=True, lonlat=True), dtype=np.int64)


def placed_cells(ra: FloatArray, dec: FloatArray, order: int) -> NDArray[np.signedinteger]:
    """Nested cell of every position (deg), in :func:`cell_type`; -1 where one is not finite. Shape (n,)."""
    pixels = np.full(len(ra), -1, dtype=cell_type(order))
    # In pieces, whose angles need a multiple of the memory of the result.
    for start in range(0, len(ra), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        placed = np.isfinite(ra[some]) & np.isfinite(dec[some])
        pixels[some][placed] = cells(ra[some][placed], dec[some][placed], order)
    return pixels


def cell_centres(pixels: NDArray[np.signedinteger], order: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Unit vectors to the centres of nested cells. Shapes (n,)."""
    x, y, z = healpix.pix2vec(1 << order, pixels.astype(np.int64), nest=True)
    return x, y, z


def neighbourhoods(pixels: NDArray[np.signedinteger], order: int) -> NDArray[np.signedinteger]:
    """Every cell with its up to eight neighbours; -1 where there are fewer. Shape (n, 9)."""
    n, base = np.int64(1 << order), (pixels.astype(np.int64) >> 2 * order)[:, None]
    x, y = (each[:, None] + step for each, step in zip(_edges(pixels, order), _STEPS.T, strict=True))
    base, x, y = _around_pole(np.broadcast_to(base, x.shape), x, y, n)
    # Where base cells are squares of a plane: their row and column, one step up for each to the north-west.
    up, along = base // 4, base % 4
    right, left = along + (up == 0) + x // n, -along - (up == 2) + y // n
    row = right + left
    found = np.where(row == 0, 4 + right % 4, np.where(row > 0, (right - 1) % 4, 8 + right % 4))
    cell = (found << 2 * order) | _spread(x % n) | (_spread(y % n) << 1)
    # Three base cells meet at some corners: there is nothing straight ahead.
    cell[np.abs(row) > 1] = -1
    for corner, *beside in (_EAST, _WEST):
        cell[(cell[:, corner, None] == cell[:, beside]).any(axis=1), corner] = -1
    kind: DTypeLike = cell_type(order)
    return np.asarray(cell, dtype=kind)


def surrounding(pixel: int, order: int, fine: int) -> NDArray[np.int64]:
    """Cells of a finer order (or the same) that touch a cell from outside, sorted."""
    shift, ends = 2 * (fine - order), np.array([0, (1 << (fine - order)) - 1])
    along, end = (each.ravel() for each in np.meshgrid(np.arange(1 << (fine - order)), ends))
    border = np.concatenate([_spread(a) | (_spread(b) << 1) for a, b in ((along, end), (end, along))])
    touching = np.unique(neighbourhoods((np.int64(pixel) << shift) + border, fine)).astype(np.int64)
    return np.asarray(touching[(touching >= 0) & (touching >> shift != pixel)])


def _around_pole(
    base: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64], n: np.int64
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Places beyond those edges of polar base cells that meet at a pole, in the base cell that they lie in."""
    north, south = base < 4, base >= 8
    right, left = (north & (x == n)) | (south & (y == -1)), (north & (y == n)) | (south & (x == -1))
    turns = np.where(right & left, 2, right.astype(np.int64) - left)
    edge = np.where(north, n - 1, 0)
    # Beyond the right edge y is what x was in the cell before, and so on.
    swapped = right ^ left
    ahead = right == north
    x, y = (
        np.where(swapped, np.where(ahead, y, edge), np.where(right & left, edge, x)),
        np.where(swapped, np.where(ahead, edge, x), np.where(right & left, edge, y)),
    )
    return np.where(turns != 0, base // 4 * 4 + (base + turns) % 4, base), x, y


def _edges(pixels: NDArray[np.signedinteger], order: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of nested cells along the edges of their base cell to north-east and to north-west. Shapes (n,)."""
    within = pixels.astype(np.int64) & ((1 << 2 * order) - 1)
    return _gathered(within), _gathered(within >> 1)


def _gathered(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every second bit, from the lowest."""
    number = number & _EVERY_SECOND
    for shift, mask in _MASKS:
        number = (number | (number >> shift)) & mask
    return number


def _spread(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bits of a number as every second one, from the lowest."""
    masks = [_EVERY_SECOND, *(mask for _, mask in _MASKS[:-1])]
    for (shift, _), mask in zip(_MASKS[::-1], masks[::-1], strict=True):
        number = (number | (number << shift)) & mask
    return number


def cell_area(order: int) -> float:
    """Area of a cell, arcsec^2."""
    return float(SPHERE / (12 * 4.0**order))
