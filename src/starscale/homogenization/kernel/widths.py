"""Smoothness of the corrections: prior widths of their coefficients, found from the data.

The width of a group of coefficients decides between a straight line and a curve that follows the noise. For smooth
corrections every group of every survey has the width that makes the data most probable with the coefficients
integrated over (marginal likelihood; MacKay 1992, Neural Computation 4, 415; for splines the same as REML, Wood
2011, J. R. Stat. Soc. B 73, 3): a curve in one label does not pay for one in another. The data of one survey say
little about a width, so each is drawn towards what all surveys show. The degree of a polynomial is a choice of
few, made by cross-validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import Basis
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

linalg = Later("scipy.linalg")

#: Standard deviations of the groups of coefficients (`Basis.groups`) after the constant, in units of the typical
#: difference between surveys; 0 leaves a group out.
Prior = tuple[float, ...]
#: Prior standard deviation of a constant, in that unit.
WIDE = 30.0
#: Where the search for the widths of smooth corrections starts: for the difference of two surveys, each with one.
_LINE, _CURVE = 3.0 / 2**0.5, 0.4 / 2**0.5
#: Polynomials of degree 0 to 2.
POLYNOMIAL: tuple[Prior, ...] = ((0.0, 0.0), (WIDE, 0.0), (WIDE, WIDE))
#: Bounds of a width, in that unit.
_NARROWEST, _WIDEST = 1e-3, WIDE
#: Weight of the mean of all surveys in the width of each, in coefficients that the data determine.
_POOLED = 5.0
#: Grid of the logarithm of a width: step, most steps, logarithm of a probability where it ends, least weight.
_STEP, _FAR, _NEGLIGIBLE, _LEAST = 0.7, 14, 5.0, 0.01
#: Rounds of the search, and the relative change of a width at which it ends.
_ROUNDS, _SETTLED = 60, 0.02
#: Insignificant difference in held-out chi^2: two standard deviations of one coefficient.
_TOLERANCE = 4.0
#: Fewest stars in common with others for slopes; a survey with fewer gets an offset only.
FEWEST_FOR_SLOPES = 30


@dataclass(frozen=True)
class Normal:
    """Normal equations of some stars: ``matrix @ beta = right``; `square` is the sum of squares at beta = 0."""

    matrix: FloatArray
    right: FloatArray
    square: float

    def __sub__(self, other: Normal) -> Normal:
        return Normal(self.matrix - other.matrix, self.right - other.right, self.square - other.square)

    def __add__(self, other: Normal) -> Normal:
        return Normal(self.matrix + other.matrix, self.right + other.right, self.square + other.square)

    def loss(self, beta: FloatArray) -> float:
        """Weighted sum of squared residuals at `beta`."""
        return float(self.square - 2 * beta @ self.right + beta @ self.matrix @ beta)


def first_guess(basis: Basis) -> Prior:
    """Widths to start from: straight lines are free, curves half so."""
    if basis.kind == "polynomial":
        return POLYNOMIAL[1]
    return tuple(_LINE if group == 1 else _CURVE for group in range(1, int(basis.groups.max()) + 1))


def precision_of(basis: Basis, prior: Mapping[int, Prior], unit: float, free: Sequence[int]) -> FloatArray:
    """Inverse prior variances of the coefficients, shape (F p,)."""
    widths = np.array([[WIDE, *prior[s]] for s in free])[:, basis.groups].ravel() * unit
    return 1 / np.maximum(widths, 1e-6 * unit) ** 2


def most_probable(
    basis: Basis,
    whole: Normal,
    unit: float,
    free: Sequence[int],
    start: Sequence[Prior],
    shared: NDArray[np.intp],
) -> list[Prior]:
    """Find the prior widths of every survey by marginal likelihood.

    With ``C`` the covariance of the coefficients, a group of ``m`` has ``g = m - tr(C) / width^2`` that the data
    determine rather than the prior, and ``width^2 = sum(beta^2) / g`` at the maximum: repeated until it stays.
    Here it is ``(sum(beta^2) + k w^2) / (g + k)``, with the ``w^2`` of all surveys together and k = `_POOLED`: the
    maximum with a scaled inverse chi^2 prior.

    Parameters
    ----------
    basis : Basis
    whole : Normal
        Equations of all stars, in units of their noise.
    unit : float
    free : sequence of int
        Surveys with corrections.
    start : sequence of tuples
        For every survey.
    shared : ndarray of int, (S,)
        Stars of every survey that others have as well: too few, and it gets a constant only.
    """
    groups, n_groups = basis.groups, int(basis.groups.max())
    member = (groups == np.arange(1, n_groups + 1)[:, None]).astype(np.float64)
    open_ = np.array([shared[s] >= FEWEST_FOR_SLOPES for s in free])
    width = np.clip([first_guess(basis)] * len(free), _NARROWEST, _WIDEST)
    width[~open_] = 0.0
    for _ in range(_ROUNDS if open_.any() else 0):
        chosen = {i: tuple(w) for i, w in enumerate(width)}
        precision = precision_of(basis, chosen, unit, range(len(free)))
        factor = linalg.cho_factor(whole.matrix + np.diag(precision), lower=True, check_finite=False)
        beta = linalg.cho_solve(factor, whole.right, check_finite=False).reshape(len(free), -1)
        half = linalg.solve_triangular(factor[0], np.eye(len(precision)), lower=True, check_finite=False)
        variance = (half**2).sum(axis=0).reshape(len(free), -1)
        squares, used = beta**2 @ member.T / unit**2, variance @ member.T / unit**2
        told = np.maximum(member.sum(axis=1) - used / np.maximum(width, _NARROWEST) ** 2, 1e-9)
        pooled = squares[open_].sum(axis=0) / told[open_].sum(axis=0)
        new = np.clip(np.sqrt((squares + _POOLED * pooled) / (told + _POOLED)), _NARROWEST, _WIDEST)
        change = np.abs(np.log(new[open_] / width[open_])).max()
        width[open_] = new[open_]
        if change < _SETTLED:
            break
    found = list(start)
    for i, s in enumerate(free):
        found[s] = tuple(width[i].tolist())
    return found


def with_uncertain_widths(
    whole: Normal, precision: FloatArray, groups: NDArray[np.intp], unit: float
) -> FloatArray:
    """Return the covariance of the coefficients, averaged over what the widths of every group may be.

    A group that the data call straight may be curved below the noise: the most probable width says nothing of
    that. The widths of one group after the other, of all surveys together, are multiplied by factors over which
    the probability is averaged. The prior of a width is a half normal distribution of one `unit` (Gelman 2006,
    Bayesian Anal. 1, 515). The average is that of covariances and of squared changes of the coefficients.

    Parameters
    ----------
    whole : Normal
        In units of the noise.
    precision : ndarray, (F p,)
        Prior precisions at the most probable widths.
    groups : ndarray of int, (F p,)
        Group of every coefficient; those in group 0 have a fixed width.
    unit : float
    """
    best, one = _Fit.of(whole, precision), np.eye(len(precision))
    covariance: FloatArray = linalg.cho_solve(best.factor, one, check_finite=False)
    total = covariance.copy()
    for group in np.unique(groups[groups > 0]):
        grid = list(_around(whole, precision, best, groups == group, unit))
        logs = np.array([log for _, log in grid])
        share = np.exp(logs - logs.max())
        for weight, (fit, _) in zip(share / share.sum(), grid, strict=True):
            if weight > _LEAST and fit is not best:
                change = fit.beta - best.beta
                total += weight * (linalg.cho_solve(fit.factor, one, check_finite=False) - covariance)
                total += weight * np.outer(change, change)
    return total


@dataclass(frozen=True)
class _Fit:
    """Coefficients at some widths, the Cholesky factor of their equations, and the logarithm of the evidence."""

    factor: tuple[FloatArray, bool]
    beta: FloatArray
    log: float

    @classmethod
    def of(cls, whole: Normal, precision: FloatArray) -> _Fit:
        factor = linalg.cho_factor(whole.matrix + np.diag(precision), lower=True, check_finite=False)
        beta = linalg.cho_solve(factor, whole.right, check_finite=False)
        log = 0.5 * (beta @ whole.right + np.log(precision).sum()) - np.log(np.diag(factor[0])).sum()
        return cls(factor, beta, float(log))


def _around(
    whole: Normal, precision: FloatArray, best: _Fit, mine: NDArray[np.bool_], unit: float
) -> Iterator[tuple[_Fit, float]]:
    """Yield fits on a grid of the logarithm of one group's widths, with the logarithm of their probability."""
    width = float(np.sqrt((1 / precision[mine]).mean())) / unit

    def log_prior(step: float) -> float:
        return step - (width * float(np.exp(step))) ** 2 / 2

    top = best.log + log_prior(0.0)
    yield best, top
    for sign in (1, -1):
        for k in range(1, _FAR):
            step = sign * k * _STEP
            fit = _Fit.of(whole, np.where(mine, precision * np.exp(-2 * step), precision))
            log = fit.log + log_prior(step)
            yield fit, log
            top = max(top, log)
            if log < top - _NEGLIGIBLE:
                break


def best_degree(
    basis: Basis,
    whole: Normal,
    parts: Sequence[Normal],
    unit: float,
    candidates: Sequence[Prior],
    free: Sequence[int],
    start: Sequence[Prior],
    freedom: int,
    shared: NDArray[np.intp],
) -> list[Prior]:
    """Choose the prior widths of every survey by cross-validation over stars, one survey after the other, twice.

    The coefficients of the other surveys are eliminated first, so that each candidate needs only equations of the
    size of one survey.
    """
    if len(candidates) == 1:
        return [candidates[0]] * len(start)
    chosen = [candidates[0] if n < FEWEST_FOR_SLOPES else prior for n, prior in zip(shared, start, strict=True)]
    folds = [(whole - part, part) for part in parts]
    p = basis.size
    trials = np.stack([precision_of(basis, {0: candidate}, unit, [0]) for candidate in candidates])
    for _ in range(2):
        before = list(chosen)
        for i, s in enumerate(free):
            if shared[s] < FEWEST_FOR_SLOPES:
                continue
            precision = precision_of(basis, dict(enumerate(chosen)), unit, free)
            best = _simplest(folds, precision, trials, slice(i * p, (i + 1) * p), freedom)
            chosen[s] = candidates[best]
        if chosen == before:
            break
    return chosen


def _simplest(
    folds: Sequence[tuple[Normal, Normal]], precision: FloatArray, trials: FloatArray, mine: slice, freedom: int
) -> int:
    """First candidate that is as good as the best: candidates are in the order of their freedom."""
    scores = reduce(np.add, [_scores(other, part, precision, trials, mine) for other, part in folds])
    best = float(np.min(scores))
    return int(np.flatnonzero(scores <= best + _TOLERANCE * max(1.0, best / freedom))[0])


def _scores(other: Normal, part: Normal, precision: FloatArray, trials: FloatArray, mine: slice) -> FloatArray:
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
        solved = linalg.cho_solve(linalg.cho_factor(block, check_finite=False), right, check_finite=False)
        base[rest], lift[rest] = solved[:, 0], -solved[:, 1:]
    reduced = lift.T @ other.matrix[:, mine]
    matrix = reduced + trials[:, :, None] * np.eye(size)
    beta = np.linalg.solve(matrix, (other.right[mine] - other.matrix[mine] @ base)[None, :, None])[:, :, 0]
    squares = lift.T @ part.matrix @ lift
    slope = lift.T @ (part.right - part.matrix @ base)
    return np.asarray(part.loss(base) - 2 * beta @ slope + np.einsum("ti,ij,tj->t", beta, squares, beta))
