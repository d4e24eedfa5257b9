"""The networks against the same sums written out in numpy."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starscale.learn import turchi
from starscale.learn.compilation import dropout_mask, hashed_bits, seeded
from starscale.learn.networks import (
    EMBEDDING,
    Dense,
    DiamondNetwork,
    MixtureNetwork,
    PeriodicEmbedding,
    cosine_of_turns,
    folded_forward,
    moving_average,
    with_two_parts,
)
from starscale.vocabulary.settings.models import Precision, Turchi2024Config

WIDTHS = (4, 6, 4)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


def diamond(seed: int = 0) -> DiamondNetwork:
    """A network whose biases, scales and shifts are not the trivial ones."""
    network = DiamondNetwork.drawn(np.random.default_rng(seed), 3, WIDTHS)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: a + jnp.asarray(0.3 * rng.normal(size=a.shape), jnp.float32), network)


def by_hand(network: DiamondNetwork, x: np.ndarray, statistics: list | None) -> tuple[np.ndarray, list]:
    h, seen = x.astype(np.float64), []
    for number, block in enumerate(network.blocks):
        h = h @ np.asarray(block.dense.weight, float) + np.asarray(block.dense.bias, float)
        h = np.where(h > 0, h, 0.3 * h)
        mean, variance = (h.mean(0), h.var(0)) if statistics is None else statistics[number]
        seen.append((mean, variance))
        h = (h - mean) / np.sqrt(variance + 1e-3) * np.asarray(block.scale) + np.asarray(block.shift)
    return (h @ np.asarray(network.head.weight, float) + np.asarray(network.head.bias))[:, 0], seen


def test_training_pass_normalises_each_block_by_its_batch(x: np.ndarray) -> None:
    network = diamond()
    output, statistics = network.train_forward(jnp.asarray(x), seeded(0), slope=0.3, rate=0.0, precision="float32")
    expected, seen = by_hand(network, x, None)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)
    for (mean, variance), (mean_by_hand, variance_by_hand) in zip(statistics, seen, strict=True):
        np.testing.assert_allclose(mean, mean_by_hand, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance, variance_by_hand, rtol=1e-4, atol=1e-5)


def test_folded_network_equals_batch_norm_with_running_statistics(x: np.ndarray) -> None:
    network = diamond(1)
    rng = np.random.default_rng(3)
    statistics = [(rng.normal(size=w), rng.uniform(0.2, 3, size=w)) for w in WIDTHS]
    device = tuple((jnp.asarray(m, jnp.float32), jnp.asarray(v, jnp.float32)) for m, v in statistics)
    output = folded_forward(network.folded(device), jnp.asarray(x), 0.3)
    np.testing.assert_allclose(output, by_hand(network, x, statistics)[0], rtol=1e-4, atol=1e-4)


def test_running_statistics_move_by_one_percent() -> None:
    network = diamond()
    start = network.initial_statistics()
    batch = tuple((jnp.full_like(m, 2.0), jnp.full_like(v, 5.0)) for m, v in start)
    for mean, variance in moving_average(start, batch):
        np.testing.assert_allclose(mean, 0.02, rtol=1e-4)
        np.testing.assert_allclose(variance, 1.04, rtol=1e-6)


def test_default_shape_is_the_papers_diamond() -> None:
    widths = Turchi2024Config().widths
    assert len(widths) == 18
    assert (widths[0], max(widths), widths[-1]) == (80, 160, 80)
    assert widths == widths[::-1]


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    h = dropout_mask(jnp.uint32(7), (1000, 100), 0.3)
    dropped = float((h == 0).mean())
    assert abs(dropped - 0.3) < 4 * np.sqrt(0.3 * 0.7 / h.size)
    np.testing.assert_allclose(h[h != 0], 1 / 0.7, rtol=1e-6)
    assert dropout_mask(jnp.uint32(7), (1000, 100), 0.0) == 1


def test_a_unit_that_never_changes_has_no_variance(x: np.ndarray) -> None:
    network = diamond()
    first = network.blocks[0]
    # 0.1 has no exact square: the mean of squares may come out below the square of the mean.
    still = Dense(jnp.zeros_like(first.dense.weight), jnp.full_like(first.dense.bias, 1000.1))
    network = replace(network, blocks=(replace(first, dense=still), *network.blocks[1:]))
    output, statistics = network.train_forward(jnp.asarray(x), seeded(0), slope=0.3, rate=0.0, precision="float32")
    assert np.isfinite(output).all()
    assert (np.asarray(statistics[0][1]) >= 0).all()


@pytest.mark.parametrize("n", [1, 1024, 2500])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_validation_loss_is_that_of_predictions(n: int, precision: Precision) -> None:
    network, rng = diamond(), np.random.default_rng(n)
    statistics = tuple((block.shift, jnp.exp(block.scale)) for block in network.blocks)
    x, t = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((n, 3), n))
    loss = turchi._PhaseLoss(False, 0.3, 0.0, precision)
    found = turchi._validation_loss(network, statistics, (jnp.float32(0), jnp.float32(1)), (x, t), loss=loss)
    layers = jax.tree.map(lambda leaf: np.asarray(leaf)[None], network.folded(statistics))
    labels, _ = turchi._predict(with_two_parts(layers, precision), x, None, slope=0.3)
    assert found == pytest.approx(np.abs(labels[:, 0] - t).mean(), rel=1e-5)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_derivative_of_a_block_is_that_of_its_definition(rate: float) -> None:
    """By all weights, against what follows from the plain formulas by themselves; the same dropout in both."""
    rng = np.random.default_rng(5)
    network, x = diamond(2), jnp.asarray(rng.normal(size=(40, 3)), jnp.float32)
    weight = jnp.asarray(rng.normal(size=40), jnp.float32)

    def defined(network: DiamondNetwork) -> jax.Array:
        h = x
        for block, key in zip(network.blocks, jax.random.bits(seeded(4), (len(WIDTHS),), jnp.uint32), strict=True):
            h = block.dense(h)
            h = jnp.where(h >= 0, h, 0.3 * h)
            h = (h - h.mean(axis=0)) / jnp.sqrt(h.var(axis=0) + 1e-3) * block.scale + block.shift
            h *= dropout_mask(key, h.shape, rate)
        return (network.head(h)[:, 0] * weight).sum()

    def trained(network: DiamondNetwork) -> jax.Array:
        output, _ = network.train_forward(x, seeded(4), slope=0.3, rate=rate, precision="float32")
        return (output * weight).sum()

    assert trained(network) == pytest.approx(float(defined(network)), rel=1e-4)
    found, expected = (jax.tree.leaves(jax.grad(f)(network)) for f in (trained, defined))
    for own, by_definition in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, by_definition, rtol=1e-3, atol=2e-3)


def test_dropout_masks_are_uncorrelated_between_keys_rows_and_columns() -> None:
    shape = (512, 160)
    keys = jax.random.bits(seeded(0), (40,), jnp.uint32)
    kept = np.asarray(jax.vmap(lambda k: hashed_bits(k, shape) >= jnp.uint32(2**31))(keys)).astype(float) - 0.5
    pairs = [
        (kept[:-1], kept[1:]),
        (kept[:, :-1], kept[:, 1:]),
        (kept[:, :, :-1], kept[:, :, 1:]),
    ]
    for first, second in pairs:
        assert abs(4 * (first * second).mean()) < 4.5 / np.sqrt(first.size)


def test_periodic_embedding_keeps_the_input_and_adds_waves(x: np.ndarray) -> None:
    embedding = PeriodicEmbedding.drawn(np.random.default_rng(2), 3, 5, 0.2)
    waves = np.cos(2 * np.pi * (x[:, :, None] * np.asarray(embedding.frequency) + np.asarray(embedding.phase)))
    expected = np.einsum("nif,ifk->nik", waves, np.asarray(embedding.weight)) + np.asarray(embedding.bias)
    got = np.asarray(embedding(jnp.asarray(x))).reshape(50, 3, EMBEDDING)
    np.testing.assert_array_equal(got[:, :, 0], x)
    np.testing.assert_allclose(got[:, :, 1:], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frequencies", [0, 5])
def test_mixture_network_is_a_plain_perceptron_on_its_embedding(x: np.ndarray, frequencies: int) -> None:
    network = MixtureNetwork.drawn(
        np.random.default_rng(0),
        n_values=3,
        n_flags=2,
        n_labels=3,
        width=8,
        depth=2,
        components=2,
        frequencies=frequencies,
        frequency_scale=0.1,
    )
    flags = (np.arange(100).reshape(50, 2) % 3 == 0).astype(np.float32)
    values = np.asarray(network.embedding(jnp.asarray(x))) if network.embedding else x
    h = np.concatenate([values, flags], axis=1).astype(np.float64)
    for layer in network.layers:
        h = h @ np.asarray(layer.weight, float) + np.asarray(layer.bias)
        h = h / (1 + np.exp(-h))
    expected = h @ np.asarray(network.head.weight, float) + np.asarray(network.head.bias)
    assert expected.shape == (50, 2 * (1 + 2 * 3))
    np.testing.assert_allclose(network(jnp.asarray(x), jnp.asarray(flags)), expected, rtol=1e-4, atol=1e-5)


def test_the_cosine_of_turns_and_its_slope() -> None:
    u = np.linspace(-4, 4, 40_001).astype(np.float32)
    angle = 2 * np.pi * u.astype(np.float64)
    np.testing.assert_allclose(cosine_of_turns(jnp.asarray(u)), np.cos(angle), atol=1e-6)
    slope = jax.vmap(jax.grad(cosine_of_turns))(jnp.asarray(u))
    np.testing.assert_allclose(slope, -2 * np.pi * np.sin(angle), atol=2e-5)
