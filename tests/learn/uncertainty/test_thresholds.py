"""Calibrated probabilities to be below a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from starscale.learn.uncertainty.thresholds import MIN_STARS, N_COEFFICIENTS, BelowCalibration
from starscale.vocabulary.arrays import FloatArray


def stars(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Predicted values, and labels that scatter about them by 0.5."""
    value = np.random.default_rng(seed).normal(size=(n, 1))
    return value, value + 0.5 * np.random.default_rng(seed + 1).normal(size=(n, 1))


def claimed(value: FloatArray, width: float) -> object:
    return lambda asked: np.concatenate([ndtr((cut - value[:, [label]]) / width) for label, cut in asked], axis=1)


def fitted(width: float, n: int = 3000) -> BelowCalibration:
    value, y = stars(n, 0)
    return BelowCalibration.fit(claimed(value, width), value, y)  # type: ignore[arg-type]


def test_too_bold_and_too_shy_probabilities_become_shares() -> None:
    value, y = stars(20_000, 5)
    for width in (0.25, 0.5, 1.2):
        calibration = fitted(width)
        for threshold in (-1.5, 0.0, 1.0):
            p = ndtr((threshold - value) / width)
            better = calibration.apply(0, p, value[:, 0])[:, 0]
            below = (y < threshold)[:, 0]
            for bin_ in np.array_split(np.argsort(better), 10):
                assert abs(better[bin_].mean() - below[bin_].mean()) < 0.06, (width, threshold)
            assert ((better - below) ** 2).mean() < ((p[:, 0] - below) ** 2).mean() + 0.001


def test_all_labels_are_asked_for_at_once_and_fitted_each_from_its_own() -> None:
    one, y = stars(3000, 0)
    few = np.where(np.arange(len(y))[:, None] < MIN_STARS - 1, y, np.nan)
    value, y = np.tile(one, (1, 3)), np.concatenate([y, few, y], axis=1)
    calls: list[int] = []

    def p_below(asked: Sequence[tuple[int, float]]) -> FloatArray:
        calls.append(len(asked))
        return np.stack([ndtr((cut - value[:, i]) / (0.25 if i == 0 else 0.5)) for i, cut in asked], axis=1)

    found = BelowCalibration.fit(p_below, value, y).coefficients
    assert len(calls) == 1
    np.testing.assert_allclose(found[0], fitted(0.25).coefficients[0], atol=1e-6)
    assert (found[1] == 0).all()
    np.testing.assert_allclose(found[2], fitted(0.5).coefficients[0], atol=1e-6)


def test_few_stars_change_nothing() -> None:
    calibration = fitted(0.2, MIN_STARS - 1)
    assert (calibration.coefficients == 0).all()
    p = np.array([[0.0, 1e-4, 0.3, 1.0]])
    np.testing.assert_allclose(calibration.apply(0, p, np.zeros(1)), p, rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-3, 3), min_size=N_COEFFICIENTS, max_size=N_COEFFICIENTS),
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.floats(-100, 100),
)
def test_it_stays_a_distribution_function(coefficients: list[float], p: list[float], value: float) -> None:
    calibration = BelowCalibration(np.array([coefficients]), np.zeros(1), np.ones(1))
    found = calibration.apply(0, np.sort(np.array([p])), np.array([value]))[0]
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= -1e-12).all() or {0.0, 1.0} & set(p)
