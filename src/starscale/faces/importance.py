"""The verb `importance`, and its step in a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.catalogue.features import feature_columns
from starscale.catalogue.standardise import spelling
from starscale.faces.importance_text import importance_json
from starscale.faces.labelled import labelled_stars
from starscale.faces.steps import RunFolder
from starscale.faces.tables import AnyTable
from starscale.use.importance import importance_groups, permutation_importance
from starscale.use.model import Model
from starscale.vocabulary.config import RunConfig
from starscale.vocabulary.importance_config import ImportanceConfig

#: File of a run.
IMPORTANCE = "importance.json"


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
        See :func:`starscale.use.importance.permutation_importance`.

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


def importance_step(folder: RunFolder, config: RunConfig, model: str, training: str) -> None:
    """Measure it on the test part of the first repeat, or take it from the record.

    Parameters
    ----------
    folder : RunFolder
    config : RunConfig
    model, training : str
        Names of the model bundle and of the training table in the folder.
    """
    settings = config.importance

    def work() -> dict[str, Any]:
        bundle = Model.load(folder.file(model))
        test = io.read(folder.file(training)).filter(part="test")
        known = [name for name in bundle.labels if test[name].drop_nulls().len() > 1]
        table = importance_of(bundle, test, known, settings, where=training) if known else pl.DataFrame()
        document = importance_json(table)
        io.atomic_text(folder.file(IMPORTANCE), document)
        return {**settings.model_dump(), "rows": json.loads(document)}

    folder.step(
        "importance",
        settings=settings.model_dump(),
        reads={name: folder.checksum(name) for name in (model, training)},
        writes=[IMPORTANCE],
        work=work,
    )
