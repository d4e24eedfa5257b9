"""Losses, each a mean over the stars of a batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from starscale.learn.density import MixtureDensity
from starscale.vocabulary.arrays import FloatArray

#: Keeps SMAPE defined where label and prediction are 0 (Turchi et al. 2024).
SMAPE_EPSILON = 1e-3


def absolute_error(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """Mean absolute error."""
    return jnp.abs(prediction - truth).mean()


def smape(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """Symmetric mean absolute percentage error, ``2 |y - p| / (|y| + |p| + eps)``, in physical units."""
    return (2 * jnp.abs(truth - prediction) / (jnp.abs(truth) + jnp.abs(prediction) + SMAPE_EPSILON)).mean()


def negative_log_likelihood(
    density: MixtureDensity, truth: jax.Array, present: jax.Array, weight: jax.Array
) -> jax.Array:
    """Exact negative log-likelihood of a mixture for each label.

    Parameters
    ----------
    density : MixtureDensity
        Of n stars.
    truth, present : array, shape (n, n_labels)
        Standardised labels (any number where missing), and 1 where there is one, else 0. A star contributes
        the density of the labels it has, the others integrated out.
    weight : array, shape (n,)
        How much each star counts; 1 on average.
    """
    return -(weight * density.log_density(truth, present)).mean() / truth.shape[1]


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
