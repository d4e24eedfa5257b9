"""HEALPix cells of positions, in the nested scheme (Gorski et al. 2005, ApJ 622, 759), by cdshealpix."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

u, coordinates, nested = Later("astropy.units"), Later("astropy.coordinates"), Later("cdshealpix.nested")

#: Order of the finest cells used here: 0.86 arcmin on a side. Numbers of coarser cells follow by a bit shift.
FINEST = 12
#: Positions converted at a time.
_AT_ONCE = 100_000
#: Area of the sphere, arcsec^2.
SPHERE = 4 * np.pi * np.degrees(1) ** 2 * 3600.0**2


def cell_type(order: int) -> type[np.int32] | type[np.int64]:
    """Return the shortest integer type for the cells of an order; cell numbers dominate the memory of a match."""
    return np.int32 if 12 * 4**order <= np.iinfo(np.int32).max else np.int64


def cells(ra: FloatArray, dec: FloatArray, order: int) -> NDArray[np.int64]:
    """Nested cell of every position (deg) at an order. Shape (n,).

    Positions must be finite.
    """
    longitude = coordinates.Longitude(np.asarray(ra, dtype=np.float64), u.deg)
    latitude = coordinates.Latitude(np.asarray(dec, dtype=np.float64), u.deg)
    return np.asarray(nested.lonlat_to_healpix(longitude, latitude, order)).astype(np.int64)


def placed_cells(ra: FloatArray, dec: FloatArray, order: int) -> NDArray[np.signedinteger]:
    """Nested cell of every position (deg), in :func:`cell_type`; -1 where one is not finite. Shape (n,)."""
    pixels = np.full(len(ra), -1, dtype=cell_type(order))
    # In pieces: angles, units and offsets within the cells need eight times the memory of the result.
    for start in range(0, len(ra), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        placed = np.isfinite(ra[some]) & np.isfinite(dec[some])
        pixels[some][placed] = cells(ra[some][placed], dec[some][placed], order)
    return pixels


def cell_centres(pixels: NDArray[np.signedinteger], order: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Unit vectors to the centres of nested cells. Shapes (n,)."""
    if not len(pixels):
        return np.empty(0), np.empty(0), np.empty(0)
    longitude, latitude = nested.healpix_to_lonlat(pixels.astype(np.uint64), order)
    a, d = np.asarray(longitude.to_value(u.rad)), np.asarray(latitude.to_value(u.rad))
    return np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)


def neighbourhoods(pixels: NDArray[np.signedinteger], order: int) -> NDArray[np.signedinteger]:
    """Every cell with its up to eight neighbours; -1 where there are fewer. Shape (n, 9)."""
    kind: DTypeLike = cell_type(order)
    if not len(pixels):
        return np.empty((0, 9), dtype=kind)
    return (
        np.asarray(nested.neighbours(pixels.astype(np.uint64), order), dtype=np.int64).astype(kind).reshape(-1, 9)
    )


def cell_area(order: int) -> float:
    """Area of a cell, arcsec^2."""
    return float(SPHERE / (12 * 4.0**order))
