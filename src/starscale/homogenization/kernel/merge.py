"""One value for every star: generalised least squares over its surveys, with the covariance of the corrections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.calibration import Calibration, Correction
from starscale.homogenization.kernel.consensus import Consensus, consensus
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.later import Later

stats = Later("scipy.stats")

#: Probability of chi^2 below which the error of a star is inflated (Birge 1932).
DISAGREE = 1e-2
#: A measurement more than so many errors from two or more others that agree is left out of the mean.
_OUTLIER = 4.0
_AGREE = 1e-2


@dataclass(frozen=True)
class Merged:
    """Stars on one scale.

    Parameters
    ----------
    value, error : ndarray, (3, n)
        NaN where no survey has the label, or where it is impossible.
    chi2 : ndarray, (3, n)
        Spread about the mean, with the covariance of the corrections; 0 for one measurement.
    free : ndarray of int, (3, n)
        Measurements less one.
    disagree : ndarray of bool, (3, n)
        The spread is too large: the error was inflated by the Birge ratio.
    consensus : Consensus
        Where the corrections were evaluated, and the calibrated value of every survey.
    correction_error : ndarray, (3, n, S)
        Standard error of every correction as a function, at the place of the star.
    weight : ndarray, (3, n, S)
        Share of every measurement in the mean.
    outlier : ndarray of bool, (3, n, S)
        Measurements that were left out.
    impossible : ndarray of bool, (3, n)
        The mean lies outside the physical range of the label, although the surveys' own values do not.
    """

    value: FloatArray
    error: FloatArray
    chi2: FloatArray
    free: NDArray[np.intp]
    disagree: NDArray[np.bool_]
    consensus: Consensus
    correction_error: FloatArray
    weight: FloatArray
    outlier: NDArray[np.bool_]
    impossible: NDArray[np.bool_]


def merge(calibration: Calibration, value: FloatArray, error: FloatArray) -> Merged:
    """Merge the surveys' measurements of every star.

    Parameters
    ----------
    calibration : Calibration
    value, error : ndarray, (3, n, S)
        One measurement a survey, with normalised errors; NaN where there is none.
    """
    # x = sum_s w_s y_s / sum_s w_s with w = V^-1 1 and V = diag(e_s'^2) + Cov(f_s, f_t), s, t surveys of a star.
    place = consensus(calibration, value, error)
    outlier = np.stack([odd_ones(place.calibrated[i], place.error[i]) for i in range(3)])
    odd = np.flatnonzero(outlier.any(axis=(0, 2)))
    if len(odd):
        again = consensus(calibration, value[:, odd], error[:, odd], lost=(~outlier[:, odd]).astype(np.float64))
        place = replaced(place, again, odd)
    there = np.isfinite(value)
    used = there & ~outlier
    several = np.flatnonzero(used.any(axis=0).sum(axis=1) > 1)
    correction_error, covariance = _correction_covariance(calibration, place.stars, there, several)
    means = [_Means.of(place.calibrated[i], place.error[i], used[i]) for i in range(3)]
    for mean, own, full in zip(means, correction_error, covariance, strict=True):
        mean.add_corrections(own, several, full)
    impossible = np.stack(
        [
            (mean.value < LABELS[name].lower) | (mean.value > LABELS[name].upper)
            for name, mean in zip(AXES, means, strict=True)
        ]
    )
    for mean, out in zip(means, impossible, strict=True):
        mean.remove(out)
    names = ("value", "error", "chi2", "free", "disagree", "weight")
    return Merged(
        impossible=impossible,
        consensus=place,
        correction_error=np.where(there, correction_error, np.nan),
        outlier=outlier,
        **{name: np.stack([getattr(mean, name) for mean in means]) for name in names},
    )


def _correction_covariance(
    calibration: Calibration, stars: FloatArray, there: NDArray[np.bool_], several: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """Uncertainty of the corrections at the stars.

    Parameters
    ----------
    calibration : Calibration
    stars : ndarray, (n, 3)
        Labels on the common scale.
    there : ndarray of bool, (3, n, S)
        Where there is a measurement.
    several : ndarray of int, (m,)
        Stars with measurements of two or more surveys.

    Returns
    -------
    error : ndarray, (3, n, S)
        Standard error of the correction of every measurement.
    covariance : ndarray, (3, m, S, S)
        Covariance of the corrections of every two surveys, at the stars `several`.
    """
    n_surveys = there.shape[2]
    error, pairs = np.zeros(there.shape), np.asarray(there[:, several].any(axis=0))
    covariance = np.zeros((3, len(several), n_surveys, n_surveys))
    corrected = _corrected(calibration)
    for s in corrected:
        mine = np.flatnonzero(there[:, :, s].any(axis=0))
        error[:, mine, s] = np.sqrt(np.maximum(calibration.variances(stars[mine], s, s), 0.0))
        covariance[:, :, s, s] = error[:, several, s] ** 2
        for t in (t for t in corrected if t < s):
            both = np.flatnonzero(pairs[:, s] & pairs[:, t])
            if len(both):
                common = calibration.variances(stars[several[both]], s, t)
                covariance[:, both, s, t] = covariance[:, both, t, s] = common
    return error, covariance


def replaced(place: Consensus, again: Consensus, rows: NDArray[np.intp]) -> Consensus:
    """Replace some stars of a consensus by those of another."""
    stars, calibrated, error = place.stars.copy(), place.calibrated.copy(), place.error.copy()
    stars[rows], calibrated[:, rows], error[:, rows] = again.stars, again.calibrated, again.error
    placement = place.placement.copy()
    placement[:, rows] = again.placement
    value, slope = place.correction.value.copy(), place.correction.slope.copy()
    value[:, rows], slope[:, :, rows] = again.correction.value, again.correction.slope
    outside = place.correction.outside.copy()
    outside[rows] = again.correction.outside
    return Consensus(stars, Correction(value, slope, outside), calibrated, error, placement)


def odd_ones(value: FloatArray, error: FloatArray) -> NDArray[np.bool_]:
    """Find the measurement of a star that lies far from two or more others which agree, shape (n, S)."""
    there = np.isfinite(value)
    odd = np.zeros(value.shape, dtype=bool)
    rows = np.flatnonzero(there.sum(axis=1) > 2)
    if not len(rows):
        return odd
    good = there[rows]
    weight = 1 / np.where(good, error[rows], np.inf) ** 2
    y = np.where(good, value[rows], 0.0)
    total, moment = weight.sum(axis=1, keepdims=True), (weight * y).sum(axis=1, keepdims=True)
    square = (weight * y**2).sum(axis=1, keepdims=True)
    # Weighted mean and chi^2 of the others, for every measurement in turn.
    rest = np.maximum(total - weight, 1e-300)
    others = (moment - weight * y) / rest
    spread = np.maximum((square - weight * y**2) - rest * others**2, 0.0)
    away = np.where(good, np.abs(y - others) / np.sqrt(error[rows] ** 2 + 1 / rest), 0.0)
    worst = away.argmax(axis=1)
    at = np.arange(len(rows))
    free = good.sum(axis=1) - 2
    agree = stats.chi2.sf(spread[at, worst], free) > _AGREE
    odd[rows, worst] = (away[at, worst] > _OUTLIER) & agree
    return odd


def _corrected(calibration: Calibration) -> list[int]:
    """Surveys whose corrections have an uncertainty."""
    return [s for s in range(len(calibration.surveys)) if calibration.covariance[:, s].any()]


@dataclass
class _Means:
    """Means of one label, first without and then with the uncertainty of the corrections."""

    y: FloatArray
    sigma: FloatArray
    used: NDArray[np.bool_]
    value: FloatArray
    error: FloatArray
    chi2: FloatArray
    free: NDArray[np.intp]
    disagree: NDArray[np.bool_]
    weight: FloatArray

    @classmethod
    def of(cls, calibrated: FloatArray, sigma: FloatArray, used: NDArray[np.bool_]) -> _Means:
        """Compute inverse-variance means: the final values for stars of one survey."""
        weight = 1 / np.where(used, sigma, np.inf) ** 2
        total = weight.sum(axis=1)
        some = total > 0
        share = np.divide(weight, total[:, None], out=np.zeros_like(weight), where=some[:, None])
        y = np.where(used, calibrated, 0.0)
        value = np.where(some, (share * y).sum(axis=1), np.nan)
        free = np.maximum(used.sum(axis=1) - 1, 0)
        error = np.sqrt(np.divide(1.0, total, out=np.full_like(total, np.nan), where=some))
        nothing = np.zeros(len(y))
        return cls(y, sigma, used, value, error, nothing, free, np.zeros(len(y), bool), share)

    def add_corrections(
        self, correction_error: FloatArray, several: NDArray[np.intp], covariance: FloatArray
    ) -> None:
        """Include the covariance of the corrections, (m, S, S) at the stars `several`, by least squares."""
        self.error = np.hypot(self.error, (self.weight * correction_error).sum(axis=1))
        more = self.used[several].sum(axis=1) > 1
        rows = several[more]
        used = self.used[rows]
        # A survey that is not used has a variance, and no covariance with the others: its share is 0.
        full = covariance[more] * (used[:, :, None] & used[:, None, :])
        index = np.arange(used.shape[1])
        full[:, index, index] += np.where(used, self.sigma[rows], 1.0) ** 2
        raised = np.linalg.solve(full, used.astype(np.float64)[:, :, None])[:, :, 0]
        total = raised.sum(axis=1)
        self.weight[rows] = raised / total[:, None]
        self.value[rows] = (self.weight[rows] * self.y[rows]).sum(axis=1)
        residual = np.where(used, self.y[rows] - self.value[rows, None], 0.0)
        self.chi2[rows] = (residual * np.linalg.solve(full, residual[:, :, None])[:, :, 0]).sum(axis=1)
        self.error[rows] = total**-0.5
        free = self.free[rows]
        self.disagree[rows] = stats.chi2.sf(self.chi2[rows], free) < DISAGREE
        self.error[rows] *= np.sqrt(np.where(self.disagree[rows], self.chi2[rows] / free, 1.0))

    def remove(self, out: NDArray[np.bool_]) -> None:
        """Remove the means of some stars."""
        self.value[out] = self.error[out] = np.nan
        self.weight[out] = 0.0
