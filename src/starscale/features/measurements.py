"""Measurements: the columns behind the features of a model that go missing together, and their errors.

A band is one measurement: without it, every colour with the band is missing. The uncertainty of a feature,
whatever its expression, is found by resampling the measurements within their errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.features.families import Feature, SurveyColumns
from starscale.features.features import columns_in, evaluate_features, feature_columns
from starscale.surveys.schema import Estimate
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray

#: Noise realisations per star.
DRAWS = 4
#: A coefficient of a spectrum is an input if its scatter among the stars is this many times its noise.
_INFORMATIVE = 2.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """Columns that are missing together.

    Attributes
    ----------
    name : str
        ``survey.band``, ``distance``, ``reddening``, ``survey estimates``, ``survey spectra``, or the name of a
        single column.
    columns : tuple of str
    errors : mapping of str to tuple of str
        For each column with a known error: the column with its standard deviation, or the two columns with the
        ends of its 68 % interval.
    logarithmic : bool
        Whether values are compared by their ratios, as distances are.
    """

    name: str
    columns: tuple[str, ...]
    errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    logarithmic: bool = False

    @classmethod
    def from_document(cls, item: Mapping[str, Any]) -> Measurement:
        """Return a measurement from plain data, as a bundle stores it."""
        errors = {column: tuple(ends) for column, ends in item["errors"].items()}
        return cls(item["name"], tuple(item["columns"]), errors, bool(item.get("logarithmic", False)))

    @property
    def values(self) -> dict[str, str]:
        """The measured columns by what they are called: the measurement, or the column where it has several."""
        columns = list(self.errors) or list(self.columns[:1])
        return {self.name: columns[0]} if len(columns) == 1 else {column: column for column in columns}


def find_measurements(features: Sequence[Feature], surveys: Sequence[SurveyColumns]) -> tuple[Measurement, ...]:
    """Find the measurements that the features use, as the survey files describe them.

    A column that no survey describes as part of a measurement is a measurement by itself.
    """
    needed = set(feature_columns(features))
    found: list[Measurement] = []
    for measurement in chain.from_iterable(map(_of_survey, surveys)):
        used = tuple(column for column in measurement.columns if column in needed)
        if used:
            found.append(replace(measurement, columns=used))
    known = {column for measurement in found for column in measurement.columns}
    return (*found, *(Measurement(column, (column,)) for column in sorted(needed - known)))


def _of_survey(catalogue: SurveyColumns) -> Iterator[Measurement]:
    """Yield the measurements of a survey: bands, distance, reddening; all its estimates, and all its spectra."""
    survey = catalogue.survey
    for band, spec in survey.bands.items():
        names = _named(catalogue, spec.magnitude, spec.error)
        yield Measurement(f"{survey.name}.{band}", names, {names[0]: names[1:]} if spec.error else {})
    if distance := survey.distance:
        names = _named(catalogue, distance.value, distance.lower, distance.upper)
        yield Measurement("distance", names, _interval(names), logarithmic=True)
    if survey.reddening:
        names = _named(catalogue, survey.reddening.column, survey.reddening.error)
        yield Measurement("reddening", names, {names[0]: names[1:]} if survey.reddening.error else {})
    if survey.estimates:
        columns = [_of_estimate(catalogue, estimate) for estimate in survey.estimates.values()]
        errors = dict(chain.from_iterable(_interval(names).items() for names in columns))
        yield Measurement(f"{survey.name} estimates", tuple(chain.from_iterable(columns)), errors)
    if survey.spectra:
        yield _of_spectra(catalogue)


def _of_spectra(catalogue: SurveyColumns) -> Measurement:
    """Return all spectra of a survey as one measurement."""
    survey = catalogue.survey
    spectra = [_named(catalogue, *spectrum.columns) for spectrum in survey.spectra.values()]
    errors = {names[0]: names[1:] for names in spectra if names[1:]}
    return Measurement(f"{survey.name} spectra", tuple(chain.from_iterable(spectra)), errors)


def _interval(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the entry of :attr:`Measurement.errors` of a value, if both ends of its interval are known."""
    return {names[0]: names[1:]} if len(names) == 3 else {}


def _of_estimate(catalogue: SurveyColumns, estimate: Estimate) -> tuple[str, ...]:
    return _named(catalogue, estimate.value, estimate.lower, estimate.upper)


def _named(catalogue: SurveyColumns, *columns: str | None) -> tuple[str, ...]:
    """Return the names of columns in the joined table, without those that the survey does not have."""
    return tuple(catalogue.names.get(column, column) for column in columns if column)


def reddening_column(features: Sequence[Feature], surveys: Sequence[SurveyColumns]) -> str | None:
    """Return the column with E(B-V) if a feature uses it."""
    used = feature_columns(features)
    columns = [s.names.get(r.column, r.column) for s in surveys if (r := s.survey.reddening)]
    return next((name for name in columns if name in used), None)


def estimate_features(features: Sequence[Feature], surveys: Sequence[SurveyColumns]) -> tuple[str, ...]:
    """Return the names of the features that use a survey's own estimate of a label."""
    columns = {name for s in surveys for e in s.survey.estimates.values() for name in _of_estimate(s, e)}
    return tuple(f.name for f in features if columns & set(columns_in(f)))


def spectra_features(features: Sequence[Feature], surveys: Sequence[SurveyColumns]) -> tuple[str, ...]:
    """Return the names of the features that use the coefficients of a spectrum."""
    columns = {name for s in surveys for one in s.survey.spectra.values() for name in _named(s, one.coefficients)}
    return tuple(f.name for f in features if columns & set(columns_in(f)))


def uses(features: Sequence[Feature], measurements: Sequence[Measurement]) -> NDArray[np.bool_]:
    """Return which features use which measurement. Shape (n_measurements, n_features)."""
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
    """Draw realisations of the noise of the features, by resampling every measurement within its error.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
    features : sequence of Feature
    measurements : sequence of Measurement
    x : ndarray, (n, n_features)
        The features of the measured values.
    seed : int
    draws : int
        Number of realisations.

    Returns
    -------
    ndarray of float32, (draws, n, n_features), or None
        Resampled minus measured features; 0 where a feature or an error is missing. None if no error is known.
    """
    errors = {column: ends for m in measurements for column, ends in m.errors.items()}
    known = {c: e for c, e in errors.items() if c in table.columns and all(end in table.columns for end in e)}
    if not known:
        return None
    rng = np.random.default_rng(seed)
    noise = np.empty((draws, *x.shape), dtype=np.float32)
    for draw in noise:
        resampled = table.with_columns(_resampled(table, column, ends, rng) for column, ends in known.items())
        change = evaluate_features(resampled, features) - x
        # A resampled distance below 0 has no logarithm.
        draw[:] = np.nan_to_num(change, nan=0.0, posinf=0.0, neginf=0.0)
    return noise


def error_columns(measurements: Sequence[Measurement]) -> list[str]:
    """Return the columns of the errors of measurements."""
    return [column for m in measurements for ends in m.errors.values() for column in ends]


def measured_names(measurements: Sequence[Measurement]) -> tuple[str, ...]:
    """Return what the columns of :func:`measured` are called."""
    return tuple(chain.from_iterable(m.values for m in measurements))


def measured(table: pl.DataFrame, measurements: Sequence[Measurement]) -> tuple[FloatArray, FloatArray]:
    """Return the measured values and their errors, of the measurements as :func:`measured_names` calls them.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
    measurements : sequence of Measurement

    Returns
    -------
    value, error : ndarray, (n, n_names)
        NaN: missing, an error that is not known, or the elements of a spectrum. Logarithmic measurements are
        natural logarithms, and their errors relative.
    """
    columns = [(m, column) for m in measurements for column in m.values.values()]
    arrays = {
        name: floats_in(table, name) for m, column in columns for name in (column, *m.errors.get(column, ()))
    }
    value, error = np.empty((2, table.height, len(columns)))
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, (m, column) in enumerate(columns):
            ends = [arrays[name] for name in m.errors.get(column, ())]
            sigma = (ends[1] - ends[0]) / 2 if len(ends) == 2 else ends[0] if ends else np.nan
            value[:, i], error[:, i] = arrays[column], sigma
            if m.logarithmic:
                value[:, i], error[:, i] = np.log(arrays[column]), sigma / arrays[column]
    # The logarithm of 0, and infinities of damaged tables.
    value[~np.isfinite(value)] = np.nan
    return value, error


def floats_in(table: pl.DataFrame, name: str) -> FloatArray:
    """Return a column as numbers; NaN where it is null, not there or a spectrum."""
    if name not in table.columns or table.schema[name].is_nested():
        return np.full(table.height, np.nan)
    return as_floats(table[name])


def without_noise(
    table: pl.DataFrame, features: Sequence[Feature], surveys: Sequence[SurveyColumns]
) -> tuple[Feature, ...]:
    """Leave out the coefficients of spectra that are little more than noise in the stars of a table.

    Bases of spectra are ordered by what they contribute, and most of the last ones hold noise, which costs
    accuracy with few training stars (docs: XP spectra). Only inputs are looked at, no labels.
    """
    names = set(spectra_features(features, surveys))
    spectra = [feature for feature in features if feature.name in names]
    made_of = find_measurements(spectra, surveys)
    x = evaluate_features(table, spectra, where="training table") if spectra else np.empty((0, 0))
    noise = feature_noise(table, spectra, made_of, x, seed=0, draws=1) if np.isfinite(x).any() else None
    if noise is None:
        return tuple(features)
    known = np.isfinite(x).any(axis=1)
    scatter = np.nanmedian(np.abs(x[known] - np.nanmedian(x[known], axis=0)), axis=0)
    errors = np.median(np.abs(noise[0, known]), axis=0)
    noisy = {f.name for f, s, e in zip(spectra, scatter, errors, strict=True) if s < _INFORMATIVE * e}
    return tuple(feature for feature in features if feature.name not in noisy)


def _resampled(
    table: pl.DataFrame, column: str, ends: tuple[str, ...], rng: np.random.Generator
) -> pl.Series | pl.Expr:
    """Return a column with noise of its errors."""
    if isinstance(table[column].dtype, pl.List):
        return _resampled_arrays(table[column], table[ends[0]], rng)
    noise = pl.Series(rng.standard_normal(table.height))
    return (pl.col(column) + _sigma(ends) * noise).alias(column)


def _resampled_arrays(values: pl.Series, errors: pl.Series, rng: np.random.Generator) -> pl.Series:
    """Return arrays with independent noise in all elements; their correlations are not used."""
    length = values.list.len().max()
    if not isinstance(length, int):
        return values
    measured, sigma = (s.cast(pl.List(pl.Float64)).list.to_array(length).to_numpy() for s in (values, errors))
    sigma = np.where(np.isfinite(sigma) & (sigma > 0), sigma, 0.0)
    noisy = measured + sigma * rng.standard_normal(measured.shape)
    return pl.Series(values.name, noisy, dtype=pl.Array(pl.Float64, length))


def _sigma(ends: tuple[str, ...]) -> pl.Expr:
    """Standard deviation from its column, or from the ends of a 68 % interval; 0 where it is not known."""
    first = pl.col(ends[0]).cast(pl.Float64)
    sigma = first if len(ends) == 1 else (pl.col(ends[1]).cast(pl.Float64) - first) / 2
    return pl.when(sigma.is_finite() & (sigma > 0)).then(sigma).otherwise(0.0)
