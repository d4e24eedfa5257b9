"""Intervals whose coverage holds on stars that were not used in training (split conformal prediction).

The guarantee is marginal: over stars drawn like the validation part, the coverage is at least the level on average
(Vovk, Gammerman & Shafer 2005). Factors by bins of the prediction (:mod:`.conformal`) are fitted to the same
stars; cross-validation over folds corrects for that. If the validation stars also decided when training stopped,
as for the paper's network, their residuals are slightly too small and the intervals slightly too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import entry, expected
from starscale.learn.regressor import LEVELS, RawPrediction, Threshold
from starscale.learn.uncertainty.conformal import EDGES, Stretch
from starscale.vocabulary.arrays import FloatArray

#: With fewer stars the scatter of the calibration (5 % at the 68 % level) exceeds the error that it corrects.
MIN_STARS = 100
#: Number of quantiles of the residuals that are stored.
N_RESIDUALS = 1001


@dataclass(frozen=True)
class Intervals:
    """Ends of the intervals of `LEVELS`, shape (n, n_labels, 2), and the probability below a threshold, (n,)."""

    lower: FloatArray
    upper: FloatArray
    p_below: FloatArray | None


class IntervalCalibration(Protocol):
    """Turns an uncalibrated prediction into intervals."""

    kind: ClassVar[str]

    def intervals(self, raw: RawPrediction, threshold: Threshold | None = None) -> Intervals:
        """Return the intervals; those of the higher level contain those of the lower."""


@dataclass(frozen=True)
class ScaledConformal:
    """Stretches predicted intervals about the median (conformalised quantile regression, scaled and asymmetric).

    Parameters
    ----------
    factor : ndarray, shape (n_groups, n_labels, n_levels)
        Factor of the half-widths for all stars of a network group.
    edges, bins : ndarray, shapes (..., n_labels, len(EDGES)), (..., n_labels, len(EDGES) + 1)
        Bins of every predicted label and their factors, after the axes of `factor`; see
        :class:`.conformal.Stretch`.

    Notes
    -----
    The score of a star is ``max((q_lo - y) / (m - q_lo), (y - q_hi) / (q_hi - m))``, after Romano, Patterson &
    Candes (2019) with the widths of Sousa, Tome & Moreira (2022); 1 + the score is the factor by which its
    interval must be stretched to reach the label.
    """

    kind: ClassVar[str] = "scaled conformal"
    factor: FloatArray
    edges: FloatArray
    bins: FloatArray

    @classmethod
    def fit(
        cls, raw: RawPrediction, y: FloatArray, labels: Sequence[str], star: NDArray[np.intp] | None = None
    ) -> tuple[ScaledConformal, list[str]]:
        """Calibrate on validation stars.

        Parameters
        ----------
        raw : RawPrediction
            n predictions.
        y : ndarray, shape (n, n_labels)
        labels : sequence of str
        star : ndarray, shape (n,), optional
            Number of the star of each prediction. Default: every prediction is of a different star.

        Returns
        -------
        calibration : ScaledConformal
        notes : list of str
            Labels that could not be calibrated.
        """
        star = np.arange(len(y)) if star is None else star
        group = _group(raw)
        shape = (int(group.max(initial=0)) + 1, len(labels), len(LEVELS))
        factor = np.empty(shape)
        edges = np.empty((*shape, len(labels), len(EDGES)))
        bins = np.empty((*shape, len(labels), len(EDGES) + 1))
        notes = []
        for number, column in np.ndindex(shape[:2]):
            known = (group == number) & ~np.isnan(y[:, column])
            if number == 0 and known.sum() < MIN_STARS:
                notes.append(
                    f"{labels[column]}: {known.sum()} validation stars are too few to calibrate its intervals "
                    f"({MIN_STARS} are needed); they are those of the learner"
                )
            for k, stretch in enumerate(_stretches(raw, y, column, known, star)):
                at = (number, column, k)
                factor[at], edges[at], bins[at] = stretch.factor, stretch.edges, stretch.bins
        return cls(factor, edges, bins), notes

    def intervals(self, raw: RawPrediction, threshold: Threshold | None = None) -> Intervals:  # noqa: ARG002
        """Stretch the intervals; the probability below the threshold stays that of the learner."""
        lower, upper = _ends(raw)
        stretch = np.ones(lower.shape)
        group = _group(raw)
        for number, of_group in enumerate(self.factor):
            rows = np.flatnonzero(group == number)
            own = raw.value[rows]
            for column, k in np.ndindex(of_group.shape):
                at = (number, column, k)
                factors = Stretch(float(self.factor[at]), self.edges[at], self.bins[at])
                stretch[rows, column, k] = factors.of(own)
        median = raw.value[:, :, None]
        return _nested(median - stretch * (median - lower), median + stretch * (upper - median), raw.p_below)

    @classmethod
    def skeleton(cls) -> ScaledConformal:
        """Return a calibration to be filled with stored arrays."""
        shape, n_edges = ("network groups", "labels", len(LEVELS)), len(EDGES)
        return cls(expected(*shape), expected(*shape, "labels", n_edges), expected(*shape, "labels", n_edges + 1))


def _group(raw: RawPrediction) -> NDArray[np.intp]:
    """Return the network group of each prediction, shape (n,)."""
    return np.zeros(len(raw.value), dtype=np.intp) if raw.member is None else raw.member


def _ends(raw: RawPrediction) -> tuple[FloatArray, FloatArray]:
    if raw.lower is None or raw.upper is None:
        raise TypeError("a prediction without intervals cannot be stretched")
    return raw.lower, raw.upper


def _stretches(
    raw: RawPrediction, y: FloatArray, column: int, rows: NDArray[np.bool_], star: NDArray[np.intp]
) -> list[Stretch]:
    """Return the factors of one label at every level, from the predictions in `rows`, shape (n,)."""
    if rows.sum() < MIN_STARS:
        return [Stretch.none(y.shape[1]) for _ in LEVELS]
    needed = _needed(raw, y, column, rows)
    return [Stretch.fit(needed[:, k], raw.value[rows], level, star[rows]) for k, level in enumerate(LEVELS)]


def _needed(raw: RawPrediction, y: FloatArray, column: int, rows: NDArray[np.bool_]) -> FloatArray:
    """Return the factor that the half-widths of each star need to reach its label, shape (n_rows, n_levels).

    With median m and interval (l, u) it is ``max((m - y) / (m - l), (y - m) / (u - m))``.
    """
    lower, upper = _ends(raw)
    truth, median = y[rows, column, None], raw.value[rows, column, None]
    low, high = median - lower[rows, column], upper[rows, column] - median
    tiny = np.finfo(np.float64).tiny
    return np.asarray(
        np.maximum((median - truth) / np.maximum(low, tiny), (truth - median) / np.maximum(high, tiny))
    )


@dataclass(frozen=True)
class ResidualConformal:
    """The same interval for every star, from the signed residuals of validation stars.

    Parameters
    ----------
    low, high : ndarray, shape (n_labels, n_levels)
        Added to the value; low <= 0 <= high, so that the interval contains the value.
    residuals : ndarray, shape (n_labels, N_RESIDUALS)
        Evenly spaced quantiles of label - prediction.
    """

    kind: ClassVar[str] = "residual conformal"
    low: FloatArray
    high: FloatArray
    residuals: FloatArray

    @classmethod
    def fit(cls, raw: RawPrediction, y: FloatArray, labels: Sequence[str]) -> tuple[ResidualConformal, list[str]]:
        """Calibrate on validation stars; return the calibration and notes on poorly calibrated labels."""
        low, high = np.zeros((2, len(labels), len(LEVELS)))
        residuals = np.zeros((len(labels), N_RESIDUALS))
        notes = []
        for column, label in enumerate(labels):
            residual = y[:, column] - raw.value[:, column]
            residual = np.sort(residual[~np.isnan(residual)])
            n = residual.size
            if n < MIN_STARS:
                notes.append(f"{label}: its intervals were calibrated on only {n} validation stars")
            residuals[column] = np.quantile(residual, np.linspace(0, 1, N_RESIDUALS))
            for k, level in enumerate(LEVELS):
                # Ranks of the two ends among n + 1: (n + 1) (1 - level) / 2 residuals lie outside on either side.
                tail = (n + 1) * (1 - level) / 2
                low[column, k] = min(residual[max(floor(tail), 1) - 1], 0.0)
                high[column, k] = max(residual[min(ceil(n + 1 - tail), n) - 1], 0.0)
        return cls(low, high, residuals), notes

    def intervals(self, raw: RawPrediction, threshold: Threshold | None = None) -> Intervals:
        """Add the quantiles of the residuals.

        The probability below the threshold is the share of the residuals that bring the value below it.
        """
        p_below = None
        if threshold is not None:
            residual = self.residuals[threshold.label]
            needed = threshold.value - raw.value[:, threshold.label]
            p_below = np.searchsorted(residual, needed, side="left") / residual.size
        value = raw.value[:, :, None]
        return _nested(value + self.low, value + self.high, p_below)

    def quantiles(self, probabilities: FloatArray) -> FloatArray:
        """Quantiles of the residuals: shape (n_labels, n_probabilities)."""
        grid = np.linspace(0, 1, N_RESIDUALS)
        return np.stack([np.interp(probabilities, grid, residuals) for residuals in self.residuals])

    @classmethod
    def skeleton(cls) -> ResidualConformal:
        """Return a calibration to be filled with stored arrays."""
        ends = expected("labels", len(LEVELS))
        return cls(ends, ends, expected("labels", N_RESIDUALS))


def calibrate(
    raw: RawPrediction, y: FloatArray, labels: Sequence[str], star: NDArray[np.intp] | None = None
) -> tuple[IntervalCalibration, list[str]]:
    """Calibrate predictions of validation stars, by stretching intervals if there are any, else by residuals.

    Parameters
    ----------
    raw : RawPrediction
        n predictions.
    y : ndarray, shape (n, n_labels)
    labels : sequence of str
    star : ndarray, shape (n,), optional
        Number of the star of each prediction, if some stars were predicted by several network groups.

    Returns
    -------
    calibration : IntervalCalibration
    notes : list of str
        Labels that are not, or only poorly, calibrated.
    """
    if raw.lower is None:
        return ResidualConformal.fit(raw, y, labels)
    return ScaledConformal.fit(raw, y, labels, star)


def calibration_skeleton(document: Mapping[str, Any]) -> IntervalCalibration:
    """Return a calibration of the stored kind, to be filled with stored arrays."""
    kind = entry(document, "kind", "calibration")
    return ScaledConformal.skeleton() if kind == ScaledConformal.kind else ResidualConformal.skeleton()


def _nested(lower: NDArray[Any], upper: NDArray[Any], p_below: FloatArray | None) -> Intervals:
    """Widen the outer interval, in place, if the inner one was stretched beyond it."""
    for k in range(1, len(LEVELS)):
        np.minimum(lower[..., k], lower[..., k - 1], out=lower[..., k])
        np.maximum(upper[..., k], upper[..., k - 1], out=upper[..., k])
    return Intervals(lower, upper, p_below)
