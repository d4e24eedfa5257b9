"""Scaling, filling of gaps, and the domain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starscale.learn.imputation import MAX_PATTERNS, GaussianImputer, _subsample, pattern_numbers
from starscale.learn.preparation import InputPreparation
from starscale.learn.scaling import SQUASH, FeatureScaler, LabelScaler, whitening_matrix
from starscale.learn.uncertainty.domain import Domain
from starscale.learn.view import View

COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, -0.2], [0.3, -0.2, 1.0]])


def gaussian(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal([1.0, -2.0, 0.5], COVARIANCE, size=n)


def test_robust_scaling_ignores_outliers_and_bounds_them() -> None:
    x = np.random.default_rng(0).normal(10.0, 2.0, size=(4001, 1))
    x[:20] = 1e6
    scaler = FeatureScaler.robust(x)
    assert scaler.center[0] == pytest.approx(10, abs=0.2)
    assert scaler.width[0] == pytest.approx(2, rel=0.05)
    z = scaler.transform(x)
    assert z[:20].max() <= SQUASH
    ordinary = (x[20:, 0] - scaler.center) / scaler.width
    np.testing.assert_allclose(z[20:, 0], ordinary / np.sqrt(1 + (ordinary / 4) ** 2))
    assert (np.argsort(z[20:, 0]) == np.argsort(x[20:, 0])).all()


def test_a_column_of_rare_flags_is_scaled_by_its_scatter() -> None:
    x = np.zeros((100, 1))
    x[:5] = 1
    assert FeatureScaler.robust(x).width[0] == pytest.approx(x.std())


def test_standard_scaling_gives_mean_zero_and_variance_one() -> None:
    x = gaussian(500)
    x[::7, 1] = np.nan
    z = FeatureScaler.standard(x).transform(x)
    np.testing.assert_allclose(np.nanmean(z, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(z, axis=0), 1)
    assert np.isnan(z[::7, 1]).all()


def test_label_scaler_restores_what_it_scaled() -> None:
    y = np.array([[5000.0, 4.0], [6000.0, np.nan], [4500.0, 2.0]])
    scaler = LabelScaler.fit(y)
    np.testing.assert_allclose(scaler.restore(scaler.transform(y)), y)


def test_whitening_gives_unit_covariance() -> None:
    z = gaussian(5000)
    center, matrix = whitening_matrix(z)
    np.testing.assert_allclose(np.cov((z - center) @ matrix, rowvar=False), np.eye(3), atol=0.01)


def test_imputer_recovers_gaussian_conditionals_from_data_with_gaps() -> None:
    z = gaussian(20_000)
    rng = np.random.default_rng(1)
    gaps = rng.random(z.shape) < 0.3
    # Values are missing more often where the second input is high: the mean of what is left is biased, EM is not.
    gaps[:, 0] |= (z[:, 1] > -2.0) & (rng.random(len(z)) < 0.6) & ~gaps[:, 1]
    imputer = GaussianImputer.fit(np.where(gaps, np.nan, z))
    np.testing.assert_allclose(imputer.mean, [1.0, -2.0, 0.5], atol=0.06)
    np.testing.assert_allclose(imputer.covariance, COVARIANCE, atol=0.06)
    star = np.array([[np.nan, -1.0, np.nan], [np.nan, -1.0, 1.5]])
    filled = imputer.transform(star)
    np.testing.assert_allclose(filled[0, [0, 2]], [1.0 + 0.8 * 1.0, 0.5 - 0.2 * 1.0], atol=0.07)
    inner = COVARIANCE[1:, 1:]
    expected = 1.0 + COVARIANCE[0, 1:] @ np.linalg.solve(inner, [1.0, 1.0])
    assert filled[1, 0] == pytest.approx(expected, abs=0.08)


def test_imputer_leaves_observed_values_and_its_input_alone() -> None:
    z = gaussian(200)
    z[::3, 0] = np.nan
    z[5] = np.nan
    before = z.copy()
    imputer = GaussianImputer.fit(z)
    filled = imputer.transform(z)
    np.testing.assert_array_equal(z, before)
    assert np.isfinite(filled).all()
    seen = ~np.isnan(z)
    np.testing.assert_array_equal(filled[seen], z[seen])
    np.testing.assert_allclose(filled[5], imputer.mean)


@pytest.mark.parametrize("n_inputs", [3, 70])
@pytest.mark.parametrize("squashed", [True, False])
def test_a_star_and_the_same_star_elsewhere_are_prepared_as_each_by_itself(n_inputs: int, squashed: bool) -> None:
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(n_inputs, n_inputs)) / np.sqrt(n_inputs)
    x = rng.normal(size=(400, n_inputs)) @ mixing
    x[:, -1] = 7.0
    preparation = InputPreparation.fit(x, "robust" if squashed else "standard", seed=0)
    x[rng.random(x.shape) < 0.2] = np.nan
    moved = x.copy()
    moved[:, :2] += [0.3, -0.2]
    inputs, elsewhere = preparation.apply_both(x, moved)
    for found, alone in ((inputs, preparation.apply(x)), (elsewhere, preparation.apply(moved))):
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found.missing, alone.missing)
    gaps = inputs.missing.any(axis=1)
    assert (np.abs(elsewhere.values - inputs.values)[gaps][inputs.missing[gaps]] > 1e-3).mean() > 0.3


def test_a_star_that_loses_an_input_elsewhere_is_filled_there_by_itself() -> None:
    x = gaussian(300)
    preparation = InputPreparation.fit(x, "robust", seed=0)
    moved = x + 0.1
    moved[::4, 1] = np.nan
    inputs, elsewhere = preparation.apply_both(x, moved)
    np.testing.assert_array_equal(inputs.values, preparation.apply(x).values)
    np.testing.assert_array_equal(elsewhere.values, preparation.apply(moved).values)
    assert elsewhere.missing[::4, 1].all()


@pytest.mark.parametrize("n_inputs", [1, 8, 9, 64, 65, 130])
def test_rows_with_the_same_gaps_have_the_same_number(n_inputs: int) -> None:
    rng = np.random.default_rng(0)
    different = np.unique(rng.random((40, n_inputs)) < 0.5, axis=0)
    chosen = rng.integers(len(different), size=300)
    number = pattern_numbers(different[chosen])
    assert ((number[:, None] == number) == (chosen[:, None] == chosen)).all()
    assert set(number) == set(range(len(np.unique(chosen))))


@given(order=st.permutations(range(12)))
def test_imputation_of_a_star_does_not_depend_on_the_others(order: list[int]) -> None:
    z = gaussian(12, seed=3)
    z[np.random.default_rng(4).random(z.shape) < 0.4] = np.nan
    imputer = GaussianImputer(np.array([1.0, -2.0, 0.5]), COVARIANCE)
    np.testing.assert_allclose(imputer.transform(z[order]), imputer.transform(z)[order], rtol=1e-12)


def test_thousands_of_patterns_stay_tractable() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(30_000, 24))
    z[rng.random(z.shape) < 0.2] = np.nan
    looked_at = _subsample(z, 0)
    assert len(np.unique(np.isnan(looked_at), axis=0)) <= MAX_PATTERNS
    filled = GaussianImputer.fit(z).transform(z[:5000])
    assert np.isfinite(filled).all()


def test_only_features_that_vary_are_used_and_the_rest_is_named() -> None:
    x = np.column_stack([gaussian(50), np.full(50, 3.0), np.full(50, np.nan)])
    preparation = InputPreparation.fit(x, "robust", 0)
    np.testing.assert_array_equal(preparation.usable, [True, True, True, False, False])
    inputs = preparation.apply(x)
    assert inputs.values.shape == (50, 3)
    assert inputs.values.dtype == np.float32
    fourth, fifth = preparation.warnings(x, ("a", "b", "c", "d", "e"))
    assert fourth.startswith("d: the same in every")
    assert fifth.startswith("e: missing in every")


EVERY = np.ones(3, dtype=bool)


def test_a_view_of_some_inputs_has_the_shape_of_all_and_sees_no_others() -> None:
    x = gaussian(200)
    preparation = InputPreparation.fit(x, "robust", 0)
    inputs, used = preparation.apply(x), np.array([True, False, True])
    view = View.fit(inputs, used, np.zeros(3, bool), whiten=True)
    values = view.values(inputs)
    assert values.shape == (200, 6)
    np.testing.assert_array_equal(values[:, [1, 4]], 0)
    np.testing.assert_allclose(np.corrcoef(values[:, [3, 5]], rowvar=False), np.eye(2), atol=0.05)
    other = x.copy()
    other[:, 1] += 1000
    np.testing.assert_array_equal(view.values(preparation.apply(other)), values)


def test_flags_only_for_features_with_gaps_in_training() -> None:
    x = gaussian(60)
    x[::4, 1] = np.nan
    preparation = InputPreparation.fit(x, "robust", 0)
    inputs = preparation.apply(x)
    view = View.fit(inputs, EVERY, inputs.missing.any(axis=0), whiten=True)
    assert view.values(inputs).shape == (60, 6)
    np.testing.assert_array_equal(view.flags(inputs), np.isnan(x) & [False, True, False])
    other = gaussian(4)
    other[:, 0] = np.nan
    np.testing.assert_array_equal(view.flags(preparation.apply(other)), 0)
    assert View.fit(inputs, EVERY, inputs.missing.any(axis=0), whiten=False).values(inputs).shape == (60, 3)


@pytest.fixture
def domain() -> tuple[InputPreparation, Domain]:
    x, held_out = gaussian(4000), gaussian(2000, seed=1)
    preparation = InputPreparation.fit(x, "robust", 0)
    return preparation, Domain.fit(x, preparation.apply(x), held_out, preparation.apply(held_out))


def test_one_percent_of_held_out_stars_score_above_one(domain: tuple[InputPreparation, Domain]) -> None:
    preparation, region = domain
    fresh = gaussian(20_000, seed=2)
    outside = (region.score(fresh, preparation.apply(fresh)) > 1).mean()
    # The edge is a quantile of 2,000 stars: its own scatter is sqrt(0.01 * 0.99 / 2000) = 0.0022.
    assert abs(outside - 0.01) < 4 * 0.0023


@pytest.mark.parametrize(
    "star",
    [
        [1.0, -2.0, 500.0],  # one wild value, the others ordinary
        [3.0, -4.0, 0.5],  # each value ordinary, the combination not (correlation 0.8)
        [np.nan, -2.0, -80.0],
    ],
)
def test_strange_stars_score_above_one(domain: tuple[InputPreparation, Domain], star: list[float]) -> None:
    preparation, region = domain
    x = np.array([star])
    assert region.score(x, preparation.apply(x))[0] > 1
    middle = np.array([[1.0, -2.0, 0.5]])
    assert region.score(middle, preparation.apply(middle))[0] < 0.5
