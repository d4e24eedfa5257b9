"""Other priors: a toy problem whose answer is known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from starscale.learn.density import MixtureDensity
from starscale.learn.regressor import Tilt
from starscale.learn.uncertainty.prior import FLOOR, N_BINS, LabelDensity
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError

#: Labels are a unit Gaussian, and the input is the label with noise of this standard deviation.
NOISE = 0.7
SHRINK = 1 / (1 + NOISE**2)


@pytest.fixture(scope="module")
def labels() -> FloatArray:
    return np.random.default_rng(0).normal(size=(20_000, 1))


def answers(x: FloatArray, tilt: Tilt) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, quantiles and probability below 0 under another prior, from the exact answer under the first one."""
    n = len(x)
    width = np.full((n, 1, 1), np.log(NOISE * SHRINK**0.5))
    exact = MixtureDensity(*(jnp.asarray(a) for a in (np.zeros((n, 1)), SHRINK * x[:, None, None], width)))
    density = exact.tilted(0, jnp.asarray(tilt.edges[0]), jnp.asarray(tilt.weight[0]))
    quantiles = density.quantiles(jnp.asarray([0.16, 0.5, 0.84]))
    return np.asarray(density.average()), np.asarray(quantiles), np.asarray(density.below(jnp.zeros(1))[0])


def test_a_flat_prior_undoes_the_shrinkage(labels: FloatArray) -> None:
    density = LabelDensity.fit(labels)
    x = np.linspace(-1.5, 1.5, 11)
    mean, quantiles, below = answers(x, density.tilt({0: None}))
    np.testing.assert_allclose(mean, x, atol=0.06)
    np.testing.assert_allclose(quantiles[1], x, atol=0.06)
    np.testing.assert_allclose(quantiles[2] - quantiles[0], 2 * 0.9945 * NOISE, rtol=0.1)
    np.testing.assert_allclose(below[[0, 5, 10]], [0.984, 0.5, 0.016], atol=0.03)


def test_the_mean_at_fixed_true_label_is_unbiased(labels: FloatArray) -> None:
    rng, density = np.random.default_rng(1), LabelDensity.fit(labels)
    for truth in (-1.5, 0.0, 1.5):
        x = truth + NOISE * rng.normal(size=4000)
        flat, _, _ = answers(x, density.tilt({0: None}))
        assert abs(flat.mean() - truth) < 0.1
        assert truth == 0 or abs(SHRINK * x.mean() - truth) > 0.4


def test_the_prior_of_the_training_changes_nothing_and_others_act_as_they_should(labels: FloatArray) -> None:
    density = LabelDensity.fit(labels)
    value = np.linspace(-5, 5, 201)
    x = np.linspace(-1.5, 1.5, 7)
    same, _, _ = answers(x, density.tilt({0: (value, np.exp(-(value**2) / 2))}))
    np.testing.assert_allclose(same, SHRINK * x, atol=0.04)
    # A Gaussian prior of half the width: analytic as well.
    narrow, _, _ = answers(x, density.tilt({0: (value, np.exp(-2 * value**2))}))
    np.testing.assert_allclose(narrow, 0.25 * x / (0.25 + NOISE**2), atol=0.04)
    untouched = density.tilt({})
    assert (untouched.weight == 1).all()
    assert untouched.changed == ()


def test_the_density_is_bounded_and_integrates_to_what_was_there(labels: FloatArray) -> None:
    density = LabelDensity.fit(np.hstack([labels, np.full_like(labels, 3.0)]))
    assert density.density.shape == (2, N_BINS)
    assert density.density.min() >= FLOOR
    assert density.density.max() == 1
    center = 0.5 * (density.edges[0, 1:] + density.edges[0, :-1])
    assert abs(np.average(center, weights=density.density[0])) < 0.05
    with pytest.raises(InputError, match="prior: is 0 for all labels of the training"):
        density.tilt({0: (np.array([20.0, 21.0]), np.ones(2))})
