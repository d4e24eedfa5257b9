"""The cuts of the survey files: each keeps a good row, removes a bad one, treats a missing value as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from starscale.surveys import Survey, load_survey, survey_names
from starscale.tables.cuts import apply_cuts
from support.places import EXAMPLES

PACKAGED = survey_names()
ALL = [*PACKAGED, *sorted(str(path) for path in EXAMPLES.glob("*.toml"))]


def polars_type(dtype: str) -> Any:
    return pl.Boolean if dtype == "bool" else getattr(pl, dtype.capitalize())


def described_with_joins(survey: Survey) -> dict[str, str]:
    """Data type of every column that a cut may look at."""
    tables = [survey, *(load_survey(name) for name in survey.joins)]
    return {name: spec.dtype for table in tables for name, spec in table.columns.items()}


@pytest.mark.parametrize("name", ALL, ids=lambda name: Path(name).stem)
def test_cuts_look_at_described_columns_only(name: str) -> None:
    survey = load_survey(name)
    known = described_with_joins(survey)
    for cut in survey.cuts:
        used = pl.sql_expr(cut.keep).meta.root_names()
        assert used, cut.name
        assert set(used) <= set(known), cut.name


GAIA = {
    "phot_bp_mean_mag": 15.5,
    "phot_rp_mean_mag": 14.5,
    "ipd_frac_multi_peak": 0,
    "ipd_frac_odd_win": 0,
    "ruwe": 1.0,
    "non_single_star": 0,
    "phot_variable_flag": "NOT_AVAILABLE",
    "in_qso_candidates": False,
    "in_galaxy_candidates": False,
    "r_med_geo": 500.0,
    "vbroad": 5.0,
    "teff_gspphot": 5500.0,
    "phot_g_mean_mag": 15.0,
    "parallax_error": 0.02,
    "astrometric_sigma5d_max": 0.03,
}
GAIA_DR2 = {
    "phot_bp_mean_mag": 15.5,
    "phot_rp_mean_mag": 14.5,
    "phot_g_mean_mag": 15.0,
    "visibility_periods_used": 12,
    "astrometric_chi2_al": 200.0,
    "astrometric_n_good_obs_al": 205,
    "phot_bp_rp_excess_factor": 1.2,
    "phot_variable_flag": "NOT_AVAILABLE",
}
SKYMAPPER = {
    "class_star": 0.95,
    "flags": 0,
    "flags_psf": 0,
    **{f"{band}_psf": 15.0 for band in "uvgriz"},
}
DESI = {"primary": True, "rr_spectype": "STAR", "rvs_warn": 0}
APOGEE = {"ASPCAPFLAG": 0, "STARFLAG": 0, "FE_H_FLAG": 0, "SNR": 120.0}
GOOD: dict[str, dict[str, Any]] = {
    "gaia_dr3": GAIA,
    "gaia_dr2": GAIA_DR2,
    "skymapper_dr2": SKYMAPPER,
    "sdss_dr13": {"mode": 1, "clean": 1, "type": 6},
    "sdss_model": {"mode": 1, "clean": 1, "type": 6},
    "panstarrs1": {"quality_flag": 4 + 16 + 32},
    "tmass": {"ph_qual": "AAA", "ext_key": None},
    "apogee_dr16": APOGEE,
    "apogee_dr17": APOGEE,
    "galah_dr2": {"flag_cannon": 0},
    "galah_dr3": {"flag_sp": 0, "flag_fe_h": 0, "snr_c3_iraf": 45.0},
    "lamost_dr5": {"snrg": 40.0},
    "catwise2020": {"abf": "00"},
    "gaia_dr4": {
        "phot_bp_mean_mag": 15.5,
        "phot_rp_mean_mag": 14.5,
        "phot_g_mean_mag": 15.0,
        "ipd_frac_multi_peak": 0,
        "ruwe": 1.0,
        "non_single_star": 0,
        "parallax_error": 0.02,
    },
    "gaia_eso_dr5": {"sflags": None},
    "galah_dr4": {"flag_sp": 0, "snr_px_ccd3": 45.0},
    "rave_dr6_summary": {"snr_med_sparv": 40.0},
    "skymapper_dr4": {"class_star": 0.95, "flags": 0, "nimaflags": 0},
    "rave_dr6": {"algo_conv_madera": 0, "snr_med_sparv": 40.0},
    "segue": {"flag": "nnnnn"},
    "allwise": {"cc_flags": "0000"},
    "des_y6": {"EXT_XGB": 0, "FLAGS_GOLD": 0, "FLAGS_FOREGROUND": 0},
    "delve_dr3": {"EXT_XGB": 0, "FLAGS_GOLD": 0, "FLAGS_FOREGROUND": 0},
    "lamost_dr10": {"snrg": 40.0},
    "lamost_dr10_mrs": {"coadd": 1, "fibermask": 0, "snr": 40.0},
    "rubin_dp1": {"refExtendedness": 0.0, "detect_isDeblendedModelSource": True},
    "sdss_dr19_aspcap": {"flag_bad": False, "fe_h_flags": 0, "snr": 120.0},
    "sdss_dr20_aspcap": {"flag_bad": False, "fe_h_flags": 0, "snr": 120.0},
    "splus_dr4": {"CLASS_STAR": 0.99},
    "vhs_dr5": {"mergedclass": -1},
    "desi_dr1_mws": DESI,
    "desi_dr1_mws_sp": {**DESI, "sp_success": 1, "bestgrid": "m_rdesi1"},
    "euclid_q1": {"point_like_flag": 1, "spurious_flag": 0},
    "jplus_dr3": {"class_star": 0.99},
    "legacy_survey": {"type": "PSF", "brick_primary": True},
}
#: Survey, cut, column, values that the cut keeps, values that it removes. None is a missing value.
CASES: list[tuple[str, str, str, list[Any], list[Any]]] = [
    # Gaia DR3: METHOD section 2, limits included.
    ("gaia_dr3", "bp_and_rp", "phot_bp_mean_mag", [3.0, 21.0], [None]),
    ("gaia_dr3", "bp_and_rp", "phot_rp_mean_mag", [3.0, 21.0], [None]),
    ("gaia_dr3", "multi_peak", "ipd_frac_multi_peak", [0, 10], [11, 100, None]),
    ("gaia_dr3", "odd_windows", "ipd_frac_odd_win", [0, 10], [11, 100, None]),
    ("gaia_dr3", "ruwe", "ruwe", [0.5, 1.4], [1.4000001, 20.0, None]),
    ("gaia_dr3", "single", "non_single_star", [0], [1, 2, 4, 7, None]),
    ("gaia_dr3", "not_variable", "phot_variable_flag", ["NOT_AVAILABLE", "CONSTANT"], ["VARIABLE", None]),
    ("gaia_dr3", "not_qso", "in_qso_candidates", [False], [True, None]),
    ("gaia_dr3", "not_galaxy", "in_galaxy_candidates", [False], [True, None]),
    ("gaia_dr3", "distance", "r_med_geo", [1.3, 20000.0], [None]),
    ("gaia_dr3", "slow_rotator", "vbroad", [None, 5.0, 30.0], [30.00001, 300.0]),
    ("gaia_dr3", "not_hot", "teff_gspphot", [None, 3000.0, 7500.0], [7500.001, 30000.0]),
    ("gaia_dr3", "bright", "phot_g_mean_mag", [3.0, 18.0], [18.000002, 21.0, None]),
    ("gaia_dr3", "parallax_error", "parallax_error", [0.01, 0.1], [0.10000001, 1.0, None]),
    ("gaia_dr3", "sigma5d", "astrometric_sigma5d_max", [0.01, 0.1], [0.10000001, 1.0, None]),
    # SkyMapper DR2: METHOD section 2. A band that is missing is not above 25.
    ("skymapper_dr2", "star", "class_star", [1.0, 0.80001], [0.8, 0.1, None]),
    ("skymapper_dr2", "flags", "flags", [0], [1, 4, None]),
    ("skymapper_dr2", "flags_psf", "flags_psf", [0], [1, 2990, None]),
    *(("skymapper_dr2", "not_faint", f"{band}_psf", [None, 8.0, 25.0], [25.00001, 26.5]) for band in "uvgriz"),
    # Gaia DR2. The good row has G = 15 and n - 5 = 200: chi2 < 200 * 1.44 * exp(1.8) = 1742.3.
    ("gaia_dr2", "bp_and_rp", "phot_bp_mean_mag", [15.0], [None]),
    ("gaia_dr2", "bp_and_rp", "phot_rp_mean_mag", [15.0], [None]),
    ("gaia_dr2", "visibility", "visibility_periods_used", [9, 20], [0, 8, None]),
    ("gaia_dr2", "astrometric_fit", "astrometric_chi2_al", [0.0, 1742.2], [1742.4, 50000.0, None]),
    ("gaia_dr2", "astrometric_fit", "phot_g_mean_mag", [3.0, 21.0], []),
    ("gaia_dr2", "flux_excess", "phot_bp_rp_excess_factor", [1.016, 1.359], [1.014, 1.361, None]),
    ("gaia_dr2", "not_variable", "phot_variable_flag", ["NOT_AVAILABLE", "CONSTANT"], ["VARIABLE", None]),
    ("sdss_dr13", "primary", "mode", [1], [2, 3, None]),
    ("sdss_dr13", "clean", "clean", [1], [0, None]),
    ("sdss_dr13", "star", "type", [6], [3, 0, None]),
    ("sdss_model", "primary", "mode", [1], [2, 3, None]),
    ("sdss_model", "clean", "clean", [1], [0, None]),
    ("sdss_model", "star", "type", [6], [3, 0, None]),
    ("panstarrs1", "good", "quality_flag", [4, 76, 108], [0, 16 + 32, None]),
    ("panstarrs1", "point_source", "quality_flag", [4, 76, 108], [1, 4 + 1, None]),
    ("tmass", "point_source", "ext_key", [None], [1, 123456]),
    ("tmass", "quality", "ph_qual", ["AAA"], ["AAB", "EEE", "UUU", None]),
    *(
        case
        for name in ("apogee_dr16", "apogee_dr17")
        for case in (
            # STAR_WARN (bit 7) is a warning alone; STAR_BAD is bit 23.
            (name, "star_bad", "ASPCAPFLAG", [0, 1 << 7, 1 << 22], [1 << 23, (1 << 23) + 1, None]),
            # BRIGHT_NEIGHBOR (2) and persistence (9 to 11) stay.
            (
                name,
                "spectrum",
                "STARFLAG",
                [0, 1 << 2, 1 << 9, 1 << 11],
                [1, 1 << 3, 1 << 4, 1 << 18, (1 << 18) + 4, None],
            ),
            (name, "fe_h_flag", "FE_H_FLAG", [0], [1, 1 << 8, None]),
            (name, "signal", "SNR", [50.0, 500.0], [49.999, 0.0, None]),
        )
    ),
    ("apogee_dr17", "spectrum", "STARFLAG", [1 << 20], [1 << 22]),
    ("galah_dr2", "flag_cannon", "flag_cannon", [0], [1, 128, None]),
    ("galah_dr3", "flag_sp", "flag_sp", [0], [1, 1024, None]),
    ("galah_dr3", "flag_fe_h", "flag_fe_h", [0], [1, 32, None]),
    ("galah_dr3", "signal", "snr_c3_iraf", [30.001, 300.0], [30.0, 3.0, None]),
    ("lamost_dr5", "signal", "snrg", [15.0, 300.0], [14.999, None]),
    ("rave_dr6", "converged", "algo_conv_madera", [0], [1, 2, 3, None]),
    ("rave_dr6", "signal", "snr_med_sparv", [20.001, 90.0], [20.0, 3.0, None]),
    ("catwise2020", "uncontaminated", "abf", ["00"], ["D0", "0P", "HO", None]),
    ("gaia_dr4", "bp_and_rp", "phot_bp_mean_mag", [3.0, 21.0], [None]),
    ("gaia_dr4", "multi_peak", "ipd_frac_multi_peak", [0, 10], [11, 100, None]),
    ("gaia_dr4", "ruwe", "ruwe", [0.5, 1.4], [1.4000001, 20.0, None]),
    ("gaia_dr4", "single", "non_single_star", [0], [1, 7, None]),
    ("gaia_dr4", "bright", "phot_g_mean_mag", [3.0, 18.0], [18.000002, 21.0, None]),
    ("gaia_dr4", "parallax_error", "parallax_error", [0.01, 0.1], [0.10000001, 1.0, None]),
    ("gaia_eso_dr5", "no_flag", "sflags", [None, ""], ["SRP", "BIN"]),
    ("galah_dr4", "flag_sp", "flag_sp", [0], [1, 1 << 14, None]),
    ("galah_dr4", "signal", "snr_px_ccd3", [30.001, 300.0], [30.0, 3.0, None]),
    ("rave_dr6_summary", "signal", "snr_med_sparv", [20.001, 90.0], [20.0, 3.0, None]),
    ("skymapper_dr4", "star", "class_star", [1.0, 0.90001], [0.9, 0.1, None]),
    ("skymapper_dr4", "flags", "flags", [0, 3], [4, 64, None]),
    ("skymapper_dr4", "nimaflags", "nimaflags", [0, 4], [5, 100, None]),
    ("segue", "normal", "flag", ["nnnnn"], ["nnngn", "Nnnnn", "", None]),
    ("allwise", "uncontaminated", "cc_flags", ["0000", "00dh"], ["D000", "0P00", "HHHH", None]),
    *(
        case
        for name in ("des_y6", "delve_dr3")
        for case in (
            (name, "star", "EXT_XGB", [0, 1], [2, 3, -9, None]),
            (name, "flags_gold", "FLAGS_GOLD", [0], [1, 64, None]),
            (name, "foreground", "FLAGS_FOREGROUND", [0], [1, 8, None]),
        )
    ),
    ("lamost_dr10", "signal", "snrg", [15.0, 300.0], [14.999, None]),
    ("lamost_dr10_mrs", "coadded", "coadd", [1], [0, None]),
    ("lamost_dr10_mrs", "fibre", "fibermask", [0], [1, 64, None]),
    ("lamost_dr10_mrs", "signal", "snr", [20.0, 300.0], [19.999, None]),
    ("rubin_dp1", "star", "refExtendedness", [0.0, 0.499], [0.5, 1.0, None]),
    ("rubin_dp1", "deblended", "detect_isDeblendedModelSource", [True], [False, None]),
    *(
        case
        for name in ("sdss_dr19_aspcap", "sdss_dr20_aspcap")
        for case in (
            (name, "flag_bad", "flag_bad", [False], [True, None]),
            # Upper limits of lines (0 to 4) and warnings (10, 11) stay.
            (name, "fe_h_flags", "fe_h_flags", [0, 1, 1 << 4, 1 << 10, 1 << 11], [1 << 5, 1 << 9, None]),
            (name, "signal", "snr", [50.0, 500.0], [49.999, 0.0, None]),
        )
    ),
    ("splus_dr4", "star", "CLASS_STAR", [1.0, 0.90001], [0.9, 0.1, None]),
    *(
        case
        for name in ("desi_dr1_mws", "desi_dr1_mws_sp")
        for case in (
            (name, "primary", "primary", [True], [False, None]),
            (name, "star", "rr_spectype", ["STAR"], ["GALAXY", "QSO", None]),
            (name, "no_warning", "rvs_warn", [0], [1, 8, None]),
        )
    ),
    ("desi_dr1_mws_sp", "success", "sp_success", [1], [0, None]),
    ("desi_dr1_mws_sp", "grid", "bestgrid", ["m_rdesi1"], ["s_rdesi1", None]),
    ("euclid_q1", "star", "point_like_flag", [1], [0, None]),
    ("euclid_q1", "not_spurious", "spurious_flag", [0], [1, None]),
    ("jplus_dr3", "star", "class_star", [1.0, 0.90001], [0.9, 0.1, None]),
    ("legacy_survey", "point_source", "type", ["PSF"], ["REX", "SER", "DUP", None]),
    ("legacy_survey", "primary", "brick_primary", [True], [False, None]),
    ("vhs_dr5", "star", "mergedclass", [-1, -2], [1, 0, -3, -9, None]),
]


def rows(name: str, column: str, values: list[Any]) -> pl.DataFrame:
    """The good row of a survey, once for each of `values` of one column, in the survey file's own types."""
    survey = load_survey(name)
    types = described_with_joins(survey)
    good = GOOD[name]
    return pl.DataFrame(
        [{**good, column: value} for value in values],
        schema={key: polars_type(types[key]) for key in good},
    )


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_good_star_passes_every_cut(name: str) -> None:
    survey = load_survey(name)
    column = next(iter(GOOD[name]))
    mask, attrition = apply_cuts(rows(name, column, [GOOD[name][column]]), survey.cuts)
    assert mask.to_list() == [True]
    assert len(attrition.rows) == len(survey.cuts)


@pytest.mark.parametrize(
    ("name", "cut", "column", "kept", "removed"), CASES, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in CASES]
)
def test_a_cut_keeps_and_removes(name: str, cut: str, column: str, kept: list[Any], removed: list[Any]) -> None:
    (chosen,) = [item for item in load_survey(name).cuts if item.name == cut]
    mask, _ = apply_cuts(rows(name, column, kept + removed), [chosen])
    assert mask.to_list() == [True] * len(kept) + [False] * len(removed)


def test_every_packaged_cut_is_tested() -> None:
    packaged = {(name, cut.name) for name in PACKAGED for cut in load_survey(name).cuts}
    assert packaged == {(case[0], case[1]) for case in CASES}
    removing = {(case[0], case[1]) for case in CASES if case[4]}
    assert removing == packaged


def test_the_astrometric_fit_of_dr2_is_laxer_for_bright_stars() -> None:
    """Lindegren et al. 2018, eq. C.1: u < 1.2 max(1, exp(-0.2 (G - 19.5))) with u the root of chi2 / (n - 5)."""
    (cut,) = [item for item in load_survey("gaia_dr2").cuts if item.name == "astrometric_fit"]
    magnitude = np.repeat([13.0, 18.0, 19.5, 20.5], 2)
    limit = 1.2 * np.maximum(1.0, np.exp(-0.2 * (magnitude - 19.5)))
    u = limit * np.tile([0.9999, 1.0001], 4)
    table = pl.DataFrame(
        {
            "phot_g_mean_mag": magnitude,
            "astrometric_n_good_obs_al": np.full(8, 205),
            "astrometric_chi2_al": u**2 * 200,
        }
    )
    assert apply_cuts(table, [cut])[0].to_list() == [True, False] * 4


def test_the_cuts_of_the_paper_are_all_there() -> None:
    assert [cut.name for cut in load_survey("gaia_dr3").cuts] == [
        *("bp_and_rp", "multi_peak", "odd_windows", "ruwe", "single", "not_variable", "not_qso", "not_galaxy"),
        *("distance", "slow_rotator", "not_hot", "bright", "parallax_error", "sigma5d"),
    ]
    assert [cut.name for cut in load_survey("skymapper_dr2").cuts] == ["star", "flags", "flags_psf", "not_faint"]
