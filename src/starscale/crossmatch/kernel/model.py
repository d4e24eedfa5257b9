"""Model of the displacements of true pairs: errors, offsets of the external frame, blends.

The stated errors of a catalogue are rarely the whole story. The model of a true pair is

    C = C_gaia(t) + scale^2 C_ext + floor^2 I
    p(D) = (1 - f) N(D - o; C) + f N(D - o; C + wide^2 I)

with a local offset `o` of the external catalogue's frame and a wide component of share `f`: sources
whose position is drawn away by a blended neighbour. With `scale = 1` and nothing else this is the
stated covariance of Marrese et al. (2019, A&A 621, A144); everything beyond it is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from starscale.crossmatch.kernel.candidates import Candidates
from starscale.crossmatch.kernel.ellipses import Ellipses, PairEllipses
from starscale.tables.healpix import FINEST
from starscale.vocabulary.arrays import FloatArray

#: Order of the cells in which offsets of the frame are given: 55 arcmin.
OFFSET_ORDER = 6
#: Additional bits of the numbers of the finest cells.
OFFSET_SHIFT = 2 * (FINEST - OFFSET_ORDER)


@dataclass(frozen=True)
class Offsets:
    """Local offset of the external catalogue's positions from Gaia's, as vectors on the sphere.

    Parameters
    ----------
    pixels : ndarray of int, (n_cells,)
        Nested cells of order :data:`OFFSET_ORDER`, sorted.
    vectors : ndarray, (n_cells, 3)
        mas, in Cartesian components, so that nothing is special at the poles.
    """

    pixels: NDArray[np.signedinteger]
    vectors: FloatArray

    def at(self, pixels: NDArray[np.signedinteger]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Components of the offsets in cells of order :data:`FINEST`; 0 where nothing is known. Shapes (n,)."""
        own = pixels >> OFFSET_SHIFT
        x, y, z = (component[own] for component in self._everywhere)
        return x, y, z

    @cached_property
    def _everywhere(self) -> FloatArray:
        """Components in all cells of the sphere, a small table. Shape (3, n_cells)."""
        table = np.zeros((3, 12 * 4**OFFSET_ORDER))
        table[:, self.pixels] = self.vectors.T
        return table

    def typical(self) -> float:
        """Root mean square of the offsets of the cells, mas."""
        return float(np.sqrt((self.vectors**2).sum(axis=1).mean())) if len(self.pixels) else 0.0


NO_OFFSETS = Offsets(np.empty(0, dtype=np.int64), np.empty((0, 3)))


@dataclass(frozen=True)
class PairModel:
    """The distribution of the displacements of true pairs, and how many sources have a counterpart.

    Parameters
    ----------
    scale : float
        Factor on the stated errors of the external catalogue.
    floor, wide : float
        Further errors, mas, of all pairs and of the blended ones.
    wide_fraction : float
        Share of blended pairs.
    edges : ndarray, (n_bins - 1,)
        Magnitudes that separate the bins of `completeness`.
    completeness : ndarray, (n_bins + 1,)
        Share of the leading sources with a counterpart, by magnitude; the last for those without magnitude.
    offsets : Offsets
    stars : int
        Sources that it was learnt from; 0: the errors are taken as stated.
    """

    scale: float = 1.0
    floor: float = 0.0
    wide: float = 0.0
    wide_fraction: float = 0.0
    edges: FloatArray = field(default_factory=lambda: np.empty(0))
    completeness: FloatArray = field(default_factory=lambda: np.full(2, 0.9))
    offsets: Offsets = NO_OFFSETS
    stars: int = 0

    def log_likelihood(
        self, ellipses: PairEllipses, east: FloatArray, north: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Logarithm of `p(D)` (per mas^2), and the chi-square `d^2` of its narrow component. Shapes (n,).

        `east` and `north` are the displacements without the offset (:meth:`residuals`).
        """
        own, other, factor = ellipses.moving, ellipses.standing, self.scale**2
        stated = Ellipses(
            own.east + factor * other.east, own.north + factor * other.north, own.cross + factor * other.cross
        )
        narrow, chi2 = _log_gaussian(east, north, stated, self.floor**2)
        if self.wide_fraction == 0.0:
            return narrow, chi2
        broad, _ = _log_gaussian(east, north, stated, self.floor**2 + self.wide**2)
        share = self.wide_fraction
        return np.logaddexp(np.log1p(-share) + narrow, np.log(share) + broad), chi2

    def residuals(self, pairs: Candidates, pixels: NDArray[np.signedinteger]) -> tuple[FloatArray, FloatArray]:
        """Displacements of pairs minus the local offset, mas. Shapes (n,).

        Parameters
        ----------
        pairs : Candidates
        pixels : ndarray of int, (n,)
            Cells of order :data:`FINEST` of the standing sources.
        """
        east, north = pairs.east.astype(np.float64), pairs.north.astype(np.float64)
        if not len(self.offsets.pixels):
            return east, north
        offset_east, offset_north = pairs.along(*self.offsets.at(pixels))
        return east - offset_east, north - offset_north

    def completeness_of(self, brightness: FloatArray | None, rows: Any) -> FloatArray:
        """Prior probability that a leading source has a counterpart at all. Shape (n_rows,)."""
        if brightness is None:
            return np.full(len(rows), self.completeness[-1])
        return np.asarray(self.completeness[magnitude_bin(brightness[rows], self.edges)])

    def summary(self) -> dict[str, Any]:
        """Return the model as plain numbers."""
        return {
            "learnt_from": self.stars,
            "error_scale": round(self.scale, 4),
            "error_floor_mas": round(self.floor, 3),
            "blended_share": round(self.wide_fraction, 6),
            "blended_error_mas": round(self.wide, 2),
            "offset_cells": len(self.offsets.pixels),
            "offset_rms_mas": round(self.offsets.typical(), 3),
            "completeness_edges_mag": [round(float(x), 3) for x in self.edges],
            "completeness": [round(float(x), 6) for x in self.completeness],
        }


def magnitude_bin(brightness: FloatArray, edges: FloatArray) -> Any:
    """Return the bin of each magnitude; the last one if it is missing. Shape (n,)."""
    return np.where(np.isfinite(brightness), np.searchsorted(edges, brightness, side="right"), len(edges) + 1)


def _log_gaussian(
    east: FloatArray, north: FloatArray, ellipse: Ellipses, extra: float
) -> tuple[FloatArray, FloatArray]:
    """Logarithm of a bivariate normal density and its chi-square; `extra` is added to both variances."""
    a, b, c = ellipse.east + extra, ellipse.north + extra, ellipse.cross
    determinant = a * b - c**2
    chi2 = (b * east**2 - 2 * c * east * north + a * north**2) / determinant
    return -chi2 / 2 - np.log(2 * np.pi) - np.log(determinant) / 2, chi2
