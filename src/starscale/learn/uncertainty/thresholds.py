"""Calibrated probabilities that a label is below a threshold, any threshold.

A learner's distribution function P(t) of a label is right on average over thresholds and stars, but its tails need
not be. With l = log(P / (1 - P)) and v the predicted value (in standard deviations of the training labels), the
calibrated log-odds are ``a(v) + b(v) l``, with ``a`` a parabola and ``log b`` a line: a logistic calibration
(Platt 1999) that depends on the star and not on the threshold. As b is positive, it is a distribution function
again: the probability never falls with the threshold. The coefficients minimise the log loss
over held-out stars and a grid of thresholds, drawn towards no change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit

from starscale.learn.arrays import expected
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

#: Needed in training alone.
optimize = Later("scipy.optimize")

#: Thresholds of the fit: quantiles of the labels, dense in the tails.
GRID = (0.003, 0.006, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.95, 0.99)
#: With fewer held-out stars the probabilities stay as they are.
MIN_STARS = 400
#: Weight of no change, in stars.
PRIOR_STARS = 10.0
#: Probabilities are taken to lie between this and 1 - this; predicted values, within so many standard deviations.
LEAST, FARTHEST = 1e-6, 4.0
#: Coefficients: 3 of a, 2 of log b.
N_COEFFICIENTS = 5


@dataclass(frozen=True)
class BelowCalibration:
    """Map from the probabilities of a learner to calibrated ones.

    Parameters
    ----------
    coefficients : ndarray, shape (n_labels, N_COEFFICIENTS)
        Of ``a(v) = c0 + c1 v + c2 v^2`` and ``log b(v) = c3 + c4 v``; zeros change nothing.
    center, width : ndarray, shape (n_labels,)
        Mean and standard deviation of the labels.
    """

    coefficients: FloatArray
    center: FloatArray
    width: FloatArray

    @classmethod
    def fit(
        cls, p_below: Callable[[Sequence[tuple[int, float]]], FloatArray], value: FloatArray, y: FloatArray
    ) -> BelowCalibration:
        """Fit on held-out stars.

        Parameters
        ----------
        p_below : callable
            Returns the uncalibrated probabilities, shape (n, n_thresholds), for numbers of labels and thresholds.
        value, y : ndarray, shape (n, n_labels)
            Predicted values, and labels (NaN: missing).
        """
        n_labels = y.shape[1]
        center, width = np.nanmean(y, axis=0), np.nanstd(y, axis=0)
        unfitted = cls(np.zeros((n_labels, N_COEFFICIENTS)), center, np.where(width > 0, width, 1.0))
        known = ~np.isnan(y)
        fitted = [label for label in range(n_labels) if known[:, label].sum() >= MIN_STARS]
        grids = [np.unique(np.quantile(y[known[:, label], label], GRID)) for label in fitted]
        asked = [(label, float(cut)) for label, grid in zip(fitted, grids, strict=True) for cut in grid]
        # All at once: it is one prediction of all stars.
        found = np.split(p_below(asked), np.cumsum([len(grid) for grid in grids])[:-1], axis=1) if asked else []
        for label, grid, p in zip(fitted, grids, found, strict=True):
            own = known[:, label]
            odds, v = _log_odds(p[own]), unfitted._scaled(label, value[own, label])
            unfitted.coefficients[label] = _fitted(odds, v, y[own, label, None] < grid)
        return unfitted

    def apply(self, label: int, p: FloatArray, value: FloatArray) -> FloatArray:
        """Calibrate probabilities of one label, shape (n, n_thresholds), of stars with predicted values (n,)."""
        shift, slope = _shift_and_slope(self.coefficients[label], self._scaled(label, value))
        found = expit(shift[:, None] + slope[:, None] * _log_odds(p))
        # What the learner calls impossible or certain stays so.
        return np.asarray(np.where((p > 0) & (p < 1), found, p))

    def _scaled(self, label: int, value: FloatArray) -> FloatArray:
        return np.asarray(np.clip((value - self.center[label]) / self.width[label], -FARTHEST, FARTHEST))

    @classmethod
    def skeleton(cls) -> BelowCalibration:
        """Return a calibration to be filled with stored arrays."""
        return cls(expected("labels", N_COEFFICIENTS), expected("labels"), expected("labels"))


def _log_odds(p: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(p, LEAST, 1 - LEAST)))


def _shift_and_slope(coefficients: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    a0, a1, a2, b0, b1 = coefficients
    return a0 + a1 * v + a2 * v**2, np.exp(np.clip(b0 + b1 * v, -3, 3))


def _fitted(odds: FloatArray, v: FloatArray, below: NDArray[np.bool_]) -> FloatArray:
    """Return the coefficients of a label, from log-odds and outcomes, shape (n, n_thresholds), and values (n,)."""
    sign = np.where(below, 1.0, -1.0)
    powers = np.stack([np.ones_like(v), v, v**2], axis=1)

    def loss(coefficients: FloatArray) -> tuple[float, FloatArray]:
        shift, slope = _shift_and_slope(coefficients, v)
        z = shift[:, None] + slope[:, None] * odds
        # Of the sum over stars of the mean over thresholds.
        by_shift = -(sign * expit(-sign * z)).mean(axis=1)
        by_log_slope = -(sign * expit(-sign * z) * odds).mean(axis=1) * slope
        gradient = np.concatenate([by_shift @ powers, by_log_slope @ powers[:, :2]])
        value = -log_expit(sign * z).mean(axis=1).sum() + PRIOR_STARS * float((coefficients**2).sum())
        return value, gradient + 2 * PRIOR_STARS * coefficients

    return np.asarray(optimize.minimize(loss, np.zeros(N_COEFFICIENTS), jac=True, method="L-BFGS-B").x)
