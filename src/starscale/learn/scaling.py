"""Inputs and labels on a scale on which networks train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import entry, expected
from starscale.vocabulary.arrays import FloatArray

#: Interquartile range of the unit normal distribution.
IQR_NORMAL = 1.3489795003921634
#: Bound of a squashed value, in units of the scale (see FeatureScaler.transform).
SQUASH = 4.0
#: Added to the eigenvalues before whitening, so that directions of pure noise are not amplified.
WHITEN_FLOOR = 1e-4


@dataclass(frozen=True)
class FeatureScaler:
    """``z = (x - center) / width``, then ``z / sqrt(1 + (z / squash)^2)`` where `squash` is not 0.

    The second step keeps order and sign, hardly changes small values, and bounds outliers by `squash`.
    """

    center: FloatArray
    width: FloatArray
    squash: float

    @classmethod
    def standard(cls, x: FloatArray) -> FeatureScaler:
        """Mean and standard deviation of each column, NaN left out, no squashing."""
        return cls(np.nanmean(x, axis=0), np.nanstd(x, axis=0), 0.0)

    @classmethod
    def robust(cls, x: FloatArray) -> FeatureScaler:
        """Median and interquartile range of each column, squashed at 4 units."""
        low, center, high = np.nanquantile(x, (0.25, 0.5, 0.75), axis=0)
        width = (high - low) / IQR_NORMAL
        # Where half of the stars share one value (a 0/1 column) the quartiles are equal: use the scatter.
        return cls(center, np.where(width > 0, width, np.nanstd(x, axis=0)), SQUASH)

    def transform(self, x: FloatArray) -> FloatArray:
        """Scale `x`, shape (n, n_features); NaN stays NaN."""
        z = x - self.center
        z /= self.width
        if self.squash:
            root = z / self.squash
            root *= root
            root += 1
            z /= np.sqrt(root, out=root)
        return z

    def columns(self, chosen: NDArray[np.intp]) -> FeatureScaler:
        """Return the scaler of some of the features."""
        return FeatureScaler(self.center[chosen], self.width[chosen], self.squash)

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> FeatureScaler:
        """Return a scaler to be filled with stored arrays."""
        return cls(expected("inputs"), expected("inputs"), float(entry(document, "squash", "scaler")))


@dataclass(frozen=True)
class LabelScaler:
    """Labels with mean 0 and standard deviation 1 in the training part."""

    mean: FloatArray
    width: FloatArray

    @classmethod
    def fit(cls, y: FloatArray) -> LabelScaler:
        """Mean and standard deviation of each label, NaN left out."""
        return cls(np.nanmean(y, axis=0), np.nanstd(y, axis=0))

    def transform(self, y: FloatArray) -> FloatArray:
        """Convert physical labels to standardised ones, shape (n, n_labels)."""
        return (y - self.mean) / self.width

    def restore(self, t: NDArray[Any]) -> FloatArray:
        """Convert standardised labels to physical ones; the last axis is the labels."""
        return np.asarray(self.mean + self.width * np.asarray(t, dtype=np.float64))

    @classmethod
    def skeleton(cls) -> LabelScaler:
        """Return a scaler to be filled with stored arrays."""
        return cls(expected("labels"), expected("labels"))


def whitening_matrix(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean and the matrix W for which ``(z - mean) @ W`` has unit covariance.

    Parameters
    ----------
    z : ndarray, shape (n, n_features)
        Scaled inputs without gaps.
    """
    eigenvalues, vectors = np.linalg.eigh(np.atleast_2d(np.cov(z, rowvar=False)))
    return z.mean(axis=0), vectors / np.sqrt(np.maximum(eigenvalues, 0) + WHITEN_FLOOR)
