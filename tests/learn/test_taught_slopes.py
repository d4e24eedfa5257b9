"""A small network that has learnt how labels change with a quantity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from starscale.learn import Predictor, Sample, fit_predictor, load_bundle, save_bundle
from starscale.learn.observations import Measurements, Observations
from starscale.learn.regressor import FitContext
from starscale.learn.taught import slopes
from starscale.learn.taught.slopes import SlopeNetwork
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.models import MixtureConfig, Turchi2024Config

LABELS = ("teff", "fe_h")
NAMES = ("colour", "ebv", "other")
STEP = 0.01
NETWORKS = {
    "mixture": MixtureConfig(width=32, layers=2, components=2, frequencies=4, epochs=20, members=1, batch=64),
    "turchi2024": Turchi2024Config(widths=(32, 32), epochs_mae=40, epochs_smape=2, dropout=0.0),
}


def sample(n: int, seed: int) -> Sample:
    """Stars whose labels change with E(B-V), the second input, as the first and the third say; some lack it."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 3))
    y = np.column_stack([5500 + 400 * x[:, 0] + 300 * x[:, 0] * x[:, 1], -0.5 + 0.3 * x[:, 1] * x[:, 2] ** 2])
    x[rng.random(n) < 0.1, 1] = np.nan
    return Sample(x, y + rng.normal(size=y.shape) * (5, 0.01))


def context(model: Predictor, stars: Sample, seed: int = 0) -> FitContext:
    return FitContext(seed, Observations(stars, model.preparation, Measurements.alone(NAMES)))


def redder(stars: Sample) -> np.ndarray:
    """By how much the inputs change: E(B-V) alone."""
    return np.where(np.isnan(stars.x), np.nan, [0.0, STEP, 0.0])


@pytest.fixture(scope="module", params=NETWORKS)
def model(request: pytest.FixtureRequest) -> Predictor:
    fitted = fit_predictor(
        NETWORKS[request.param], LABELS, sample(3000, 0), sample(400, 1), seed=0, features=NAMES
    )
    stars = sample(3000, 0)
    learnt = SlopeNetwork.fit(fitted.regressor, redder(stars), context(fitted, stars))
    assert learnt is not None
    return replace(fitted, slopes=learnt)


def test_it_says_what_the_derivative_says(model: Predictor) -> None:
    test = sample(2000, 2)
    known = ~np.isnan(test.x).any(axis=1)
    exact = model.predict(test.x, moved=test.x + redder(test)).change
    learnt = model.predict(test.x, learnt_change=True).change
    off = np.sqrt(((learnt - exact)[known] ** 2).mean(axis=0) / (exact[known] ** 2).mean(axis=0))
    assert model.slopes is not None
    # What it says of itself is what is found.
    np.testing.assert_allclose(model.slopes.difference, off, rtol=0.35)
    # Derivatives of the paper's network have jumps.
    assert (off < {"mixture": 0.05, "turchi2024": 0.4}[model.regressor.kind]).all()
    # And both say how these stars are made.
    truth = STEP * 300 * test.x[known, 0]
    for found in (learnt, exact):
        assert np.corrcoef(found[known, 0], truth)[0, 1] > 0.9
    # All else is as without it, and nothing changes that was not asked for.
    usual = model.predict(test.x)
    assert (usual.change == 0).all()
    np.testing.assert_array_equal(usual.value, model.predict(test.x, learnt_change=True).value)


def test_a_star_far_away_has_the_slope_of_the_edge(model: Predictor) -> None:
    x = np.array([[0.5, 0.0, 40.0], [0.5, 0.0, 4000.0], [0.5, 0.0, 0.9]])
    assert model.slopes is not None
    far, farther, near = model.slopes.changes(model.preparation.apply(x))
    np.testing.assert_allclose(far, farther, rtol=0.1, atol=1e-3)
    assert np.isfinite(far).all()
    assert not np.allclose(far, near, rtol=1e-3)


def test_it_does_not_depend_on_the_stars_around(model: Predictor) -> None:
    x = sample(1500, 3).x
    whole = model.predict(x, learnt_change=True).change
    for part in (slice(1), slice(7, 1100), slice(1499, None)):
        np.testing.assert_array_equal(model.predict(x[part], learnt_change=True).change, whole[part])
    np.testing.assert_array_equal(model.predict(x, learnt_change=True, batch=100).change, whole)


def test_a_bundle_keeps_it_and_checks_it(model: Predictor, tmp_path_factory: pytest.TempPathFactory) -> None:
    document, arrays = model.state()
    again = Predictor.from_state(document, arrays)
    x = sample(50, 4).x
    np.testing.assert_array_equal(
        again.predict(x, learnt_change=True).change, model.predict(x, learnt_change=True).change
    )
    for wrong in ([9, 128, 64, 128], [9, 128], [8, 128, 128, 128]):
        with pytest.raises(InputError, match="slopes"):
            Predictor.from_state(document | {"slopes": {"sizes": wrong}}, arrays)
    with pytest.raises(InputError, match="slopes"):
        Predictor.from_state({**document, "slopes": {}}, arrays)
    folder = tmp_path_factory.mktemp("bundle") / "model"
    save_bundle(folder, model, {}, "card")
    loaded, *_ = load_bundle(folder)
    assert loaded.slopes is not None
    np.testing.assert_array_equal(loaded.slopes.difference, model.slopes.difference)  # type: ignore[union-attr]


def test_few_stars_teach_nothing(model: Predictor) -> None:
    stars = sample(3000, 0)
    few = redder(stars)
    few[slopes.LEAST_STARS - 1 :, 1] = 0
    assert SlopeNetwork.fit(model.regressor, few, context(model, stars)) is None
    bare = replace(model, slopes=None)
    assert (bare.predict(stars.x, learnt_change=True).change == 0).all()


def test_the_same_seed_gives_the_same_network(model: Predictor) -> None:
    stars = sample(3000, 0)
    again = SlopeNetwork.fit(model.regressor, redder(stars), context(model, stars))
    assert again is not None
    for a, b in zip(again.layers, model.slopes.layers, strict=True):  # type: ignore[union-attr]
        np.testing.assert_array_equal(a.weight, b.weight)
