"""How far predicted labels lie from those of the training stars.

A model fed with something strange can answer with labels that no star has, each of them in its usual range. The
distance is that to the k-th nearest training star in the space of standardised labels, in units of what 99 % of
held-out stars stay below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from starscale.learn.arrays import Arrays, take
from starscale.learn.uncertainty.domain import INSIDE
from starscale.vocabulary.arrays import FloatArray

NEIGHBOUR = 5
#: Training stars that are kept, chosen at random.
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
    scale : float
        Distance that is called 1.
    """

    points: FloatArray
    width: FloatArray
    scale: float

    @classmethod
    def fit(cls, y: FloatArray, predicted: FloatArray, seed: int) -> LabelDomain:
        """Learn the region from training labels (NaN: missing) and its edge from predictions of held-out stars."""
        complete = y[~np.isnan(y).any(axis=1)]
        if len(complete) <= NEIGHBOUR:
            # Labels that never stand together: each by itself, the others at their middle.
            complete = np.where(np.isnan(y), np.nanmedian(y, axis=0), y)
        width = complete.std(axis=0)
        width = np.where(width > 0, width, 1.0)
        chosen = np.random.default_rng(seed).permutation(len(complete))[:MOST]
        raw = cls(complete[chosen] / width, width, 1.0)
        scale = float(np.quantile(raw.score(predicted), INSIDE))
        return cls(raw.points, width, scale if scale > 0 else 1.0)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    def score(self, predicted: FloatArray) -> FloatArray:
        """Return the distance of each star, shape (n,), from predicted labels, shape (n, n_labels)."""
        k = min(NEIGHBOUR, len(self.points))
        distance = np.asarray(self._tree.query(predicted / self.width, k=[k])[0])
        return np.asarray(distance[:, 0] / self.scale)

    def state(self) -> Arrays:
        """Return what :meth:`from_state` needs."""
        return {"points": self.points, "width": self.width, "scale": np.array([self.scale])}

    @classmethod
    def from_state(cls, arrays: Arrays, n_labels: int) -> LabelDomain:
        """Rebuild from :meth:`state`."""
        n_points = len(arrays["points"]) if "points" in arrays and arrays["points"].ndim else 0
        return cls(
            take(arrays, "label domain", "points", (n_points, n_labels)),
            take(arrays, "label domain", "width", (n_labels,)),
            float(take(arrays, "label domain", "scale", (1,))[0]),
        )
