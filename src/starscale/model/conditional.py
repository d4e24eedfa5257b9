"""Whether the inputs of a model tell which of its intervals miss: the excess risk of target coverage.

Coverage in bins cannot show that intervals of one kind of star are too narrow and those of another too wide.
Gradient-boosted trees are trained to predict from the inputs whether an interval holds the label. If every kind
of star had the nominal coverage, no classifier could predict better than the nominal share. With z = 1 where the
label lies in the interval, c the nominal share and h the prediction of the classifier for stars that it was not
trained on, the excess risk is ``mean((z - c)^2) - mean((z - h)^2)``: at most the mean square of (coverage of such
stars - c), and its root is the deviation from the nominal coverage that the classifier can prove
(arXiv:2512.11779).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.features.features import evaluate_features
from starscale.model.model import Model
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import Column
from starscale.vocabulary.libraries import library

#: Stars without which there is nothing to learn from, and parts that are left out in turn.
FEWEST, _FOLDS = 500, 5
#: Intervals: suffix of the ends, nominal share.
_INTERVALS = (("", 0.6826894921370859), ("95", 0.9544997361036416))
SCHEMA = {
    "label": pl.String,
    "interval": pl.Int64,
    "n": pl.Int64,
    "share": pl.Float64,
    "excess": pl.Float64,
    "excess_error": pl.Float64,
    "deviation": pl.Float64,
}


def conditional_coverage(
    model: Model,
    stars: pl.DataFrame,
    catalogue: pl.DataFrame,
    *,
    where: str = "table",
    found_columns: Mapping[str, Column] | None = None,
) -> pl.DataFrame:
    """Compute the excess risk of the intervals of every label.

    Parameters
    ----------
    model : Model
    stars : polars.DataFrame, (n, ...)
        Inputs of the model, and the labels that are known; stars that it was not trained on.
    catalogue : polars.DataFrame, (n, ...)
        Its predictions of the same rows.
    where : str
        Name of the table in error messages.
    found_columns : mapping of str to Column, optional
        Units of the columns, as for :meth:`Model.predict`.

    Returns
    -------
    polars.DataFrame
        One row for each label and interval (`interval`: 68 or 95) with :data:`FEWEST` stars or more: `n`; the
        `share` of labels inside; `excess`, the excess risk, with its standard error `excess_error`; `deviation`,
        the root of it, 0 where it is negative.

    Raises
    ------
    InputError
        scikit-learn is not installed.
    """
    clean = model.standardised(stars, where=where, found_columns=found_columns)
    x = evaluate_features(clean, model.features, where=where)
    rows = [
        {"label": label, "interval": round(100 * nominal), **excess_risk(x[known], inside, nominal)}
        for label, nominal, known, inside in _inside(model, stars, catalogue)
        if len(inside) >= FEWEST
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def _inside(
    model: Model, stars: pl.DataFrame, catalogue: pl.DataFrame
) -> Iterator[tuple[str, float, NDArray[np.bool_], FloatArray]]:
    """Yield label, nominal share, rows with label and interval, and whether the label lies inside there."""
    for label in (name for name in model.labels if name in stars.columns):
        truth = as_floats(stars[label])
        for suffix, nominal in _INTERVALS:
            low, high = (as_floats(catalogue[f"{label}_{end}{suffix}"]) for end in ("lower", "upper"))
            known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
            inside = (truth[known] >= low[known]) & (truth[known] <= high[known])
            yield label, nominal, known, inside.astype(np.float64)


def excess_risk(x: FloatArray, inside: FloatArray, nominal: float, seed: int = 0) -> dict[str, float]:
    """Compute the excess risk of one interval.

    Parameters
    ----------
    x : ndarray, shape (n, n_features)
        Inputs; NaN: missing.
    inside : ndarray, shape (n,)
        1 where the label lies in the interval, else 0.
    nominal : float
        Share that should.
    seed : int
        Of the parts and of the trees.

    Returns
    -------
    dict
        `n`, `share`, `excess`, `excess_error`, `deviation`.
    """
    gain = (inside - nominal) ** 2 - (inside - _learnt(x, inside, seed)) ** 2
    excess = float(gain.mean())
    return {
        "n": len(inside),
        "share": float(inside.mean()),
        "excess": excess,
        "excess_error": float(gain.std(ddof=1) / np.sqrt(len(inside))),
        "deviation": float(np.sqrt(max(excess, 0.0))),
    }


def _learnt(x: FloatArray, inside: FloatArray, seed: int) -> FloatArray:
    """Probability to be inside, by trees that were trained on the other stars; shape (n,)."""
    least = min(inside.sum(), (1 - inside).sum())
    if least < _FOLDS:
        # Almost all are the same: there is nothing to tell apart.
        return np.full(len(inside), inside.mean())
    names = ("sklearn.ensemble", "sklearn.model_selection", "threadpoolctl")
    ensemble, selection, threads = (library("conditional coverage", name) for name in names)
    trees = ensemble.HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=200,
        max_leaf_nodes=8,
        min_samples_leaf=40,
        early_stopping=True,
        random_state=seed,
    )
    parts = selection.StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    # Threads of a fit of so few stars wait for each other most of the time.
    with threads.threadpool_limits(1):
        of_both = selection.cross_val_predict(trees, _filled(x), inside, cv=parts, method="predict_proba")
    return np.asarray(of_both[:, 1])


def _filled(x: FloatArray) -> FloatArray:
    """Inputs whose gaps are a number below all others: scikit-learn 1.9.1 refuses columns without any number."""
    lowest = np.where(np.isnan(x), np.inf, x).min(axis=0, initial=np.inf)
    return np.where(np.isnan(x), np.where(np.isfinite(lowest), lowest - 1, 0.0), x)
