"""Extinction by the colour of the star, against the published relation written by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from starscale.features.families import SurveyColumns
from starscale.features.features import FeatureSet, build_features, evaluate_features, load_feature_set
from starscale.surveys import Survey, load_survey
from starscale.vocabulary.settings.run import FeaturesConfig

SURVEYS = [SurveyColumns(load_survey(n), {}) for n in ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2")]
NOTHING = FeaturesConfig()


def magnitudes(extinction: str) -> FeatureSet:
    entry = {"kind": "absolute_magnitudes", "extinction": extinction}
    return FeatureSet.model_validate({"name": "m", "title": "m", "features": [entry]})


def casagrande(bp_rp: np.ndarray, ebv: np.ndarray) -> dict[str, np.ndarray]:
    """Casagrande et al. 2021 for E(B-V) of SFD."""
    c = np.clip(bp_rp - 0.8 * ebv, 0.2, 2.55)
    return {
        "G": 2.609 - 0.475 * c + 0.053 * c**2,
        "BP": 2.998 - 0.140 * c - 0.175 * c**2 + 0.062 * c**3,
        "RP": 1.689 - 0.059 * c,
    }


@pytest.mark.parametrize("scale", ["sfd", "true"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_published(scale: str, seed: int) -> None:
    rng, n = np.random.default_rng(seed), 20
    table = pl.DataFrame(
        {
            "r_med_geo": rng.uniform(50, 9000, n),
            **{f"phot_{band}_mean_mag": rng.uniform(8, 11, n) for band in ("g", "bp", "rp")},
            **{f"{band}_psf": rng.uniform(8, 20, n) for band in "uvgriz"},
            "ebmv_sfd": rng.uniform(0, 1.5, n),
        }
    )
    dusty = SURVEYS[2].survey
    assert dusty.reddening is not None
    dusty = dusty.model_copy(update={"reddening": dusty.reddening.model_copy(update={"scale": scale})})
    surveys = [*SURVEYS[:2], SurveyColumns(dusty, {})]
    found = build_features(magnitudes("colour"), surveys, NOTHING)
    x = dict(zip([f.name for f in found], evaluate_features(table, found).T, strict=True))
    # The coefficients are for E(B-V) of SFD, of which the true one is 0.86.
    ebv = table["ebmv_sfd"].to_numpy() / (0.86 if scale == "true" else 1.0)
    ratios = casagrande((table["phot_bp_mean_mag"] - table["phot_rp_mean_mag"]).to_numpy(), ebv)
    modulus = 5 * np.log10(table["r_med_geo"].to_numpy()) - 5
    for band, ratio in ratios.items():
        magnitude = table[f"phot_{band.lower()}_mean_mag"].to_numpy()
        np.testing.assert_allclose(x[f"gaia_dr3.M_{band}"], magnitude - modulus - ratio * ebv, atol=1e-5)
    # Bands without coefficients keep their number.
    usual = build_features(magnitudes("band"), surveys, NOTHING)
    same = {f.name: f.expression for f in usual}
    assert all(same[f.name] == f.expression for f in found if f.name.startswith("skymapper"))
    assert all(same[f.name] != f.expression for f in found if f.name.startswith("gaia"))


def test_a_star_without_the_colour_has_no_such_magnitude() -> None:
    found = build_features(magnitudes("colour"), SURVEYS, NOTHING)
    table = pl.DataFrame(
        {
            "r_med_geo": [500.0, 500.0],
            "phot_g_mean_mag": [15.0, 15.0],
            "phot_bp_mean_mag": [15.5, None],
            "phot_rp_mean_mag": [14.5, 14.5],
            **{f"{band}_psf": [15.0, 15.0] for band in "uvgriz"},
            "ebmv_sfd": [0.1, 0.1],
        }
    )
    x = dict(zip([f.name for f in found], evaluate_features(table, found).T, strict=True))
    assert np.isfinite(x["gaia_dr3.M_G"]).tolist() == [True, False]
    assert np.isfinite(x["skymapper_dr2.M_u"]).all()


def test_a_blue_star_is_dimmed_more() -> None:
    ratio = casagrande(np.array([0.5, 1.8]), np.array([0.3, 0.3]))["G"]
    assert 0.3 * (ratio[0] - ratio[1]) == pytest.approx(0.15, abs=0.005), "docs/features.md"


@pytest.mark.parametrize("name", ["default", "pairwise", "turchi2024"])
def test_packaged_sets_do_not_use_it(name: str) -> None:
    assert not any("CASE" in f.expression for f in build_features(load_feature_set(name), SURVEYS, NOTHING))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": ("BP", "X")}, "band 'X' is not described"),
        ({"coefficients": {"H": (1.0,)}}, "band 'H' is not described"),
        ({"lower": 3.0}, "lower must be below upper"),
        ({"coefficients": {"G": ()}}, "at least 1 item"),
        ({"scale": "planck"}, "'sfd' or 'true'"),
    ],
)
def test_a_relation_that_contradicts_itself(change: dict[str, object], said: str) -> None:
    data = load_survey("gaia_dr3").model_dump()
    data["colour_extinction"] |= change
    with pytest.raises(ValidationError, match=said):
        Survey.model_validate(data)


def test_only_absolute_magnitudes_have_an_extinction() -> None:
    entry = {"kind": "colours", "extinction": "colour"}
    with pytest.raises(ValidationError, match="a setting of absolute_magnitudes, not of colours"):
        FeatureSet.model_validate({"name": "m", "title": "m", "features": [entry]})
