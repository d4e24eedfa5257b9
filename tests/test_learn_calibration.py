"""Coverage of the calibrated intervals, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from starscale.learn.calibration import MIN_STARS, ResidualConformal, ScaledConformal, calibrate
from starscale.learn.regressor import LEVELS, Raw, Threshold

LABEL = ("teff",)


def raw_gaussian(center: np.ndarray, sigma: np.ndarray) -> Raw:
    """What a learner says that takes the errors for Gaussian."""
    z = np.array([stats.norm.ppf(0.5 + level / 2) for level in LEVELS])
    center, width = center[:, None], (sigma[:, None] * z)[:, None, :]
    return Raw(center, center, center[:, :, None] - width, center[:, :, None] + width)


def coverage(method: type, n_validation: int, trials: int, claimed: float) -> np.ndarray:
    """Mean coverage on fresh stars whose errors are skewed and `1 / claimed` times as large as predicted."""
    rng = np.random.default_rng(0)
    covered = np.zeros((trials, 2))
    n_test = 400
    for trial in range(trials):
        n = n_validation + n_test
        center, sigma = rng.normal(size=n), rng.uniform(0.5, 2, size=n)
        y = (center + sigma * (rng.gamma(2, size=n) - 1.7))[:, None]
        raw = raw_gaussian(center, claimed * sigma)
        held_out = Raw(*(part[:n_validation] for part in (raw.value, raw.mean, raw.lower, raw.upper)))
        fresh = Raw(*(part[n_validation:] for part in (raw.value, raw.mean, raw.lower, raw.upper)))
        calibration, _ = method.fit(held_out, y[:n_validation], LABEL)
        ends = calibration.intervals(fresh)
        truth = y[n_validation:, :, None]
        covered[trial] = ((truth >= ends.lower) & (truth <= ends.upper)).mean(axis=(0, 1))
    return covered.mean(axis=0)


@pytest.mark.parametrize("method", [ScaledConformal, ResidualConformal])
@pytest.mark.parametrize("claimed", [0.4, 2.0])
def test_coverage_is_the_promised_one_however_wrong_the_learner(method: type, claimed: float) -> None:
    n_validation, trials = 200, 300
    got = coverage(method, n_validation, trials, claimed)
    for level, share in zip(LEVELS, got, strict=True):
        # Coverage given a calibration set scatters like a beta variable, and is counted on 400 stars.
        scatter = np.sqrt(level * (1 - level) * (1 / (n_validation + 2) + 1 / 400) / trials)
        # At least the level, at most two ranks of the calibration set above it.
        assert level - 4 * scatter < share < level + 2 / n_validation + 4 * scatter


def test_without_calibration_these_intervals_would_fail() -> None:
    class Untouched:
        @staticmethod
        def fit(raw: Raw, y: np.ndarray, labels: tuple[str, ...]) -> tuple[ScaledConformal, list[str]]:
            return ScaledConformal(np.ones((1, 2))), []

    assert coverage(Untouched, 200, 50, 0.4)[0] < LEVELS[0] - 0.2


def test_stretch_has_its_hand_value() -> None:
    n = 199
    y = np.arange(1, n + 1, dtype=float)[:, None]
    zero = np.zeros((n, 1))
    raw = Raw(zero, zero, np.full((n, 1, 2), -10.0), np.full((n, 1, 2), 10.0))
    calibration, notes = ScaledConformal.fit(raw, y, LABEL)
    # Scores (y - 10) / 10; the rank is ceil(200 * 0.6827) = 137.
    assert calibration.stretch[0, 0] == pytest.approx(1 + (137 - 10) / 10)
    assert notes == []


def test_too_few_stars_leave_the_intervals_alone_and_say_so() -> None:
    n = MIN_STARS - 1
    rng = np.random.default_rng(0)
    raw = raw_gaussian(rng.normal(size=n), np.full(n, 0.1))
    calibration, notes = calibrate(raw, rng.normal(size=(n, 1)), LABEL)
    assert isinstance(calibration, ScaledConformal)
    np.testing.assert_array_equal(calibration.stretch, 1)
    np.testing.assert_allclose(calibration.intervals(raw).upper, raw.upper)
    assert "teff" in notes[0]
    assert str(n) in notes[0]


def test_stars_without_the_label_do_not_count() -> None:
    rng = np.random.default_rng(0)
    center = rng.normal(size=300)
    y = center[:, None] + rng.normal(size=(300, 1))
    raw = raw_gaussian(center, np.ones(300))
    with_gaps = np.vstack([y, np.full((50, 1), np.nan)])
    longer = raw_gaussian(np.append(center, np.full(50, 1e6)), np.ones(350))
    for method in (ScaledConformal, ResidualConformal):
        first, second = method.fit(raw, y, LABEL)[0], method.fit(longer, with_gaps, LABEL)[0]
        for name, array in first.state().items():
            np.testing.assert_array_equal(array, second.state()[name])


def test_the_outer_interval_contains_the_inner_one() -> None:
    zero = np.zeros((1, 1))
    raw = Raw(zero, zero, np.array([[[-1.0, -2.0]]]), np.array([[[1.0, 2.0]]]))
    ends = ScaledConformal(np.array([[3.0, 1.0]])).intervals(raw)
    np.testing.assert_array_equal(ends.lower[0, 0], [-3, -3])
    np.testing.assert_array_equal(ends.upper[0, 0], [3, 3])


def test_point_predictions_know_the_share_of_giants_from_their_residuals() -> None:
    rng = np.random.default_rng(1)
    value = np.full((5000, 1), 4.0)
    calibration, _ = ResidualConformal.fit(
        Raw(value, value), value + rng.normal(0, 0.5, size=value.shape), ("logg",)
    )
    star = Raw(np.array([[4.0], [3.5], [0.0]]), np.array([[4.0], [3.5], [0.0]]))
    below = calibration.intervals(star, Threshold(0, 3.5)).below
    np.testing.assert_allclose(below, [stats.norm.cdf(-1), 0.5, 1.0], atol=4 * np.sqrt(0.25 / 5000))
    assert calibration.intervals(star).below is None


def test_a_biased_point_prediction_stays_inside_its_interval() -> None:
    value = np.zeros((200, 1))
    y = np.linspace(5, 6, 200)[:, None]
    calibration, _ = ResidualConformal.fit(Raw(value, value), y, LABEL)
    ends = calibration.intervals(Raw(value[:1], value[:1]))
    assert (ends.lower <= 0).all()
    assert (ends.upper > 5).all()
