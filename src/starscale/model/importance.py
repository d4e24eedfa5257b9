"""Permutation importance: the increase of the errors when a column is shuffled among the stars.

References: Breiman 2001, Machine Learning 45, 5; Fisher et al. 2019, J. Mach. Learn. Res. 20, 177.

Columns of the table are shuffled, not features: every colour and absolute magnitude that uses a band is shuffled
with it. When one of several correlated columns is shuffled alone, the model uses the others, so that each of them
looks unimportant; shuffled together, as a group, they show their importance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.features.features import feature_columns
from starscale.io.progress import progress_of
from starscale.model.api import opened_model
from starscale.model.evaluate import mad
from starscale.model.labelled import labelled_stars
from starscale.model.model import Model
from starscale.surveys.spectra import array_lengths
from starscale.tables.api import AnyTable
from starscale.tables.arrays import as_floats
from starscale.tables.standardise import spelling, standardise
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.later import Later
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.settings.run import ImportanceConfig

hierarchy = Later("scipy.cluster.hierarchy")
spatial_distance = Later("scipy.spatial.distance")
stats = Later("scipy.stats")

#: From a table of stars to a table with a column for each label, row by row.
Predict = Callable[[pl.DataFrame], pl.DataFrame]

#: Name of the group of all columns.
ALL = "all inputs"
#: Approximate number of rows predicted in one call: fixed costs are negligible, memory stays flat.
_ROWS = 50_000
_NONE: Mapping[str, tuple[str, ...]] = {}
_FIGURES: dict[str, Callable[[FloatArray], float]] = {"mad": mad, "rmse": lambda x: float(np.sqrt((x**2).mean()))}


def permutation_importance(
    predict: Predict,
    table: pl.DataFrame,
    labels: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    config: ImportanceConfig = ImportanceConfig(),  # noqa: B008  frozen
    *,
    progress: Progress = SILENT,
) -> pl.DataFrame:
    """Measure how much the errors of predictions grow when groups of columns are shuffled among the stars.

    Parameters
    ----------
    predict : callable
        :meth:`Model.predict`, or any other function of a table.
    table : polars.DataFrame, (n_stars, any)
        Inputs, and a column for each label; null: unknown.
    labels : sequence of str
    groups : mapping of str to sequence of str
        Columns that are shuffled together, by the name of their group.
    config : ImportanceConfig
        Repeats, seed, largest number of stars. The permutation of a repeat is the same for every group, so that
        the result for a group does not depend on the other groups.
    progress : Progress

    Returns
    -------
    polars.DataFrame
        One row for each label and group: `label`, `group`, `columns`, `n` (stars); `mad` and `rmse` of
        ``prediction - label`` before shuffling; `mad_increase` and `rmse_increase`, the figure after shuffling
        minus that before, mean over the repeats; and their `_spread`, the standard deviation over the repeats.

    Raises
    ------
    InputError
        A group without columns, or with a column that does not exist; fewer than two stars with a label.
    """
    _check(table, labels, groups)
    table = _sample(table, labels, config)
    truth = {name: as_floats(table[name]) for name in labels}
    orders = [np.random.default_rng([config.seed, k]).permutation(table.height) for k in range(config.repeats)]
    shuffles = [(columns, order) for columns in groups.values() for order in orders]
    predictions = _predictions(predict, table, [((), orders[0]), *shuffles])
    with progress.task("shuffling", len(shuffles), "shuffles") as task:
        before = _errors(next(predictions), truth)
        after = []
        for prediction in predictions:
            after.append(_errors(prediction, truth))
            task.advance()
    rows = [
        _row(name, group, columns, before[name], [errors[name] for errors in after[k : k + len(orders)]])
        for name in labels
        for (group, columns), k in zip(groups.items(), range(0, len(after), len(orders)), strict=True)
    ]
    return pl.DataFrame(rows)


def _row(
    label: str, group: str, columns: Sequence[str], before: FloatArray, after: Sequence[FloatArray]
) -> dict[str, object]:
    """One row of the result: errors of a label before, and after each shuffle of a group."""
    row: dict[str, object] = {"label": label, "group": group, "columns": list(columns), "n": len(before)}
    for figure, compute in _FIGURES.items():
        row[figure] = compute(before)
        increase = np.array([compute(errors) for errors in after]) - row[figure]
        row |= {f"{figure}_increase": increase.mean(), f"{figure}_increase_spread": increase.std(ddof=1)}
    return row


def _predictions(
    predict: Predict, table: pl.DataFrame, shuffles: Sequence[tuple[Sequence[str], NDArray[np.int64]]]
) -> Iterator[pl.DataFrame]:
    """Yield the predictions of the table after each shuffle; several shuffles are predicted in one call."""
    at_once = max(1, _ROWS // table.height)
    for start in range(0, len(shuffles), at_once):
        shuffled = [
            table.with_columns(pl.col(list(columns)).gather(order))
            for columns, order in shuffles[start : start + at_once]
        ]
        yield from predict(pl.concat(shuffled)).iter_slices(table.height)


def importance_groups(
    table: pl.DataFrame,
    columns: Sequence[str],
    correlation: float,
    together: Mapping[str, tuple[str, ...]] = _NONE,
) -> dict[str, tuple[str, ...]]:
    """Return the default groups: every column alone, groups of correlated columns, and all columns.

    Parameters
    ----------
    table : polars.DataFrame, (n_stars, any)
    columns : sequence of str
        Columns that the features use.
    correlation : float
        See :class:`ImportanceConfig`.
    together : mapping of str to tuple of str
        Columns that are one measurement (spectra), by its name: they are shuffled together only.

    Returns
    -------
    dict of str to tuple of str
        Columns by the name of their group.
    """
    alone = [name for name in columns if all(name not in group for group in together.values())]
    groups: dict[str, tuple[str, ...]] = {name: (name,) for name in alone} | dict(together)
    groups |= {" + ".join(g): g for g in correlated(table, alone, correlation) if len(g) > 1}
    if len(columns) > 1:
        groups[ALL] = tuple(columns)
    return groups


def correlated(table: pl.DataFrame, columns: Sequence[str], correlation: float) -> list[tuple[str, ...]]:
    """Group columns by average-linkage clustering with the distance 1 - |Spearman's rank correlation|.

    Parameters
    ----------
    table : polars.DataFrame, (n_stars, any)
        Two columns are compared on the rows that have both; the correlation with a constant column is 0.
    columns : sequence of str
    correlation : float
        Smallest average correlation at which two groups are joined.

    Returns
    -------
    list of tuple of str
        Every column in one group, in the order of `columns`.
    """
    n = len(columns)
    if n < 2:
        return [(name,) for name in columns]
    values = np.stack([as_floats(table[name]) for name in columns], axis=1)
    distance = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            distance[i, j] = distance[j, i] = 1 - abs(_spearman(values[:, i], values[:, j]))
    number = hierarchy.fcluster(
        hierarchy.linkage(spatial_distance.squareform(distance), "average"), 1 - correlation, "distance"
    )
    return [
        tuple(name for name, k in zip(columns, number, strict=True) if k == group)
        for group in dict.fromkeys(number.tolist())
    ]


def _spearman(a: FloatArray, b: FloatArray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return 0.0
    return float(stats.spearmanr(a[both], b[both]).statistic)


def _check(table: pl.DataFrame, labels: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
    problems = [
        Problem(f"group {group!r}", "names no column" if not columns else f"column {name!r} is not in the table")
        for group, columns in groups.items()
        for name in (columns or ("",))
        if name not in table.columns
    ]
    problems += [
        Problem(f"label {name!r}", "is known for fewer than two stars", "labels to compare with")
        for name in labels
        if name not in table.columns or table[name].drop_nulls().len() < 2
    ]
    if problems:
        raise InputError(problems)


def _sample(table: pl.DataFrame, labels: Sequence[str], config: ImportanceConfig) -> pl.DataFrame:
    """Stars with a label; a random sample if there are more than `max_stars`."""
    table = table.filter(pl.any_horizontal(pl.col(list(labels)).is_not_null()))
    if table.height <= config.max_stars:
        return table
    rows = np.random.default_rng([config.seed, config.max_stars]).permutation(table.height)[: config.max_stars]
    return table[np.sort(rows)]


def _errors(prediction: pl.DataFrame, truth: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """``prediction - label`` where both are known; shuffled stars that cannot be predicted are left out."""
    differences = {name: as_floats(prediction[name]) - values for name, values in truth.items()}
    return {name: difference[np.isfinite(difference)] for name, difference in differences.items()}


def importance(
    model: Model | str | Path,
    table: AnyTable,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    settings: ImportanceConfig = ImportanceConfig(),  # noqa: B008  frozen
    progress: Progress | bool | None = None,
) -> pl.DataFrame:
    """Measure which columns the predictions of a model depend on, by shuffling them among the stars.

    Parameters
    ----------
    model : Model or path
        A model, or the path of its bundle.
    table : path or table
        As for :func:`evaluate`: the inputs of the model, and labels. Stars that the model was trained or
        calibrated on are left out: of a training table, the test part remains.
    groups : mapping of str to sequence of str, optional
        Columns to shuffle together, by the name of their group. Default: every column alone, groups of correlated
        columns, and all columns.
    settings : ImportanceConfig
        Repeats, correlation, largest number of stars, seed.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    polars.DataFrame
        One row for each label and group: `label`, `group`, `columns`, `n` (stars); `mad` and `rmse` of
        ``prediction - label`` before shuffling; `mad_increase` and `rmse_increase`, the figure after shuffling
        minus that before, mean over the repeats; and their `_spread`, the standard deviation over the repeats.

    Raises
    ------
    InputError
        No label column, no row to compare, a group with a column that does not exist.
    """
    loaded, _ = opened_model(model)
    stars = labelled_stars(loaded, table, progress=progress_of(progress))
    return importance_of(
        loaded,
        stars.table,
        stars.labels,
        settings,
        groups=groups,
        where=stars.where,
        found_columns=stars.columns,
        progress=progress_of(progress),
    )


def importance_of(
    model: Model,
    table: pl.DataFrame,
    labels: Sequence[str],
    settings: ImportanceConfig,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    where: str = "table",
    found_columns: Mapping[str, Column] | None = None,
    progress: Progress = SILENT,
) -> pl.DataFrame:
    """Measure the importance of columns on stars that are already selected; see :func:`importance`.

    Parameters
    ----------
    model : Model
    table : polars.DataFrame, (n_stars, any)
        Inputs, and a column for each label.
    labels : sequence of str
    settings : ImportanceConfig
    groups : mapping of str to sequence of str, optional
    where : str
        Name of the table in error messages.
    found_columns : mapping of str to Column, optional
        Units of the columns as the table states them.
    progress : Progress

    Raises
    ------
    InputError
        See :func:`importance`.
    """
    model = model.without_slopes()
    # One prediction refuses an unsuitable table before anything is shuffled, with the message of the model.
    model.predict(table.head(1), where=where, found_columns=found_columns)
    names = spelling(table.columns, model.inputs)
    if not names.keys() >= set(feature_columns(model.features)):
        # A computed column is shuffled itself, not the columns that it is computed from.
        table = standardise(table, model.inputs, where=where, found_columns=found_columns, whole=False)
        names, found_columns = spelling(table.columns, model.inputs), None
    columns = [names[name] for name in feature_columns(model.features) if name in names]
    together = _spectra(model, names)
    default = importance_groups(table, columns, settings.correlation, together) if groups is None else {}
    chosen: Mapping[str, Sequence[str]] = default if groups is None else groups
    needed = dict.fromkeys([*names.values(), *labels, *(c for group in chosen.values() for c in group)])

    def predict(stars: pl.DataFrame) -> pl.DataFrame:
        return model.predict(stars, where=where, found_columns=found_columns)

    table = table.select(name for name in needed if name in table.columns)
    return permutation_importance(predict, table, labels, chosen, settings, progress=progress)


def _spectra(model: Model, names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the array columns of a table (`names`: its spelling) that are one measurement, by its name."""
    arrays = [names[name] for name in array_lengths(model.inputs.spectra) if name in names]
    found = {m.name: tuple(names[c] for c in m.columns if names.get(c) in arrays) for m in model.measurements}
    return {name: members for name, members in found.items() if members}
