"""Missing inputs, filled with their conditional mean under a multivariate Gaussian.

For a star with observed inputs o and missing inputs m, ``E[z_m | z_o] = mu_m - P_mm^-1 P_mo (z_o - mu_o)``
with P the inverse of the covariance; mean and covariance come from the EM algorithm (Dempster, Laird &
Rubin 1977; Little & Rubin 2019, section 11.2). Stars are handled in groups with the same pattern of gaps, so the
cost grows with the number of patterns and not with the number of stars.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import expected
from starscale.vocabulary.arrays import FloatArray

#: Largest number of stars in the fit, and of different patterns of gaps among them.
MAX_ROWS = 20_000
MAX_PATTERNS = 2_000
ITERATIONS = 30
TOLERANCE = 1e-4
#: Fraction of the covariance that is replaced by its diagonal, which keeps the inverse stable.
SHRINKAGE = 1e-3
#: Least variance of a scaled input.
FLOOR = 1e-6


@dataclass(frozen=True)
class GaussianImputer:
    """Mean and covariance of the scaled inputs."""

    mean: FloatArray
    covariance: FloatArray

    @classmethod
    def fit(cls, z: FloatArray, seed: int = 0) -> GaussianImputer:
        """Estimate mean and covariance from rows with gaps.

        Parameters
        ----------
        z : ndarray, shape (n, n_features)
            Scaled inputs; NaN: missing. Every column has values.
        seed : int
            Chooses the stars where there are more than `MAX_ROWS`.
        """
        z = _subsample(z, seed)
        missing = np.isnan(z)
        mean: FloatArray = np.nanmean(z, axis=0)
        filled = np.where(missing, mean, z)
        covariance = _shrunk(np.cov(filled, rowvar=False, bias=True).reshape(z.shape[1], -1))
        if not missing.any():
            return cls(mean, covariance)
        groups = list(_groups(missing))
        for _ in range(ITERATIONS):
            # The filled values scatter too little: the conditional covariance of the gaps is added.
            unseen = np.zeros_like(covariance)
            filled = z.copy()
            precision = np.linalg.inv(covariance)
            for rows, missed in groups:
                if missed.any():
                    unseen[np.ix_(missed, missed)] += len(rows) * _fill(filled, rows, missed, mean, precision)
            previous, mean = mean, filled.mean(axis=0)
            deviation = filled - mean
            update = _shrunk((deviation.T @ deviation + unseen) / len(z))
            change = max(np.abs(update - covariance).max(), np.abs(mean - previous).max())
            covariance = update
            if change < TOLERANCE:
                break
        return cls(mean, covariance)

    def transform(self, z: FloatArray) -> FloatArray:
        """Return `z`, shape (n, n_features), with its gaps filled; observed values are untouched."""
        return self.fill(z.copy())

    def fill(self, z: FloatArray, change: FloatArray | None = None) -> FloatArray:
        """Fill the gaps of `z`, and return it.

        Parameters
        ----------
        z : ndarray, shape (n, n_features)
            Scaled inputs; NaN: missing.
        change : ndarray, shape (n, n_features), optional
            Changes of the observed values; those of the filled gaps are written into it.
        """
        missing = np.isnan(z)
        incomplete = np.flatnonzero(missing.any(axis=1))
        if incomplete.size:
            precision = np.linalg.inv(self.covariance)
            for group, missed in _groups(missing[incomplete]):
                _fill(z, incomplete[group], missed, self.mean, precision, change)
        return z

    @classmethod
    def skeleton(cls) -> GaussianImputer:
        """Return an imputer to be filled with stored arrays."""
        return cls(expected("inputs"), expected("inputs", "inputs"))


def _fill(
    z: FloatArray,
    rows: NDArray[np.intp],
    missed: NDArray[np.bool_],
    mean: FloatArray,
    precision: NDArray[Any],
    change: FloatArray | None = None,
) -> NDArray[Any]:
    """Fill the same gaps of some rows of `z`, and of its `change`; return the covariance of what fills them."""
    # Numbers and not masks, of which np.ix_ would make numbers again and again.
    gaps, seen, rows = np.flatnonzero(missed), np.flatnonzero(~missed), rows[:, None]
    inner = np.linalg.inv(precision[gaps[:, None], gaps])
    weight = inner @ precision[gaps[:, None], seen]
    z[rows, gaps] = mean[gaps] - (z[rows, seen] - mean[seen]) @ weight.T
    if change is not None:
        change[rows, gaps] = -(change[rows, seen] @ weight.T)
    return inner


def _shrunk(covariance: FloatArray) -> FloatArray:
    diagonal = np.maximum(np.diagonal(covariance), FLOOR)
    return (1 - SHRINKAGE) * covariance + np.diag(SHRINKAGE * diagonal + FLOOR)


def pattern_numbers(missing: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Give every row of a mask the number of its pattern: shape (n,)."""
    packed = np.packbits(missing, axis=1)
    words = np.zeros((len(packed), -(-packed.shape[1] // 8)), dtype=np.uint64)
    words.view(np.uint8)[:, : packed.shape[1]] = packed
    # Of whole numbers, as up to 64 features make, many times as fast as of bytes.
    each = words[:, 0] if words.shape[1] == 1 else words.view(np.dtype((np.void, words.shape[1] * 8))).ravel()
    return np.unique(each, return_inverse=True)[1]


def _groups(missing: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Yield row numbers and the mask that they share, for each different row of `missing`."""
    number = pattern_numbers(missing)
    order = np.argsort(number, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        yield rows, missing[rows[0]]


def _subsample(z: FloatArray, seed: int) -> FloatArray:
    """At most `MAX_ROWS` rows with `MAX_PATTERNS` patterns, in random order, every column still with values."""
    rows = np.random.default_rng(seed).permutation(len(z))[:MAX_ROWS]
    number = pattern_numbers(np.isnan(z[rows]))
    first_seen = np.zeros(len(rows), dtype=np.int64)
    first_seen[np.unique(number, return_index=True)[1]] = 1
    kept = rows[np.cumsum(first_seen) <= MAX_PATTERNS]
    # A column with values in very few stars may have none among the chosen ones.
    return z if np.isnan(z[kept]).all(axis=0).any() else z[kept]
