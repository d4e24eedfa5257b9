"""What the features of a model are made of: which columns go missing together, and with what errors.

A band is one measurement: without it every colour with it is gone. Redrawing measurements within their errors
shows how uncertain a feature is, whatever expression it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.features.families import Feature, SurveyColumns
from starscale.features.features import columns_in, evaluate_features, feature_columns
from starscale.vocabulary.arrays import FloatArray

#: Draws of the noise of every star.
DRAWS = 4


@dataclass(frozen=True, slots=True)
class Measurement:
    """Columns that stand or fall together.

    Attributes
    ----------
    name : str
        ``survey.band``, ``distance``, ``reddening``, ``survey estimates``, or the name of the one column.
    columns : tuple of str
    errors : mapping of str to tuple of str
        For each column whose error is known: the column with its standard deviation, or those with the lower and
        the upper end of its 68 % interval.
    """

    name: str
    columns: tuple[str, ...]
    errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def find_measurements(features: Sequence[Feature], members: Sequence[SurveyColumns]) -> tuple[Measurement, ...]:
    """Say what the features are made of, as the survey files describe it."""
    needed = {column for feature in features for column in columns_in(feature)}
    found: list[Measurement] = []
    for member in members:
        for measurement in _of_survey(member):
            used = tuple(c for c in measurement.columns if c in needed)
            if used:
                found.append(Measurement(measurement.name, used, measurement.errors))
    known = {column for measurement in found for column in measurement.columns}
    return (*found, *(Measurement(column, (column,)) for column in sorted(needed - known)))


def _of_survey(member: SurveyColumns) -> list[Measurement]:
    survey, names = member.survey, member.names

    def named(*columns: str | None) -> tuple[str, ...]:
        return tuple(names.get(c, c) for c in columns if c is not None)

    found = []
    for band, spec in survey.bands.items():
        error = {named(spec.magnitude)[0]: named(spec.error)} if spec.error else {}
        found.append(Measurement(f"{survey.name}.{band}", named(spec.magnitude, spec.error), error))
    if distance := survey.distance:
        ends = named(distance.lower, distance.upper)
        error = {named(distance.value)[0]: ends} if len(ends) == 2 else {}
        found.append(Measurement("distance", (*named(distance.value), *ends), error))
    if survey.reddening:
        found.append(Measurement("reddening", named(survey.reddening.column)))
    if survey.estimates:
        every = survey.estimates.values()
        columns = tuple(c for e in every for c in named(e.value, e.lower, e.upper))
        errors = {named(e.value)[0]: named(e.lower, e.upper) for e in every if e.lower and e.upper}
        found.append(Measurement(f"{survey.name} estimates", columns, errors))
    return found


def reddening_column(features: Sequence[Feature], members: Sequence[SurveyColumns]) -> str | None:
    """Return the column with E(B-V), where a feature looks at it."""
    used = feature_columns(features)
    columns = [m.names.get(r.column, r.column) for m in members if (r := m.survey.reddening)]
    return next((name for name in columns if name in used), None)


def estimate_features(features: Sequence[Feature], members: Sequence[SurveyColumns]) -> tuple[str, ...]:
    """Return the names of the features that look at a survey's own estimate of a label."""
    columns = {
        m.names.get(c, c)
        for m in members
        for e in m.survey.estimates.values()
        for c in (e.value, e.lower, e.upper)
        if c
    }
    return tuple(f.name for f in features if columns & set(columns_in(f)))


def uses(features: Sequence[Feature], measurements: Sequence[Measurement]) -> NDArray[np.bool_]:
    """Tell which features need which measurement: shape (n_measurements, n_features)."""
    of_feature = [set(columns_in(feature)) for feature in features]
    table = [[bool(own & set(m.columns)) for own in of_feature] for m in measurements]
    return np.array(table, dtype=bool).reshape(len(measurements), len(features))


def feature_noise(
    table: pl.DataFrame,
    features: Sequence[Feature],
    measurements: Sequence[Measurement],
    x: FloatArray,
    seed: int,
    draws: int = DRAWS,
) -> NDArray[np.float32] | None:
    """Draw by how much the features change when every measurement is drawn anew within its error.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
    features : sequence of Feature
    measurements : sequence of Measurement
    x : ndarray, (n, n_features)
        The features as they are.
    seed : int
    draws : int

    Returns
    -------
    ndarray of float32, (draws, n, n_features), or None
        0 where a feature or an error is missing; None where no error is known at all.
    """
    errors = {column: ends for m in measurements for column, ends in m.errors.items()}
    known = {c: e for c, e in errors.items() if c in table.columns and all(end in table.columns for end in e)}
    if not known:
        return None
    rng = np.random.default_rng(seed)
    noise = np.empty((draws, *x.shape), dtype=np.float32)
    for draw in noise:
        redrawn = table.with_columns(
            (pl.col(column) + _sigma(ends) * pl.Series(rng.standard_normal(table.height))).alias(column)
            for column, ends in known.items()
        )
        change = evaluate_features(redrawn, features) - x
        # A distance drawn below 0 has no logarithm.
        draw[:] = np.nan_to_num(change, nan=0.0, posinf=0.0, neginf=0.0)
    return noise


def _sigma(ends: tuple[str, ...]) -> pl.Expr:
    """Standard deviation of a column; 0 where it is not known."""
    first = pl.col(ends[0]).cast(pl.Float64)
    sigma = first if len(ends) == 1 else (pl.col(ends[1]).cast(pl.Float64) - first) / 2
    return pl.when(sigma.is_finite() & (sigma > 0)).then(sigma).otherwise(0.0)
