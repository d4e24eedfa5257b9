"""Corrections of all surveys together: penalised robust least squares with the stars' own values eliminated.

For one label, ``y_is = x_i + b(x_i) . beta_s + noise``. With the functions ``b`` taken at a consensus of the star,
the unknown ``x_i`` drops out by subtracting the weighted mean of the star, and what remains are normal equations
of the size of ``beta``, whatever the number of stars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from starscale.catalogue.homogenize.basis import Basis

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Prior standard deviation of a constant, in units of the typical difference between surveys.
_WIDE = 30.0
#: Candidates for the standard deviations of linear terms, of curves, and of their change from dwarfs to giants, in
#: the same unit; 0 leaves them out. In the order of their freedom.
Prior = tuple[float, float, float]
SMOOTH: tuple[Prior, ...] = (
    (0.0, 0.0, 0.0),
    *((line, 0.0, 0.0) for line in (0.3, 3.0)),
    *(
        (line, curve, share * curve)
        for share in (0.0, 0.5)
        for curve in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
        for line in (0.3, 3.0)
    ),
)
POLYNOMIAL: tuple[Prior, ...] = ((0.0, 0.0, 0.0), (_WIDE, 0.0, 0.0), (_WIDE, _WIDE, 0.0))
_ROUNDS = 2
#: Difference in held-out chi^2 that says nothing: two standard deviations of one coefficient.
_TOLERANCE = 4.0
#: Stars in common with others below which a survey gets an offset and nothing else.
_FEWEST_FOR_SLOPES = 30


@dataclass(frozen=True)
class Normal:
    """Normal equations of some stars: ``matrix @ beta = right``; `square` is the sum of squares at beta = 0."""

    matrix: Floats
    right: Floats
    square: float

    def __sub__(self, other: Normal) -> Normal:
        return Normal(self.matrix - other.matrix, self.right - other.right, self.square - other.square)

    def __add__(self, other: Normal) -> Normal:
        return Normal(self.matrix + other.matrix, self.right + other.right, self.square + other.square)

    def loss(self, beta: Floats) -> float:
        """Weighted sum of squared residuals at `beta`."""
        return float(self.square - 2 * beta @ self.right + beta @ self.matrix @ beta)


@dataclass(frozen=True)
class Solution:
    """Corrections of one label.

    Parameters
    ----------
    beta : ndarray, (S, p)
        Coefficients; those of the anchor are 0.
    covariance : ndarray, (S, p, S, p)
        Of the coefficients, the uncertainty of their smoothness prior included.
    prior : tuple of pairs
        For each survey the chosen standard deviations of linear terms and of curves, in `unit`.
    unit : float
        Typical difference between surveys, in the unit of the label.
    weight : ndarray, (n, S)
        Huber weights of the measurements.
    held_out : ndarray, (n, S)
        Corrections from the other folds, at every star: for judging them on stars that they have not seen.
    """

    beta: Floats
    covariance: Floats
    prior: tuple[Prior, ...]
    unit: float
    weight: Floats
    held_out: Floats


def normal_equations(basis: Floats, value: Floats, weight: Floats, free: Sequence[int]) -> Normal:
    """Gather the equations of some stars.

    Parameters
    ----------
    basis : ndarray, (n, p)
    value, weight : ndarray, (n, S)
        Weight 0 where there is no measurement.
    free : sequence of int
        Surveys that have corrections: all but the anchor; F of them.

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
        if not len(mine):
            continue
        own = basis[mine]
        right[block] = own.T @ (weight[mine, s] * residual[mine, s])
        matrix[block, block] = own.T @ ((weight[mine, s] * (1 - share[mine, s]))[:, None] * own)
        for j in range(i + 1, len(free)):
            t = free[j]
            both = weight[mine, t] > 0
            if both.any():
                part = own[both]
                crossed = part.T @ ((-weight[mine[both], s] * share[mine[both], t])[:, None] * part)
                other = slice(j * p, (j + 1) * p)
                matrix[block, other], matrix[other, block] = crossed, crossed.T
    return Normal(matrix, right, float((weight * residual**2).sum()))


def solve(
    basis: Basis,
    functions: Floats,
    value: Floats,
    error: Floats,
    anchor: int,
    *,
    folds: Ints,
    huber: float,
    candidates: Sequence[Prior],
    start: Solution | None = None,
    prior: Sequence[Prior] | None = None,
) -> Solution:
    """Find the corrections of one label.

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
        Studentised residual beyond which a measurement loses weight.
    candidates : sequence of pairs
        Prior widths to choose from.
    start : Solution, optional
        To start from; its `prior` is kept unless there is none.
    prior : sequence of pairs, optional
        Prior widths that are not to be chosen again.
    """
    n_surveys, p = value.shape[1], functions.shape[1]
    free = [s for s in range(n_surveys) if s != anchor]
    there = np.isfinite(value)
    ideal = np.where(there, 1 / np.where(there, error, 1.0) ** 2, 0.0)
    unit = start.unit if start else _typical_difference(value)
    freedom = max(int(there.sum()) - int(there.any(axis=1).sum()), 1)
    beta = start.beta if start else np.zeros((n_surveys, p))
    # Until the outliers are known, an intermediate freedom.
    chosen = list(prior) if prior is not None else [candidates[len(candidates) // 2]] * n_surveys
    lost = huber_weights(functions, value, ideal, beta, huber)[0]
    parts: list[Normal] = []
    whole = Normal(np.zeros((len(free) * p,) * 2), np.zeros(len(free) * p), 0.0)
    for round_ in range(_ROUNDS):
        weight = ideal * lost
        parts = [
            normal_equations(functions[folds == k], value[folds == k], weight[folds == k], free)
            for k in range(int(folds.max()) + 1)
        ]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole + part
        if prior is None and round_ == _ROUNDS - 1:
            shared = (there & (there.sum(axis=1, keepdims=True) > 1)).sum(axis=0)
            chosen = _choose(basis, whole, parts, unit, candidates, free, chosen, freedom, shared)
        beta = _expanded(
            _solved(whole, _precision(basis, dict(enumerate(chosen)), unit, free))[0], free, n_surveys
        )
        lost, inflation = huber_weights(functions, value, ideal, beta, huber)
    precision = _precision(basis, dict(enumerate(chosen)), unit, free)
    factor = _solved(whole, precision)[1]
    inverse = cho_solve(factor, np.eye(len(precision))) * inflation
    covariance = np.zeros((n_surveys, p, n_surveys, p))
    covariance[np.ix_(free, range(p), free, range(p))] = inverse.reshape(len(free), p, len(free), p)
    held_out = np.zeros_like(value)
    for k, part in enumerate(parts):
        mine = folds == k
        other = _expanded(_solved(whole - part, precision)[0], free, n_surveys)
        held_out[mine] = functions[mine] @ other.T
    return Solution(beta, covariance, tuple(chosen), unit, lost, held_out)


def huber_weights(
    functions: Floats, value: Floats, ideal: Floats, beta: Floats, huber: float
) -> tuple[Floats, float]:
    """Weights of Huber 1964 from studentised residuals, and the factor of his covariance of the coefficients.

    Two measurements of a star share one residual, so both lose weight; from three on the odd one does.
    """
    there = ideal > 0
    y = np.where(there, value - functions @ beta.T, 0.0)
    lost = there.astype(np.float64)
    z = np.zeros_like(y)
    for _ in range(3):
        weight = ideal * lost
        total = weight.sum(axis=1, keepdims=True)
        mean = np.divide((weight * y).sum(axis=1, keepdims=True), total, out=np.zeros_like(total), where=total > 0)
        everything = ideal.sum(axis=1, keepdims=True)
        share = np.divide(ideal, everything, out=np.zeros_like(ideal), where=everything > 0)
        free = np.sqrt(np.maximum(1 - share, 1e-9))
        z = np.where(there & (share < 1), np.sqrt(ideal) * (y - mean) / free, 0.0)
        lost = np.where(there, huber / np.maximum(np.abs(z), huber), 0.0)
    used = there & (there.sum(axis=1, keepdims=True) > 1)
    if not used.any():
        return lost, 1.0
    found = np.abs(z[used])
    inside = float((found <= huber).mean())
    psi = float((np.minimum(found, huber) ** 2).mean())
    return lost, psi / max(inside, 0.1) ** 2 * float(lost[used].mean())


def _typical_difference(value: Floats) -> float:
    """Typical size of the differences between two surveys: the unit of the prior widths."""
    there = np.isfinite(value)
    y = np.where(there, value, 0.0)
    mean = y.sum(axis=1, keepdims=True) / np.maximum(there.sum(axis=1, keepdims=True), 1)
    found = np.abs(y - mean)[there & (there.sum(axis=1, keepdims=True) > 1)]
    return float(2.5 * np.median(found)) if len(found) else 1.0


def _choose(
    basis: Basis,
    whole: Normal,
    parts: Sequence[Normal],
    unit: float,
    candidates: Sequence[Prior],
    free: Sequence[int],
    start: list[Prior],
    freedom: int,
    shared: Ints,
) -> list[Prior]:
    """Prior widths of every survey by cross-validation over stars, one survey after the other, twice round.

    For one survey the others are eliminated first, so that a candidate costs no more than equations of the size
    of one survey.
    """
    if len(candidates) == 1:
        return [candidates[0]] * len(start)
    chosen = [candidates[0] if n < _FEWEST_FOR_SLOPES else prior for n, prior in zip(shared, start, strict=True)]
    others = [whole - part for part in parts]
    p = basis.size
    trials = np.stack([_precision(basis, {0: candidate}, unit, [0]) for candidate in candidates])
    for _ in range(2):
        before = list(chosen)
        for i, s in enumerate(free):
            if shared[s] < _FEWEST_FOR_SLOPES:
                continue
            precision = _precision(basis, dict(enumerate(chosen)), unit, free)
            scores = sum(
                _scores(other, part, precision, trials, slice(i * p, (i + 1) * p))
                for part, other in zip(parts, others, strict=True)
            )
            # The simplest of those that are as good as the best: candidates stand in the order of their freedom.
            best = float(np.min(scores))
            alike = scores <= best + _TOLERANCE * max(1.0, best / freedom)
            chosen[s] = candidates[int(np.flatnonzero(alike)[0])]
        if chosen == before:
            break
    return chosen


def _scores(other: Normal, part: Normal, precision: Floats, trials: Floats, mine: slice) -> Floats:
    """Loss on a fold for every candidate of one survey's precision, fitted to the other folds, shape (n_trials,).

    Parameters
    ----------
    other, part : Normal
        Equations of the other folds, and of this one.
    precision : ndarray, (F p,)
        Of all surveys.
    trials : ndarray, (n_trials, p)
        Of the one survey.
    mine : slice
        Where its coefficients stand.
    """
    rest = np.ones(len(precision), dtype=bool)
    rest[mine] = False
    size = trials.shape[1]
    lift = np.zeros((len(precision), size))
    lift[mine] = np.eye(size)
    base = np.zeros(len(precision))
    if rest.any():
        block = other.matrix[np.ix_(rest, rest)] + np.diag(precision[rest])
        right = np.concatenate([other.right[rest, None], other.matrix[rest][:, mine]], axis=1)
        solved = cho_solve(cho_factor(block, check_finite=False), right, check_finite=False)
        base[rest], lift[rest] = solved[:, 0], -solved[:, 1:]
    reduced = lift.T @ other.matrix[:, mine]
    matrix = reduced + trials[:, :, None] * np.eye(size)
    beta = np.linalg.solve(matrix, (other.right[mine] - other.matrix[mine] @ base)[None, :, None])[:, :, 0]
    squares = lift.T @ part.matrix @ lift
    slope = lift.T @ (part.right - part.matrix @ base)
    return np.asarray(part.loss(base) - 2 * beta @ slope + np.einsum("ti,ij,tj->t", beta, squares, beta))


def _precision(basis: Basis, prior: Mapping[int, Prior], unit: float, free: Sequence[int]) -> Floats:
    """Inverse prior variances of the coefficients, shape (F p,)."""
    widths = np.array([[_WIDE, *prior[s]] for s in free])[:, basis.groups].ravel() * unit
    return 1 / np.maximum(widths, 1e-6 * unit) ** 2


def _solved(normal: Normal, precision: Floats) -> tuple[Floats, tuple[Floats, bool]]:
    factor = cho_factor(normal.matrix + np.diag(precision), check_finite=False)
    return np.asarray(cho_solve(factor, normal.right, check_finite=False)), factor


def _expanded(beta: Floats, free: Sequence[int], n_surveys: int) -> Floats:
    p = len(beta) // max(len(free), 1)
    full = np.zeros((n_surveys, p))
    full[list(free)] = beta.reshape(len(free), p)
    return full
