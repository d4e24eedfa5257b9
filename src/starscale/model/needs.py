"""What a model needs of each survey of its recipe, and what going without it costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from starscale.features.families import Feature
from starscale.features.features import columns_in, feature_columns
from starscale.model.model import Model
from starscale.model.recipe import Recipe
from starscale.surveys.derived import with_sources
from starscale.vocabulary.columns import LABELS


def needed_columns(model: Model, recipe: Recipe) -> dict[str, dict[str, str]]:
    """Return the columns that the features of a model use, by survey.

    Returns
    -------
    dict of str to dict of str to str
        For every survey of the recipe: the name of the column in the model's table, by column of the survey.
    """
    wanted = set(feature_columns(model.features))
    found: dict[str, dict[str, str]] = {}
    for table in recipe.tables:
        names = {column: table.names.get(column, column) for column in table.survey.columns}
        own = {column: name for column, name in names.items() if name in wanted}
        # A name belongs to the first table that has it, as in the join.
        wanted -= set(own.values())
        found[table.survey.name] = own
    return found


def features_with(model: Model, columns: Collection[str]) -> list[Feature]:
    """Return the features that cannot be computed without some columns of the model's table."""
    lost = set(columns)
    known = model.inputs.columns
    return [f for f in model.features if lost & set(with_sources(known, columns_in(f)))]


def can_go_without(model: Model, columns: Collection[str]) -> bool:
    """Whether stars that lack some columns, and nothing else, have enough inputs to be predicted."""
    names = {feature.name for feature in features_with(model, columns)}
    usable = np.asarray(model.predictor.preparation.usable)
    lost = np.array([feature.name in names for feature in model.features])
    return bool((lost & usable).sum() <= (1 - model.predictor.min_present) * usable.sum())


def cost_without(model: Model, columns: Collection[str]) -> str:
    """Say what the cost table of a model states about stars without some columns; empty if it states nothing.

    The whole survey stands in the table where all its bands are missing; otherwise each measurement.
    """
    costs: dict[str, list[Mapping[str, Any]]] = {}
    for row in model.information.get("missing_bands", ()):
        costs.setdefault(str(row["missing"]), []).append(row)
    return "; ".join(f"without {name}, {_figures(costs[name])}" for name in _lost(model, columns, costs))


def _lost(model: Model, columns: Collection[str], costs: Collection[str]) -> list[str]:
    """Return the entries of the cost table that describe the loss of some columns."""
    lost = [m.name for m in model.measurements if not set(columns).isdisjoint(m.columns)]
    whole = [survey for survey in _whole_surveys(model, lost) if f"all bands of {survey}" in costs]
    names = [f"all bands of {survey}" for survey in whole]
    said = tuple(f"{survey}." for survey in whole)
    return [name for name in (*names, *lost) if name in costs and not name.startswith(said)]


def _whole_surveys(model: Model, lost: Collection[str]) -> list[str]:
    """Return the surveys of which every band is lost."""
    bands = [m.name for m in model.measurements if "." in m.name]
    kept = {name.split(".")[0] for name in bands if name not in lost}
    return [survey for survey in dict.fromkeys(name.split(".")[0] for name in bands) if survey not in kept]


def _figures(rows: Collection[Mapping[str, Any]]) -> str:
    """Return the errors with and without a measurement, of every label."""
    told = []
    for row in rows:
        label = LABELS[str(row["label"])]
        if row["mad_without"] is None or row["mad_with"] is None:
            return "stars are not predicted"
        unit = f" {label.unit}" if label.unit == "K" else " dex"
        told.append(
            f"{label.name} {row['mad_without']:.{label.decimals}f}{unit} instead of "
            f"{row['mad_with']:.{label.decimals}f}"
        )
    return f"the MAD on test stars is {', '.join(told)}"
