"""A table with known labels, for the verbs that compare predictions with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from starscale import io
from starscale.features.split_rule import parts_by_rule
from starscale.model.model import Model
from starscale.tables.api import AnyTable
from starscale.tables.labels import within_limits
from starscale.vocabulary.errors import InputError, Problem


@dataclass(frozen=True, slots=True)
class LabelledStars:
    """Stars to compare on, the labels of the model that they have, and what to call them in an error."""

    table: pl.DataFrame
    labels: tuple[str, ...]
    where: str


def labelled_stars(model: Model, source: AnyTable) -> LabelledStars:
    """Read a table with labels; of a training table, the stars of the model's own test part.

    Raises
    ------
    InputError
        No label column, or one that holds no numbers; no row to compare.
    """
    where = str(source) if isinstance(source, str | Path) else "table"
    table = io.read(source)
    known = tuple(name for name in model.labels if name in table.columns)
    if not known:
        expected = f"one or more of the columns {', '.join(model.labels)}"
        raise InputError(Problem(where, "has no label to compare with", expected))
    for name in known:
        if not (table[name].dtype.is_numeric() or table[name].dtype == pl.Null):
            raise InputError(Problem(f"{where}: column {name!r}", f"is of type {table[name].dtype}", "numbers"))
    table = table.with_columns(within_limits(known))
    if "part" in table.columns:
        table = table.filter(parts_by_rule(model.information["split_rule"], table, model.inputs, where) == "test")
    if table.height == 0:
        expected = "one or more (of the test part, if there is one)"
        raise InputError(Problem(where, "has no rows to compare", expected))
    return LabelledStars(table, known, where)
