"""Mixtures and losses against hand values, scipy, and samples."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from starscale.learn.density import MixtureDensity
from starscale.learn.losses import absolute_error, negative_log_likelihood, smape

N, COMPONENTS, LABELS = 6, 4, 3


@pytest.fixture
def density() -> MixtureDensity:
    rng = np.random.default_rng(5)
    return MixtureDensity(
        jax.nn.log_softmax(jnp.asarray(rng.normal(size=(N, COMPONENTS)), jnp.float32)),
        jnp.asarray(2 * rng.normal(size=(N, COMPONENTS, LABELS)), jnp.float32),
        jnp.asarray(rng.uniform(-2, 0.5, size=(N, COMPONENTS, LABELS)), jnp.float32),
    )


def marginal_cdf(density: MixtureDensity, t: np.ndarray) -> np.ndarray:
    weight = np.exp(np.asarray(density.log_weight, float))[:, :, None]
    below = stats.norm.cdf(
        t[:, None, :], np.asarray(density.mean, float), np.exp(np.asarray(density.log_sigma, float))
    )
    return (weight * below).sum(axis=1)


def test_losses_have_their_hand_values() -> None:
    prediction, truth = jnp.asarray([5000.0, -0.5, 0.0]), jnp.asarray([5100.0, -1.0, 0.0])
    assert float(absolute_error(prediction, truth)) == pytest.approx((100 + 0.5) / 3)
    expected = (200 / 10100.001 + 1 / 1.501 + 0) / 3
    assert float(smape(prediction, truth)) == pytest.approx(expected, rel=1e-6)


def test_smape_is_symmetric_and_at_most_two() -> None:
    a, b = jnp.asarray([4.0]), jnp.asarray([-4.0])
    assert float(smape(a, b)) == float(smape(b, a)) == pytest.approx(16 / 8.001)


def test_log_density_equals_scipy(density: MixtureDensity) -> None:
    t = np.random.default_rng(1).normal(size=(N, LABELS))
    normal = stats.norm.pdf(t[:, None, :], density.mean, np.exp(np.asarray(density.log_sigma, float)))
    expected = np.log((np.exp(np.asarray(density.log_weight, float)) * normal.prod(axis=2)).sum(axis=1))
    got = density.log_density(jnp.asarray(t, jnp.float32), jnp.ones((N, LABELS)))
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)
    loss = negative_log_likelihood(density, jnp.asarray(t, jnp.float32), jnp.ones((N, LABELS)), jnp.ones(N))
    assert float(loss) == pytest.approx(-expected.mean() / LABELS, rel=1e-5)


def test_a_missing_label_is_integrated_out(density: MixtureDensity) -> None:
    present = jnp.ones((N, LABELS)).at[:, 1].set(0.0)
    reduced = MixtureDensity(density.log_weight, density.mean[:, :, ::2], density.log_sigma[:, :, ::2])
    t = jnp.asarray(np.random.default_rng(2).normal(size=(N, LABELS)), jnp.float32)
    np.testing.assert_allclose(
        density.log_density(t, present), reduced.log_density(t[:, ::2], jnp.ones((N, 2))), rtol=1e-5
    )
    # Whatever stands in the place of the missing label has no influence, not even on the gradient.
    gradient = jax.grad(lambda s: density.log_density(s, present).sum())(t)
    assert float(jnp.abs(gradient[:, 1]).max()) == 0


def test_cdf_equals_scipy(density: MixtureDensity) -> None:
    t = np.random.default_rng(3).normal(size=(2, N, LABELS))
    got = density.cdf(jnp.asarray(t, jnp.float32))
    for values, below in zip(t, got, strict=True):
        np.testing.assert_allclose(below, marginal_cdf(density, values), atol=2e-6)


def test_quantiles_invert_the_exact_cdf(density: MixtureDensity) -> None:
    probabilities = np.array([0.02275, 0.15866, 0.5, 0.84134, 0.97725])
    quantiles = np.asarray(
        jax.jit(MixtureDensity.quantiles)(density, jnp.asarray(probabilities, jnp.float32)), float
    )
    assert (np.diff(quantiles, axis=0) > 0).all()
    for probability, values in zip(probabilities, quantiles, strict=True):
        np.testing.assert_allclose(marginal_cdf(density, values), probability, atol=5e-6)


def test_quantiles_and_mean_agree_with_a_sample(density: MixtureDensity) -> None:
    rng = np.random.default_rng(4)
    n = 200_000
    weight = np.exp(np.asarray(density.log_weight[0], float))
    component = rng.choice(COMPONENTS, size=n, p=weight / weight.sum())
    sigma = np.exp(np.asarray(density.log_sigma[0], float))[component]
    drawn = np.asarray(density.mean[0], float)[component] + sigma * rng.normal(size=(n, LABELS))
    quantile = np.asarray(density.quantiles(jnp.asarray([0.16], jnp.float32)))[0, 0]
    share = (drawn < quantile).mean(axis=0)
    np.testing.assert_allclose(share, 0.16, atol=4.5 * np.sqrt(0.16 * 0.84 / n))
    np.testing.assert_allclose(density.average()[0], drawn.mean(axis=0), atol=9 * drawn.std() / np.sqrt(n))


def draws(density: MixtureDensity, n: int) -> np.ndarray:
    """A sample of the first star's labels, shape (n, LABELS)."""
    rng = np.random.default_rng(8)
    weight = np.exp(np.asarray(density.log_weight[0], float))
    component = rng.choice(COMPONENTS, size=n, p=weight / weight.sum())
    sigma = np.exp(np.asarray(density.log_sigma[0], float))[component]
    return np.asarray(density.mean[0], float)[component] + sigma * rng.normal(size=(n, LABELS))


def test_correlation_is_that_of_a_sample(density: MixtureDensity) -> None:
    expected = np.corrcoef(draws(density, 200_000), rowvar=False)
    np.testing.assert_allclose(density.correlation()[0], expected, atol=0.015)


def test_sides_are_the_means_of_the_two_halves_of_a_sample(density: MixtureDensity) -> None:
    sample, cut = draws(density, 400_000), 0.3
    low = sample[:, 1] < cut
    assert 0.02 < low.mean() < 0.98
    below, above = density.conditional_means(1, jnp.float32(cut))
    np.testing.assert_allclose(below[0], sample[low].mean(axis=0), atol=0.03)
    np.testing.assert_allclose(above[0], sample[~low].mean(axis=0), atol=0.03)


def test_sides_far_from_every_component_stay_finite(density: MixtureDensity) -> None:
    for cut in (-40.0, 40.0):
        below, above = density.conditional_means(1, jnp.float32(cut))
        assert np.isfinite(below).all()
        assert np.isfinite(above).all()
        assert (np.asarray(below)[:, 1] <= cut + 1e-3).all()


def test_pooling_averages_the_members(density: MixtureDensity) -> None:
    other = MixtureDensity(density.log_weight[:, ::-1], density.mean + 1, density.log_sigma)
    pooled = MixtureDensity.pooled(jax.tree.map(lambda *a: jnp.stack(a), density, other))
    t = jnp.zeros((1, N, LABELS))
    np.testing.assert_allclose(pooled.cdf(t), (density.cdf(t) + other.cdf(t)) / 2, atol=1e-6)
    np.testing.assert_allclose(jnp.exp(pooled.log_weight).sum(axis=1), 1, rtol=1e-6)


def test_head_is_read_as_weights_then_means_and_widths_of_each_component() -> None:
    head = jnp.asarray([[0.0, np.log(3.0), 1, 2, 0, 0, 3, 4, 30.0, -30.0]], jnp.float32)
    density = MixtureDensity.from_head(head, 2)
    np.testing.assert_allclose(jnp.exp(density.log_weight), [[0.25, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(density.mean, [[[1, 2], [3, 4]]])
    np.testing.assert_allclose(density.log_sigma[0], [[-1, -1], [2, -4]], atol=1e-4)
