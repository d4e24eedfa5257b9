"""Losses, each a mean over the stars of a batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from starscale.learn.density import MixtureDensity

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
