"""Robust widths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Below so many values the MAD is steadier than a fit of two components.
_FEWEST = 60
_TO_SIGMA = 1.4826022185056018


def mad(values: Floats) -> float:
    """``1.4826 median |x - median(x)|``; NaN without values."""
    finite = values[np.isfinite(values)]
    return float(_TO_SIGMA * np.median(np.abs(finite - np.median(finite)))) if len(finite) else np.nan


def core_width(values: Floats, *, centred: bool = False, rounds: int = 25) -> float:
    """Standard deviation of the narrow component of two Gaussians about one centre.

    The MAD counts outliers in: with 10 % of wild differences it is 13 % too large. Here a broad component, at
    least three times as wide and at most a third of the values, takes them (expectation-maximisation).

    Parameters
    ----------
    values : ndarray, (n,)
        NaN are left out.
    centred : bool
        The centre is 0, else the median.
    """
    x = values[np.isfinite(values)]
    if not len(x):
        return np.nan
    x = x if centred else x - np.median(x)
    width = float(_TO_SIGMA * np.median(np.abs(x)))
    if len(x) < _FEWEST or width == 0:
        return width
    square = x**2
    narrow, share = width**2, 0.05
    broad = max(9 * narrow, float(np.mean(square[square > 9 * narrow])) if (square > 9 * narrow).any() else 0.0)
    for _ in range(rounds):
        inner = (1 - share) * np.exp(-square / (2 * narrow)) / np.sqrt(narrow)
        outer = share * np.exp(-square / (2 * broad)) / np.sqrt(broad)
        wild = outer / (inner + outer + 1e-300)
        total = float(wild.sum())
        share = min(max(total / len(x), 1e-6), 1 / 3)
        narrow = float(((1 - wild) * square).sum() / max(len(x) - total, 1.0))
        broad = max(float((wild * square).sum() / max(total, 1e-9)), 9 * narrow)
    return float(np.sqrt(narrow))
