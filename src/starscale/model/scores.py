"""Scores of predicted distributions, and comparison of models on the same stars.

A *table of scored stars* has one row for each star of a test part. For every label L it has the columns `L_label`
(reference), `L` (predicted value), `L_mean`, `L_lower`, `L_upper`, `L_lower95`, `L_upper95` and `L_crps`; further
columns are `source_id`, `magnitude` and `ebv`. It is computed once after a training; models are compared by such
tables alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from starscale.model.evaluate import BINS, mad
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray

if TYPE_CHECKING:
    # Only its fields are read, so that tables are compared without loading the learning libraries.
    from starscale.learn.prediction import Prediction


#: Probabilities whose quantiles represent a distribution: the midpoints of equal steps.
N_PROBABILITIES = 200
PROBABILITIES: FloatArray = (np.arange(N_PROBABILITIES) + 0.5) / N_PROBABILITIES
#: Columns of a table of scored stars, after the name of the label.
PARTS = ("_label", "", "_mean", "_lower", "_upper", "_lower95", "_upper95", "_crps")
FIGURES = ("mad", "mae", "rmse", "bias", "crps", "coverage68", "coverage95", "half_width", "mean_half_width")
#: Figures whose ratio to those of the reference model is computed.
RATIOS = ("mad", "mae", "rmse", "crps", "half_width", "mean_half_width")
METAL_POOR = -2.0
GIANT_LOGG = 3.5
EBV_EDGES = (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)
#: Bins of the predicted value: they contain different stars for every model.
PREDICTED = "predicted "
DWARF_OR_GIANT = "predicted dwarf or giant"


def crps(quantiles: FloatArray, truth: FloatArray) -> FloatArray:
    """Continuous ranked probability score.

    Parameters
    ----------
    quantiles : ndarray, shape (n, N_PROBABILITIES)
        Quantiles at :data:`PROBABILITIES`.
    truth : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
        In the unit of the truth; for a prediction that is one point it is the absolute error.

    Notes
    -----
    ``CRPS(F, y) = 2 int_0^1 rho_p(y - F^-1(p)) dp`` with the pinball loss ``rho_p(u) = u (p - [u < 0])``
    (Laio & Tamea 2007, Hydrol. Earth Syst. Sci. 11, 1267; Gneiting & Ranjan 2011, J. Bus. Econ. Stat. 29, 411),
    by the midpoint rule. With 200 probabilities its error is below 0.03 % for a Gaussian.
    """
    u = truth[:, None] - quantiles
    return np.asarray(2 * (u * (PROBABILITIES - (u < 0))).mean(axis=1))


def scored_stars(
    prediction: Prediction, quantiles: FloatArray, truth: pl.DataFrame, labels: Sequence[str]
) -> pl.DataFrame:
    """Combine a prediction with the known labels.

    Parameters
    ----------
    prediction : Prediction
        Prediction of n stars.
    quantiles : ndarray, shape (n, n_labels, N_PROBABILITIES)
        Quantiles at :data:`PROBABILITIES`; ignored where a star is not predicted.
    truth : polars.DataFrame, (n, ...)
        `source_id`, `magnitude`, `ebv` and a column for each label.
    labels : sequence of str

    Returns
    -------
    polars.DataFrame, (n, ...)
        A table of scored stars.
    """
    table = truth.select("source_id", pl.col("magnitude", "ebv").cast(pl.Float64))
    ends = {f"_{name}": getattr(prediction, name) for name in ("mean", "lower", "upper", "lower95", "upper95")}
    for i, label in enumerate(labels):
        known = as_floats(truth[label])
        score = np.where(prediction.predicted, crps(quantiles[:, i], known), np.nan)
        values = {"_label": known, "": prediction.value[:, i], **{n: end[:, i] for n, end in ends.items()}}
        values["_crps"] = score
        table = table.with_columns(pl.Series(label + part, values[part]) for part in PARTS)
    return table


def figures(stars: pl.DataFrame, label: str) -> dict[str, float]:
    """Compute the figures of merit of one label: `n` and :data:`FIGURES`.

    `mad` and `mae` (mean absolute error) judge the value, `rmse` and `bias` (mean of prediction - label) the mean
    of the predicted distribution; coverages are the shares of labels inside the intervals; `half_width` is the
    median, `mean_half_width` the mean of half of the 68 % interval.

    Parameters
    ----------
    stars : polars.DataFrame
        Scored stars; those without the label or without a prediction are left out.
    label : str
    """
    part = {name: stars[label + name].to_numpy() for name in PARTS}
    known = np.isfinite(part["_label"]) & np.isfinite(part[""])
    if not known.any():
        return {"n": 0, **dict.fromkeys(FIGURES, float("nan"))}
    part = {name: values[known] for name, values in part.items()}
    truth, error, mean_error = part["_label"], part[""] - part["_label"], part["_mean"] - part["_label"]
    return {
        "n": int(known.sum()),
        "mad": mad(error),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((mean_error**2).mean())),
        "bias": float(mean_error.mean()),
        "crps": float(part["_crps"].mean()),
        "coverage68": float(((truth >= part["_lower"]) & (truth <= part["_upper"])).mean()),
        "coverage95": float(((truth >= part["_lower95"]) & (truth <= part["_upper95"])).mean()),
        "half_width": float(np.median(part["_upper"] - part["_lower"]) / 2),
        "mean_half_width": float(np.mean(part["_upper"] - part["_lower"]) / 2),
    }


def _bins(labels: Sequence[str]) -> Iterator[tuple[str, float | None, float | None, pl.Expr]]:
    """Yield the binned quantity, the ends of a bin (None: open), and the condition for a star to be in it."""
    yield "all", None, None, pl.lit(True)
    columns = {label: f"{label}_label" for label in labels} | {PREDICTED + label: label for label in labels}
    for name, column in {**columns, "magnitude": "magnitude", "E(B-V)": "ebv"}.items():
        for low, high in pairwise(EBV_EDGES if column == "ebv" else BINS[name.removeprefix(PREDICTED)]):
            yield name, low, high, pl.col(column).is_between(low, high, closed="left")
    if "fe_h" in labels:
        yield "metal-poor", None, METAL_POOR, pl.col("fe_h_label") < METAL_POOR
    if "logg" in labels:
        yield DWARF_OR_GIANT, None, GIANT_LOGG, pl.col("logg") < GIANT_LOGG
        # polars treats NaN as the largest number; a star without a prediction is not a dwarf.
        yield DWARF_OR_GIANT, GIANT_LOGG, None, (pl.col("logg") >= GIANT_LOGG) & pl.col("logg").is_finite()


def score(stars: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Compute the figures of merit of all labels, for all stars and in bins.

    Returns
    -------
    polars.DataFrame
        `label`, `by`, `low`, `high` (null: an open end), `n` and :data:`FIGURES`. Bins are by reference label
        (`by` is its name), by predicted value (`predicted teff`), by magnitude and by E(B-V); further bins are
        metal-poor stars (reference fe_h below -2), and predicted dwarfs and giants. Empty bins are left out.
    """
    rows = []
    for by, low, high, inside in _bins(labels):
        chosen = stars.filter(inside)
        for label in labels:
            found = figures(chosen, label)
            if found["n"]:
                rows.append({"label": label, "by": by, "low": low, "high": high, **found})
    return pl.DataFrame(rows, schema=SCHEMA)


SCHEMA: dict[str, pl.DataType] = {
    "label": pl.String(),
    "by": pl.String(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
    **dict.fromkeys(FIGURES, pl.Float64()),
}
_KEYS = ["label", "by", "low", "high"]


def compare(models: Mapping[str, Sequence[pl.DataFrame]], labels: Sequence[str], reference: str) -> pl.DataFrame:
    """Compare models on the same stars, repeat by repeat.

    Parameters
    ----------
    models : mapping of str to sequence of polars.DataFrame
        For every model the scored stars of each repeat; a repeat has the same stars, in the same order, for
        all models. Models may have fewer repeats than others.
    labels : sequence of str
    reference : str
        The model that the others are compared with.

    Returns
    -------
    polars.DataFrame
        One row for every model, label and bin: `model`, the columns of :func:`score` as means over repeats,
        ``<figure>_spread`` (standard deviation over repeats, null for one), `repeats`, and
        ``<figure>_ratio``, ``<figure>_ratio_spread`` for :data:`RATIOS`: the ratio of the figure to that of the
        reference **in the same repeat**, so that the variation between repeats cancels. Ratios are null in bins of
        predicted values, which contain different stars for every model.

    Raises
    ------
    ValueError
        When the stars of a repeat are not the same for all models.
    """
    scores = _with_ratios(pl.concat(_scores_by_repeat(models, labels)), reference)
    shown = [*FIGURES, *(f"{name}_ratio" for name in RATIOS)]
    return scores.group_by(["model", *_KEYS], maintain_order=True).agg(
        pl.col("n").mean(),
        pl.len().cast(pl.Int64).alias("repeats"),
        *(expression for name in shown for expression in _mean_and_spread(name)),
    )


def _scores_by_repeat(
    models: Mapping[str, Sequence[pl.DataFrame]], labels: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """Yield the scores of every model in every repeat, on the stars that all models of the repeat predict."""
    for repeat in range(max(len(tables) for tables in models.values())):
        present = {name: tables[repeat] for name, tables in models.items() if repeat < len(tables)}
        common = _predicted_by_all(list(present.values()), labels)
        for name, stars in present.items():
            yield score(stars.filter(common), labels).with_columns(
                pl.lit(name).alias("model"), pl.lit(repeat).alias("repeat")
            )


def _with_ratios(scores: pl.DataFrame, reference: str) -> pl.DataFrame:
    """Append the ratios of the figures to those of the reference model in the same repeat and bin."""
    base = scores.filter(pl.col("model") == reference).select(
        *_KEYS, "repeat", *(pl.col(name).alias(f"{name}_reference") for name in RATIOS)
    )
    scores = scores.join(base, on=[*_KEYS, "repeat"], how="left", nulls_equal=True, maintain_order="left")
    comparable = ~pl.col("by").str.starts_with(PREDICTED)
    return scores.with_columns(
        pl.when(comparable & (pl.col(f"{name}_reference") > 0))
        .then(pl.col(name) / pl.col(f"{name}_reference"))
        .alias(f"{name}_ratio")
        for name in RATIOS
    )


def _mean_and_spread(name: str) -> tuple[pl.Expr, pl.Expr]:
    return pl.col(name).mean(), pl.col(name).std().alias(f"{name}_spread")


def _predicted_by_all(tables: Sequence[pl.DataFrame], labels: Sequence[str]) -> pl.Series:
    """Where every model has a prediction; models with different inputs cannot predict different stars."""
    first = tables[0]["source_id"]
    if not all(first.equals(table["source_id"]) for table in tables[1:]):
        raise ValueError("the stars of a repeat differ between the models")
    return pl.Series(
        np.all([np.isfinite(table[label].to_numpy()) for table in tables for label in labels], axis=0)
    )
