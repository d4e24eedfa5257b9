"""Factors that widen or narrow predicted intervals until they hold the stated fraction of held-out stars.

A single factor gives the right coverage on average, but not among giants or metal-poor stars. The factor of a
star is therefore a product: one factor for all stars, and one for the bin of each predicted label. The factors
of the bins come from raking: the bins of each label in turn are brought to the right coverage, in three rounds.
In bins of few stars the factor is drawn towards 1.

Factors of bins fit the stars that they come from a little better than other stars, so a common factor from the
same stars would be too small. It comes from five folds instead: the stars of each fold are stretched by the bins
of the others (cross-conformal prediction; Vovk 2015, Ann. Math. Artif. Intell. 74, 9).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from starscale.vocabulary.arrays import FloatArray

#: Edges of the bins of a predicted label, as quantiles of the held-out stars' predictions.
EDGES = (0.05, 0.15, 0.35, 0.65, 0.85, 0.95)
ROUNDS = 3
#: Weight of a factor of 1 in each bin, in held-out stars outside the interval.
PRIOR_OUTSIDE = 30
#: Smallest number of predictions of held-out stars for which there are bins.
MIN_FOR_BINS = 400
#: Number of folds of the held-out stars.
FOLDS = 5
#: Smallest factor.
LEAST = 0.05


@dataclass(frozen=True)
class Stretch:
    """Factors of the half-widths of one label at one level.

    Parameters
    ----------
    factor : float
        For all stars.
    edges, bins : ndarray, shapes (n_labels, len(EDGES)), (n_labels, len(EDGES) + 1)
        Bins of every predicted label and their factors.
    """

    factor: float
    edges: FloatArray
    bins: FloatArray

    @classmethod
    def none(cls, n_labels: int) -> Stretch:
        """Leave the intervals as they are."""
        return cls(1.0, *_no_bins(n_labels))

    @classmethod
    def fit(cls, needed: FloatArray, predicted: FloatArray, level: float, star: NDArray[np.intp]) -> Stretch:
        """Find the factors.

        Parameters
        ----------
        needed : ndarray, shape (n,)
            Factor by which the half-width of each held-out star must be multiplied to reach its label.
        predicted : ndarray, shape (n, n_labels)
            Predicted labels.
        level : float
            Fraction of the stars that the interval is to hold.
        star : ndarray, shape (n,)
            Number of each star; all predictions of one star are in the same fold.
        """
        if len(needed) < MIN_FOR_BINS:
            return cls(max(_quantile(needed, level), LEAST), *_no_bins(predicted.shape[1]))
        each, number_of_star = np.unique(star, return_inverse=True)
        left, fold, copies = np.empty(len(needed)), number_of_star % FOLDS, len(star) / len(each)
        whole = cls._raked(needed, predicted, level, copies)
        for number in range(FOLDS):
            own = fold == number
            others = cls._raked(needed[~own], predicted[~own], level, copies)
            left[own] = needed[own] / others.of(predicted[own])
        return replace(whole, factor=max(whole.factor * _quantile(left, level), LEAST))

    @classmethod
    def _raked(cls, needed: FloatArray, predicted: FloatArray, level: float, copies: float) -> Stretch:
        """Find the factors, all from the same stars; `copies` is the mean number of predictions of a star."""
        edges = np.quantile(predicted, EDGES, axis=0).T
        bins = np.ones((len(edges), len(EDGES) + 1))
        place = _places(edges, predicted)
        for _ in range(ROUNDS):
            for label, of_label in enumerate(place.T):
                ratio = needed / cls(1.0, edges, bins).of(predicted)
                overall = _quantile(ratio, level)
                for number in range(len(EDGES) + 1):
                    inside = ratio[of_label == number]
                    outside = len(inside) * (1 - level) / copies
                    own = _quantile(inside, level) / overall if len(inside) and overall > 0 else 1.0
                    bins[label, number] *= max(own, LEAST) ** (outside / (outside + PRIOR_OUTSIDE))
        return cls(max(_quantile(needed / cls(1.0, edges, bins).of(predicted), level), LEAST), edges, bins)

    def of(self, predicted: FloatArray) -> FloatArray:
        """Return the factor of each star, shape (n,)."""
        found = np.ones(len(predicted))
        for edges, factors, values in zip(self.edges, self.bins, predicted.T, strict=True):
            found *= factors[np.searchsorted(edges, values)]
        return self.factor * found


def _no_bins(n_labels: int) -> tuple[FloatArray, FloatArray]:
    """Return edges, and factors that change nothing."""
    return np.zeros((n_labels, len(EDGES))), np.ones((n_labels, len(EDGES) + 1))


def _places(edges: FloatArray, predicted: FloatArray) -> NDArray[np.intp]:
    """Return the bin of every predicted label, shape (n, n_labels)."""
    columns = [np.searchsorted(e, p) for e, p in zip(edges, predicted.T, strict=True)]
    return np.stack(columns, axis=1) if columns else np.empty((len(predicted), 0), dtype=np.intp)


def _quantile(values: FloatArray, level: float) -> float:
    """Return the value that conformal prediction takes: of rank ``ceil((n + 1) level)``."""
    rank = min(ceil((len(values) + 1) * level), len(values))
    return float(np.partition(values, rank - 1)[rank - 1])
