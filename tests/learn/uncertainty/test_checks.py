"""Checks that are the same number for all stars: their usual values, and their place beside the relations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learn.uncertainty.test_agreement import DISTANCE, sky
from starscale.learn.predictor import Predictor, fit_predictor
from starscale.learn.sample import Sample
from starscale.learn.uncertainty.checks import INSIDE, Checks
from starscale.vocabulary.settings.models import RidgeConfig

#: Relative error of the parallax.
PARALLAX_ERROR = 0.1


def with_parallax(sample: Sample, seed: int) -> Sample:
    """Add parallax times distance, whose unit is any."""
    rng = np.random.default_rng(seed)
    value, error = sample.measured
    product = 1000 * (1 + PARALLAX_ERROR * rng.normal(size=len(sample)))
    extra = np.stack([product, np.full(len(sample), 1000 * PARALLAX_ERROR)])[:, :, None]
    return replace(sample, measured=np.concatenate([np.stack([value, error]), extra], axis=2), n_checks=1)


def farther(sample: Sample, factor: float) -> np.ndarray:
    value, error = sample.measured.copy()
    value[:, DISTANCE] += np.log(factor)
    value[:, -1] *= factor
    error[:, -1] *= factor
    return np.stack([value, error])


def test_the_usual_value_and_its_scatter_beyond_the_errors_are_learnt() -> None:
    rng = np.random.default_rng(0)
    error = rng.uniform(0.5, 2, (20_000, 1))
    value = 7 + error * rng.normal(size=error.shape) + 1.5 * rng.normal(size=error.shape)
    found = Checks.fit(value, error)
    assert found.center[0] == pytest.approx(7, abs=0.05)
    assert found.variance[0] == pytest.approx(1.5**2, rel=0.1)
    assert (found.score(value, error) > 1).mean() == pytest.approx(1 - INSIDE, abs=2e-4)
    np.testing.assert_allclose(found.widened(2).score(value, error), found.score(value, error) / 2)


def test_an_unknown_value_or_error_is_no_disagreement() -> None:
    value, error = np.tile([[0.0]], (200, 1)), np.ones((200, 1))
    value[::2] += 0.5
    found = Checks.fit(value, error)
    odd = found.score(np.array([[100.0], [np.nan], [100.0]]), np.array([[1.0], [1.0], [np.nan]]))
    assert odd[0, 0] > 10
    assert np.isnan(odd[1:]).all()


def test_a_check_that_few_stars_have_says_nothing() -> None:
    value, error = np.zeros((1000, 2)), np.ones((1000, 2))
    value[50:, 0] = np.nan
    found = Checks.fit(value, error)
    each = found.score(np.full((3, 2), 50.0), np.ones((3, 2)))
    assert np.isnan(each[:, 0]).all()
    assert (each[:, 1] > 1).all(), "without any scatter, errors alone count"
    assert all(np.isfinite(array).all() for array in (found.center, found.variance, found.scale)), "can be stored"


@pytest.fixture(scope="module")
def model() -> Predictor:
    train, validation = with_parallax(sky(3000, 0), 10), with_parallax(sky(1500, 1), 11)
    return fit_predictor(RidgeConfig(), ("teff", "logg"), train, validation, seed=0)


def test_a_check_takes_no_part_in_the_relations(model: Predictor) -> None:
    plain = fit_predictor(RidgeConfig(), ("teff", "logg"), sky(3000, 0), sky(1500, 1), seed=0)
    for found, expected in (
        (model.consistency.common, plain.consistency.common),
        (model.consistency.giants, plain.consistency.giants),
    ):
        np.testing.assert_array_equal(found.linear, expected.linear)
        np.testing.assert_array_equal(found.variance, expected.variance)


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_wrong_distance_is_found_by_the_parallax_alone(model: Predictor, factor: float) -> None:
    sample = with_parallax(sky(2000, 2), 12)
    assert (model.predict(sample.x, measured=sample.measured).consistency_score > 1).mean() < 0.03
    measured = farther(sample, factor)
    measured[:, :, :DISTANCE] = np.nan
    found = model.predict(sample.x, measured=measured)
    assert (found.consistency_score > 1).mean() > 0.9
    assert (found.oddest == DISTANCE + 1).mean() > 0.9


def test_without_the_parallax_the_score_is_that_of_the_others(model: Predictor) -> None:
    sample = with_parallax(sky(500, 3), 13)
    measured = sample.measured.copy()
    measured[:, :, -1] = np.nan
    found = model.predict(sample.x, measured=measured)
    without = replace(model, consistency=replace(model.consistency, checks=None))
    others = without.predict(sample.x, measured=measured[:, :, :-1])
    np.testing.assert_array_equal(found.consistency_score, others.consistency_score)
    np.testing.assert_array_equal(found.oddest, others.oddest)


def test_checks_are_stored(model: Predictor) -> None:
    document, arrays = model.state()
    again = Predictor.from_state(document, arrays)
    sample = with_parallax(sky(300, 4), 14)
    expected, found = (one.predict(sample.x, measured=sample.measured) for one in (model, again))
    np.testing.assert_array_equal(found.consistency_score, expected.consistency_score)
    np.testing.assert_array_equal(found.oddest, expected.oddest)
