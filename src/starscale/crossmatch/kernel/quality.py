"""Completeness and contamination that the probabilities of a match imply, against a threshold."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.vocabulary.arrays import FloatArray

#: Thresholds at which a match is judged.
THRESHOLDS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


def expected_quality(probability: FloatArray, thresholds: FloatArray | None = None) -> pl.DataFrame:
    """Expected completeness and contamination of the best pairs above a threshold.

    Parameters
    ----------
    probability : ndarray, (n_pairs,)
        Of every best pair; NaN counts as no pair.
    thresholds : ndarray, optional

    Returns
    -------
    polars.DataFrame
        `threshold`, `n` pairs at or above it, `completeness`: expected share of the true pairs that
        are among them; `contamination`: expected share of them that are wrong. Both hold as far as
        the probabilities do.
    """
    values = np.sort(probability[np.isfinite(probability)])
    at = np.asarray(THRESHOLDS if thresholds is None else thresholds)
    first = np.searchsorted(values, at, side="left")
    right = np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])[first]
    n = len(values) - first
    total = values.sum()
    return pl.DataFrame(
        {
            "threshold": at,
            "n": n,
            "completeness": right / total if total > 0 else np.full(len(at), np.nan),
            "contamination": np.where(n > 0, 1 - right / np.maximum(n, 1), np.nan),
        }
    )
