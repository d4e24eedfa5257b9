"""Coverage of the calibrated intervals, by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from starscale.learn.arrays import arrays_of, filled
from starscale.learn.regressor import LEVELS, RawPrediction, Threshold
from starscale.learn.uncertainty.calibration import (
    MIN_STARS,
    ResidualConformal,
    ScaledConformal,
    calibrate,
    calibration_skeleton,
)
from starscale.learn.uncertainty.conformal import Stretch

LABEL = ("teff",)


def raw_gaussian(center: np.ndarray, sigma: np.ndarray) -> RawPrediction:
    """What a learner says that takes the errors for Gaussian."""
    z = np.array([stats.norm.ppf(0.5 + level / 2) for level in LEVELS])
    center, width = center[:, None], (sigma[:, None] * z)[:, None, :]
    return RawPrediction(center, center, center[:, :, None] - width, center[:, :, None] + width)


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
        held_out = RawPrediction(*(part[:n_validation] for part in (raw.value, raw.mean, raw.lower, raw.upper)))
        fresh = RawPrediction(*(part[n_validation:] for part in (raw.value, raw.mean, raw.lower, raw.upper)))
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
        def fit(raw: RawPrediction, y: np.ndarray, labels: tuple[str, ...]) -> tuple[ScaledConformal, list[str]]:
            return unstretched(1.0, 1.0), []

    assert coverage(Untouched, 200, 50, 0.4)[0] < LEVELS[0] - 0.2


def unstretched(*factors: float) -> ScaledConformal:
    none = Stretch.none(1)
    edges, bins = (np.broadcast_to(array, (1, 1, len(LEVELS), *array.shape)) for array in (none.edges, none.bins))
    return ScaledConformal(np.array([[factors]]), edges, bins)


def test_stretch_has_its_hand_value() -> None:
    n = 199
    y = np.arange(1, n + 1, dtype=float)[:, None]
    zero = np.zeros((n, 1))
    raw = RawPrediction(zero, zero, np.full((n, 1, 2), -10.0), np.full((n, 1, 2), 10.0))
    calibration, notes = ScaledConformal.fit(raw, y, LABEL)
    # Scores (y - 10) / 10; the rank is ceil(200 * 0.6827) = 137.
    assert calibration.factor[0, 0, 0] == pytest.approx(1 + (137 - 10) / 10)
    assert notes == []


def test_too_few_stars_leave_the_intervals_alone_and_say_so() -> None:
    n = MIN_STARS - 1
    rng = np.random.default_rng(0)
    raw = raw_gaussian(rng.normal(size=n), np.full(n, 0.1))
    calibration, notes = calibrate(raw, rng.normal(size=(n, 1)), LABEL)
    assert isinstance(calibration, ScaledConformal)
    np.testing.assert_allclose(calibration.intervals(raw).upper, raw.upper)
    assert "teff" in notes[0]
    assert str(n) in notes[0]


def test_the_fewest_stars_are_enough() -> None:
    rng = np.random.default_rng(1)
    center, sigma = rng.normal(size=MIN_STARS), np.ones(MIN_STARS)
    y = rng.normal(size=(MIN_STARS, 1))
    scaled, _ = ScaledConformal.fit(raw_gaussian(center, 0.1 * sigma), y, LABEL)
    assert (scaled.factor > 2).all()
    for method in (ScaledConformal, ResidualConformal):
        assert method.fit(raw_gaussian(center, sigma), y, LABEL)[1] == []
        fewer = raw_gaussian(center[1:], sigma[1:])
        assert len(method.fit(fewer, y[1:], LABEL)[1]) == 1


@pytest.mark.parametrize("n", [1, 5, 20, 99, 400])
def test_residuals_have_the_ranks_of_the_rule(n: int) -> None:
    """Of n + 1 ranks, (1 - level) / 2 lie outside on either side; an end never lies inside the value."""
    rng = np.random.default_rng(n)
    residual = np.sort(rng.normal(size=n))
    value = rng.normal(size=(n, 1))
    y = np.concatenate([value + residual[:, None], [[np.nan]]])
    raw = RawPrediction(np.append(value, [[0.0]], axis=0), None, None, None)
    fitted, _ = ResidualConformal.fit(raw, y, LABEL)
    for k, level in enumerate(LEVELS):
        outside = int(np.floor((n + 1) * (1 - level) / 2 + 1e-12))
        low, high = residual[max(outside - 1, 0)], residual[min(n - outside, n - 1)]
        assert fitted.low[0, k] == pytest.approx(min(low, 0.0))
        assert fitted.high[0, k] == pytest.approx(max(high, 0.0))


def test_a_stored_calibration_is_of_its_kind() -> None:
    for kind in (ScaledConformal, ResidualConformal):
        assert type(calibration_skeleton({"kind": kind.kind})) is kind


def test_stars_without_the_label_do_not_count() -> None:
    rng = np.random.default_rng(0)
    center = rng.normal(size=300)
    y = center[:, None] + rng.normal(size=(300, 1))
    raw = raw_gaussian(center, np.ones(300))
    with_gaps = np.vstack([y, np.full((50, 1), np.nan)])
    longer = raw_gaussian(np.append(center, np.full(50, 1e6)), np.ones(350))
    for method in (ScaledConformal, ResidualConformal):
        first, second = method.fit(raw, y, LABEL)[0], method.fit(longer, with_gaps, LABEL)[0]
        for name, array in arrays_of(first).items():
            np.testing.assert_array_equal(array, arrays_of(second)[name])


def test_the_outer_interval_contains_the_inner_one() -> None:
    zero = np.zeros((1, 1))
    raw = RawPrediction(zero, zero, np.array([[[-1.0, -2.0]]]), np.array([[[1.0, 2.0]]]))
    ends = unstretched(3.0, 1.0).intervals(raw)
    np.testing.assert_array_equal(ends.lower[0, 0], [-3, -3])
    np.testing.assert_array_equal(ends.upper[0, 0], [3, 3])


def test_point_predictions_know_the_share_of_giants_from_their_residuals() -> None:
    rng = np.random.default_rng(1)
    value = np.full((5000, 1), 4.0)
    calibration, _ = ResidualConformal.fit(
        RawPrediction(value, value), value + rng.normal(0, 0.5, size=value.shape), ("logg",)
    )
    star = RawPrediction(np.array([[4.0], [3.5], [0.0]]), np.array([[4.0], [3.5], [0.0]]))
    below = calibration.intervals(star, Threshold(0, 3.5)).p_below
    np.testing.assert_allclose(below, [stats.norm.cdf(-1), 0.5, 1.0], atol=4 * np.sqrt(0.25 / 5000))
    assert calibration.intervals(star).p_below is None


def test_quantiles_of_residuals_are_those_of_the_stars() -> None:
    value, y = np.zeros((501, 2)), np.random.default_rng(3).normal(size=(501, 2)) * [1, 5]
    fitted, _ = ResidualConformal.fit(RawPrediction(value, value), y, ("teff", "logg"))
    asked = np.array([0.0, 0.159, 0.5, 0.841, 1.0])
    np.testing.assert_allclose(fitted.quantiles(asked), np.quantile(y, asked, axis=0).T)


def test_a_biased_point_prediction_stays_inside_its_interval() -> None:
    value = np.zeros((200, 1))
    y = np.linspace(5, 6, 200)[:, None]
    calibration, _ = ResidualConformal.fit(RawPrediction(value, value), y, LABEL)
    ends = calibration.intervals(RawPrediction(value[:1], value[:1]))
    assert (ends.lower <= 0).all()
    assert (ends.upper > 5).all()


def skewed_sky(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and labels whose errors are thrice as large as claimed for the lowest fifth of predictions."""
    predicted = rng.normal(size=n)
    sigma = np.where(predicted < np.quantile(predicted, 0.2), 3.0, 1.0)
    return predicted, (predicted + sigma * rng.normal(size=n))[:, None]


def test_coverage_holds_where_the_prediction_says_that_errors_are_larger() -> None:
    rng = np.random.default_rng(5)
    inside, all_stars = [], []
    for _ in range(40):
        predicted, y = skewed_sky(1000, rng)
        calibration, _ = ScaledConformal.fit(raw_gaussian(predicted, np.ones(1000)), y, LABEL)
        fresh, truth = skewed_sky(2000, rng)
        ends = calibration.intervals(raw_gaussian(fresh, np.ones(2000)))
        hit = ((truth >= ends.lower[..., 0]) & (truth <= ends.upper[..., 0]))[:, 0]
        inside.append(hit[fresh < np.quantile(fresh, 0.15)].mean())
        all_stars.append(hit.mean())
    assert np.mean(all_stars) == pytest.approx(LEVELS[0], abs=0.01)
    # One factor for all stars would hold 0.33 of these.
    assert np.mean(inside) > 0.58


def test_each_way_to_predict_is_calibrated_by_itself() -> None:
    rng = np.random.default_rng(6)
    n = 3000
    member, center = np.arange(n) % 2, rng.normal(size=n)
    y = (center + np.where(member == 1, 4.0, 0.5) * rng.normal(size=n))[:, None]
    raw = replace(raw_gaussian(center, np.ones(n)), member=member)
    calibration, _ = ScaledConformal.fit(raw, y, LABEL)
    np.testing.assert_allclose(calibration.factor[:, 0, 0], [0.5, 4.0], rtol=0.1)
    again = filled(ScaledConformal.skeleton(), arrays_of(calibration), "calibration", {"labels": 1})
    np.testing.assert_array_equal(again.intervals(raw).upper, calibration.intervals(raw).upper)


def test_a_prediction_without_both_ends_cannot_be_stretched() -> None:
    whole = raw_gaussian(np.zeros(3), np.ones(3))
    for missing in ("lower", "upper"):
        with pytest.raises(TypeError, match="without intervals"):
            unstretched(1.0, 1.0).intervals(replace(whole, **{missing: None}))
