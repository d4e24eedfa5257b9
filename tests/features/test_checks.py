"""Measurements that say whether an input can be right, without being inputs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from starscale.features.checks import Check, find_checks, observed, observed_names
from starscale.features.families import Feature, SurveyColumns
from starscale.features.measurements import find_measurements
from starscale.surveys import load_survey


def member(name: str, **renamed: str) -> SurveyColumns:
    survey = load_survey(name)
    return SurveyColumns(survey, {column: renamed.get(column, column) for column in survey.columns})


GAIA, DISTANCES = member("gaia_dr3", parallax="plx"), member("bailer_jones_edr3", r_med_geo="r")
MAGNITUDE = Feature("M_G", 'phot_g_mean_mag - 5 * log10("r") + 5')
PARALLAX = Check("parallax", "plx", "parallax_error", "r")


def test_a_parallax_checks_the_distance_in_the_names_of_the_joined_table() -> None:
    assert find_checks((MAGNITUDE,), (GAIA, DISTANCES)) == (PARALLAX,)
    assert find_checks((MAGNITUDE,), (DISTANCES, GAIA)) == (PARALLAX,)


@pytest.mark.parametrize(
    ("features", "surveys"),
    [
        ((Feature("colour", "bp_rp"),), (GAIA, DISTANCES)),
        ((MAGNITUDE,), (member("skymapper_dr2"), DISTANCES)),
        # An input is a measurement itself.
        ((MAGNITUDE, Feature("plx", '"plx"')), (GAIA, DISTANCES)),
        # This distance is computed from the parallax, and always agrees.
        ((Feature("M_G", "phot_g_mean_mag - 5 * log10(distance_parallax) + 5"),), (member("gaia_dr4"),)),
    ],
)
def test_there_is_no_check_of_what_is_no_input_or_cannot_be_wrong(
    features: tuple[Feature, ...], surveys: tuple[SurveyColumns, ...]
) -> None:
    assert find_checks(features, surveys) == ()


def test_the_product_and_its_error_stand_after_the_measurements() -> None:
    measurements = find_measurements((MAGNITUDE,), (GAIA, DISTANCES))
    table = pl.DataFrame(
        {
            "phot_g_mean_mag": [12.0] * 4,
            "r": [500.0, 250.0, None, 500.0],
            "plx": [2.0, -4.0, 2.0, float("inf")],
            "parallax_error": [0.1, None, 0.1, 0.1],
        }
    )
    values, errors = observed(table, measurements, (PARALLAX,))
    assert observed_names(measurements, (PARALLAX,))[-1] == "parallax"
    assert values.shape == errors.shape == (4, len(observed_names(measurements, (PARALLAX,))))
    np.testing.assert_array_equal(values[:, -1], [1000.0, -1000.0, np.nan, np.nan])
    np.testing.assert_array_equal(errors[:, -1], [50.0, np.nan, np.nan, 50.0])
    without = observed(table.drop("plx"), measurements, (PARALLAX,))
    assert np.isnan(without[0][:, -1]).all(), "a table may lack the parallax"
    np.testing.assert_array_equal(without[0][:, :-1], values[:, :-1])
