"""Factors by bins of the prediction: they keep the coverage of stars that they were not fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from starscale.learn.regressor import LEVELS
from starscale.learn.uncertainty.conformal import EDGES, Stretch


@pytest.mark.parametrize("copies", [1, 4])
def test_bins_that_fit_their_own_stars_best_do_not_make_the_intervals_of_others_too_narrow(copies: int) -> None:
    rng, n, trials = np.random.default_rng(8), 450, 100
    inside = np.zeros((trials, len(LEVELS)))
    star = np.repeat(np.arange(n), copies)
    for trial in range(trials):
        needed, predicted = np.abs(rng.normal(size=n)), rng.normal(size=(n, 5))
        fresh, of_fresh = np.abs(rng.normal(size=4000)), rng.normal(size=(4000, 5))
        for k, level in enumerate(LEVELS):
            stretch = Stretch.fit(needed[star], predicted[star], level, star)
            inside[trial, k] = (fresh <= stretch.of(of_fresh)).mean()
    # A factor from the same stars leaves up to a hundredth more outside.
    too_much = inside.mean(axis=0) - LEVELS
    assert (too_much > -0.003).all()
    assert (too_much < 0.008).all()


def test_bins_of_few_stars_stay_near_one() -> None:
    rng = np.random.default_rng(7)
    fitted = Stretch.fit(np.abs(rng.normal(size=600)), rng.normal(size=(600, 2)), LEVELS[0], np.arange(600))
    assert fitted.bins.shape == (2, len(EDGES) + 1)
    np.testing.assert_allclose(fitted.bins, 1, atol=0.2)
