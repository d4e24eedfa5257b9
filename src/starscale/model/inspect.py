"""The inputs of a model for single stars: missing ones, ones far from the training stars, and failed cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from starscale.features.features import evaluate_features, feature_columns
from starscale.model.model import Model
from starscale.surveys.schema import Cut
from starscale.tables.cuts import apply_cuts, cut_columns
from starscale.vocabulary.columns import Column
from starscale.vocabulary.later import Later

if TYPE_CHECKING:
    from starscale.learn.uncertainty.contributions import Contributions

learnt = Later("starscale.learn.uncertainty.contributions")


@dataclass(frozen=True, slots=True)
class MissingInput:
    """An input that cannot be computed, and its columns that are null (none: the values allow no result)."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FarInput:
    """An input and its distance from those of the training stars.

    Attributes
    ----------
    name, unit : str
    value : float
    median : float
        Median of the training stars.
    alone : float
        Deviation from the median, in units of the deviation that 99.9 % of the training stars do not exceed.
    given_others : float
        Deviation from the value expected from the other inputs of the star, in standard deviations.
    """

    name: str
    unit: str
    value: float
    median: float
    alone: float
    given_others: float


@dataclass(frozen=True, slots=True)
class FailedCut:
    """A cut that all training stars passed and this star fails, with the values of the columns it uses."""

    name: str
    keep: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The inputs of a model for one star.

    Attributes
    ----------
    missing : tuple of MissingInput
    inputs : tuple of FarInput
        The available inputs, farthest first: ordered by the larger of `alone` and `given_others` / 3, both of
        which are above 1 for an unusual input.
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
    """Find missing and unusual inputs, and failed cuts, of some stars.

    Parameters
    ----------
    model : Model
    table : polars.DataFrame, (n_stars, any)
        As for :meth:`Model.predict`.
    where : str
        Name of the table in error messages.
    found_columns : mapping of str to Column, optional
        Units as the file states them.

    Returns
    -------
    list of Inspection
        One per row.

    Raises
    ------
    InputError
        As :meth:`Model.predict`.
    """
    clean = model.standardised(table, where=where, found_columns=found_columns)
    far = learnt.contributions(model.predictor, evaluate_features(clean, model.features, where=where))
    features = {feature.name: feature for feature in model.features}
    columns = {name: feature_columns([features[name]]) for name in far.features}
    units = [features[name].unit for name in far.features]
    cuts = _Cuts.of(model, clean, where)
    return [
        Inspection(
            missing=_missing(far, i, row, columns),
            inputs=_farthest(far, i, units),
            failed=cuts.failed(i, row),
            unchecked=cuts.unchecked,
        )
        for i, row in enumerate(clean.iter_rows(named=True))
    ]


def _missing(
    far: Contributions, star: int, row: Mapping[str, object], columns: Mapping[str, list[str]]
) -> tuple[MissingInput, ...]:
    names = (far.features[j] for j in np.flatnonzero(far.missing[star]))
    return tuple(MissingInput(name, tuple(c for c in columns[name] if row[c] is None)) for name in names)


def _farthest(far: Contributions, star: int, units: Sequence[str]) -> tuple[FarInput, ...]:
    """The available inputs of a star, farthest first."""
    there = ~far.missing[star]
    distance = np.maximum(far.alone[star], far.given_others[star] / 3)
    order = np.argsort(-np.where(there, distance, -1.0), kind="stable").tolist()
    return tuple(
        FarInput(
            far.features[j],
            units[j],
            float(far.value[star, j]),
            float(far.median[j]),
            float(far.alone[star, j]),
            float(far.given_others[star, j]),
        )
        for j in order
        if there[j]
    )


@dataclass(frozen=True, slots=True)
class _Cuts:
    """The cuts of a model that can be checked on a table, with their columns and the stars that pass."""

    cuts: tuple[Cut, ...]
    columns: tuple[list[str], ...]
    passed: tuple[pl.Series, ...]
    unchecked: tuple[str, ...]

    @classmethod
    def of(cls, model: Model, table: pl.DataFrame, where: str) -> _Cuts:
        columns = {cut.name: cut_columns(cut, where) for cut in model.cuts}
        possible = tuple(cut for cut in model.cuts if set(columns[cut.name]) <= set(table.columns))
        return cls(
            possible,
            tuple(columns[cut.name] for cut in possible),
            tuple(apply_cuts(table, [cut], where=where)[0] for cut in possible),
            tuple(cut.name for cut in model.cuts if cut not in possible),
        )

    def failed(self, star: int, row: Mapping[str, object]) -> tuple[FailedCut, ...]:
        return tuple(
            FailedCut(cut.name, " ".join(cut.keep.split()), {name: row[name] for name in columns})
            for cut, columns, passed in zip(self.cuts, self.columns, self.passed, strict=True)
            if not passed[star]
        )
