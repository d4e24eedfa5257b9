"""What a model sees of a star: inputs that are missing or far from the training set, cuts that it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from starscale.features.features import evaluate_features, feature_columns
from starscale.learn.uncertainty.contributions import contributions
from starscale.model.model import Model
from starscale.tables.cuts import apply_cuts, cut_columns
from starscale.tables.standardise import standardise
from starscale.vocabulary.columns import Column


@dataclass(frozen=True, slots=True)
class MissingInput:
    """An input that cannot be computed, and the columns that are null; none: the value itself is impossible."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FarInput:
    """An input and how far it lies from the training stars.

    `alone`: deviation from their median over what 99.9 % of them stay below. `given_others`: deviation, in
    standard deviations, from what the star's other inputs let expect.
    """

    name: str
    unit: str
    value: float
    median: float
    alone: float
    given_others: float


@dataclass(frozen=True, slots=True)
class FailedCut:
    """A cut that the training stars passed and this star does not; `values` of the columns that it looks at."""

    name: str
    keep: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a model sees of one star.

    Attributes
    ----------
    missing : tuple of MissingInput
    inputs : tuple of FarInput
        Those that are there, the farthest first: by the larger of the two distances, each over what counts as far
        (1 and 3).
    failed : tuple of FailedCut
    unchecked : tuple of str
        Cuts whose columns are not in the table.
    """

    missing: tuple[MissingInput, ...]
    inputs: tuple[FarInput, ...]
    failed: tuple[FailedCut, ...]
    unchecked: tuple[str, ...]


def inspect_stars(
    model: Model,
    table: pl.DataFrame,
    *,
    where: str = "table",
    found_columns: Mapping[str, Column] | None = None,
) -> list[Inspection]:
    """Look at some stars as a model does.

    Parameters
    ----------
    model : Model
    table : polars.DataFrame, (n_stars, any)
        What :meth:`Model.predict` takes.
    where : str
        What to call the table in an error.
    found_columns : mapping of str to Column, optional
        Units as the file states them.

    Returns
    -------
    list of Inspection
        One a row.

    Raises
    ------
    InputError
        As :meth:`Model.predict`.
    """
    clean = standardise(table, model.inputs, where=where, found_columns=found_columns, whole=False)
    x = evaluate_features(clean, model.features, where=where)
    far = contributions(model.predictor, x)
    features = {feature.name: feature for feature in model.features}
    columns = {name: feature_columns([features[name]]) for name in far.features}
    possible = [cut for cut in model.cuts if set(cut_columns(cut, where)) <= set(clean.columns)]
    passes = {cut.name: apply_cuts(clean, [cut], where=where)[0] for cut in possible}
    found = []
    for i, row in enumerate(clean.iter_rows(named=True)):
        there = ~far.missing[i]
        rank = np.maximum(far.alone[i], far.given_others[i] / 3)
        order = [j for j in np.argsort(-np.where(there, rank, -1.0), kind="stable").tolist() if there[j]]
        found.append(
            Inspection(
                missing=tuple(
                    MissingInput(name, tuple(c for c in columns[name] if row[c] is None))
                    for name, is_there in zip(far.features, there, strict=True)
                    if not is_there
                ),
                inputs=tuple(
                    FarInput(
                        far.features[j],
                        features[far.features[j]].unit,
                        float(far.value[i, j]),
                        float(far.median[j]),
                        float(far.alone[i, j]),
                        float(far.given_others[i, j]),
                    )
                    for j in order
                ),
                failed=tuple(
                    FailedCut(cut.name, " ".join(cut.keep.split()), {c: row[c] for c in cut_columns(cut, where)})
                    for cut in possible
                    if not passes[cut.name][i]
                ),
                unchecked=tuple(cut.name for cut in model.cuts if cut not in possible),
            )
        )
    return found
