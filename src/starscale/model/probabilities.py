"""How good the probabilities of a catalogue are that a label is below a threshold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import below_columns

#: Stars of a bin of probability.
STARS_OF_BIN = 300
_SCHEMA = {"label": pl.String, "threshold": pl.Float64, "n": pl.Int64, "below": pl.Int64}
#: Figures of every threshold, in the order of the tables.
SCORES = ("mean_probability", "share", "brier", "skill", "deviation", "purity50", "average_purity")


def score_probabilities(catalogue: pl.DataFrame, reference: pl.DataFrame) -> pl.DataFrame:
    """Score the probabilities of a catalogue to be below thresholds against reference labels, row by row.

    Parameters
    ----------
    catalogue : polars.DataFrame, (n, ...)
        With columns such as `p_fe_h_below_m2`; stars without a probability are left out.
    reference : polars.DataFrame, (n, ...)
        Columns of the labels, in the same row order; null where unknown.

    Returns
    -------
    polars.DataFrame
        One row for each label and threshold: `label`, `threshold`, `n` stars, the number `below`;
        `mean_probability` and `share` (of stars below), which are equal if the probabilities are right on average;
        `brier`, the mean of ``(p - [below])**2``; `skill`, 1 minus its ratio to that of giving every star the
        share; `deviation`, the largest difference of mean probability and share in bins of :data:`STARS_OF_BIN`
        stars of like probability; `purity50`, the share below among the most probable stars that hold half of
        those below; `average_purity`, its mean over all completenesses (average precision). Figures that nothing
        defines (no star below, or all) are NaN.

    Notes
    -----
    Brier 1950, Mon. Weather Rev. 78, 1; the skill is that of Murphy 1973, J. Appl. Meteorol. 12, 595.
    """
    rows = [
        {"label": label, "threshold": threshold, **_scores(p, below)}
        for label, threshold, p, below in _known(catalogue, reference)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA | dict.fromkeys(SCORES, pl.Float64))


def _known(
    catalogue: pl.DataFrame, reference: pl.DataFrame
) -> Iterator[tuple[str, float, FloatArray, NDArray[np.bool_]]]:
    """Yield label, threshold, and probability and truth of the stars that have both."""
    for label, threshold, column in below_columns(catalogue.columns):
        if label not in reference.columns:
            continue
        p, truth = as_floats(catalogue[column]), as_floats(reference[label])
        both = np.isfinite(p) & np.isfinite(truth)
        yield label, threshold, p[both], truth[both] < threshold


def _scores(p: FloatArray, below: NDArray[np.bool_]) -> dict[str, float]:
    n, found = len(p), int(below.sum())
    if not n:
        return {"n": 0, "below": 0, **dict.fromkeys(SCORES, float("nan"))}
    share, brier = found / n, float(((p - below) ** 2).mean())
    bins = probability_bins(p, below)
    some = 0 < found < n
    return {
        "n": n,
        "below": found,
        "mean_probability": float(p.mean()),
        "share": share,
        "brier": brier,
        "skill": 1 - brier / (share * (1 - share)) if some else float("nan"),
        "deviation": float(np.abs(bins["probability"] - bins["share"]).max()),
        **(_purities(p, below) if some else {"purity50": float("nan"), "average_purity": float("nan")}),
    }


def _purities(p: FloatArray, below: NDArray[np.bool_]) -> dict[str, float]:
    curve = purity_curve(p, below)
    completeness, purity = curve["completeness"].to_numpy(), curve["purity"].to_numpy()
    gained = np.diff(completeness, prepend=0.0)
    half = int(np.searchsorted(completeness, 0.5 - 1e-12))
    return {"purity50": float(purity[half]), "average_purity": float((gained * purity).sum())}


def probability_bins(p: FloatArray, below: NDArray[np.bool_], stars: int = STARS_OF_BIN) -> pl.DataFrame:
    """Compare probabilities with what happened, in bins of stars of like probability.

    Parameters
    ----------
    p : ndarray, shape (n,)
        Finite probabilities.
    below : ndarray of bool, shape (n,)
        What they are probabilities of.
    stars : int
        Stars of a bin; with fewer than twice as many there is one bin.

    Returns
    -------
    polars.DataFrame
        `probability` (mean), `share` (of true ones) and `n` of every bin, in the order of the probability.
    """
    bins = np.array_split(np.argsort(p, kind="stable"), max(len(p) // stars, 1)) if len(p) else []
    return pl.DataFrame(
        {
            "probability": [float(p[rows].mean()) for rows in bins],
            "share": [float(below[rows].mean()) for rows in bins],
            "n": [len(rows) for rows in bins],
        },
        schema={"probability": pl.Float64, "share": pl.Float64, "n": pl.Int64},
    )


def purity_curve(p: FloatArray, below: NDArray[np.bool_]) -> pl.DataFrame:
    """Compute which stars a limit on a probability selects.

    Parameters
    ----------
    p : ndarray, shape (n,)
        Finite probabilities.
    below : ndarray of bool, shape (n,)
        What they are probabilities of; at least one is true.

    Returns
    -------
    polars.DataFrame
        For every different probability, from the largest: `limit`, `selected` (number of stars at or above it),
        `completeness` (share of the true ones that are selected) and `purity` (share of the selected that are
        true).
    """
    order = np.argsort(-p, kind="stable")
    found, number = np.cumsum(below[order]), np.arange(1, len(p) + 1)
    # Stars of one probability are selected together.
    last = np.append(np.diff(p[order]) != 0, True) if len(p) else np.zeros(0, dtype=bool)
    return pl.DataFrame(
        {
            "limit": p[order][last],
            "selected": number[last],
            "completeness": found[last] / below.sum(),
            "purity": found[last] / number[last],
        }
    )
