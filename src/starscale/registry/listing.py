"""The verbs `list_models` and `describe_model`, which need no learning libraries."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from starscale.registry.describing import described
from starscale.registry.registries import all_models, find_model


def list_models(*, registry: str | Path | None = None) -> pl.DataFrame:
    """List the models that can be given by name.

    Parameters
    ----------
    registry : path or address, optional
        A registry file to look into before that of the user and that of the package.

    Returns
    -------
    polars.DataFrame
        One row for each model: `name`, `title`, `labels`, `surveys`, `label_scale`, `licence`, `mock`, `here`
        (whether it can be used without a network), `registry` and `place`.

    Raises
    ------
    InputError
        A registry that cannot be read.
    """
    rows = [
        {
            "name": model.entry.name,
            "title": model.entry.title,
            "labels": list(model.entry.labels),
            "surveys": list(model.entry.surveys),
            "label_scale": model.entry.label_scale,
            "licence": model.entry.licence,
            "mock": model.entry.mock,
            "here": model.here,
            "registry": model.registry,
            "place": model.place,
        }
        for model in all_models(registry)
    ]
    return pl.DataFrame(rows, schema_overrides={"labels": pl.List(pl.String), "surveys": pl.List(pl.String)})


def describe_model(model: str, *, registry: str | Path | None = None) -> str:
    """Describe a model of a registry: labels, scale, surveys, figures, licence, citation, place.

    Parameters
    ----------
    model : str
        Name of the model.
    registry : path or address, optional
        A registry file to look into before that of the user and that of the package.

    Returns
    -------
    str
        Several lines, for a terminal.

    Raises
    ------
    InputError
        No model of this name.
    """
    return described(find_model(model, registry))
