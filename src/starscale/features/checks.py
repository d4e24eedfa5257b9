"""Checks: measurements that are no inputs of a model, but say whether an input can be right.

The product of parallax and distance is the same number for all stars, within their errors, whatever the units.
Beside the measurements behind the inputs it takes part in the agreement of measurements
(:mod:`starscale.learn.uncertainty.agreement`), which learns its usual value and scatter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
import polars as pl

from starscale.features.families import Feature, SurveyColumns
from starscale.features.features import feature_columns
from starscale.features.measurements import Measurement, floats_in, measured, measured_names
from starscale.surveys.derived import with_sources
from starscale.vocabulary.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Check:
    """A measurement whose product with an input is the same for all stars.

    Attributes
    ----------
    name : str
        ``parallax``.
    column, error : str
        The measurement and its standard deviation.
    times : str
        The input.
    """

    name: str
    column: str
    error: str
    times: str


def find_checks(features: Sequence[Feature], surveys: Sequence[SurveyColumns]) -> tuple[Check, ...]:
    """Find the checks of what the features use: of a distance, the first parallax that is no input itself."""
    used = set(feature_columns(features))
    distances = [found for found in chain.from_iterable(map(_distances, surveys)) if found[0] in used]
    parallaxes = [found for found in chain.from_iterable(map(_parallaxes, surveys)) if found[0] not in used]
    found = (
        Check("parallax", parallax, error, distance)
        for (distance, sources), (parallax, error) in product(distances, parallaxes)
        if parallax not in sources
    )
    return tuple(found)[:1]


def _distances(catalogue: SurveyColumns) -> Iterator[tuple[str, list[str]]]:
    """Yield the distance of a survey, and the columns that it is computed from."""
    if distance := catalogue.survey.distance:
        sources = with_sources(catalogue.survey.columns, [distance.value])
        yield _name(catalogue, distance.value), [_name(catalogue, column) for column in sources]


def _parallaxes(catalogue: SurveyColumns) -> Iterator[tuple[str, str]]:
    """Yield the parallax of a survey, and its error."""
    motion = catalogue.survey.motion
    if motion is not None and motion.parallax and motion.parallax_error:
        yield _name(catalogue, motion.parallax), _name(catalogue, motion.parallax_error)


def _name(catalogue: SurveyColumns, column: str) -> str:
    return catalogue.names.get(column, column)


def observed(table: pl.DataFrame, measurements: Sequence[Measurement], checks: Sequence[Check]) -> FloatArray:
    """Return values and errors of what may agree or not, in the order of :func:`observed_names`.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
    measurements : sequence of Measurement
    checks : sequence of Check

    Returns
    -------
    ndarray, (2, n, n_names)
        NaN: missing, or an error that is not known.
    """
    values = [np.stack(measured(table, measurements))]
    for check in checks:
        both = np.stack([floats_in(table, name) for name in (check.column, check.error)])
        both *= floats_in(table, check.times)
        values.append(np.where(np.isfinite(both), both, np.nan)[:, :, None])
    return np.concatenate(values, axis=2)


def observed_names(measurements: Sequence[Measurement], checks: Sequence[Check]) -> tuple[str, ...]:
    """Return what the columns of :func:`observed` are called."""
    return (*measured_names(measurements), *(check.name for check in checks))
