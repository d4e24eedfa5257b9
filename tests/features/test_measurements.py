"""Measurements behind the features, and the noise of the features."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from starscale.features.families import Feature, SurveyColumns
from starscale.features.features import build_features, evaluate_features, load_feature_set
from starscale.features.measurements import Measurement, feature_noise, find_measurements, reddening_column, uses
from starscale.surveys import load_survey
from starscale.vocabulary.settings.run import FeaturesConfig


def member(name: str, **renamed: str) -> SurveyColumns:
    survey = load_survey(name)
    return SurveyColumns(survey, {column: renamed.get(column, column) for column in survey.columns})


MEMBERS = (member("gaia_dr3"), member("bailer_jones_edr3"), member("skymapper_dr2", u_psf="u_psf_skymapper"))


@pytest.fixture(scope="module")
def features() -> tuple[Feature, ...]:
    return build_features(load_feature_set("default"), MEMBERS, FeaturesConfig())


def test_every_column_belongs_to_one_measurement(features: tuple[Feature, ...]) -> None:
    found = find_measurements(features, MEMBERS)
    columns = [column for m in found for column in m.columns]
    assert len(columns) == len(set(columns))
    by_name = {m.name: m for m in found}
    assert by_name["skymapper_dr2.u"].columns == ("u_psf_skymapper", "e_u_psf")
    assert by_name["skymapper_dr2.u"].errors == {"u_psf_skymapper": ("e_u_psf",)}
    assert by_name["distance"].errors == {"r_med_geo": ("r_lo_geo", "r_hi_geo")}
    assert set(by_name["gaia_dr3 estimates"].errors) == {"teff_gspphot", "logg_gspphot", "mh_gspphot"}
    assert reddening_column(features, MEMBERS) == "ebmv_sfd"
    assert reddening_column(features[:2], MEMBERS) is None


def test_a_band_takes_its_colours_magnitude_and_error_with_it(features: tuple[Feature, ...]) -> None:
    found = find_measurements(features, MEMBERS)
    table = uses(features, found)
    names = [f.name for f in features]
    of_v = {names[i] for i in np.flatnonzero(table[[m.name for m in found].index("skymapper_dr2.v")])}
    assert of_v == {"skymapper_dr2.u-v", "skymapper_dr2.v-g", "skymapper_dr2.M_v", "skymapper_dr2.v_log_error"}
    assert table.any(axis=0).all(), "every feature is made of something"
    assert [f.name for f in features if f.log_error] == [n for n in names if n.endswith("_log_error")]


def test_a_column_that_no_survey_describes_is_a_measurement_of_its_own() -> None:
    own = (Feature("x", '"mine" + "u_psf_skymapper"'),)
    assert [(m.name, m.columns) for m in find_measurements(own, MEMBERS)] == [
        ("skymapper_dr2.u", ("u_psf_skymapper",)),
        ("mine", ("mine",)),
    ]


def test_noise_has_the_size_of_the_errors_and_is_shared_by_the_features_of_a_band() -> None:
    n = 4000
    made_of = (
        Measurement("g", ("g", "e_g"), {"g": ("e_g",)}),
        Measurement("d", ("d", "lo", "hi"), {"d": ("lo", "hi")}),
    )
    features = (
        Feature("g", '"g"'),
        Feature("g-r", '"g" - "r"'),
        Feature("log_d", 'LOG10("d")'),
        Feature("r", '"r"'),
    )
    table = pl.DataFrame({"g": 15.0, "e_g": 0.1, "r": 14.0, "d": 100.0, "lo": 98.0, "hi": 102.0}).select(
        pl.all().repeat_by(n).explode(empty_as_null=True)
    )
    x = evaluate_features(table, features)
    noise = feature_noise(table, features, made_of, x, seed=1)
    assert noise is not None
    assert noise.shape == (4, n, 4)
    assert noise[..., 0].std() == pytest.approx(0.1, rel=0.03)
    np.testing.assert_allclose(noise[..., 1], noise[..., 0], atol=1e-6)
    assert noise[..., 2].std() == pytest.approx(2 / 100 / np.log(10), rel=0.03)
    np.testing.assert_array_equal(noise[..., 3], 0)
    assert not np.allclose(noise[0], noise[1])
    np.testing.assert_array_equal(feature_noise(table, features, made_of, x, seed=1), noise)


def test_missing_and_absurd_errors_give_no_noise() -> None:
    made_of = (Measurement("g", ("g", "e_g"), {"g": ("e_g",)}),)
    features = (Feature("g", '"g"'),)
    table = pl.DataFrame({"g": [15.0, 15.0, None, 15.0], "e_g": [None, -1.0, 0.1, float("nan")]})
    x = evaluate_features(table, features)
    np.testing.assert_array_equal(feature_noise(table, features, made_of, x, seed=1), 0)
    assert feature_noise(table.drop("e_g"), features, made_of, x, seed=1) is None


def test_the_error_of_the_reddening_moves_all_dereddened_magnitudes_together() -> None:
    survey = load_survey("skymapper_dr2")
    assert survey.reddening is not None
    columns = {**survey.columns, "ebv_error": survey.columns[survey.reddening.column]}
    reddening = survey.reddening.model_copy(update={"error": "ebv_error"})
    with_error = survey.model_copy(update={"columns": columns, "reddening": reddening})
    assert "ebv_error" in with_error.used_columns()
    assert "ebv_error" in with_error.errors()
    members = (*MEMBERS[:2], SurveyColumns(with_error, {}))
    features = tuple(
        feature
        for feature in build_features(load_feature_set("default"), members, FeaturesConfig())
        if feature.name in ("skymapper_dr2.M_u", "skymapper_dr2.M_z")
    )
    found = {m.name: m for m in find_measurements(features, members)}
    assert found["reddening"].errors == {"ebmv_sfd": ("ebv_error",)}
    n = 4000
    table = pl.DataFrame(
        {"u_psf": 15.0, "z_psf": 14.0, "r_med_geo": 500.0, "ebmv_sfd": 0.2, "ebv_error": 0.03}
    ).select(pl.all().repeat_by(n).explode())
    noise = feature_noise(table, features, [found["reddening"]], evaluate_features(table, features), seed=1)
    assert noise is not None
    np.testing.assert_allclose(noise.std(axis=(0, 1)), [4.294 * 0.03, 1.206 * 0.03], rtol=0.05)
    np.testing.assert_allclose(noise[..., 0] / noise[..., 1], 4.294 / 1.206, rtol=1e-2)
