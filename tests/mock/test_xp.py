"""Spectra of the mock sky as coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from starscale.mock import make_sky
from starscale.mock.xp import hermite_functions


@pytest.fixture(scope="module")
def skies():
    return make_sky(500, seed=3), make_sky(500, seed=3, spectra=True)


def test_hermite_functions_are_orthonormal() -> None:
    x = np.linspace(-20, 20, 4001)
    found = hermite_functions(x, 55)
    np.testing.assert_allclose(found @ found.T * 0.01, np.eye(55), atol=1e-9)
    # phi_2 = (2 x^2 - 1) exp(-x^2 / 2) / sqrt(2 sqrt(pi))
    exact = (2 * x**2 - 1) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.sqrt(np.pi))
    np.testing.assert_allclose(found[2], exact, atol=1e-12)


def test_spectra_leave_the_other_tables_unchanged(skies) -> None:
    without, having = skies
    assert "gaia_dr3_xp" not in without.tables
    assert set(having.tables) == {*without.tables, "gaia_dr3_xp"}
    for name, table in without.tables.items():
        assert table.equals(having.tables[name]), name


def test_coefficients_follow_flux_and_colour(skies) -> None:
    sky = skies[1]
    stars = sky.tables["gaia_dr3_xp"].join(sky.tables["gaia_dr3"], on="source_id").drop_nulls("bp_rp")
    assert stars["phot_g_mean_mag"].max() < 17.8
    bp, rp = (stars[f"{band}_coefficients"].to_numpy() for band in ("bp", "rp"))
    assert bp.shape[1] == rp.shape[1] == 55
    magnitude = -2.5 * np.log10(np.abs(rp[:, 0]))
    assert np.corrcoef(magnitude, stars["phot_rp_mean_mag"])[0, 1] > 0.99
    ratio = 2.5 * np.log10(np.abs(rp[:, 0] / bp[:, 0]))
    assert np.corrcoef(ratio, stars["bp_rp"])[0, 1] > 0.95
    # The last coefficients are noise of the stated size.
    errors = stars["bp_coefficient_errors"].to_numpy()
    assert np.std(bp[:, 30:] / errors[:, 30:]) == pytest.approx(1, abs=0.1)
