"""Measurements that say whether others are right: the same for all stars, but for errors.

With r the difference from the median of the training stars, s their scatter about it and e the error of the star,

    t = |r| / sqrt(s^2 + e^2),

divided by what nearly all stars of the training stay below. What a check finds is gross, so that it may call few
ordinary stars unusual. It takes no part in the relations between measurements (:mod:`.consistency`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import expected
from starscale.learn.uncertainty.consistency import FEWEST, scatter_about
from starscale.vocabulary.arrays import FloatArray

#: Share of the stars that a check leaves inside.
INSIDE = 0.998


@dataclass(frozen=True)
class Checks:
    """The usual values of checks.

    Parameters
    ----------
    used : ndarray of bool, shape (n_checks,)
        Checks that enough stars have.
    center, variance, scale : ndarray, shape (n_checks,)
        Median, squared scatter about it, and the t that corresponds to a score of 1.
    """

    used: NDArray[np.bool_]
    center: FloatArray
    variance: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, value: FloatArray, error: FloatArray) -> Checks:
        """Learn from stars, shapes (n, n_checks); NaN: missing, or an error that is not known."""
        known = ~np.isnan(value) & ~np.isnan(error)
        n = value.shape[1]
        found = cls(known.sum(axis=0) >= FEWEST, np.zeros(n), np.zeros(n), np.ones(n))
        for i in np.flatnonzero(found.used):
            one, of_one = value[known[:, i], i], error[known[:, i], i] ** 2
            found.center[i] = np.median(one)
            found.variance[i] = scatter_about(one - found.center[i], of_one)
        each = found.score(value, error)
        for i in np.flatnonzero(found.used):
            # A sample without any scatter keeps 1.
            found.scale[i] = np.nanquantile(each[:, i], INSIDE) or 1.0
        return found

    def score(self, value: FloatArray, error: FloatArray) -> FloatArray:
        """Return how far each check is from its usual value; NaN: not known. Shape (n, n_checks)."""
        width = np.sqrt(np.maximum(self.variance + error**2, np.finfo(float).tiny))
        return np.where(self.used, np.abs(value - self.center) / width / self.scale, np.nan)

    def widened(self, factor: float) -> Checks:
        """Return checks whose scores are smaller by a factor."""
        return replace(self, scale=self.scale * factor)

    @classmethod
    def skeleton(cls, n_checks: int) -> Checks:
        """Return a part to be filled with stored arrays."""
        return cls(expected(n_checks, dtype=np.bool_), *[expected(n_checks)] * 3)
