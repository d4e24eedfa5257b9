"""Errors against true values, found from residuals against noisy labels of simulated stars."""

from __future__ import annotations

import numpy as np
import pytest

from starscale.learn.uncertainty.truth import truth_share, wider


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
@pytest.mark.parametrize("wrong", [0.0, 0.03])
def test_the_share_of_errors_that_noisy_labels_leave(share: float, wrong: float) -> None:
    """Errors of labels as large as those against labels or small, and some labels wrong by eight errors."""
    rng = np.random.default_rng(int(100 * share))
    n = 4000
    noise = 50 * rng.choice([0.3, 1.0, 2.0], n) * rng.uniform(0.7, 1.3, n)
    # What a calibrated model states follows the errors of the labels of similar stars.
    error = rng.uniform(0.8, 1.2, n) * np.hypot(share * 60, 50)
    wing = np.where(rng.random(n) < 0.15, 2.0, 1.0)
    core = share / np.quantile(np.abs(wing * rng.normal(size=n)), 0.6827)
    prediction = core * wing * error * rng.normal(size=n)
    label = noise * rng.normal(size=n) * np.where(rng.random(n) < wrong, 8.0, 1.0)
    found = truth_share(prediction - label, error, noise)
    assert np.mean(np.abs(prediction) < found * error) == pytest.approx(0.6827, abs=0.03)
    # Without the errors of the labels it would be far too large.
    assert np.mean(np.abs(prediction) < error) > 0.72


def test_few_stars_say_little() -> None:
    residual, error = np.array([0.0, 100.0]), np.array([60.0, 60.0])
    assert 0.3 < truth_share(residual, error, np.array([50.0, 50.0])) < 1.3


@pytest.mark.parametrize("label_error", [1e-200, 1e-30, 1e12])
@pytest.mark.parametrize("residual", [0.0, 1.0, 1e9])
def test_absurd_errors_of_labels_give_a_number(label_error: float, residual: float) -> None:
    error = np.linspace(0.5, 1.5, 300)
    with np.errstate(all="raise", under="ignore"):
        assert truth_share(np.full(300, residual), error, np.full(300, label_error)) > 0


def test_precise_labels_show_the_errors_themselves() -> None:
    rng = np.random.default_rng(1)
    error = rng.uniform(0.1, 0.3, 5000)
    residual = error * rng.normal(size=5000)
    assert truth_share(residual, error, np.full(5000, 1e-4)) == pytest.approx(1.0, abs=0.03)


def test_how_much_wider_residuals_of_held_out_stars_are() -> None:
    rng = np.random.default_rng(2)
    deviations, held_out = rng.normal(size=20_000), np.arange(20_000) < 10_000
    assert wider(deviations, held_out) == pytest.approx(1, abs=0.03)
    assert wider(np.where(held_out, 1.1, 1.0) * deviations, held_out) == pytest.approx(1.1, abs=0.03)
    # Chance makes as much among few stars; what it cannot make is believed.
    few = np.arange(4400) < 400
    assert wider(np.where(few, 1.1, 1.0) * deviations[:4400], few) == pytest.approx(1.05, abs=0.05)
    assert wider(np.where(few, 3.0, 1.0) * deviations[:4400], few) == pytest.approx(3, rel=0.1)
    # A model that repeats its labels, one that meets all of them, and samples without one of the two kinds.
    assert wider(np.where(held_out, deviations, 0), held_out) == np.inf
    assert wider(np.where(held_out, 0, deviations), held_out) == 1
    assert wider(deviations, np.ones(20_000, bool)) == 1
    assert wider(deviations, np.zeros(20_000, bool)) == 1
