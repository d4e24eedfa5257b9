"""Stars with known labels, for the verbs that compare predictions with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from starscale.crossmatch.neighbourhood import Neighbourhood
from starscale.features.split_rule import parts_by_rule
from starscale.io.units import convert
from starscale.model.conditional import conditional_coverage
from starscale.model.evaluate import evaluate
from starscale.model.model import Model
from starscale.model.probabilities import score_probabilities
from starscale.model.renumbering import OtherRelease, renumbered
from starscale.model.training_stars import UNKNOWN
from starscale.tables.api import AnyTable, name_of
from starscale.tables.labels import within_limits
from starscale.tables.opening import open_for
from starscale.tables.standardise import spelling
from starscale.vocabulary.columns import LABELS, Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import SILENT, Progress


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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model predicts for stars with known labels, and what follows from it."""

    model: Model
    stars: LabelledStars
    catalogue: pl.DataFrame

    def figures(self) -> pl.DataFrame:
        """Return the result of :func:`evaluate`."""
        return evaluate(self.catalogue, self.stars.table, self.stars.labels)

    def probabilities(self) -> pl.DataFrame:
        """Return the result of :func:`evaluate_probabilities`."""
        return score_probabilities(self.catalogue, self.stars.table.select(self.stars.labels))

    def coverage(self) -> pl.DataFrame:
        """Return the result of :func:`evaluate_coverage`."""
        stars = self.stars
        return conditional_coverage(
            self.model, stars.table, self.catalogue, where=stars.where, found_columns=stars.columns
        )


def labelled_stars(
    model: Model,
    table: AnyTable,
    *,
    include_training: bool = False,
    other: OtherRelease | None = None,
    progress: Progress = SILENT,
) -> LabelledStars:
    """Read a table with labels, and leave out the stars that the model was trained or calibrated on.

    Parameters
    ----------
    model : Model
    table : path or table
    include_training : bool
        Whether those stars stay.
    other : OtherRelease, optional
        Release of the identifiers in the table, if it is not that of the model.
    progress : Progress
        Is told how many stars were left out.

    Raises
    ------
    InputError
        No label column, or one that does not hold numbers or has the unit of another quantity; no row to compare.
    """
    where = name_of(table)
    source = open_for(table, model.inputs)
    chain = (other or OtherRelease()).chain(model, list(source.schema), where)
    stars = source.read()
    known = tuple(name for name in model.labels if name in stars.columns)
    stars = _in_label_units(stars, known, model, where, source.columns)
    if not include_training:
        stars = _renumbered(model, stars, chain, where, source.columns, progress)
        stars = _without_training(model, stars, where, source.columns, progress)
    if stars.height == 0:
        expected = "one or more that the model was neither trained nor calibrated on"
        raise InputError(Problem(where, "has no rows to compare", expected))
    return LabelledStars(stars, known, where, source.columns)


def _in_label_units(
    stars: pl.DataFrame, known: Sequence[str], model: Model, where: str, columns: Mapping[str, Column]
) -> pl.DataFrame:
    if not known:
        expected = f"one or more of the columns {', '.join(model.labels)}"
        raise InputError(Problem(where, "has no label to compare with", expected))
    for name in known:
        label = f"{where}: column {name!r}"
        if not (stars[name].dtype.is_numeric() or stars[name].dtype == pl.Null):
            raise InputError(Problem(label, f"is of type {stars[name].dtype}", "numbers"))
        stars = stars.with_columns(convert(stars[name], columns[name].unit, LABELS[name].scale, label))
    return stars.with_columns(within_limits(known))


def _renumbered(
    model: Model,
    stars: pl.DataFrame,
    chain: Sequence[Neighbourhood],
    where: str,
    columns: Mapping[str, Column],
    progress: Progress,
) -> pl.DataFrame:
    """Give the stars the identifiers of the model's release; leave out those that may be stars of the training."""
    if not chain:
        return stars
    key = model.inputs.id.column
    ids = renumbered(model.standardised(stars, where=where, found_columns=columns)[key], chain)
    progress.message(
        f"note: {where}: {len(ids) - ids.null_count():,} of {len(ids):,} rows have identifiers of "
        f"{chain[-1].goal.release}; the others are left out: whether the model was trained on them is unknown"
    )
    there = spelling(stars.columns, model.inputs)[key]
    return stars.with_columns(ids.alias(there)).filter(ids.is_not_null())


def _without_training(
    model: Model, stars: pl.DataFrame, where: str, columns: Mapping[str, Column], progress: Progress
) -> pl.DataFrame:
    """Leave out the stars of the training and validation parts, and say how many there were."""
    if model.stars is not None:
        clean = model.standardised(stars, where=where, found_columns=columns)
        part = model.part_of(clean[model.inputs.id.column])
    elif "part" in stars.columns:
        # A bundle of an earlier build has the rule of the split, which tells the parts of a training table.
        part = parts_by_rule(model.information["split_rule"], stars, model.inputs, where, found_columns=columns)
    else:
        progress.message(f"note: {where}: {UNKNOWN}; stars of the training are not left out")
        return stars
    used = part.is_in(["train", "validation"]).fill_null(False)
    if used.any():
        counts = " and ".join(f"{int((part == name).sum()):,} {name}" for name in ("train", "validation"))
        progress.message(
            f"note: {where}: {int(used.sum()):,} of {stars.height:,} rows left out, since the model was trained "
            f"or calibrated on them ({counts})"
        )
    return stars.filter(~used)
