"""A mean or a straight line through differences with outliers, and their scatter in units of the stated errors.

Non-members of a cluster and mistaken matches are outliers: the line is an M-estimate with Tukey's biweight, and
the scatter that of the values within three times itself. Errors of the coefficients follow from the residuals, not
from the stated errors, so that stated errors that are too small do not make a difference significant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from starscale.vocabulary.arrays import FloatArray

#: Tuning constant of the biweight for 95 % efficiency (Beaton & Tukey 1974, Technometrics 16, 147).
_BIWEIGHT = 4.685
#: Residuals farther than this times the scatter are left out of it; the standard deviation of what is left of a
#: unit Gaussian; and by how much the iteration enlarges the error of the scatter (the limits move with it).
_CLIP, _CLIPPED, _ENLARGED = 3.0, 0.98658, 1.12
_ROUNDS, _CLOSE = 100, 1e-6
#: Rounds to the start, which need not be exact.
_START = 15
#: No star has the weight of an error below this share of the median error.
_FLOOR = 0.5
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class RobustFit:
    """A mean or line through values with outliers.

    Attributes
    ----------
    coefficients, errors : ndarray, (p,)
        Of the columns of the design matrix, with standard errors.
    ratio, ratio_error : float
        Scatter about the line over the stated errors, without outliers, and its standard error.
    kept : ndarray of bool, (n,)
        False for outliers of the scatter.
    """

    coefficients: FloatArray
    errors: FloatArray
    ratio: float
    ratio_error: float
    kept: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def robust_fit(values: FloatArray, errors: FloatArray, design: FloatArray) -> RobustFit:
    """Fit ``values = design @ coefficients`` with weights from the stated errors.

    Parameters
    ----------
    values, errors : ndarray, (n,)
        Finite; errors are positive. With errors of one, the ratio is the scatter itself.
    design : ndarray, (n, p)
        A column of ones for a mean; n is above p.

    Returns
    -------
    RobustFit
    """
    n, p = design.shape
    used = np.maximum(errors, _FLOOR * np.median(errors))
    a, b = design / used[:, None], values / used
    beta = _least_absolute(a, b)
    start = b - a @ beta
    scale = _MAD * float(np.median(np.abs(start))) * np.sqrt(n / (n - p))
    # Where half of the values lie on the line there is no scatter to judge outliers by.
    beta, covariance = _biweight(a, b, beta, scale) if scale > 0 else (beta, np.zeros((p, p)))
    ratio, ratio_error, kept = _scatter((values - design @ beta) / errors, p)
    return RobustFit(beta, np.sqrt(np.maximum(np.diag(covariance), 0.0)), ratio, ratio_error, kept)


def _least_absolute(a: FloatArray, b: FloatArray) -> FloatArray:
    """Coefficients of the smallest sum of absolute residuals, by weighted least squares in turns."""
    beta = _solved(a, b, np.ones(len(b)))
    floor = 1e-6 * max(float(np.median(np.abs(b))), 1e-12)
    for _ in range(_START):
        beta = _solved(a, b, 1 / np.maximum(np.abs(b - a @ beta), floor))
    return beta


def _biweight(a: FloatArray, b: FloatArray, beta: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """M-estimate, and its covariance with the correction for few values (Huber 1981, Robust Statistics, 7.6.2)."""
    for _ in range(_ROUNDS):
        inside = np.maximum(1 - ((b - a @ beta) / (_BIWEIGHT * scale)) ** 2, 0.0)
        last, beta = beta, _solved(a, b, inside**2)
        if np.abs(a @ (beta - last)).max() < _CLOSE * scale:
            break
    residual = b - a @ beta
    square = (residual / (_BIWEIGHT * scale)) ** 2
    inside = np.maximum(1 - square, 0.0)
    psi, slope = inside**2 * residual, np.where(square < 1, inside * (1 - 5 * square), 0.0)
    n, p = a.shape
    mean = max(float(slope.mean()), 0.1)
    few = 1 + p / n * float(slope.var()) / mean**2
    return beta, few**2 * float(psi @ psi) / (n - p) / mean**2 * np.linalg.pinv(a.T @ a)


def _solved(a: FloatArray, b: FloatArray, weight: FloatArray) -> FloatArray:
    # Columns are centred and of order one, so the normal equations are well conditioned.
    weighted = (a * weight[:, None]).T
    return np.asarray(np.linalg.lstsq(weighted @ a, weighted @ b, rcond=None)[0], dtype=np.float64)


def _scatter(pull: FloatArray, p: int) -> tuple[float, float, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Standard deviation of residuals about zero without outliers, its error, and which ones it uses."""
    n = len(pull)
    freedom = np.sqrt(n / (n - p))
    ratio = _MAD * float(np.median(np.abs(pull))) * freedom
    kept = np.abs(pull) <= _CLIP * ratio
    for _ in range(_ROUNDS):
        last, ratio = ratio, freedom * float(np.sqrt(np.mean(pull[kept] ** 2))) / _CLIPPED if kept.any() else 0.0
        kept = np.abs(pull) <= _CLIP * ratio
        if abs(ratio - last) <= _CLOSE * ratio:
            break
    if not ratio > 0:
        return ratio, 0.0, kept
    second, fourth = float(np.mean(pull[kept] ** 2)), float(np.mean(pull[kept] ** 4))
    # That of a Gaussian at least: with few values a small fourth moment is chance.
    spread = max(fourth / second**2 - 1, 2.0)
    return ratio, _ENLARGED * ratio * float(np.sqrt(spread / (4 * kept.sum()))), kept
