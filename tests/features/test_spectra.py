"""Coefficients of spectra as features."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from starscale import InputError
from starscale.features.families import Feature, SurveyColumns
from starscale.features.features import build_features, evaluate_features, load_feature_set
from starscale.features.measurements import feature_noise, find_measurements, uses, without_noise
from starscale.surveys import Survey, load_survey
from starscale.surveys.spectra import Spectrum
from starscale.vocabulary.settings.run import FeaturesConfig

GAIA, XP = load_survey("gaia_dr3"), load_survey("gaia_dr3_xp")
KEPT = FeaturesConfig(only=("*_xp.*",))


def of_length(length: int | None, band: str = "G") -> Survey:
    role = {"errors": "bp_coefficient_errors", "band": band, "length": length}
    return XP.model_copy(update={"spectra": {"bp": Spectrum(coefficients="bp_coefficients", **role)}})


def built(survey: Survey, config: FeaturesConfig = KEPT) -> tuple[Feature, ...]:
    members = [SurveyColumns(GAIA, {}), SurveyColumns(survey, {})]
    return build_features(load_feature_set("default"), members, config)


def table(coefficients: np.ndarray, errors: np.ndarray, g: float = 15.0) -> pl.DataFrame:
    n = len(coefficients)
    return pl.DataFrame(
        {
            "source_id": range(1, n + 1),
            "phot_g_mean_mag": [g] * n,
            "bp_coefficients": pl.Series(
                coefficients, dtype=pl.Array(pl.Float64, coefficients.shape[1])
            ).arr.to_list(),
            "bp_coefficient_errors": pl.Series(errors, dtype=pl.Array(pl.Float64, errors.shape[1])).arr.to_list(),
        }
    )


def test_every_coefficient_is_a_feature_relative_to_the_flux() -> None:
    assert len(built(XP)) == 110
    features = built(of_length(3))
    assert [f.name for f in features] == [f"gaia_dr3_xp.bp_{i}" for i in range(3)]
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    stars = table(values, np.ones((2, 3)), g=17.5)
    np.testing.assert_allclose(evaluate_features(stars, features), 10 * values, rtol=1e-12)
    # The same star ten times brighter has ten times the coefficients, and the same features.
    brighter = table(10 * values, np.ones((2, 3)), g=15.0)
    np.testing.assert_allclose(evaluate_features(brighter, features), 10 * values, rtol=1e-12)
    gone = stars.with_columns(pl.lit(None, pl.List(pl.Float64)).alias("bp_coefficients"))
    assert np.isnan(evaluate_features(gone, features)).all()


def test_sets_without_spectra_are_as_before() -> None:
    assert not [f for f in built(load_survey("bailer_jones_edr3"), FeaturesConfig()) if "ELEMENT" in f.expression]


@pytest.mark.parametrize(
    ("survey", "message"),
    [
        (of_length(3, "g"), "xp.bp: is divided by the flux in g, a band that no survey"),
        (of_length(None), "xp.bp: has an unknown number of coefficients"),
    ],
)
def test_spectra_without_flux_or_length_are_refused(survey: Survey, message: str) -> None:
    with pytest.raises(InputError, match=message):
        built(survey)


def test_errors_of_coefficients_are_noise_of_the_features() -> None:
    features, n = built(of_length(2)), 4000
    members = [SurveyColumns(GAIA, {}), SurveyColumns(of_length(2), {})]
    measurements = find_measurements(features, members)
    assert [m.name for m in measurements] == ["gaia_dr3.G", "gaia_dr3_xp spectra"]
    assert uses(features, measurements).all()
    stars = table(np.full((n, 2), 5.0), np.tile([0.5, 2.0], (n, 1)), g=17.5)
    x = evaluate_features(stars, features)
    noise = feature_noise(stars, features, measurements, x, seed=1)
    assert noise is not None
    np.testing.assert_allclose(noise.std(axis=(0, 1)), [5.0, 20.0], rtol=0.05)
    assert abs(np.corrcoef(noise[0].T)[0, 1]) < 0.1


def test_coefficients_that_are_noise_are_left_out() -> None:
    rng, n = np.random.default_rng(1), 500
    survey = of_length(3)
    members, features = [SurveyColumns(GAIA, {}), SurveyColumns(survey, {})], built(survey)
    true = rng.normal(size=(n, 3)) * [10.0, 3.0, 0.1]
    stars = table(true + rng.normal(size=(n, 3)), np.ones((n, 3)))
    assert without_noise(stars, features, members) == features[:2]
    other = (Feature("G", '"phot_g_mean_mag"'),)
    assert without_noise(stars, other, members) == other
    gone = stars.with_columns(pl.lit(None, pl.List(pl.Float64)).alias("bp_coefficients"))
    assert without_noise(gone, features, members) == features
