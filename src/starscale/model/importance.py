"""Permutation importance: what shuffling a column among the stars costs (Breiman 2001; Fisher et al. 2019).

Columns of the table are shuffled, not features: every colour and absolute magnitude that uses a band moves with
it. Columns that say the same thing stand in for one another when one of them is shuffled alone, and each looks
unimportant; shuffled together, as a group, they show what they are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr

from starscale.features.features import feature_columns
from starscale.model.evaluate import mad
from starscale.model.labelled import labelled_stars
from starscale.model.model import Model
from starscale.tables.api import AnyTable
from starscale.tables.standardise import spelling
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.run import ImportanceConfig

#: From a table of stars to a table with a column for each label, row by row.
Predict = Callable[[pl.DataFrame], pl.DataFrame]


#: What all columns together are called.
ALL = "all inputs"


#: Rows that are predicted in one call, about: fixed costs vanish, memory stays flat.
_ROWS = 50_000


_FIGURES: dict[str, Callable[[FloatArray], float]] = {"mad": mad, "rmse": lambda x: float(np.sqrt((x**2).mean()))}


def permutation_importance(
    predict: Predict,
    table: pl.DataFrame,
    labels: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    config: ImportanceConfig = ImportanceConfig(),  # noqa: B008  frozen
) -> pl.DataFrame:
    """Measure how much worse predictions become when groups of columns are shuffled among the stars.

    Parameters
    ----------
    predict : callable
        A model's own ``predict``, or any other.
    table : polars.DataFrame, (n_stars, any)
        Inputs, and a column for each label; null: unknown.
    labels : sequence of str
    groups : mapping of str to sequence of str
        Columns that are shuffled together, by the name of their group.
    config : ImportanceConfig
        Repeats, seed, most stars. The shuffle of a repeat is the same for every group, so that what is
        found of one does not depend on which others are asked for.

    Returns
    -------
    polars.DataFrame
        One row for each label and group: `label`, `group`, `columns`, `n` (stars), `mad` and `rmse` of
        ``prediction - label`` as the table is; `mad_increase` and `rmse_increase`, the figure after shuffling less
        that before, mean over the repeats; and their `_spread`, the standard deviation over the repeats.

    Raises
    ------
    InputError
        A group without columns or with one that is not there; fewer than two stars with a label.
    """
    _check(table, labels, groups)
    table = _drawn(table, labels, config)
    truth = {name: _numbers(table[name]) for name in labels}
    orders = [np.random.default_rng([config.seed, k]).permutation(table.height) for k in range(config.repeats)]
    shuffles = [(columns, order) for columns in groups.values() for order in orders]
    predictions = iter(_predictions(predict, table, [((), orders[0]), *shuffles]))
    before = _errors(next(predictions), truth)
    rows = []
    for group, columns in groups.items():
        after = [_errors(next(predictions), truth) for _ in orders]
        for name in labels:
            row: dict[str, object] = {"label": name, "group": group, "columns": list(columns)}
            row["n"] = len(before[name])
            for figure, compute in _FIGURES.items():
                row[figure] = compute(before[name])
                worse = np.array([compute(errors[name]) for errors in after]) - row[figure]
                row |= {f"{figure}_increase": worse.mean(), f"{figure}_increase_spread": worse.std(ddof=1)}
            rows.append(row)
    result = pl.DataFrame(rows)
    return pl.concat(result.filter(label=name) for name in labels)


def _predictions(
    predict: Predict, table: pl.DataFrame, shuffles: Sequence[tuple[Sequence[str], NDArray[np.int64]]]
) -> Iterator[pl.DataFrame]:
    """Predictions of the table with some columns in another order, for every shuffle; several in one call."""
    at_once = max(1, _ROWS // table.height)
    for start in range(0, len(shuffles), at_once):
        shuffled = [
            table.with_columns(pl.col(list(columns)).gather(order))
            for columns, order in shuffles[start : start + at_once]
        ]
        yield from predict(pl.concat(shuffled)).iter_slices(table.height)


def importance_groups(
    table: pl.DataFrame, columns: Sequence[str], correlation: float
) -> dict[str, tuple[str, ...]]:
    """What is worth shuffling: every column alone, correlated ones together, and all.

    Parameters
    ----------
    table : polars.DataFrame, (n_stars, any)
    columns : sequence of str
        Those that the features use.
    correlation : float
        Of :class:`ImportanceConfig`.
    """
    groups: dict[str, tuple[str, ...]] = {name: (name,) for name in columns}
    groups |= {" + ".join(g): g for g in correlated(table, columns, correlation) if len(g) > 1}
    if len(columns) > 1:
        groups[ALL] = tuple(columns)
    return groups


def correlated(table: pl.DataFrame, columns: Sequence[str], correlation: float) -> list[tuple[str, ...]]:
    """Group columns by hierarchical clustering of 1 - |Spearman's rank correlation|, average linkage.

    Parameters
    ----------
    table : polars.DataFrame, (n_stars, any)
        A pair of columns is compared on the rows that have both; constant ones are correlated with nothing.
    columns : sequence of str
    correlation : float
        Clusters whose average correlation is below stay apart.

    Returns
    -------
    list of tuple of str
        Every column in one group, in the order of `columns`.
    """
    n = len(columns)
    if n < 2:
        return [(name,) for name in columns]
    values = np.stack([_numbers(table[name]) for name in columns], axis=1)
    distance = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            distance[i, j] = distance[j, i] = 1 - abs(_spearman(values[:, i], values[:, j]))
    number = fcluster(linkage(squareform(distance), "average"), 1 - correlation, "distance")
    return [
        tuple(name for name, k in zip(columns, number, strict=True) if k == group)
        for group in dict.fromkeys(number.tolist())
    ]


def _spearman(a: FloatArray, b: FloatArray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return 0.0
    return float(spearmanr(a[both], b[both]).statistic)


def _check(table: pl.DataFrame, labels: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
    problems = [
        Problem(f"group {group!r}", "names no column" if not columns else f"column {name!r} is not in the table")
        for group, columns in groups.items()
        for name in (columns or ("",))
        if name not in table.columns
    ]
    problems += [
        Problem(f"label {name!r}", "is in fewer than two stars", "labels to compare with")
        for name in labels
        if name not in table.columns or table[name].drop_nulls().len() < 2
    ]
    if problems:
        raise InputError(problems)


def _drawn(table: pl.DataFrame, labels: Sequence[str], config: ImportanceConfig) -> pl.DataFrame:
    """Stars with a label, at most as many as wanted."""
    table = table.filter(pl.any_horizontal(pl.col(list(labels)).is_not_null()))
    if table.height <= config.max_stars:
        return table
    rows = np.random.default_rng([config.seed, config.max_stars]).permutation(table.height)[: config.max_stars]
    return table[np.sort(rows)]


def _errors(prediction: pl.DataFrame, truth: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """``prediction - label`` where both are there; a shuffled star that cannot be predicted drops out."""
    differences = {name: _numbers(prediction[name]) - values for name, values in truth.items()}
    return {name: difference[np.isfinite(difference)] for name, difference in differences.items()}


def _numbers(series: pl.Series) -> FloatArray:
    return series.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)


def importance(
    model: Model | str | Path,
    source: AnyTable,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    settings: ImportanceConfig = ImportanceConfig(),  # noqa: B008  frozen
) -> pl.DataFrame:
    """Measure what the predictions of a model rest on: how much worse they become when columns are shuffled.

    Parameters
    ----------
    model : Model or path
    source : path or table
        As for :func:`evaluate`: the model's inputs and labels; of a training table, the test part is used.
    groups : mapping of str to sequence of str, optional
        Columns to shuffle together, by the name of their group. Default: every column alone, those
        that are correlated together, and all.
    settings : ImportanceConfig
        Repeats, correlation, stars, seed.

    Returns
    -------
    polars.DataFrame
        See :func:`starscale.model.importance.permutation_importance`.

    Raises
    ------
    InputError
        No label column, no row to compare, a group with a column that is not there.
    """
    bundle = model if isinstance(model, Model) else Model.load(model)
    stars = labelled_stars(bundle, source)
    return importance_of(bundle, stars.table, stars.labels, settings, groups=groups, where=stars.where)


def importance_of(
    model: Model,
    table: pl.DataFrame,
    labels: Sequence[str],
    settings: ImportanceConfig,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    where: str = "table",
) -> pl.DataFrame:
    """The same of stars that were chosen before."""
    # Predicting once refuses a wrong table before anything is shuffled, and in the model's own words.
    model.predict(table.head(1), where=where)
    names = spelling(table.columns, model.inputs)
    columns = [names[name] for name in feature_columns(model.features)]
    chosen = groups if groups is not None else importance_groups(table, columns, settings.correlation)
    needed = dict.fromkeys([*names.values(), *labels, *(c for group in chosen.values() for c in group)])

    def predict(stars: pl.DataFrame) -> pl.DataFrame:
        return model.predict(stars, where=where)

    table = table.select(name for name in needed if name in table.columns)
    return permutation_importance(predict, table, labels, chosen, settings)
