"""The split of a run: its settings checked, its clusters read, its rule kept with the model."""

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
from starscale.vocabulary.errors import Problems, did_you_mean
from starscale.vocabulary.paths import missing_path
from starscale.vocabulary.settings.split import SplitConfig
from starscale.vocabulary.strict import validate

#: Under this key the names of the label surveys stand in the rule, in the order of their bits.
_SURVEYS = "label_surveys"


def check_split(
    split: SplitConfig, base: Path, lead: Survey, label_surveys: Sequence[str], problems: Problems
) -> None:
    """Note what is wrong with the settings of a split beside the rest of a run file."""
    in_circles = split.clusters is not None and split.clusters.path is not None and not split.clusters.source_id
    if lead.position is None and (split.by == "cell" or in_circles):
        problems.add(
            f"survey {lead.name}", f"has no positions for a split by {split.by}", "a [position] in the survey file"
        )
    path = cluster_path(split)
    if path is not None and not (base / path).exists():
        problems.items.append(missing_path(base / path, "a table of clusters", role="split.clusters"))
    if split.by != "survey":
        return
    for name in split.hold_out:
        if name not in label_surveys:
            problems.add(
                "split.hold_out",
                f"{name!r} is no label survey of the run",
                f"one or more of {', '.join(label_surveys)}",
                did_you_mean(name, label_surveys),
            )
    if set(label_surveys) <= set(split.hold_out):
        problems.add(
            "split.hold_out",
            "names every label survey: none is left to learn from",
            "some of two or more [[labels]]",
            "Add [[labels]], or name fewer.",
        )


def cluster_path(split: SplitConfig) -> Path | None:
    """The table of clusters that a split reads, as the run file names it."""
    return split.clusters.path if split.clusters is not None else None


def with_clusters(table: pl.DataFrame, lead: Survey, split: SplitConfig, base: Path) -> pl.DataFrame:
    """The training table with the names of clusters, where the split needs them from a table of clusters."""
    path = cluster_path(split)
    if split.clusters is None or path is None or CLUSTER in table.columns:
        return table
    return name_clusters(table, lead, io.read(base / path), split.clusters, str(base / path))


def split_rule(split: SplitConfig, seed: int, label_surveys: Sequence[str]) -> dict[str, Any]:
    """What a model keeps of its split, as plain data."""
    return {"seed": seed, _SURVEYS: list(label_surveys), **split.model_dump(mode="json")}


def parts_by_rule(rule: Mapping[str, Any], table: pl.DataFrame, inputs: Survey, where: str) -> pl.Series:
    """The parts that the stars of a training table had in the training of the model that kept the rule.

    Parameters
    ----------
    rule : mapping
        Of :func:`split_rule`.
    table : polars.DataFrame, (n, any)
    inputs : Survey
        The columns that the model expects.
    where : str
        What to call the table in an error.

    Raises
    ------
    InputError
        A column that the rule needs is missing or holds something else.
    """
    settings = {key: value for key, value in rule.items() if key not in ("seed", _SURVEYS)}
    split = validate(SplitConfig, settings, "split of the model")
    stars = standardise(table, inputs, where=where)
    seed, surveys = int(rule["seed"]), rule.get(_SURVEYS, ())
    return split_table(stars, inputs, split, seed, label_surveys=surveys, where=where)
