"""Whether measurements agree, on stars whose bands follow from two quantities by known functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.learn.uncertainty.consistency import Consistency
from starscale.learn.uncertainty.quadratic import fit_quadratic

ERROR = 0.02


def stars(n: int, seed: int, error: float = ERROR) -> tuple[np.ndarray, np.ndarray]:
    """Six bands: quadratic in colour and brightness; measured with `error`, the last without a known one."""
    rng = np.random.default_rng(seed)
    colour, brightness = rng.normal(0, 0.4, n), rng.normal(14, 1.5, n)
    slopes, curves = np.linspace(2, -1, 6), np.array([0.5, 0.2, 0, 0, -0.1, 0.3])
    bands = brightness[:, None] + colour[:, None] * slopes + colour[:, None] ** 2 * curves
    errors = np.full(bands.shape, error)
    errors[:, 5] = np.nan
    return bands + rng.normal(0, error, bands.shape), errors


@pytest.fixture(scope="module")
def fitted() -> Consistency:
    found = Consistency.fit(stars(2000, 0), stars(2000, 1), seed=0)
    assert found is not None
    return found


def test_a_quadratic_function_is_found_in_spite_of_outliers() -> None:
    z = np.random.default_rng(0).normal(size=(3000, 3))
    z[:, 0] = 0.3 + z[:, 1] - 0.5 * z[:, 2] + 0.4 * z[:, 1] * z[:, 2]
    wrong = z.copy()
    wrong[:150, 0] += 20
    constant, linear, quadratic = fit_quadratic(wrong, wrong)
    found = constant[0] + z @ linear[0] + np.einsum("nj,jk,nk->n", z, quadratic[0], z)
    np.testing.assert_allclose(found, z[:, 0], atol=0.1)
    assert linear[0, 0] == 0
    assert not quadratic[0][0].any()


@pytest.mark.parametrize("n_missing", [0, 1, 2, 3])
def test_one_percent_of_ordinary_stars_are_odd_whatever_is_missing(fitted: Consistency, n_missing: int) -> None:
    value, error = stars(4000, 2)
    rng = np.random.default_rng(3)
    for row in value:
        row[rng.permutation(6)[:n_missing]] = np.nan
    odd = fitted.score(value, error).score > 1
    assert 0.003 < odd.mean() < 0.02


def test_noisier_stars_with_larger_errors_are_not_odd(fitted: Consistency) -> None:
    value, error = stars(4000, 4, error=0.2)
    error[:, 5] = 0.2
    assert (fitted.score(value, error).score > 1).mean() < 0.02
    # With the usual errors they are.
    assert (fitted.score(value, stars(4000, 4)[1]).score > 1).mean() > 0.5


@given(st.integers(0, 5), st.sampled_from([-1.0, -0.5, 0.5, 1.0]), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_one_wrong_band_is_found_and_named(fitted: Consistency, band: int, shift: float, missing: int) -> None:
    value, error = stars(200, 5)
    if missing != band:
        value[:, missing] = np.nan
    value[:, band] += shift
    found = fitted.score(value, error)
    assert (found.score > 1).mean() > 0.95
    # With few bands left, two can be wrong equally well.
    assert missing != band or (found.worst == band).mean() > 0.9


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_score_does_not_depend_on_the_other_stars(fitted: Consistency, seed: int) -> None:
    value, error = stars(60, seed)
    value[np.random.default_rng(seed).random(value.shape) < 0.3] = np.nan
    order = np.random.default_rng(seed).permutation(60)
    whole = fitted.score(value, error)
    np.testing.assert_allclose(fitted.score(value[order], error[order]).score, whole.score[order], rtol=1e-9)
    np.testing.assert_allclose(fitted.score(value[:7], error[:7]).each, whole.each[:7], rtol=1e-9)


def test_sentinels_and_empty_rows_have_a_score_or_none(fitted: Consistency) -> None:
    value, error = stars(4, 6)
    value[0, 2], value[1], value[2, 1:] = 1e30, np.nan, np.nan
    found = fitted.score(value, error)
    assert found.score[0] > 1
    np.testing.assert_array_equal(np.isnan(found.score), [False, True, True, False])
    np.testing.assert_array_equal(found.worst[1:3], -1)


def test_too_few_stars_or_measurements_give_none() -> None:
    assert Consistency.fit(stars(50, 0), stars(50, 1), seed=0) is None
    (value, error), held_out = stars(500, 0), stars(500, 1)
    value[:, 2:] = np.nan
    assert Consistency.fit((value, error), held_out, seed=0) is None


def test_a_measurement_that_never_varies_is_left_out() -> None:
    (value, error), held_out = stars(500, 0), stars(500, 1)
    value[:, 3] = 7.0
    found = Consistency.fit((value, error), held_out, seed=0)
    assert found is not None
    np.testing.assert_array_equal(found.used, [True, True, True, False, True, True])
    assert np.isnan(found.score(*held_out).each[:, 3]).all()
