"""Intervals whose coverage holds on stars that the learner did not train on (split conformal prediction).

The guarantee is marginal: over stars drawn like the validation part, at least the level is covered on average
(Vovk, Gammerman & Shafer 2005). Where validation stars also decided when training stopped, as for the paper's
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
from starscale.learn.regressor import LEVELS, Raw, Threshold
from starscale.learn.sample import FloatArray

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


class Calibration(Protocol):
    """Turns an uncalibrated prediction into intervals."""

    kind: ClassVar[str]

    def intervals(self, raw: Raw, threshold: Threshold | None = None) -> Intervals:
        """Return the intervals; those of the higher level contain those of the lower."""

    def state(self) -> Arrays:
        """Return the arrays of the calibration."""


@dataclass(frozen=True)
class ScaledConformal:
    """Stretches predicted intervals about the median (conformalised quantile regression, scaled and asymmetric).

    Parameters
    ----------
    stretch : ndarray, shape (n_labels, n_levels)
        Factor of both half-widths; 1 where it was not calibrated.

    Notes
    -----
    Score of a star ``max((q_lo - y) / (m - q_lo), (y - q_hi) / (q_hi - m))``, after Romano, Patterson &
    Candes (2019) with the widths of Sousa, Tome & Moreira (2022); the factor is 1 + its quantile.
    """

    kind: ClassVar[str] = "scaled conformal"
    stretch: FloatArray

    @classmethod
    def fit(cls, raw: Raw, y: FloatArray, labels: Sequence[str]) -> tuple[ScaledConformal, list[str]]:
        """Calibrate on held-out stars; returns the calibration and what has to be said about it."""
        if raw.lower is None or raw.upper is None:
            raise TypeError("a prediction without intervals has nothing to stretch")
        stretch, notes = np.ones((len(labels), len(LEVELS))), []
        for column, label in enumerate(labels):
            rows = ~np.isnan(y[:, column])
            if (n := int(rows.sum())) < MIN_STARS:
                notes.append(
                    f"{label}: {n} validation stars are too few to calibrate on ({MIN_STARS}); "
                    "its intervals are the network's own"
                )
                continue
            truth, median = y[rows, column], raw.value[rows, column]
            for k, level in enumerate(LEVELS):
                low, high = raw.lower[rows, column, k], raw.upper[rows, column, k]
                tiny = np.finfo(np.float64).tiny
                score = np.maximum(
                    (low - truth) / np.maximum(median - low, tiny),
                    (truth - high) / np.maximum(high - median, tiny),
                )
                stretch[column, k] = 1 + np.sort(score)[ceil((n + 1) * level) - 1]
        return cls(stretch), notes

    def intervals(self, raw: Raw, threshold: Threshold | None = None) -> Intervals:  # noqa: ARG002
        """Stretch the intervals; the probability below the threshold stays the network's own."""
        if raw.lower is None or raw.upper is None:
            raise TypeError("a prediction without intervals has nothing to stretch")
        median = raw.value[:, :, None]
        return _nested(
            median - self.stretch * (median - raw.lower), median + self.stretch * (raw.upper - median), raw.below
        )

    def state(self) -> Arrays:
        """Return the arrays of the calibration."""
        return {"stretch": self.stretch}

    @classmethod
    def from_state(cls, arrays: Arrays, n_labels: int) -> ScaledConformal:
        """Rebuild from :meth:`state`."""
        return cls(take(arrays, "calibration", "stretch", (n_labels, len(LEVELS))))


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
    def fit(cls, raw: Raw, y: FloatArray, labels: Sequence[str]) -> tuple[ResidualConformal, list[str]]:
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

    def intervals(self, raw: Raw, threshold: Threshold | None = None) -> Intervals:
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


def calibrate(raw: Raw, y: FloatArray, labels: Sequence[str]) -> tuple[Calibration, list[str]]:
    """Calibrate a prediction of held-out stars, shape (n, n_labels), by the method that suits it."""
    return ResidualConformal.fit(raw, y, labels) if raw.lower is None else ScaledConformal.fit(raw, y, labels)


def calibration_from_state(document: Mapping[str, Any], arrays: Arrays, n_labels: int) -> Calibration:
    """Rebuild a calibration."""
    kind = entry(document, "kind", "calibration")
    return (ScaledConformal if kind == ScaledConformal.kind else ResidualConformal).from_state(arrays, n_labels)


def _nested(lower: NDArray[Any], upper: NDArray[Any], below: FloatArray | None) -> Intervals:
    """Widen the outer interval where the two were stretched past one another."""
    return Intervals(np.minimum.accumulate(lower, axis=2), np.maximum.accumulate(upper, axis=2), below)
