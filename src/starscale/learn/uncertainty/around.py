"""What is fitted around a learner: the edges of its domain, the widths that are unusual, further distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from starscale.learn.observations import Observations
from starscale.learn.preparation import Inputs
from starscale.learn.regressor import (
    DensityRegressor,
    DifferentiableRegressor,
    RawPrediction,
    Regressor,
    Threshold,
    Tilt,
)
from starscale.learn.sample import Sample
from starscale.learn.uncertainty.agreement import Agreement
from starscale.learn.uncertainty.calibration import IntervalCalibration, Intervals, ResidualConformal
from starscale.learn.uncertainty.domain import Domain
from starscale.learn.uncertainty.label_domain import LabelDomain
from starscale.learn.uncertainty.thresholds import BelowCalibration
from starscale.vocabulary.arrays import FloatArray

#: Share of the validation stars whose intervals are flagged as uncertain.
UNCERTAIN = 0.05
#: Share of the validation stars that the three scores together may call unusual.
UNUSUAL = 0.01


def are_giants(values: FloatArray, threshold: Threshold | None) -> NDArray[np.bool_]:
    """Return which stars are giants by their labels, shape (n,); none in a model without a limit of gravity."""
    if threshold is None:
        return np.zeros(len(values), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(values[:, threshold.label] < threshold.value)


def fit_agreement(
    train: Sample, validation: Sample, threshold: Threshold | None, predicted: FloatArray, seed: int
) -> Agreement | None:
    """Learn how measurements agree; None where the samples have none, or too few.

    Giants are those by label among the training stars, and those by the `predicted` labels of validation stars,
    shape (n, n_labels), as in a catalogue.
    """
    if train.measured is None or validation.measured is None:
        return None
    giant, held_giant = are_giants(train.y, threshold), are_giants(predicted, threshold)
    known = np.zeros(len(giant), dtype=bool) if threshold is None else ~np.isnan(train.y[:, threshold.label])
    kinds = np.stack([known & ~giant, giant]), np.stack([~held_giant, held_giant])
    return Agreement.fit(tuple(train.measured), tuple(validation.measured), kinds, seed, train.n_checks)


def with_common_scale(
    domains: tuple[Domain, LabelDomain, Agreement | None],
    scores: tuple[FloatArray, FloatArray],
    validation: Sample,
    giant: NDArray[np.bool_],
) -> tuple[Domain, LabelDomain, Agreement | None]:
    """Widen all domains by one factor, so that together they call `UNUSUAL` of the validation stars unusual.

    Each has 1 % of them outside, which makes up to 3 %. `giant` says which stars are predicted to be giants.
    """
    domain, label_domain, consistency = domains
    if consistency is None or validation.measured is None:
        return domains
    value, error = validation.measured
    agreement = np.nan_to_num(consistency.score(value, error, giant).score)
    factor = max(float(np.quantile(np.max([*scores, agreement], axis=0), 1 - UNUSUAL)), 1.0)
    return (
        replace(domain, scale=domain.scale * factor),
        replace(label_domain, scale=label_domain.scale * factor),
        consistency.widened(factor),
    )


def wide_limits(ends: Intervals) -> FloatArray:
    """Widths of the 95.45 % interval above which a star is flagged as uncertain; shape (n_labels,).

    With w_ij the width of the interval of label j for validation star i and m_j its median over the stars, the
    limit of label j is ``q m_j``, where q is the 95th percentile over the stars of ``max_j w_ij / m_j``: the same
    multiple of the median for every label, exceeded in at least one label by 5 % of the stars.
    """
    widths = ends.upper[..., -1] - ends.lower[..., -1]
    usual = np.maximum(np.median(widths, axis=0), np.finfo(np.float64).tiny)
    limit = np.quantile((widths / usual).max(axis=1), 1 - UNCERTAIN)
    # A learner whose intervals all have the same width flags no star, whatever the rounding.
    return np.asarray(limit * usual * (1 + 1e-9))


def raw_prediction(
    regressor: Regressor,
    inputs: Inputs,
    threshold: Threshold | None,
    below: tuple[Threshold, ...],
    tilt: Tilt | None,
    moved: Inputs | None,
) -> RawPrediction:
    """Return what a learner of any kind predicts; parameters are those of :class:`.DensityRegressor`."""
    if isinstance(regressor, DensityRegressor):
        return regressor.predict_density(inputs, threshold, below, tilt, moved)
    if tilt is not None:
        raise TypeError("a learner without a density has no other prior")
    if moved is None:
        return regressor.predict(inputs, threshold)
    if isinstance(regressor, DifferentiableRegressor):
        return regressor.predict_change(inputs, moved)
    raw = regressor.predict(inputs, threshold)
    return replace(raw, change=regressor.means(moved) - raw.mean)


def below_of(
    regressor: Regressor,
    calibration: IntervalCalibration,
    inputs: Inputs,
    raw: RawPrediction,
    below: Sequence[Threshold],
) -> FloatArray:
    """Return uncalibrated probabilities to be below thresholds, of any learner: shape (n, n_thresholds).

    Those of a learner that predicts a point come from the residuals of held-out stars.
    """
    if raw.below is not None:
        return raw.below
    if isinstance(calibration, ResidualConformal):
        found = [calibration.intervals(raw, item).p_below for item in below]
    else:
        found = [regressor.predict(inputs, item).p_below for item in below]
    return np.stack([np.full(len(raw.value), np.nan) if p is None else p for p in found], axis=1)


def calibrated_below(
    calibration: BelowCalibration | None, raw: RawPrediction, p: FloatArray, below: Sequence[Threshold]
) -> FloatArray:
    """Calibrate probabilities to be below thresholds, shape (n, n_thresholds), if it is known how."""
    if calibration is None:
        return p
    columns = [calibration.apply(item.label, p[:, [i]], raw.value[:, item.label]) for i, item in enumerate(below)]
    return np.concatenate(columns, axis=1)


def fit_below(
    regressor: Regressor, calibration: IntervalCalibration, inputs: Inputs, raw: RawPrediction, y: FloatArray
) -> BelowCalibration:
    """Calibrate the probabilities to be below thresholds, on held-out stars with labels `y`."""

    def p_below(asked: Sequence[tuple[int, float]]) -> FloatArray:
        below = tuple(Threshold(*item) for item in asked)
        if isinstance(regressor, DensityRegressor):
            predicted = regressor.predict_density(inputs, below=below)
            return below_of(regressor, calibration, inputs, predicted, below)
        return below_of(regressor, calibration, inputs, raw, below)

    return BelowCalibration.fit(p_below, raw.value, y)


def with_masked(
    regressor: Regressor, raw: RawPrediction, validation: Observations, seed: int
) -> tuple[RawPrediction, FloatArray, NDArray[np.intp]]:
    """Predict the validation stars with every network group; return predictions, labels and row numbers.

    Few validation stars lack a band. To calibrate the networks for such stars, the band is masked in the others.
    """
    x, y = validation.sample.x, validation.sample.y
    every = np.arange(len(y))
    if raw.member is None:
        return raw, y, every
    usable = np.flatnonzero(validation.preparation.usable)
    predictions, star = [raw], [every]
    for masked in regressor.masked_validations(np.isnan(x[:, usable])):
        stars = x[masked.rows]
        stars[:, usable] = np.where(masked.missing, np.nan, stars[:, usable])
        predictions.append(regressor.predict(validation.preparation.apply(stars)))
        star.append(every[masked.rows])
    predictions.append(regressor.predict(validation.resampled((seed,), noise=False, gaps=True)))
    numbers = np.concatenate([*star, every])
    return RawPrediction.joined(predictions), y[numbers], numbers
