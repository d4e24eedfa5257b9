"""Features: the 27 of the paper against formulas written by hand, and the default set for any surveys."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.features.families import Feature, SurveyColumns, quote
from starscale.features.features import (
    REDDER,
    FeatureSet,
    build_features,
    evaluate_features,
    feature_columns,
    feature_set_names,
    load_feature_set,
    redder_features,
)
from starscale.surveys import Survey, load_survey
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.run import FeaturesConfig
from starscale.vocabulary.strict import validate

#: METHOD section 4, in the order of Table 1 of the paper as the packaged set lists them.
PAPER = [
    *("r_med_geo", "phot_bp_mean_mag", "phot_rp_mean_mag"),
    *(name for band in "UVGRIZ" for name in (f"{band}abs", f"{band}abs_nored")),
    *(f"e_{band}_psf" for band in "uvgriz"),
    *("teff_gspphot", "mh_gspphot", "logg_gspphot"),
    *("teff_gspphot_err", "logg_gspphot_err", "mh_gspphot_err"),
]
#: Wolf et al. 2018, per E(B-V) of SFD.
R = {"u": 4.294, "v": 4.026, "g": 2.986, "r": 2.288, "i": 1.588, "z": 1.206}
NOTHING = FeaturesConfig()


def plain(survey: Survey) -> SurveyColumns:
    return SurveyColumns(survey, {name: name for name in survey.columns})


GAIA, DISTANCES, SKYMAPPER = (plain(load_survey(n)) for n in ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2"))
TURCHI = build_features(load_feature_set("turchi2024"), [GAIA, DISTANCES, SKYMAPPER], NOTHING)
DEFAULT = build_features(load_feature_set("default"), [GAIA, DISTANCES, SKYMAPPER], NOTHING)


def stars(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    estimates = {
        f"{name}_gspphot{end}": rng.normal(3, 1, n)
        for name in ("teff", "logg", "mh")
        for end in ("", "_lower", "_upper")
    }
    return pl.DataFrame(
        {
            "r_med_geo": rng.uniform(50, 9000, n),
            **{f"phot_{band}_mean_mag": rng.uniform(8, 18, n) for band in ("g", "bp", "rp")},
            **{f"{band}_psf": rng.uniform(8, 20, n) for band in "uvgriz"},
            **{f"e_{band}_psf": rng.uniform(0.001, 0.2, n) for band in "uvgriz"},
            "ebmv_sfd": rng.uniform(0, 1.5, n),
            **estimates,
        }
    )


def column(features: tuple[Feature, ...], table: pl.DataFrame, name: str) -> np.ndarray:
    return evaluate_features(table, features)[:, [f.name for f in features].index(name)]


# ---- the paper's features ----------------------------------------------------------------------------


def test_the_papers_features_are_the_27_in_order() -> None:
    assert [f.name for f in TURCHI] == PAPER
    assert len(PAPER) == 27
    assert all(f.description for f in TURCHI)


def test_the_papers_features_by_hand() -> None:
    table = stars(200)
    t = {name: table[name].to_numpy() for name in table.columns}
    modulus = 5 * np.log10(t["r_med_geo"]) - 5
    expected = {name: t[name] for name in PAPER if name in t}
    for band, coefficient in R.items():
        expected[f"{band.upper()}abs_nored"] = t[f"{band}_psf"] - modulus
        expected[f"{band.upper()}abs"] = t[f"{band}_psf"] - modulus - coefficient * t["ebmv_sfd"]
    for name in ("teff", "logg", "mh"):
        expected[f"{name}_gspphot_err"] = (t[f"{name}_gspphot_upper"] - t[f"{name}_gspphot_lower"]) / 2
    found = evaluate_features(table, TURCHI)
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, np.stack([expected[name] for name in PAPER], axis=1), rtol=1e-12, atol=1e-12)


def test_features_of_redder_stars_are_those_of_a_redder_table() -> None:
    table = stars(50).with_columns(pl.when(pl.int_range(pl.len()) % 7 > 0).then("ebmv_sfd").alias("ebmv_sfd"))
    for features in (TURCHI, DEFAULT):
        x = evaluate_features(table, features)
        redder = evaluate_features(table.with_columns(pl.col("ebmv_sfd") + REDDER), features)
        found = redder_features(table, features, x, "ebmv_sfd")
        np.testing.assert_array_equal(found, redder)
        same = ((x == redder) | np.isnan(x)).all(axis=0)
        assert same.any()
        assert not same.all()


@pytest.mark.parametrize("missing", ["bailer_jones_edr3", "skymapper_dr2"])
def test_the_papers_set_needs_its_surveys(missing: str) -> None:
    members = [m for m in (GAIA, DISTANCES, SKYMAPPER) if m.survey.name != missing]
    with pytest.raises(InputError, match=f"needs survey '{missing}', which is not in this run"):
        build_features(load_feature_set("turchi2024"), members, NOTHING)


# ---- the default set ---------------------------------------------------------------------------------


def test_the_default_set_for_gaia_and_skymapper() -> None:
    assert [f.name for f in DEFAULT] == [
        *("gaia_dr3.BP-G", "gaia_dr3.G-RP", "gaia_dr3.BP-RP"),
        *(f"skymapper_dr2.{pair}" for pair in ("u-v", "v-g", "g-r", "r-i", "i-z", "g-i")),
        *("gaia_dr3.M_BP", "gaia_dr3.M_G", "gaia_dr3.M_RP"),
        *(f"skymapper_dr2.M_{band}" for band in "uvgriz"),
        *(f"skymapper_dr2.{band}_log_error" for band in "uvgriz"),
        *("log_distance", "log_reddening"),
        *("gaia_dr3.teff", "gaia_dr3.teff_log_error", "gaia_dr3.logg", "gaia_dr3.logg_log_error"),
        *("gaia_dr3.fe_h", "gaia_dr3.fe_h_log_error"),
    ]
    table = stars(50)
    t = {name: table[name].to_numpy() for name in table.columns}
    modulus = 5 * np.log10(t["r_med_geo"]) - 5
    # Gaia's coefficient is per true E(B-V), the column is on the SFD scale.
    for name, expected in {
        "gaia_dr3.M_G": t["phot_g_mean_mag"] - modulus - 2.740 * 0.86 * t["ebmv_sfd"],
        "gaia_dr3.M_BP": t["phot_bp_mean_mag"] - modulus - 3.374 * 0.86 * t["ebmv_sfd"],
        "skymapper_dr2.M_v": t["v_psf"] - modulus - 4.026 * t["ebmv_sfd"],
        "skymapper_dr2.g-i": t["g_psf"] - t["i_psf"],
        "log_distance": np.log10(t["r_med_geo"]),
        "skymapper_dr2.g_log_error": np.log10(t["e_g_psf"] + 0.001),
        "log_reddening": np.log10(t["ebmv_sfd"] + 0.02),
        "gaia_dr3.fe_h": t["mh_gspphot"],
    }.items():
        np.testing.assert_allclose(column(DEFAULT, table, name), expected, rtol=1e-6, atol=1e-6)
    width = (t["mh_gspphot_upper"] - t["mh_gspphot_lower"]) / 2
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(column(DEFAULT, table, "gaia_dr3.fe_h_log_error"), np.log10(width + 1e-4))


def test_the_default_set_without_distance_or_reddening() -> None:
    default = load_feature_set("default")
    names = [f.name for f in build_features(default, [SKYMAPPER], NOTHING)]
    assert [n for n in names if "M_" in n or n == "log_distance"] == []
    assert "skymapper_dr2.g" in names  # the brightness, as there is no distance
    assert "log_reddening" in names
    no_reddening = build_features(default, [GAIA, DISTANCES], NOTHING)
    by_name = {f.name: f for f in no_reddening}
    assert "log_reddening" not in by_name
    assert "gaia_dr3.G" not in by_name
    assert "not dereddened" in by_name["gaia_dr3.M_G"].description
    table = stars(5)
    expected = table["phot_g_mean_mag"] - 5 * table["r_med_geo"].log10() + 5
    np.testing.assert_allclose(column(no_reddening, table, "gaia_dr3.M_G"), expected)


@pytest.mark.parametrize(
    ("own", "scale", "factor"),
    [("sfd", "sfd", 1), ("true", "true", 1), ("true", "sfd", 0.86), ("sfd", "true", 1 / 0.86)],
)
def test_scales_of_reddening(own: str, scale: str, factor: float) -> None:
    document = {
        "name": "mine",
        "title": "Mine",
        "kind": "photometric",
        "id": {"column": "id"},
        "columns": {name: {} for name in ("id", "b", "d", "ebv")},
        "bands": {"B": {"magnitude": "b", "extinction": 4.1, "wavelength": 440}},
        "extinction_scale": own,
        "reddening": {"column": "ebv", "scale": scale},
        "distance": {"value": "d"},
    }
    features = build_features(load_feature_set("default"), [plain(validate(Survey, document, "test"))], NOTHING)
    found = column(features, pl.DataFrame({"b": [12.0], "d": [100.0], "ebv": [0.5]}), "mine.M_B")
    assert found[0] == pytest.approx(12 - 5 - 4.1 * factor * 0.5, rel=1e-6)


def test_renamed_columns_are_followed() -> None:
    names = {name: f"{name}_skymapper_dr2" for name in SKYMAPPER.survey.columns}
    members = [GAIA, DISTANCES, SurveyColumns(SKYMAPPER.survey, names)]
    features = build_features(load_feature_set("default"), members, NOTHING)
    table = stars(20)
    renamed = table.rename({old: new for old, new in names.items() if old in table.columns})
    np.testing.assert_array_equal(evaluate_features(renamed, features), evaluate_features(table, DEFAULT))


# ---- missing and invalid values --------------------------------------------------------------------


def test_a_missing_input_makes_its_features_missing_and_no_others() -> None:
    table = stars(3)
    whole = evaluate_features(table, TURCHI)
    for name in ("r_med_geo", "g_psf", "ebmv_sfd", "teff_gspphot_lower"):
        for nothing in (None, float("nan")):
            holed = table.with_columns(pl.Series(name, [nothing, *table[name][1:]], dtype=pl.Float64))
            found = evaluate_features(holed, TURCHI)
            users = np.array([f'"{name}"' in f.expression for f in TURCHI])
            assert users.any()
            assert np.isnan(found[0, users]).all()
            np.testing.assert_array_equal(found[0, ~users], whole[0, ~users])
            np.testing.assert_array_equal(found[1:], whole[1:])


@pytest.mark.parametrize("distance", [0.0, -5.0, float("inf")])
def test_logarithms_of_what_has_none(distance: float) -> None:
    table = stars(2).with_columns(r_med_geo=pl.Series([distance, 100.0]))
    found = column(DEFAULT, table, "log_distance")
    assert np.isnan(found[0])
    assert found[1] == 2.0
    assert np.isnan(column(DEFAULT, table, "skymapper_dr2.M_g")[0])


def test_a_column_that_is_all_null() -> None:
    table = stars(4).with_columns(u_psf=pl.lit(None))
    assert np.isnan(column(TURCHI, table, "Uabs")).all()


def test_single_and_double_precision_columns_agree() -> None:
    single = stars(100).cast(pl.Float32)
    double = single.cast(pl.Float64)
    np.testing.assert_array_equal(evaluate_features(single, TURCHI), evaluate_features(double, TURCHI))
    integers = pl.DataFrame({"a": [7], "b": [2]})
    assert evaluate_features(integers, [Feature("x", '"a" / "b"')])[0, 0] == 3.5  # no division of integers


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.lists(st.integers(0, 30), max_size=3), st.randoms(use_true_random=False))
def test_chunks_and_order_do_not_matter(n: int, edges: list[int], random: object) -> None:
    table = stars(n).with_columns(
        pl.when(pl.col("g_psf") < 10).then(None).otherwise(pl.col("g_psf")).alias("g_psf")
    )
    copy = table.clone()
    for features in (TURCHI, DEFAULT):
        whole = evaluate_features(table, features)
        assert whole.shape == (n, len(features))
        bounds = [0, *sorted(e for e in edges if e < n), n]
        parts = [evaluate_features(table[a:b], features) for a, b in pairwise(bounds)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        order = list(range(n))
        random.shuffle(order)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(evaluate_features(table[order], features), whole[order])
    assert table.equals(copy)


# ---- refused -----------------------------------------------------------------------------------------


def test_missing_and_textual_columns_are_named_all_at_once() -> None:
    table = stars(2).rename({"u_psf": "u__psf"}).drop("r_med_geo").with_columns(ebmv_sfd=pl.lit("0.1"))
    with pytest.raises(InputError) as caught:
        evaluate_features(table, TURCHI, where="stars.csv")
    distance, u, reddening = (str(problem) for problem in caught.value.problems)
    assert (
        "stars.csv: column 'r_med_geo': is missing, but needed for the model's input 'r_med_geo' and 12 more"
        in distance
    )
    assert "Did you mean 'u__psf' or" in u
    assert re.search(r"'ebmv_sfd': is of type String; expected numbers", reddening)


def test_quotes_in_names_cannot_break_out() -> None:
    with pytest.raises(InputError, match="has a double quote in its name"):
        quote('a" + 1 --')
    document = {"name": "x", "title": "x", "features": [{"kind": "column", "name": "a", "column": 'g" OR "r'}]}
    with pytest.raises(InputError, match="double quote"):
        build_features(validate(FeatureSet, document, "t"), [GAIA], NOTHING)
    odd = pl.DataFrame({"a; DROP TABLE x": [1.5], "select": [2.0], "Ä µ": [3.0]})
    features = [Feature(name, quote(name)) for name in odd.columns]
    assert evaluate_features(odd, features).tolist() == [[1.5, 2.0, 3.0]]
    assert feature_columns(features) == odd.columns


def test_an_expression_that_is_no_number() -> None:
    table = pl.DataFrame({"a": [1.0]})
    with pytest.raises(InputError, match="feature 'x'"):
        evaluate_features(table, [Feature("x", 'SUBSTR("a", 1, 1)'), Feature("y", '"a"')])


def test_leaving_features_out() -> None:
    default, members = load_feature_set("default"), [GAIA, DISTANCES, SKYMAPPER]
    some = build_features(default, members, FeaturesConfig(without=("*.M_*", "log_distance")))
    assert [f.name for f in some] == [f.name for f in DEFAULT if ".M_" not in f.name and f.name != "log_distance"]
    with pytest.raises(InputError, match=r"'log_distanc' matches no feature. Did you mean 'log_distance'"):
        build_features(default, members, FeaturesConfig(without=("log_distanc",)))
    with pytest.raises(InputError, match="makes no features"):
        build_features(default, members, FeaturesConfig(without=("*",)))


def make(*features: dict[str, object]) -> FeatureSet:
    return validate(FeatureSet, {"name": "mine", "title": "Mine", "features": list(features)}, "test")


def test_sets_that_make_no_sense() -> None:
    twice = {"kind": "column", "name": "a", "column": "ra"}
    with pytest.raises(InputError, match="two features are called 'a'"):
        build_features(make(twice, twice), [GAIA], NOTHING)
    band = {"kind": "absolute_magnitude", "name": "a", "band": "gaia_dr3.X"}
    with pytest.raises(InputError, match=r"there is no band 'gaia_dr3.X'"):
        build_features(make(band), [GAIA], NOTHING)
    for dereddened, members in ((False, [GAIA]), (True, [GAIA, DISTANCES])):
        with pytest.raises(InputError, match="no survey of this run gives what it needs"):
            build_features(make({**band, "band": "gaia_dr3.G", "dereddened": dereddened}), members, NOTHING)
    with pytest.raises(InputError, match=r"features.0.*column"):
        make({"kind": "column", "name": "a"})


def test_an_expression_of_ones_own() -> None:
    own = make({"kind": "expression", "name": "x", "expression": "2 * g_psf - LOG10(e_g_psf)"})
    table = stars(4)
    found = evaluate_features(table, build_features(own, [SKYMAPPER], NOTHING))
    np.testing.assert_allclose(found[:, 0], 2 * table["g_psf"] - table["e_g_psf"].log10())


def test_loading_sets(tmp_path: Path) -> None:
    assert feature_set_names() == ["default", "pairwise", "turchi2024"]
    with pytest.raises(
        InputError, match=r"unknown name; expected one of default, pairwise, turchi2024.*Did you mean 'turchi2024'"
    ):
        load_feature_set("turchi")
    (tmp_path / "own.toml").write_text('name = "own"\ntitle = "Own"\n[[features]]\nkind = "colours"\n')
    assert load_feature_set("own.toml", base=tmp_path) == load_feature_set(str(tmp_path / "own.toml"))


# ---- all pairs of bands -----------------------------------------------------------------------------


def test_the_pairwise_set_has_every_colour_once_and_the_rest_of_the_default() -> None:
    members = [GAIA, DISTANCES, SKYMAPPER]
    found = build_features(load_feature_set("pairwise"), members, NOTHING)
    table = stars(50)
    x = evaluate_features(table, found)
    magnitudes = [table[band.magnitude].to_numpy() for member in members for band in member.survey.bands.values()]
    differences = [
        magnitudes[i] - magnitudes[j] for i in range(len(magnitudes)) for j in range(i + 1, len(magnitudes))
    ]
    n_pairs = len(magnitudes) * (len(magnitudes) - 1) // 2
    np.testing.assert_allclose(x[:, :n_pairs], np.stack(differences, axis=1), atol=1e-12)
    assert found[n_pairs:] == tuple(f for f in DEFAULT if f.description != "colour")
    names = [f.name for f in found]
    assert "skymapper_dr2.u-z" in names
    assert "gaia_dr3.BP-skymapper_dr2.u" in names
    assert len(set(names)) == len(names)
