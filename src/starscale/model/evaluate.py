"""Figures of merit of predictions with known labels (Turchi et al. 2024, sec. 4, and others).

The standard deviation, the MAD and the RMSE of the differences, and the predicted error, are four different
quantities; all of them are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.flags import QUALITIES

#: Ratio of the standard deviation of a Gaussian to its median absolute deviation.
MAD_SCALE = 1.4826
#: Edges of the bins in which the figures are computed.
BINS: dict[str, tuple[float, ...]] = {
    "teff": (3000, 4000, 4500, 5000, 5500, 6000, 6500, 7000, 8000),
    "logg": (0, 1, 2, 3, 3.5, 4, 4.5, 5.5),
    "fe_h": (-4, -2.5, -2, -1.5, -1, -0.5, 0, 0.6),
    "magnitude": (5, 10, 12, 13, 14, 15, 16, 17, 18, 20),
}
#: Figures of merit, in the order of the tables.
FIGURES = ("mean", "median", "std", "mad", "rmse", "outliers", "coverage68", "coverage95", "error")


def mad(x: FloatArray) -> float:
    """``1.4826 median(|x - median(x)|)`` (Turchi et al. 2024, eq. 3); NaN for an empty array."""
    return float(MAD_SCALE * np.median(np.abs(x - np.median(x)))) if len(x) else float("nan")


def figures(
    difference: FloatArray, inside68: FloatArray, inside95: FloatArray, error: FloatArray
) -> dict[str, float]:
    """Figures of merit of ``prediction - reference``.

    Parameters
    ----------
    difference : ndarray, (n,)
        Finite values.
    inside68, inside95 : ndarray, (n,)
        1 where the reference lies in the interval, 0 where it does not, NaN where there is no interval.
    error : ndarray, (n,)
        The predicted errors.

    Returns
    -------
    dict
        `n` and :data:`FIGURES`; `outliers` is the share that is farther than three MAD from the median.
    """
    n = len(difference)
    if n == 0:
        return {"n": 0, **dict.fromkeys(FIGURES, float("nan"))}
    spread = mad(difference)
    return {
        "n": n,
        "mean": float(difference.mean()),
        "median": float(np.median(difference)),
        "std": float(difference.std()),
        "mad": spread,
        "rmse": float(np.sqrt((difference**2).mean())),
        "outliers": float((np.abs(difference - np.median(difference)) > 3 * spread).mean()),
        "coverage68": _mean(inside68),
        "coverage95": _mean(inside95),
        "error": float(np.median(error[np.isfinite(error)])) if np.isfinite(error).any() else float("nan"),
    }


def evaluate(
    catalogue: pl.DataFrame,
    reference: pl.DataFrame,
    labels: Sequence[str],
    *,
    magnitude: pl.Series | None = None,
    bins: Mapping[str, Sequence[float]] = BINS,
) -> pl.DataFrame:
    """Compare a catalogue with reference labels, row by row.

    Parameters
    ----------
    catalogue : polars.DataFrame, (n, ...)
        Catalogue of predictions.
    reference : polars.DataFrame, (n, ...)
        A column for each label, in the same row order; null where unknown.
    labels : sequence of str
    magnitude : polars.Series, (n,), optional
        Apparent magnitude, for the bins of magnitude.
    bins : mapping of str to edges
        Edges of the bins of each reference label and of the magnitude.

    Returns
    -------
    polars.DataFrame
        One row for each label and bin: `label`, `by` ("all" or the binned quantity), `low`,
        `high`, `n`, and :data:`FIGURES`. For `by` = "quality", `low` and `high` are the number of the level in
        :data:`QUALITIES`.
    """
    binned = {name: as_floats(reference[name]) for name in labels if name in bins}
    if magnitude is not None:
        binned["magnitude"] = as_floats(magnitude)
    rows = []
    for label in labels:
        truth = as_floats(reference[label])
        difference = as_floats(catalogue[label]) - truth
        inside68, inside95 = (
            _inside(truth, as_floats(catalogue[f"{label}_lower{s}"]), as_floats(catalogue[f"{label}_upper{s}"]))
            for s in ("", "95")
        )
        error = as_floats(catalogue[f"{label}_error"])
        known = np.isfinite(difference)
        for by, low, high, mask in (*_bins(known, binned, bins), *_levels(known, catalogue)):
            found = figures(difference[mask], inside68[mask], inside95[mask], error[mask])
            rows.append({"label": label, "by": by, "low": low, "high": high, **found})
    return pl.DataFrame(rows, infer_schema_length=None)


def _bins(
    known: NDArray[np.bool_], binned: Mapping[str, FloatArray], bins: Mapping[str, Sequence[float]]
) -> Iterator[tuple[str, float, float, NDArray[np.bool_]]]:
    """Yield the binned quantity, the ends and the stars of every bin: all stars first, empty bins left out."""
    yield "all", float("nan"), float("nan"), known
    for by, values in binned.items():
        for low, high in pairwise(bins[by]):
            with np.errstate(invalid="ignore"):
                mask = known & (values >= low) & (values < high)
            if mask.any():
                yield by, low, high, mask


def _levels(
    known: NDArray[np.bool_], catalogue: pl.DataFrame
) -> Iterator[tuple[str, float, float, NDArray[np.bool_]]]:
    """Yield the stars of every level of quality, if the catalogue has them."""
    if "quality" not in catalogue.columns:
        return
    quality = catalogue["quality"].to_numpy()
    for number, name in enumerate(QUALITIES):
        mask = known & (quality == name)
        if mask.any():
            yield "quality", float(number), float(number), mask


def summarise(repeats: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Compute mean and standard deviation of every figure over repeats.

    Parameters
    ----------
    repeats : sequence of polars.DataFrame
        Results of :func:`evaluate`.

    Returns
    -------
    polars.DataFrame
        `label`, `by`, `low`, `high`, `n` (mean count), and for every figure its mean and, as
        ``<figure>_spread``, its standard deviation (null for one repeat).
    """
    keys = ["label", "by", "low", "high"]
    stacked = pl.concat(repeats, how="vertical").with_columns(pl.col("low", "high").fill_nan(None))
    return stacked.group_by(keys, maintain_order=True).agg(
        pl.col("n").mean(),
        pl.len().alias("repeats"),
        *(pl.col(name).fill_nan(None).mean().alias(name) for name in FIGURES),
        *(pl.col(name).fill_nan(None).std().alias(f"{name}_spread") for name in FIGURES),
    )


def _inside(truth: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """1 where the truth lies in the interval, 0 where it does not, NaN where there is no interval."""
    with np.errstate(invalid="ignore"):
        inside = ((truth >= low) & (truth <= high)).astype(np.float64)
    inside[~(np.isfinite(low) & np.isfinite(high))] = np.nan
    return inside


def _mean(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
