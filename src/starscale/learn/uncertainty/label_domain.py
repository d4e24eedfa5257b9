"""How far predicted labels lie from those of the training stars.

For unusual inputs a model can predict a combination of labels that no star has, although each label is in its
usual range. The distance is that to the k-th nearest training star in the space of standardised labels, divided by
the 99th percentile of held-out stars.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from starscale.learn.arrays import expected
from starscale.learn.uncertainty.domain import INSIDE
from starscale.vocabulary.arrays import FloatArray

NEIGHBOUR = 5
#: Largest number of training stars that are kept, chosen at random.
MOST = 20_000


@dataclass(frozen=True)
class LabelDomain:
    """Region of labels that the training stars cover.

    Parameters
    ----------
    points : ndarray, shape (n_points, n_labels)
        Labels of training stars, divided by `width`.
    width : ndarray, shape (n_labels,)
        Standard deviations.
    scale : ndarray, shape (1,)
        Distance that corresponds to a score of 1.
    """

    points: FloatArray
    width: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, y: FloatArray, predicted: FloatArray, seed: int) -> LabelDomain:
        """Learn the region from training labels (NaN: missing) and its edge from predictions of held-out stars."""
        complete = y[~np.isnan(y).any(axis=1)]
        if len(complete) <= NEIGHBOUR:
            # Hardly any star has all labels: missing ones are set to their median.
            complete = np.where(np.isnan(y), np.nanmedian(y, axis=0), y)
        width = complete.std(axis=0)
        width = np.where(width > 0, width, 1.0)
        chosen = np.random.default_rng(seed).permutation(len(complete))[:MOST]
        unscaled = cls(complete[chosen] / width, width, np.ones(1))
        scale = np.quantile(unscaled.score(predicted), INSIDE)
        return cls(unscaled.points, width, np.array([scale if scale > 0 else 1.0]))

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    def score(self, predicted: FloatArray) -> FloatArray:
        """Return the distance of each star, shape (n,), from predicted labels, shape (n, n_labels)."""
        k = min(NEIGHBOUR, len(self.points))
        # A bundle from elsewhere may predict numbers without end: they are infinitely far.
        with np.errstate(over="ignore", invalid="ignore"):
            place = predicted / self.width
        known = np.isfinite(place).all(axis=1)
        distance = np.full(len(place), np.inf)
        distance[known] = np.asarray(self._tree.query(place[known], k=[k])[0])[:, 0]
        return np.asarray(distance / self.scale)

    @classmethod
    def skeleton(cls) -> LabelDomain:
        """Return a domain to be filled with stored arrays."""
        return cls(expected("label domain stars", "labels"), expected("labels"), expected(1))
