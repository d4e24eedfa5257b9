"""HEALPix cell numbers in the nested scheme, for Gaia-like source identifiers.

The scheme is that of Gorski et al. 2005, ApJ 622, 759 (section 5 and the appendix).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def _spread_bits(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move bit k of every value (below 2^32) to bit 2k."""
    spread = values.copy()
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << shift)) & mask
    return spread


def nested_cell(ra: NDArray[np.float64], dec: NDArray[np.float64], level: int) -> NDArray[np.int64]:
    """Return the nested HEALPix cell that holds each position.

    Parameters
    ----------
    ra, dec : ndarray, shape (n,)
        ICRS position, deg.
    level : int
        HEALPix level (order); ``nside = 2**level``, at most 29.

    Returns
    -------
    ndarray, shape (n,)
        Cell number, 0 to ``12 * 4**level - 1``.
    """
    nside = 1 << level
    z = np.sin(np.radians(dec))
    # Longitude in units of 90 deg, in [0, 4).
    longitude = np.mod(ra, 360.0) / 90.0
    quarter = np.minimum(longitude.astype(np.int64), 3)

    # Equatorial belt: cells are squares in (longitude, z), cut by ascending and descending lines.
    up = np.floor(nside * (0.5 + longitude - 0.75 * z)).astype(np.int64)
    down = np.floor(nside * (0.5 + longitude + 0.75 * z)).astype(np.int64)
    face_up, face_down = up >> level, down >> level
    same = face_up == face_down
    belt_face = np.where(same, (face_up & 3) + 4, np.where(face_up < face_down, face_up & 3, (face_down & 3) + 8))
    belt_x, belt_y = down & (nside - 1), nside - 1 - (up & (nside - 1))

    # Polar caps. 1 - |z| from the co-latitude keeps its digits near the pole.
    root = nside * np.sqrt(6.0) * np.sin(np.radians(90.0 - np.abs(dec)) / 2)
    inside = longitude - quarter
    polar_up = np.minimum((inside * root).astype(np.int64), nside - 1)
    polar_down = np.minimum(((1.0 - inside) * root).astype(np.int64), nside - 1)
    north = z >= 0
    cap_face = np.where(north, quarter, quarter + 8)
    cap_x = np.where(north, nside - 1 - polar_down, polar_up)
    cap_y = np.where(north, nside - 1 - polar_up, polar_down)

    belt = np.abs(z) <= 2.0 / 3.0
    face: NDArray[Any] = np.where(belt, belt_face, cap_face)
    x: NDArray[Any] = np.where(belt, belt_x, cap_x)
    y: NDArray[Any] = np.where(belt, belt_y, cap_y)
    return (face << (2 * level)) + _spread_bits(x) + (_spread_bits(y) << 1)
