"""Weights that let rare stars count for more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from starscale.learn.sample import FloatArray

#: The density of labels at a star follows from the distance to this neighbour.
NEIGHBOUR = 30
#: No star counts for more than this many average ones.
MOST = 10.0


def rarity_weights(t: FloatArray, present: NDArray[np.bool_], power: float) -> FloatArray:
    """Weigh stars by the density of their labels to the power ``-power``.

    Parameters
    ----------
    t : ndarray, shape (n, n_labels)
        Standardised labels; 0, the mean, where missing.
    present : ndarray of bool, shape (n, n_labels)
    power : float
        0: all stars count the same.

    Returns
    -------
    ndarray, shape (n,)
        With mean 1.

    Notes
    -----
    Density of the k-th nearest neighbour, ``rho ~ k / d_k^n_labels`` (Loftsgaarden & Quesenberry 1965).
    """
    if power == 0 or len(t) <= NEIGHBOUR:
        return np.ones(len(t))
    distance = np.asarray(cKDTree(t).query(t, k=[NEIGHBOUR + 1])[0])[:, 0]
    # Copies of one star have no distance; they are as common as the commonest.
    distance = np.maximum(distance, max(np.quantile(distance, 0.01), 1e-6))
    weight = distance ** (power * present.sum(axis=1).mean())
    return np.asarray((bounded := np.minimum(weight / weight.mean(), MOST)) / bounded.mean())
