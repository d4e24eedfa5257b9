"""Corrections of all surveys together: penalised robust least squares with the values of the stars eliminated.

For one label, ``y_is = x_i + b(x_i) . beta_s + noise``. With the functions ``b`` evaluated at a
consensus of the star, subtracting the weighted mean of the star eliminates the unknown ``x_i``. The remaining
normal equations have the size of ``beta``, whatever the number of stars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import Basis
from starscale.homogenization.kernel.robust import robust_weights
from starscale.homogenization.kernel.widths import (
    Normal,
    Prior,
    best_degree,
    first_guess,
    most_probable,
    precision_of,
    with_uncertain_widths,
)
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

linalg = Later("scipy.linalg")

_ROUNDS = 2


@dataclass(frozen=True)
class Solution:
    """Corrections of one label.

    Parameters
    ----------
    beta : ndarray, (S, p)
        Coefficients; those of the anchor are 0.
    covariance : ndarray, (S, p, S, p)
        Of the coefficients, with the structure that smoothing removes; and, where the prior was given, with the
        uncertainty of its widths.
    prior : tuple of tuples
        For each survey the chosen standard deviations of the groups of coefficients, in `unit`.
    unit : float
        Typical difference between surveys, in the unit of the label.
    weight : ndarray, (n, S)
        Robust weight factor of each measurement (below 1 for outliers).
    held_out : ndarray, (n, S)
        Corrections fitted to the other folds, at every star: they test the corrections on held-out stars.
    """

    beta: FloatArray
    covariance: FloatArray
    prior: tuple[Prior, ...]
    unit: float
    weight: FloatArray
    held_out: FloatArray


def normal_equations(basis: FloatArray, value: FloatArray, weight: FloatArray, free: Sequence[int]) -> Normal:
    """Sum the normal equations of some stars.

    With ``w_is`` the weight of star i in survey s and ``W_i`` its sum over surveys,
    ``N_st = sum_i b_i b_i^T (delta_st w_is - w_is w_it / W_i)`` and ``r_s = sum_i b_i w_is (y_is - mean_i)``.

    Parameters
    ----------
    basis : ndarray, (n, p)
    value, weight : ndarray, (n, S)
        Weight 0 where there is no measurement.
    free : sequence of int
        Surveys that have corrections; F of them.

    Returns
    -------
    Normal
        With matrix (F p, F p).
    """
    p = basis.shape[1]
    total = weight.sum(axis=1)
    good = total > 0
    share = np.divide(weight, total[:, None], out=np.zeros_like(weight), where=good[:, None])
    y = np.where(weight > 0, value, 0.0)
    residual = np.where(weight > 0, y - (share * y).sum(axis=1, keepdims=True), 0.0)
    matrix, right = np.zeros((len(free) * p, len(free) * p)), np.zeros(len(free) * p)
    for i, s in enumerate(free):
        block = slice(i * p, (i + 1) * p)
        mine = np.flatnonzero((weight[:, s] > 0) & (share[:, s] < 1))
        own = basis[mine]
        right[block] = own.T @ (weight[mine, s] * residual[mine, s])
        matrix[block, block] = own.T @ ((weight[mine, s] * (1 - share[mine, s]))[:, None] * own)
        for j in range(i + 1, len(free)):
            t = free[j]
            both = weight[mine, t] > 0
            part = own[both]
            crossed = part.T @ ((-weight[mine[both], s] * share[mine[both], t])[:, None] * part)
            other = slice(j * p, (j + 1) * p)
            matrix[block, other], matrix[other, block] = crossed, crossed.T
    return Normal(matrix, right, float((weight * residual**2).sum()))


def solve(
    basis: Basis,
    functions: FloatArray,
    value: FloatArray,
    error: FloatArray,
    anchor: int,
    *,
    folds: NDArray[np.intp],
    huber: float,
    candidates: Sequence[Prior] = (),
    start: Solution | None = None,
    prior: Sequence[Prior] | None = None,
) -> Solution:
    """Fit the corrections of one label.

    Parameters
    ----------
    basis : Basis
    functions : ndarray, (n, p)
        The basis at the consensus of every star.
    value, error : ndarray, (n, S)
        Measurements with normalised errors; NaN where there is none.
    anchor : int
        The survey without a correction.
    folds : ndarray of int, (n,)
        Group of every star, for cross-validation.
    huber : float
        Studentised residual above which a measurement loses weight, if there is no solution to start from.
    candidates : sequence of tuples
        Prior widths to choose from by cross-validation; without any, the most probable ones are used.
    start : Solution, optional
        Solution to start from.
    prior : sequence of tuples, optional
        Fixed prior widths; chosen from the data by default.
    """
    # beta = (N + P)^-1 r with the normal equations N, r of all stars and the prior precisions P; the covariance is
    # (N + P)^-1 times the factor of the robust weights. Weights and beta are found in turn.
    n_surveys, p = value.shape[1], functions.shape[1]
    free = _with_functions(n_surveys, anchor, smooth=not candidates)
    there = np.isfinite(value)
    ideal = 1 / np.where(there, error, np.inf) ** 2
    unit = start.unit if start else _typical_difference(value)
    beta = start.beta if start else np.zeros((n_surveys, p))
    chosen = list(prior) if prior is not None else [_first_prior(basis, candidates)] * n_surveys
    # Residuals of a first guess do not show outliers yet: Huber's weights need no good start.
    redescend = start is not None
    lost = robust_weights(functions, value, ideal, beta, huber, redescend=redescend)[0]
    for round_ in range(_ROUNDS):
        parts = _of_folds(functions, value, ideal * lost, folds, free)
        whole = reduce(add, parts)
        if prior is None and round_ == _ROUNDS - 1:
            chosen = _chosen_priors(basis, whole, parts, unit, candidates, free, chosen, there)
        precision = precision_of(basis, dict(enumerate(chosen)), unit, free)
        solution, factor = _solved(whole, precision)
        beta = _expanded(solution, free, n_surveys)
        lost, inflation = robust_weights(functions, value, ideal, beta, huber, redescend=redescend)
    if candidates or prior is None:
        inverse = linalg.cho_solve(factor, np.eye(len(precision))) * inflation
    else:
        inverse = with_uncertain_widths(whole, precision, _open_groups(basis, chosen, free), unit) * inflation
    covariance = np.zeros((n_surveys, p, n_surveys, p))
    covariance[np.ix_(free, range(p), free, range(p))] = inverse.reshape(len(free), p, len(free), p)
    held_out = np.zeros_like(value)
    for k, part in enumerate(parts):
        mine = folds == k
        other = _expanded(_solved(whole - part, precision)[0], free, n_surveys)
        held_out[mine] = functions[mine] @ (other - other[anchor]).T
    covariance = covariance - covariance[anchor]
    covariance = covariance - covariance[:, :, [anchor]]
    return Solution(beta - beta[anchor], covariance, tuple(chosen), unit, lost, held_out)


def _with_functions(n_surveys: int, anchor: int, *, smooth: bool) -> list[int]:
    """Surveys that have functions.

    With smooth corrections every survey errs, the anchor too; its function is subtracted from all at the end.
    Where the anchor has no stars, the prior then knows that the scale is uncertain.
    """
    return [s for s in range(n_surveys) if smooth or s != anchor]


def _open_groups(basis: Basis, chosen: Sequence[Prior], free: Sequence[int]) -> NDArray[np.intp]:
    """Group of every coefficient, shape (F p,); 0 for a survey with few stars, which has an offset only."""
    return np.concatenate([basis.groups * any(chosen[s]) for s in free])


def _first_prior(basis: Basis, candidates: Sequence[Prior]) -> Prior:
    """Prior of an intermediate freedom, until the outliers are known."""
    return candidates[len(candidates) // 2] if candidates else first_guess(basis)


def _of_folds(
    functions: FloatArray, value: FloatArray, weight: FloatArray, folds: NDArray[np.intp], free: Sequence[int]
) -> list[Normal]:
    """Normal equations of the stars of each fold."""
    return [
        normal_equations(functions[folds == k], value[folds == k], weight[folds == k], free)
        for k in range(int(folds.max()) + 1)
    ]


def _chosen_priors(
    basis: Basis,
    whole: Normal,
    parts: Sequence[Normal],
    unit: float,
    candidates: Sequence[Prior],
    free: Sequence[int],
    start: Sequence[Prior],
    there: NDArray[np.bool_],
) -> list[Prior]:
    """Prior widths of every survey: by cross-validation among candidates, else by marginal likelihood."""
    # Stars of every survey that other surveys have as well.
    shared = (there & (there.sum(axis=1, keepdims=True) > 1)).sum(axis=0)
    if not candidates:
        return most_probable(basis, whole, unit, free, start, shared)
    freedom = max(int(there.sum()) - int(there.any(axis=1).sum()), 1)
    return best_degree(basis, whole, parts, unit, candidates, free, start, freedom, shared)


def _typical_difference(value: FloatArray) -> float:
    """Typical size of the differences between two surveys: the unit of the prior widths."""
    there = np.isfinite(value)
    y = np.where(there, value, 0.0)
    mean = y.sum(axis=1, keepdims=True) / np.maximum(there.sum(axis=1, keepdims=True), 1)
    found = np.abs(y - mean)[there & (there.sum(axis=1, keepdims=True) > 1)]
    return float(2.5 * np.median(found)) if len(found) else 1.0


def _solved(normal: Normal, precision: FloatArray) -> tuple[FloatArray, tuple[FloatArray, bool]]:
    factor = linalg.cho_factor(normal.matrix + np.diag(precision), check_finite=False)
    return np.asarray(linalg.cho_solve(factor, normal.right, check_finite=False)), factor


def _expanded(beta: FloatArray, free: Sequence[int], n_surveys: int) -> FloatArray:
    p = len(beta) // max(len(free), 1)
    full = np.zeros((n_surveys, p))
    full[list(free)] = beta.reshape(len(free), p)
    return full
