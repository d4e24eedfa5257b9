"""Figure of merit and probability of every candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.crossmatch.kernel.candidates import Candidates
from starscale.crossmatch.kernel.ellipses import PairEllipses
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.sample import MAS2
from starscale.vocabulary.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Scored:
    """Candidates with their scores. All arrays have the shape (n_pairs,).

    Parameters
    ----------
    distance_sigma : ndarray
        `d`, the normalised distance, in the narrow error ellipse.
    score : ndarray
        Natural logarithm of the figure of merit.
    probability : ndarray
        Posterior probability that the two are one source, among all candidates of the leading one.
    good : ndarray of bool
        Good neighbours.
    blended : ndarray of bool
        Good neighbours outside the narrow error ellipse.
    """

    distance_sigma: FloatArray
    score: FloatArray
    probability: FloatArray
    good: NDArray[np.bool_]
    blended: NDArray[np.bool_]


def limit(gamma: float) -> float:
    """`k`: a true pair lies within `k` sigma with probability `gamma` (Rayleigh distribution).

    `k = sqrt(-2 ln(1 - gamma))`; 5.36 for 0.9999994.
    """
    return float(np.sqrt(-2 * np.log(1 - gamma)))


def score_pairs(
    ellipses: PairEllipses,
    residuals: tuple[FloatArray, FloatArray],
    model: PairModel,
    *,
    leading: NDArray[np.intp],
    density: FloatArray,
    completeness: FloatArray,
    gamma: float,
    least_probability: float,
) -> Scored:
    """Score all candidates of some leading sources.

    Parameters
    ----------
    ellipses : PairEllipses, n_pairs
        Of all candidates of every leading source that occurs.
    residuals : tuple of ndarray, (n_pairs,)
        Displacement without the offset of the frame, mas, east and north.
    model : PairModel
    leading : ndarray of int, (n_pairs,)
        The leading source of each pair.
    density : ndarray, (n_pairs,)
        Surface density of the searched catalogue at the candidate, per arcsec^2.
    completeness : ndarray, (n_pairs,)
        Prior probability `Q` that the leading source has a counterpart.
    gamma : float
        Share of true pairs that the chi-square test of good neighbours is to keep.
    least_probability : float
        A pair that fails the test is a good neighbour all the same when it is this likely: a blend.

    Returns
    -------
    Scored

    Notes
    -----
    The figure of merit is the ratio of the hypotheses "one source" and "there by chance",
    `p(D) / rho`; with the narrow component alone it is `exp(-d^2/2) / (2 pi sqrt|C| rho)`.
    The probability among the candidates `j` of one source (Sutherland & Saunders 1992):

        P_j = Q r_j / (1 - Q + Q sum_i r_i)
    """
    log_p, chi2 = model.log_likelihood(ellipses, *residuals)
    score = log_p - np.log(density / MAS2)
    # Relative to the best candidate of each source, if it is better than chance: nothing overflows.
    best = np.zeros(leading.max(initial=-1) + 1)
    np.maximum.at(best, leading, score)
    best = best[leading]
    relative = np.exp(score - best)
    total = np.bincount(leading, relative)[leading]
    odds = completeness / (1 - completeness)
    probability = odds * relative / (np.exp(-best) + odds * total)
    narrow = chi2 < limit(gamma) ** 2
    likely = (probability >= least_probability) & (model.wide_fraction > 0)
    return Scored(np.sqrt(chi2), score, probability, narrow | likely, likely & ~narrow)


def score_by_distance(pairs: Candidates) -> Scored:
    """Score by separation alone, for comparison: the nearest candidate is the best, and all are good."""
    n = len(pairs)
    nothing = np.full(n, np.nan)
    return Scored(nothing, -pairs.distance, nothing, np.ones(n, dtype=bool), np.zeros(n, dtype=bool))
