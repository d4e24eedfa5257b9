"""A small network that predicts what an ensemble predicts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starscale.learn import Predictor, Sample, fit_predictor
from starscale.learn.density import MixtureDensity
from starscale.model.scores import PROBABILITIES, crps
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.models import MeanConfig, MixtureConfig

LABELS = ("teff", "logg", "fe_h")
CONFIG = MixtureConfig(
    width=16, layers=1, components=2, frequencies=4, batch=32, epochs=10, members=3, learning_rate=0.01
)


def sample(n: int, seed: int) -> Sample:
    """Stars whose labels are sums of their inputs and noise; gaps in the last input."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    y = np.column_stack([5500 + 400 * x[:, 0], 4 + 0.5 * x[:, 1], -0.5 + 0.3 * x[:, 2] + 0.2 * x[:, 3]])
    y += rng.normal(size=y.shape) * (60, 0.1, 0.1)
    x[rng.random(n) < 0.1, 3] = np.nan
    return Sample(x, y)


@pytest.fixture(scope="module")
def ensemble() -> Predictor:
    return fit_predictor(CONFIG, LABELS, sample(1500, 0), sample(400, 1), seed=0)


def test_draws_have_the_moments_of_the_mixture() -> None:
    density = MixtureDensity(
        jnp.log(jnp.array([[0.3, 0.7], [1.0, 1e-12]])),
        jnp.array([[[-1.0, 5.0], [2.0, 6.0]], [[0.5, 0.0], [9.0, 9.0]]]),
        jnp.log(jnp.full((2, 2, 2), 0.2)),
    )
    drawn = np.asarray(density.draw(jax.random.key(0), 20_000))
    assert drawn.shape == (2, 20_000, 2)
    np.testing.assert_allclose(drawn.mean(axis=1), [[1.1, 5.7], [0.5, 0.0]], atol=0.04)
    np.testing.assert_allclose((drawn[0, :, 0] > 0.5).mean(), 0.7, atol=0.02)
    # Labels of one draw are of one component.
    assert np.corrcoef(drawn[0].T)[0, 1] > 0.8


def test_the_small_model_predicts_as_well_as_its_ensemble(ensemble: Predictor) -> None:
    train, validation, test = sample(1500, 0), sample(400, 1), sample(1000, 2)
    small = fit_predictor(CONFIG, LABELS, train, validation, seed=0, teacher=ensemble)
    scores = [
        [crps(quantiles[:, i], test.y[:, i]).mean() for i in range(3)]
        for quantiles in (model.quantiles(test.x, PROBABILITIES) for model in (ensemble, small))
    ]
    np.testing.assert_array_less(scores[1], 1.05 * np.asarray(scores[0]))
    # One network for every group of the ensemble, and a calibration of its own.
    networks = [len(model.regressor.networks.head.bias) for model in (ensemble, small)]  # type: ignore[attr-defined]
    assert networks[1] < networks[0]
    found = small.predict(test.x)
    covered = (found.lower < test.y) & (test.y < found.upper)
    assert 0.62 < covered.mean() < 0.75


def test_a_star_without_labels_teaches_what_the_ensemble_says(ensemble: Predictor) -> None:
    train, validation = sample(300, 0), sample(100, 1)
    unknown = Sample(train.x, np.where(np.arange(300)[:, None] < 260, np.nan, train.y))
    found = fit_predictor(CONFIG, LABELS, unknown, validation, seed=0, teacher=ensemble).means(validation.x)
    assert np.corrcoef(found[:, 0], validation.y[:, 0])[0, 1] > 0.9


def test_only_an_ensemble_can_teach() -> None:
    mean = fit_predictor(MeanConfig(), LABELS, sample(100, 0), sample(100, 1), seed=0)
    with pytest.raises(InputError, match="is of the kind mean"):
        fit_predictor(CONFIG, LABELS, sample(100, 0), sample(100, 1), seed=0, teacher=mean)
