"""Intervals whose coverage holds on stars that the learner did not train on (split conformal prediction).

The guarantee is marginal: over stars drawn like the validation part, at least the level is covered on average
(Vovk, Gammerman & Shafer 2005). Factors by bins of the prediction (:mod:`.conformal`) come from the same stars;
what that costs is made up for by folds. Where they also decided when training stopped, as for the paper's
network, their residuals are a little too small and the intervals a little too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays, entry, take
from starscale.learn.regressor import LEVELS, RawPrediction, Threshold
from starscale.learn.uncertainty.conformal import EDGES, Stretch
from starscale.vocabulary.arrays import FloatArray

#: With fewer stars the scatter of the calibration (5 % at the 68 % level) exceeds the error that it mends.
MIN_STARS = 100
#: Residuals that are kept to describe their distribution.
N_RESIDUALS = 1001


@dataclass(frozen=True)
class Intervals:
    """Ends of the intervals of `LEVELS`, shape (n, n_labels, 2), and the probability below a threshold, (n,)."""

    lower: FloatArray
    upper: FloatArray
    below: FloatArray | None


class IntervalCalibration(Protocol):
    """Turns an uncalibrated prediction into intervals."""

    kind: ClassVar[str]

    def intervals(self, raw: RawPrediction, threshold: Threshold | None = None) -> Intervals:
        """Return the intervals; those of the higher level contain those of the lower."""

    def state(self) -> Arrays:
        """Return the arrays of the calibration."""


@dataclass(frozen=True)
class ScaledConformal:
    """Stretches predicted intervals about the median (conformalised quantile regression, scaled and asymmetric).

    Parameters
    ----------
    stretch : tuple of tuple of tuple of Stretch
        For every way to predict, label and level.

    Notes
    -----
    Score of a star ``max((q_lo - y) / (m - q_lo), (y - q_hi) / (q_hi - m))``, after Romano, Patterson &
    Candes (2019) with the widths of Sousa, Tome & Moreira (2022); 1 + the score is the factor that its interval
    needs to reach the label.
    """

    kind: ClassVar[str] = "scaled conformal"
    stretch: tuple[tuple[tuple[Stretch, ...], ...], ...]

    @classmethod
    def fit(
        cls, raw: RawPrediction, y: FloatArray, labels: Sequence[str], star: NDArray[np.intp] | None = None
    ) -> tuple[ScaledConformal, list[str]]:
        """Calibrate on held-out stars; returns the calibration and what has to be said about it.

        Parameters
        ----------
        raw : RawPrediction
            n predictions.
        y : ndarray, shape (n, n_labels)
        labels : sequence of str
        star : ndarray, shape (n,), optional
            Number of the star of each prediction. Default: each is a star of its own.
        """
        star = np.arange(len(y)) if star is None else star
        member = np.zeros(len(y), dtype=np.intp) if raw.member is None else raw.member
        factors, notes = [], []
        for number in range(int(member.max(initial=0)) + 1):
            rows = member == number
            of_member = []
            for column, label in enumerate(labels):
                known = rows & ~np.isnan(y[:, column])
                n = int(known.sum())
                if n < MIN_STARS:
                    if number == 0:
                        notes.append(
                            f"{label}: {n} validation stars are too few to calibrate on ({MIN_STARS}); "
                            "its intervals are the network's own"
                        )
                    of_member.append(tuple(Stretch.none(len(labels)) for _ in LEVELS))
                    continue
                needed = _needed(raw, y, column, known)
                of_member.append(
                    tuple(
                        Stretch.fit(needed[:, k], raw.value[known], level, star[known])
                        for k, level in enumerate(LEVELS)
                    )
                )
            factors.append(tuple(of_member))
        return cls(tuple(factors)), notes

    def intervals(self, raw: RawPrediction, threshold: Threshold | None = None) -> Intervals:  # noqa: ARG002
        """Stretch the intervals; the probability below the threshold stays the network's own."""
        lower, upper = _ends(raw)
        stretch = np.ones(lower.shape)
        member = np.zeros(len(lower), dtype=np.intp) if raw.member is None else raw.member
        for number, of_member in enumerate(self.stretch):
            rows = member == number
            for column, of_label in enumerate(of_member):
                for k, factors in enumerate(of_label):
                    stretch[rows, column, k] = factors.of(raw.value[rows])
        median = raw.value[:, :, None]
        return _nested(median - stretch * (median - lower), median + stretch * (upper - median), raw.below)

    def state(self) -> Arrays:
        """Return the arrays of the calibration."""
        every = [s for of_member in self.stretch for of_label in of_member for s in of_label]
        shape = (len(self.stretch), len(self.stretch[0]), len(LEVELS))
        return {
            "factor": np.array([s.factor for s in every]).reshape(shape),
            "edges": np.stack([s.edges for s in every]).reshape(*shape, *every[0].edges.shape),
            "bins": np.stack([s.bins for s in every]).reshape(*shape, *every[0].bins.shape),
        }

    @classmethod
    def from_state(cls, arrays: Arrays, n_labels: int) -> ScaledConformal:
        """Rebuild from :meth:`state`."""
        n_members = len(arrays["factor"]) if "factor" in arrays and arrays["factor"].ndim else 0
        shape = (n_members, n_labels, len(LEVELS))
        factor = take(arrays, "calibration", "factor", shape)
        edges = take(arrays, "calibration", "edges", (*shape, n_labels, len(EDGES)))
        bins = take(arrays, "calibration", "bins", (*shape, n_labels, len(EDGES) + 1))
        return cls(
            tuple(
                tuple(
                    tuple(
                        Stretch(float(factor[m, c, k]), edges[m, c, k], bins[m, c, k]) for k in range(len(LEVELS))
                    )
                    for c in range(n_labels)
                )
                for m in range(n_members)
            )
        )


def _ends(raw: RawPrediction) -> tuple[FloatArray, FloatArray]:
    if raw.lower is None or raw.upper is None:
        raise TypeError("a prediction without intervals has nothing to stretch")
    return raw.lower, raw.upper


def _needed(raw: RawPrediction, y: FloatArray, column: int, rows: NDArray[np.bool_]) -> FloatArray:
    """Factor that each star's half-widths need to reach its label, shape (n_rows, n_levels)."""
    lower, upper = _ends(raw)
    truth, median = y[rows, column, None], raw.value[rows, column, None]
    low, high = median - lower[rows, column], upper[rows, column] - median
    tiny = np.finfo(np.float64).tiny
    return np.asarray(
        np.maximum((median - truth) / np.maximum(low, tiny), (truth - median) / np.maximum(high, tiny))
    )


@dataclass(frozen=True)
class ResidualConformal:
    """The same interval for every star, from the signed residuals of held-out stars.

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
        """Calibrate on held-out stars; returns the calibration and what has to be said about it."""
        low, high = np.zeros((2, len(labels), len(LEVELS)))
        residuals = np.zeros((len(labels), N_RESIDUALS))
        notes = []
        for column, label in enumerate(labels):
            residual = y[:, column] - raw.value[:, column]
            residual = np.sort(residual[~np.isnan(residual)])
            n = residual.size
            if n < MIN_STARS:
                notes.append(f"{label}: its intervals rest on {n} validation stars only")
            residuals[column] = np.quantile(residual, np.linspace(0, 1, N_RESIDUALS))
            for k, level in enumerate(LEVELS):
                tail = (n + 1) * (1 - level) / 2
                low[column, k] = min(residual[max(floor(tail), 1) - 1], 0.0)
                high[column, k] = max(residual[min(ceil(n + 1 - tail), n) - 1], 0.0)
        return cls(low, high, residuals), notes

    def intervals(self, raw: RawPrediction, threshold: Threshold | None = None) -> Intervals:
        """Add the residual quantiles; below the threshold is the share of residuals that lead there."""
        below = None
        if threshold is not None:
            residual = self.residuals[threshold.label]
            needed = threshold.value - raw.value[:, threshold.label]
            below = np.searchsorted(residual, needed, side="left") / residual.size
        value = raw.value[:, :, None]
        return _nested(value + self.low, value + self.high, below)

    def quantiles(self, probabilities: FloatArray) -> FloatArray:
        """Quantiles of the residuals: shape (n_labels, n_probabilities)."""
        grid = np.linspace(0, 1, N_RESIDUALS)
        return np.stack([np.interp(probabilities, grid, residuals) for residuals in self.residuals])

    def state(self) -> Arrays:
        """Return the arrays of the calibration."""
        return {"low": self.low, "high": self.high, "residuals": self.residuals}

    @classmethod
    def from_state(cls, arrays: Arrays, n_labels: int) -> ResidualConformal:
        """Rebuild from :meth:`state`."""
        low, high = (take(arrays, "calibration", name, (n_labels, len(LEVELS))) for name in ("low", "high"))
        return cls(low, high, take(arrays, "calibration", "residuals", (n_labels, N_RESIDUALS)))


def calibrate(
    raw: RawPrediction, y: FloatArray, labels: Sequence[str], star: NDArray[np.intp] | None = None
) -> tuple[IntervalCalibration, list[str]]:
    """Calibrate predictions of held-out stars, shape (n, n_labels), by the method that suits them.

    `star`, shape (n,), are the numbers of the stars where some were predicted in several ways.
    """
    if raw.lower is None:
        return ResidualConformal.fit(raw, y, labels)
    return ScaledConformal.fit(raw, y, labels, star)


def calibration_from_state(document: Mapping[str, Any], arrays: Arrays, n_labels: int) -> IntervalCalibration:
    """Rebuild a calibration."""
    kind = entry(document, "kind", "calibration")
    return (ScaledConformal if kind == ScaledConformal.kind else ResidualConformal).from_state(arrays, n_labels)


def _nested(lower: NDArray[Any], upper: NDArray[Any], below: FloatArray | None) -> Intervals:
    """Widen the outer interval where the two were stretched past one another."""
    return Intervals(np.minimum.accumulate(lower, axis=2), np.maximum.accumulate(upper, axis=2), below)
