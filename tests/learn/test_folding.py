"""Networks as they predict: series in place of waves, rounded factors, and how their means change."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from starscale.learn.arrays import arrays_of
from starscale.learn.compilation import changed
from starscale.learn.density import log_tails
from starscale.learn.networks import EMBEDDING, REACH, Dense, MixtureNetwork, PowerSeries
from starscale.learn.predictor import Predictor, fit_predictor
from starscale.learn.sample import Sample
from starscale.learn.uncertainty.calibration import ScaledConformal
from starscale.vocabulary.settings.models import MixtureConfig, Turchi2024Config

N_VALUES, N_FLAGS, N_LABELS, MEMBERS = 6, 3, 2, 3


def networks(scale: float = 0.05, frequencies: int = 8) -> MixtureNetwork:
    """Untrained networks, stacked; `scale`: standard deviation of their frequencies."""
    rng = np.random.default_rng(3)
    each = [
        MixtureNetwork.drawn(
            rng,
            n_values=N_VALUES,
            n_flags=N_FLAGS,
            n_labels=N_LABELS,
            width=32,
            depth=2,
            components=2,
            frequencies=frequencies,
            frequency_scale=scale,
        )
        for _ in range(MEMBERS)
    ]
    stacked: MixtureNetwork = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    return stacked


def one(stacked: MixtureNetwork, number: int = 1) -> MixtureNetwork:
    cut: MixtureNetwork = jax.tree.map(lambda leaf: jnp.asarray(leaf[number]), stacked)
    return cut


def stars(n: int = 500, largest: float = 0.98 * REACH) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(4)
    values = rng.uniform(-largest, largest, (n, N_VALUES)).astype(np.float32)
    return jnp.asarray(values), jnp.asarray(rng.integers(0, 2, (n, N_FLAGS)).astype(np.float32))


@pytest.mark.parametrize("scale", [0.01, 0.05, 0.08])
def test_a_series_is_the_mixture_of_waves(scale: float) -> None:
    stacked, (x, _) = networks(scale), stars()
    series = PowerSeries.of(stacked.embedding)
    assert series is not None
    for number in range(MEMBERS):
        waves = np.asarray(one(stacked, number).embedding(x)).reshape(len(x), N_VALUES, EMBEDDING)
        found = np.asarray(PowerSeries(jnp.asarray(series.coefficients[number]))(x))
        np.testing.assert_array_equal(found[:, :N_VALUES], waves[:, :, 0])
        mixtures = found[:, N_VALUES:].reshape(len(x), N_VALUES, EMBEDDING - 1)
        np.testing.assert_allclose(mixtures, waves[:, :, 1:], atol=2e-5)


def test_slow_waves_need_fewer_terms_and_fast_ones_stay_waves() -> None:
    terms = [len(PowerSeries.of(networks(scale).embedding).coefficients[0]) for scale in (0.001, 0.05)]
    assert terms[0] < terms[1]
    fast = networks(2.0)
    assert PowerSeries.of(fast.embedding) is None
    folded, (x, flags) = fast.folded("bfloat16", N_VALUES), stars()
    assert type(folded.embedding) is type(fast.embedding)
    np.testing.assert_allclose(one(folded)(x, flags), one(fast)(x, flags), atol=0.05)


def test_a_mixture_that_is_zero_is_a_series_too() -> None:
    zero = jax.tree.map(np.zeros_like, networks())
    series = PowerSeries.of(zero.embedding)
    assert series is not None
    assert not series.coefficients.any()


def test_beyond_its_reach_a_series_stays_at_its_end() -> None:
    series = PowerSeries.of(networks().embedding)
    assert series is not None
    last = PowerSeries(jnp.asarray(series.coefficients[0]))
    end, far = (np.asarray(last(jnp.full((1, N_VALUES), value)))[:, N_VALUES:] for value in (REACH, 50 * REACH))
    np.testing.assert_array_equal(end, far)


@pytest.mark.parametrize("frequencies", [0, 8])
def test_factors_are_rounded_and_sums_are_not(frequencies: int) -> None:
    stacked, (x, flags) = networks(frequencies=frequencies), stars()
    folded = one(stacked.folded("bfloat16", N_VALUES))
    assert [layer.weight.dtype for layer in folded.layers] == [jnp.bfloat16] * 2
    assert folded.head.weight.dtype == jnp.float32

    def by_definition(network: MixtureNetwork) -> np.ndarray:
        seen = x if network.embedding is None else network.embedding(x)
        # Values in two parts of eight binary digits.
        rest = np.asarray(x) - np.asarray(x).astype(jnp.bfloat16).astype(np.float32)
        h = np.concatenate([seen, flags, rest], axis=1)
        for layer in network.layers:
            factors = (np.asarray(part).astype(jnp.bfloat16).astype(np.float64) for part in (h, layer.weight))
            z = np.matmul(*factors) + np.asarray(layer.bias)
            h = (z / (1 + np.exp(-z))).astype(np.float32)
        return np.asarray(h @ np.asarray(network.head.weight) + np.asarray(network.head.bias))

    # A number that lies between two of eight binary digits can be rounded to the other one.
    np.testing.assert_allclose(folded(x, flags), by_definition(folded), atol=2e-3)
    off = np.abs(np.asarray(folded(x, flags) - one(stacked)(x, flags)))
    assert 1e-5 < off.mean() < 5e-3


def test_in_single_precision_nothing_changes() -> None:
    stacked = networks()
    assert stacked.folded("float32", N_VALUES) is stacked
    x, dense = jnp.ones((3, 2)), Dense(jnp.full((2, 4), 0.1), jnp.zeros(4))
    np.testing.assert_array_equal(dense(x), x @ dense.weight)


def test_a_change_follows_from_the_derivative_where_values_are_rounded() -> None:
    weight = jnp.asarray(np.random.default_rng(1).normal(size=(5, 4)), jnp.float32)

    def function(x: jax.Array) -> jax.Array:
        return jnp.sin(Dense(weight.astype(x.dtype), jnp.zeros(4))(x))

    x = jnp.asarray(np.random.default_rng(2).normal(size=(7, 5)), jnp.float32)
    step = jnp.full_like(x, 1e-3)
    value, by_difference = changed(function, x, step, rounded=False)
    same, by_derivative = changed(function, x, step, rounded=True)
    np.testing.assert_array_equal(value, same)
    np.testing.assert_allclose(by_difference, by_derivative, rtol=0.05, atol=2e-5)


def sample(n: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    y = np.stack([5500 + 600 * x[:, 0] + 150 * x[:, 1] ** 2, 3 + x[:, 1] - 0.4 * x[:, 0] * x[:, 2]], axis=1)
    return Sample(x, y + rng.normal(size=y.shape) * [20, 0.05])


CONFIGS = [
    MixtureConfig(width=32, layers=2, members=3, epochs=15, batch=32, learning_rate=5e-3, set_members=0),
    Turchi2024Config(widths=(16, 16), batch=32, epochs_mae=15, epochs_smape=0, learning_rate=5e-3, dropout=0.0),
]


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: config.kind)
def both(request: pytest.FixtureRequest) -> tuple[Predictor, Predictor]:
    """The same networks, trained in single precision, in both, each with a calibration of its own."""
    train, validation = sample(1500, 0), sample(400, 1)
    configs = [request.param.model_copy(update={"precision": name}) for name in ("bfloat16", "float32")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("starscale.learn.networks.rounded_dense", lambda x, weight, bias: x @ weight + bias)
        # Programs know the product with which they were compiled.
        jax.clear_caches()
        rounded, exact = (fit_predictor(c, ("teff", "logg"), train, validation, seed=0) for c in configs)
    jax.clear_caches()
    return rounded, exact


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_a_training_with_rounded_factors_is_as_good(config: MixtureConfig | Turchi2024Config) -> None:
    train, validation, test = sample(1500, 0), sample(400, 1), sample(800, 2)

    def rmse_of(precision: str, seed: int) -> np.ndarray:
        chosen = config.model_copy(update={"precision": precision})
        found = fit_predictor(chosen, ("teff", "logg"), train, validation, seed=seed).predict(test.x).value
        return np.sqrt(((found - test.y) ** 2).mean(axis=0))

    # One such training differs from one with another seed by more than a tenth.
    rmse = {name: np.mean([rmse_of(name, seed) for seed in range(5)], axis=0) for name in ("bfloat16", "float32")}
    assert (rmse["bfloat16"] != rmse["float32"]).all()
    np.testing.assert_allclose(rmse["bfloat16"], rmse["float32"], rtol=0.1)


def test_rounding_is_far_below_the_errors(both: tuple[Predictor, Predictor]) -> None:
    x = sample(800, 2).x
    rounded, exact = (model.predict(x) for model in both)
    off = np.abs(rounded.value - exact.value) / exact.error
    # The labels are known to a thirtieth of their spread, far better than those of stars.
    assert 0 < np.median(off) < 0.02
    assert off.max() < 0.2
    # A star between two bins of the calibration may be in another one, with another factor.
    same = (bins_of(both[0], rounded.value) == bins_of(both[1], exact.value)).all(axis=1)
    assert same.mean() > 0.99
    np.testing.assert_allclose(rounded.error[same], exact.error[same], rtol=0.1)
    # Its interval is that of the learner times that factor: both are held for all stars and bins.
    np.testing.assert_allclose(*(uncalibrated(model, x) for model in both), rtol=0.05)
    for factors in ("factor", "bins"):
        np.testing.assert_allclose(*(getattr(model.calibration, factors, np.ones(1)) for model in both), rtol=0.1)


def bins_of(model: Predictor, predicted: np.ndarray) -> np.ndarray:
    """The bins of the calibration in which predicted labels are, one row a star."""
    if not isinstance(model.calibration, ScaledConformal):
        return np.zeros((len(predicted), 1))
    edges = model.calibration.edges.reshape(-1, *model.calibration.edges.shape[-2:])
    places = [np.searchsorted(e, values) for of in edges for e, values in zip(of, predicted.T, strict=True)]
    return np.stack(places, axis=1)


def uncalibrated(model: Predictor, x: np.ndarray) -> np.ndarray:
    """The widths of the intervals that the learner itself predicts; none from one that predicts a point."""
    raw = model.regressor.predict(model.preparation.apply(x))
    return np.empty(0) if raw.lower is None else raw.upper - raw.lower


def test_both_know_how_the_mean_changes(both: tuple[Predictor, Predictor]) -> None:
    x = sample(800, 2).x
    moved = x + np.array([0.01, 0.0, -0.005])
    rounded, exact = (model.predict(x, moved=moved).change for model in both)
    size = np.abs(exact).mean(axis=0)
    assert (np.median(np.abs(rounded - exact), axis=0) < 0.02 * size).all()
    # Of the truth: 600 K a unit of the first input.
    assert np.median(rounded[:, 0]) == pytest.approx(6.0, abs=0.7)


def test_a_change_is_that_of_the_mean(both: tuple[Predictor, Predictor]) -> None:
    _, exact = both
    if exact.regressor.kind == "mixture":
        pytest.skip("its change is that of its first networks")
    x = sample(300, 2).x
    moved = x + np.array([0.01, 0.0, 0.0])
    expected = exact.means(moved) - exact.means(x)
    np.testing.assert_allclose(exact.predict(x, moved=moved).change, expected, rtol=1e-3, atol=1e-3)


def test_nothing_changes_without_other_inputs(both: tuple[Predictor, Predictor]) -> None:
    for model in both:
        x = sample(50, 3).x
        assert (model.predict(x).change == 0).all()
        np.testing.assert_array_equal(model.predict(x, moved=x).change, np.zeros((50, 2)))


def test_precision_is_kept_in_a_bundle_that_states_it(both: tuple[Predictor, Predictor]) -> None:
    x = sample(50, 3).x
    for model, stated in zip(both, (True, False), strict=True):
        document, arrays = model.state()
        assert ("bfloat16" in repr(document["regressor"])) is stated
        again = Predictor.from_state(document, arrays)
        np.testing.assert_array_equal(again.predict(x).value, model.predict(x).value)
        assert all(array.dtype != jnp.bfloat16 for array in arrays_of(again).values())


def test_the_smaller_tail_is_exact_and_the_larger_one_to_rounding() -> None:
    z = np.concatenate([np.linspace(-40, 40, 8001), [-9.0, 9.0, 0.0]]).astype(np.float32)
    below, above = (np.asarray(tail, np.float64) for tail in log_tails(jnp.asarray(z)))
    for found, side in ((below, z), (above, -z)):
        expected = scipy.stats.norm.logcdf(side.astype(np.float64))
        np.testing.assert_allclose(found, expected, rtol=3e-6, atol=3e-7)


def test_folding_leaves_the_networks_as_they_are() -> None:
    stacked = networks()
    before = [np.array(leaf) for leaf in jax.tree.leaves(stacked)]
    stacked.folded("bfloat16", N_VALUES)
    after = jax.tree.leaves(stacked)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
