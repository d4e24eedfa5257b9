"""The split of a run: checks of its settings, table of clusters, and the rule that is stored with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.features.cluster_names import name_clusters
from starscale.features.split_table import CLUSTER, split_table
from starscale.surveys import Survey
from starscale.tables.standardise import standardise
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import Problems, did_you_mean
from starscale.vocabulary.paths import must_exist
from starscale.vocabulary.settings.split import SplitConfig
from starscale.vocabulary.strict import validate

#: Key of the names of the label surveys in a stored rule, in the order of their bits.
_SURVEYS = "label_surveys"


def check_split(
    split: SplitConfig, base: Path, lead: Survey, label_surveys: Sequence[str], problems: Problems
) -> None:
    """Note the problems of the settings of a split.

    Parameters
    ----------
    split : SplitConfig
    base : Path
        Folder of the run file.
    lead : Survey
        The leading catalogue.
    label_surveys : sequence of str
    problems : Problems
        Receives the problems.
    """
    in_circles = split.clusters is not None and split.clusters.path is not None and not split.clusters.source_id
    if lead.position is None and (split.by == "cell" or in_circles):
        problems.add(
            f"survey {lead.name}", f"has no positions for a split by {split.by}", "a [position] in the survey file"
        )
    path = cluster_path(split)
    if path is not None:
        with problems.collect():
            must_exist(base / path, "a table of clusters", role="split.clusters")
    if split.by == "survey":
        _check_held_out(split, label_surveys, problems)


def _check_held_out(split: SplitConfig, label_surveys: Sequence[str], problems: Problems) -> None:
    for name in split.hold_out:
        if name not in label_surveys:
            problems.add(
                "split.hold_out",
                f"{name!r} is not a label survey of the run",
                f"one or more of {', '.join(label_surveys)}",
                did_you_mean(name, label_surveys),
            )
    if set(label_surveys) <= set(split.hold_out):
        problems.add(
            "split.hold_out",
            "names every label survey: none is left for training",
            "some of two or more [[labels]]",
            "Add [[labels]], or name fewer.",
        )


def cluster_path(split: SplitConfig) -> Path | None:
    """Return the path of the table of clusters, as the run file gives it; None if the split needs no table."""
    return split.clusters.path if split.clusters is not None else None


def with_clusters(table: pl.DataFrame, lead: Survey, split: SplitConfig, base: Path) -> pl.DataFrame:
    """Append the names of clusters to a training table, if the split reads them from a table of clusters."""
    path = cluster_path(split)
    if split.clusters is None or path is None or CLUSTER in table.columns:
        return table
    return name_clusters(table, lead, io.read(base / path), split.clusters, str(base / path))


def split_rule(split: SplitConfig, seed: int, label_surveys: Sequence[str]) -> dict[str, Any]:
    """Return the rule of a split as plain data, to be stored with the model."""
    return {"seed": seed, _SURVEYS: list(label_surveys), **split.model_dump(mode="json")}


def parts_by_rule(
    rule: Mapping[str, Any],
    table: pl.DataFrame,
    inputs: Survey,
    where: str,
    *,
    found_columns: Mapping[str, Column] | None = None,
) -> pl.Series:
    """Return the parts that the stars of a training table had when the model with this rule was trained.

    Parameters
    ----------
    rule : mapping
        Result of :func:`split_rule`.
    table : polars.DataFrame, (n, any)
    inputs : Survey
        The columns that the model expects.
    where : str
        Name of the table in error messages.
    found_columns : mapping of str to Column, optional
        Units of the columns as the table states them.

    Raises
    ------
    InputError
        A column that the rule needs is missing or has unsuitable values.
    """
    settings = {key: value for key, value in rule.items() if key not in ("seed", _SURVEYS)}
    split = validate(SplitConfig, settings, "split of the model")
    stars = standardise(table, inputs, where=where, found_columns=found_columns)
    seed, surveys = int(rule["seed"]), rule.get(_SURVEYS, ())
    return split_table(stars, inputs, split, seed, label_surveys=surveys, where=where)
