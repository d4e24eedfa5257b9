"""Stars with known labels, for the verbs that compare predictions with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from starscale.features.split_rule import parts_by_rule
from starscale.io.units import convert
from starscale.model.model import Model
from starscale.tables.api import AnyTable, name_of
from starscale.tables.labels import within_limits
from starscale.tables.opening import open_for
from starscale.vocabulary.columns import LABELS, Column
from starscale.vocabulary.errors import InputError, Problem


@dataclass(frozen=True, slots=True)
class LabelledStars:
    """Stars with known labels.

    Attributes
    ----------
    table : polars.DataFrame
        Labels in the units of the vocabulary; other columns as they were read.
    labels : tuple of str
        Labels of the model that the table has.
    where : str
        Name of the table in error messages.
    columns : mapping of str to Column
        Units of the columns as the table states them.
    """

    table: pl.DataFrame
    labels: tuple[str, ...]
    where: str
    columns: Mapping[str, Column]


def labelled_stars(model: Model, table: AnyTable) -> LabelledStars:
    """Read a table with labels; of a training table, select the test part of the model's own training.

    Raises
    ------
    InputError
        No label column, or one that does not hold numbers or has the unit of another quantity; no row to compare.
    """
    where = name_of(table)
    source = open_for(table, model.inputs)
    stars = source.read()
    known = tuple(name for name in model.labels if name in stars.columns)
    if not known:
        expected = f"one or more of the columns {', '.join(model.labels)}"
        raise InputError(Problem(where, "has no label to compare with", expected))
    for name in known:
        label = f"{where}: column {name!r}"
        if not (stars[name].dtype.is_numeric() or stars[name].dtype == pl.Null):
            raise InputError(Problem(label, f"is of type {stars[name].dtype}", "numbers"))
        stars = stars.with_columns(convert(stars[name], source.columns[name].unit, LABELS[name].scale, label))
    stars = stars.with_columns(within_limits(known))
    if "part" in stars.columns:
        rule = model.information["split_rule"]
        part = parts_by_rule(rule, stars, model.inputs, where, found_columns=source.columns)
        stars = stars.filter(part == "test")
    if stars.height == 0:
        expected = "one or more (of the test part, if there is one)"
        raise InputError(Problem(where, "has no rows to compare", expected))
    return LabelledStars(stars, known, where, source.columns)
