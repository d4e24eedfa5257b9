"""Consensus of all surveys about the labels of a star, on the scale of the calibration.

Corrections are functions of the star, not of one survey's noisy value: evaluated at the inverse-variance
mean of the corrected values, the noise of a difference and the noise of that mean are uncorrelated, and no
spurious slope arises (docs/homogenize.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from starscale.homogenization.kernel.calibration import Calibration, Correction, bounded
from starscale.vocabulary.arrays import FloatArray

_ROUNDS = 2


@dataclass(frozen=True)
class Consensus:
    """Stars on the common scale.

    Parameters
    ----------
    stars : ndarray, (n, 3)
        Labels; NaN where no survey has one.
    correction : Correction
        At `stars`.
    calibrated : ndarray, (3, n, S)
        Value of every survey on the common scale.
    error : ndarray, (3, n, S)
        Normalised error of that value: the error of the survey divided by the slope of its label, with the
        propagated errors of the other labels in the correction.
    placement : ndarray, (3, n, S)
        What the errors of the star's own labels do to its correction, which is taken there; 0 in paper mode. It is
        part of `error`.
    """

    stars: FloatArray
    correction: Correction
    calibrated: FloatArray
    error: FloatArray
    placement: FloatArray


def consensus(
    calibration: Calibration,
    value: FloatArray,
    error: FloatArray,
    *,
    lost: FloatArray | None = None,
    rounds: int = _ROUNDS,
) -> Consensus:
    """Put the values of every survey on the common scale.

    Solves ``y_s = x + f_s(x)`` for every star over all its surveys with their weights: corrections change slowly
    with the star, so that a few iterations of ``x = mean of y_s - f_s(x)`` suffice, followed by a Newton step for
    every survey.

    Parameters
    ----------
    calibration : Calibration
    value, error : ndarray, (3, n, S)
        Measurements with normalised errors; NaN where there is none.
    lost : ndarray, (3, n, S), optional
        Robust weight factors.
    rounds : int
        Iterations of the mean.
    """
    there = np.isfinite(value)
    ideal = np.where(there, 1 / np.where(there, error, 1.0) ** 2, 0.0)
    if lost is not None:
        ideal = ideal * lost
    y = np.where(there, value, 0.0)
    x = _mean(y, ideal)
    if calibration.own:
        correction = calibration.at(x.T, value)
        calibrated = np.where(there, value - correction.value, np.nan)
        mean = _mean(np.where(there, calibrated, 0.0), ideal).T
        return Consensus(mean, correction, calibrated, error, np.zeros_like(value))
    total = ideal.sum(axis=2)
    for _ in range(rounds):
        correction = calibration.at(x.T, value, slopes=False)
        residual = np.where(there, y - x[:, :, None] - correction.value, 0.0)
        step = (ideal * residual).sum(axis=2)
        x = x + np.divide(step, total, out=np.zeros_like(step), where=total > 0)
    correction = calibration.at(x.T, value)
    slope = np.stack([bounded(correction.slope[i, i]) for i in range(3)])
    residual = np.where(there, y - x[:, :, None] - correction.value, np.nan)
    calibrated = x[:, :, None] + residual / slope
    total = (ideal * slope**2).sum(axis=2)
    spread = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    crossed = np.zeros_like(value)
    for i in range(3):
        for j in {0, 1, 2} - {i}:
            crossed[i] += correction.slope[i, j] ** 2 * spread[j][:, None]
    on_scale = np.where(there, np.sqrt(error**2 + crossed) / slope, np.nan)
    # y = x + f(x) + noise is solved for x: the own label is off by (noise - crossed) / slope, with slope = 1 + f'.
    placement = np.where(there, np.sqrt(((slope - 1) * error) ** 2 + crossed) / slope, np.nan)
    return Consensus(x.T, correction, calibrated, on_scale, placement)


def _mean(y: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted mean over surveys, NaN without a measurement. Shapes (3, n, S) -> (3, n)."""
    total = weight.sum(axis=2)
    found = np.divide((weight * y).sum(axis=2), total, out=np.full(total.shape, np.nan), where=total > 0)
    return np.asarray(found)
