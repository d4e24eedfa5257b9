"""Stars without some bands, noisier stars, rare stars: what training makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from starscale.learn import Sample, fit_predictor
from starscale.learn.band_sets import BandSets
from starscale.learn.losses import MOST, rarity_weights
from starscale.learn.observations import FACTORS, Measurements, Observations
from starscale.learn.preparation import InputPreparation
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.models import MixtureConfig

SMALL = MixtureConfig(
    width=24, layers=1, components=2, frequencies=4, batch=64, epochs=12, members=1, learning_rate=0.01
)
LABELS = ("teff", "logg")


def measured(n: int, seed: int, *, gaps: float = 0.1) -> Sample:
    """Three bands; the third one alone tells the gravity, and a share of the stars lack it."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    x = np.column_stack([a + 0.05 * rng.normal(size=n), a + 0.3 * b, b])
    x[rng.random(n) < gaps, 2] = np.nan
    return Sample(x, np.column_stack([5500 + 300 * a, 4 + 0.5 * b]))


masks = hnp.arrays(bool, st.tuples(st.integers(1, 60), st.integers(1, 5)))


@given(masks)
def test_every_star_is_served_by_networks_that_see_only_what_it_has(missing: np.ndarray) -> None:
    sets = BandSets.common(missing, share=0.1, most=3, shared=True)
    serving = sets.serving(missing)
    assert sets.used[0].all()
    assert 1 <= len(sets.used) <= 4
    for number, used in enumerate(sets.used):
        np.testing.assert_array_equal(serving == number, (missing == ~used).all(axis=1))
    np.testing.assert_array_equal(serving == len(sets.used), ~sets.exact(missing))
    plain = BandSets.common(missing, share=0.1, most=3, shared=False)
    assert plain.serving(missing).max() < len(plain.used)


@given(masks)
def test_only_common_sets_have_networks_the_commonest_first(missing: np.ndarray) -> None:
    sets = BandSets.common(missing, share=0.2, most=2, shared=True)
    shares = [(missing == ~used).all(axis=1).mean() for used in sets.used[1:]]
    assert all(share >= 0.2 for share in shares)
    assert shares == sorted(shares, reverse=True)
    assert sets.used.any(axis=1).all(), "no set is empty"


@given(st.integers(1, 7), st.integers(0, 5))
def test_left_out_measurements_take_all_their_features_and_leave_one(n_groups: int, seed: int) -> None:
    uses = np.repeat(np.eye(n_groups, dtype=bool), 2, axis=1)
    made_of = Measurements(tuple("abcdefg"[:n_groups]), uses, np.zeros(2 * n_groups, bool))
    hidden = made_of.left_out(50, np.random.default_rng(seed))
    np.testing.assert_array_equal(hidden[:, ::2], hidden[:, 1::2])
    assert (~hidden).any(axis=1).all()
    if n_groups > 1:
        assert hidden.any(axis=1).all()


def test_redrawn_stars_are_noisier_by_the_stated_factor_and_their_errors_say_so() -> None:
    n = 20_000
    x = np.column_stack([np.zeros(n), np.full(n, -1.0), np.arange(n) / n])
    noise = np.zeros((2, n, 3), dtype=np.float32)
    noise[:, :, 0] = 0.1 * np.random.default_rng(0).normal(size=(2, n))
    sample = Sample(x + np.random.default_rng(1).normal(0, 1e-9, x.shape), np.zeros((n, 1)), noise=noise)
    preparation = InputPreparation.fit(sample.x, "standard", 0)
    made_of = Measurements(
        ("a", "c"), np.array([[True, True, False], [False, False, True]]), np.array([0, 1, 0], bool)
    )
    observed = Observations(sample, preparation, made_of)
    copy = observed.resampled((3,), noise=True, gaps=False)
    back = copy.values * preparation.scaler.width + preparation.scaler.center
    changed = np.abs(back[:, 1] + 1) > 1e-6
    assert changed.mean() == pytest.approx(0.5, abs=0.02)
    factor = np.sqrt(10 ** (2 * (back[changed, 1] + 1)) - 1)
    assert (FACTORS[0] * 0.999 <= factor).all()
    assert (factor <= FACTORS[1] * 1.001).all()
    assert (back[changed, 0] / factor).std() == pytest.approx(0.1, rel=0.03)
    np.testing.assert_allclose(back[~changed, 0], 0, atol=1e-6)
    np.testing.assert_allclose(back[:, 2], x[:, 2], atol=1e-6)
    again = observed.resampled((3,), noise=True, gaps=False)
    np.testing.assert_array_equal(again.values, copy.values)
    assert not copy.missing.any()


def test_a_common_gap_has_networks_of_its_own_and_a_rare_one_is_marked() -> None:
    model = fit_predictor(SMALL, LABELS, measured(1500, 0, gaps=0.3), measured(400, 1, gaps=0.3), seed=0)
    assert model.regressor.sets.used.tolist() == [[True] * 3, [True, True, False]]  # type: ignore[attr-defined]
    x = measured(300, 2, gaps=0.0).x
    without, odd = x.copy(), x.copy()
    without[:, 2] = np.nan
    odd[:, 0] = np.nan
    assert not model.predict(x).imputed.any()
    assert not model.predict(without).imputed.any()
    assert model.predict(odd).imputed.all()
    # What is left tells the gravity still, through the difference of the first two, but less well.
    error = np.abs(model.predict(without).value - measured(300, 2, gaps=0.0).y).mean(axis=0)
    assert error[1] < 0.35
    assert (model.predict(without).error[:, 1] > model.predict(x).error[:, 1]).mean() > 0.9


def test_intervals_of_a_star_without_a_band_hold_what_they_promise() -> None:
    model = fit_predictor(SMALL, LABELS, measured(3000, 0), measured(1000, 1), seed=0)
    fresh = measured(4000, 2, gaps=0.0)
    for column, most in ((2, 0.74), (0, 1.0)):
        x = fresh.x.copy()
        x[:, column] = np.nan
        p = model.predict(x)
        inside = ((fresh.y >= p.lower) & (fresh.y <= p.upper)).mean(axis=0)
        # Rare sets are calibrated together: one of them alone may be held more often, as here.
        assert (inside > 0.62).all()
        assert (inside < most).all()


def test_rare_stars_weigh_more_when_asked_to() -> None:
    rng = np.random.default_rng(0)
    t = np.concatenate([rng.normal(size=(2000, 2)), 4 + rng.normal(size=(40, 2))])
    present = np.ones(t.shape, bool)
    np.testing.assert_array_equal(rarity_weights(t, present, 0.0), 1)
    half, whole = (rarity_weights(t, present, power) for power in (0.5, 1.0))
    for weight in (half, whole):
        assert weight.mean() == pytest.approx(1)
        assert weight.max() <= 1.5 * MOST
        assert weight[2000:].mean() > 1.5 * weight[:2000].mean()
    assert whole[2000:].mean() > half[2000:].mean()
    copies = np.zeros((100, 2))
    np.testing.assert_allclose(rarity_weights(copies, np.ones((100, 2), bool), 1.0), 1)


def test_noise_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match="noise"):
        Sample(np.zeros((3, 2)), np.zeros((3, 1)), noise=np.zeros((2, 3, 3), dtype=np.float32))
