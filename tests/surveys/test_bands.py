"""Bands that are given as fluxes, errors from signal-to-noise ratios, and the quality of one band."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale.surveys import Survey
from starscale.tables.columns.typed import Discarded
from starscale.tables.standardise import standardise
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.strict import validate
from support.recorded_progress import RecordedProgress

#: Zero points of AB magnitudes.
UNITS = {"nJy": 31.4, "uJy": 23.9, "nmgy": 22.5, "mgy": 0.0}


def survey(band: dict[str, Any], columns: dict[str, Any], **more: Any) -> Survey:
    document = {
        "name": "mine",
        "title": "my survey",
        "kind": "photometric",
        "id": {"column": "id"},
        "columns": {"id": {"dtype": "int64"}, **columns},
        "bands": {"u": {"wavelength": 350, **band}},
        **more,
    }
    return validate(Survey, document, "mine.toml")


def of_flux(unit: str = "nJy", *, ivar: bool = False, **band: Any) -> Survey:
    error = {"flux_ivar": "w"} if ivar else {"flux_error": "e"}
    columns = {"f": {"unit": unit}, "e": {"unit": unit}, "w": {"unit": f"{unit}-2" if ivar else ""}}
    given = {"magnitude": "u_mag", "error": "u_err", "flux": "f", "zero_point": UNITS[unit], "softening": 100.0}
    return survey({**given, **error, **band}, columns)


@pytest.mark.parametrize("unit", UNITS)
def test_bright_fluxes_have_the_magnitudes_of_astropy(unit: str) -> None:
    flux = np.geomspace(1e4, 1e9, 20) * (1e-9 if unit == "mgy" else 1.0)
    table = pl.DataFrame({"id": range(20), "f": flux, "e": flux / 50})
    found = standardise(table, of_flux(unit, softening=1e-9 if unit == "mgy" else 1.0))
    scale = {"nJy": u.nJy, "uJy": u.uJy, "nmgy": 1e-9 * u.AB, "mgy": u.AB}[unit]
    expected = (flux * scale).to_value(u.ABmag)
    # 31.4 is short for 31.4000, 22.5 is exact.
    assert np.abs(found["u_mag"].to_numpy() - expected).max() < 1e-3
    assert np.abs(found["u_err"].to_numpy() - 2.5 / np.log(10) / 50).max() < 1e-4


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e6, 1e9), st.floats(1e-2, 1e4)), min_size=1, max_size=20),
    st.floats(0.1, 1e3),
    st.floats(0, 0.1),
)
def test_faint_and_negative_fluxes(rows: list[tuple[float, float]], softening: float, zero_point: float) -> None:
    flux, error = (np.array(values) for values in zip(*rows, strict=True))
    table = pl.DataFrame({"id": range(len(rows)), "f": flux, "e": error, "w": error**-2.0})
    limits = {"softening": softening, "zero_point_error": zero_point, "lower": -1e3, "upper": 1e3}
    found = standardise(table, of_flux(**limits))
    magnitude = found["u_mag"].to_numpy()
    assert np.isfinite(magnitude).all(), "no flux is without a magnitude"
    # Back to the flux: an independent way to write the definition.
    back = 2 * softening * np.sinh((31.4 - 2.5 * np.log10(softening) - magnitude) * np.log(10) / 2.5)
    assert back == pytest.approx(flux, rel=1e-6, abs=1e-6 * softening)
    step = 1e-4 * np.hypot(flux, 2 * softening)
    moved = standardise(table.with_columns(f=pl.Series(flux + step)), of_flux(**limits))["u_mag"].to_numpy()
    slope = np.abs(moved - magnitude) / step
    expected = np.hypot(slope * error, zero_point)
    assert found["u_err"].to_numpy() == pytest.approx(expected, rel=1e-3, abs=1e-9)
    by_weight = standardise(table, of_flux(ivar=True, **limits))
    assert by_weight["u_err"].to_numpy() == pytest.approx(found["u_err"].to_numpy(), rel=1e-9)


def test_the_softening_as_a_magnitude() -> None:
    table = pl.DataFrame({"id": [1, 2], "f": [0.0, 250.0], "e": [80.0, 80.0]})
    stated = standardise(table, of_flux(softening=10 ** (0.4 * (31.4 - 26.0))))
    same = standardise(table, of_flux(softening=None, softening_magnitude=26.0))
    assert stated["u_mag"][0] == pytest.approx(26.0), "a flux of 0 has the magnitude of the softening"
    assert same["u_mag"].to_list() == pytest.approx(stated["u_mag"].to_list())


@pytest.mark.parametrize("ivar", [True, False])
def test_a_flux_without_a_weight_is_missing_and_counted(ivar: bool) -> None:
    weights = pl.Series([0.0, -1.0, None, 4.0], dtype=pl.Float64)
    table = pl.DataFrame({"id": range(4), "f": [5.0, 5.0, 5.0, -5.0], "w" if ivar else "e": weights})
    discarded = Discarded()
    found = standardise(table, of_flux(ivar=ivar), discarded=discarded)
    assert found["u_mag"].is_null().to_list() == found["u_err"].is_null().to_list() == [True, True, True, False]
    assert discarded.invalid["u_mag"] == 3


def test_units_of_a_file_are_converted() -> None:
    of = of_flux()
    table = pl.DataFrame({"id": [1], "f": [0.5], "e": [0.1]})
    stated = {name: of.columns[name].column(name) for name in ("f", "e")}
    found = standardise(table, of, found_columns={n: replace(c, unit="uJy") for n, c in stated.items()})
    assert found["f"][0] == pytest.approx(500.0)
    with pytest.raises(InputError, match=r"column 'f'.*'mag'"):
        standardise(table, of, found_columns={n: replace(c, unit="mag") for n, c in stated.items()})
    plain = survey({"magnitude": "f"}, {"f": {"unit": "mag"}})
    with pytest.raises(InputError, match=r"column 'f'.*'nJy'"):
        standardise(table, plain, found_columns={"f": stated["f"]})


#: Spellings of units of flux, with their size in nJy; of the inverse variance, `{}` is the spelling.
SPELLED = {
    "nJy": 1.0,
    "muJy": 1e3,
    "uJy (AB)": 1e3,
    "micro Jy": 1e3,
    "3.631uJy": 3631.0,
    "3.631×10^-6 Jy": 3631.0,
    "nanomaggies": 3630.7805,
    "nanomaggies (AB)": 3630.7805,
    "nanomaggy": 3630.7805,
    "10-23 erg/s/cm2/Hz": 1e9,
}


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(SPELLED)),
    st.sampled_from(["1/({})^2", "({})^-2", "1/({})**2", "({})-2", ""]),
    st.lists(st.tuples(st.floats(-1e3, 1e6), st.floats(1, 1e4)), min_size=1, max_size=5),
)
def test_spellings_of_units_of_fluxes(text: str, weight: str, rows: list[tuple[float, float]]) -> None:
    flux, error = (pl.Series(values) for values in zip(*rows, strict=True))
    expected = standardise(pl.DataFrame({"id": range(len(rows)), "f": flux, "e": error}), of_flux())
    size = SPELLED[text]
    name, values = ("w", (error / size) ** -2.0) if weight else ("e", error / size)
    units = {"f": text, name: weight.format(text) if weight else text}
    table = pl.DataFrame({"id": range(len(rows)), "f": flux / size, name: values})
    stated = {n: Column(n, "float64", unit, "", "") for n, unit in units.items()}
    found = standardise(table, of_flux(ivar=bool(weight)), found_columns=stated)
    for column in ("u_mag", "u_err"):
        assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(), rel=1e-6)


@pytest.mark.parametrize("unit", ["flux", "1", "mag", "3.631", "nJy.s", "1/nJy^2"])
def test_a_file_with_another_unit_of_a_flux_is_refused(unit: str) -> None:
    table = pl.DataFrame({"id": [1], "f": [0.5], "e": [0.1]})
    with pytest.raises(InputError, match="column 'f'") as refusal:
        standardise(table, of_flux(), found_columns={"f": Column("f", "float64", unit, "", "")})
    assert len(refusal.value.problems) == 1
    assert repr(unit) in str(refusal.value)


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"f": "fluxes"}, "bands.u: the flux 'f' is in 'fluxes'; expected a unit of flux"),
        ({"f": "1"}, "bands.u: the flux 'f' is in '1'"),
        ({"f": "3.631"}, "bands.u: the flux 'f' is in '3.631'"),
        ({"f": "mag(ST)"}, r"bands.u: the flux 'f' is in 'mag\(ST\)'"),
        ({"w": "uJy-2"}, r"bands.u: the inverse variance 'w' is in 'uJy-2'; expected \(nJy\)\*\*-2"),
        ({"w": "nJy"}, "bands.u: the inverse variance 'w' is in 'nJy'"),
        ({"w": "weight"}, "bands.u: the inverse variance 'w' is in 'weight'"),
    ],
)
def test_units_that_are_declared_for_fluxes_must_fit(units: dict[str, str], words: str) -> None:
    columns = {"f": {"unit": units.get("f", "nJy")}, "w": {"unit": units.get("w", "1/nJy^2")}}
    band = {"magnitude": "m", "error": "e", "flux": "f", "flux_ivar": "w", "zero_point": 31.4, "softening": 1}
    with pytest.raises(InputError, match=words) as refusal:
        standardise(pl.DataFrame({"id": [1], "f": [1.0], "w": [1.0]}), survey(band, columns))
    assert len(refusal.value.problems) == 1


@pytest.mark.parametrize(("ivar", "unit", "values"), [(False, "uJy", 0.1), (True, "uJy-2", 100.0)])
def test_an_error_without_a_unit_is_in_that_of_its_flux(ivar: bool, unit: str, values: float) -> None:
    of = of_flux(ivar=ivar)
    name = "w" if ivar else "e"
    plain = of.columns[name].model_copy(update={"unit": ""})
    bare = of.model_copy(update={"columns": {**of.columns, name: plain}})
    table = pl.DataFrame({"id": [1], "f": [0.5], name: [values]})
    stated = {n: Column(n, "float64", of_file, "", "") for n, of_file in (("f", "uJy"), (name, unit))}
    expected = standardise(pl.DataFrame({"id": [1], "f": [500.0], "e": [100.0]}), of_flux())
    assert standardise(table, bare, found_columns=stated)["u_err"][0] == pytest.approx(expected["u_err"][0])


@pytest.mark.parametrize(
    ("band", "unit", "words"),
    [
        ({"zero_point": None}, "nJy", "mine.toml: bands.u: a flux needs its zero_point"),
        ({"softening": None}, "nJy", "bands.u: a flux needs softening"),
        ({"softening_magnitude": 26}, "nJy", "bands.u: a flux needs softening"),
        ({"flux_ivar": "w"}, "nJy", "bands.u: give flux_error or flux_ivar"),
        ({"error": None}, "nJy", "bands.u: name the column of the magnitude's error"),
        ({"flux": None, "flux_error": None}, "nJy", "bands.u: zero_point, softening without a flux"),
        ({}, "mag", "bands.u: the flux 'f' is in 'mag', which is no flux"),
        ({}, "", "bands.u: the flux 'f' is without a unit"),
        ({}, "uJy", "bands.u: the error 'e' is in 'nJy', but the flux in 'uJy'"),
        ({"flux_error": None, "flux_ivar": "w"}, "erg/s", "bands.u: the inverse variance 'w' is without a unit"),
        ({"keep": "flag >"}, "nJy", "bands.u.keep: is not an SQL expression"),
        ({"keep": "flag > 0"}, "nJy", "columns.u_mag.valid: 'flag' is not described"),
        ({"flux": "g"}, "nJy", "'g' is not described"),
    ],
)
def test_bad_bands_are_refused(band: dict[str, Any], unit: str, words: str) -> None:
    given = {
        "magnitude": "u_mag",
        "error": "u_err",
        "flux": "f",
        "flux_error": "e",
        "zero_point": 31.4,
        "softening": 1,
    }
    with pytest.raises(InputError, match=words):
        survey({**given, **band}, {"f": {"unit": unit}, "e": {"unit": "nJy"}, "w": {}})


def test_errors_from_flux_over_error() -> None:
    band = {"magnitude": "G", "error": "e_G", "flux_over_error": "snr"}
    columns = {"G": {"unit": "mag"}, "snr": {}}
    table = pl.DataFrame({"id": [1, 2, 3], "G": [15.0, 16.0, 17.0], "snr": [100.0, None, 0.0]})
    found = standardise(table, survey(band, columns))["e_G"]
    assert found.to_list() == [pytest.approx(0.010857362), None, None]
    with_zero_point = standardise(table, survey({**band, "zero_point_error": 0.003}, columns))["e_G"]
    assert with_zero_point[0] == pytest.approx(np.hypot(0.010857362, 0.003))


def test_a_band_that_is_not_kept_is_missing_and_the_star_stays(tmp_path: Path) -> None:
    band = {"magnitude": "u_psf", "error": "e_u", "keep": "(flags_psf & 1) = 0"}
    of = survey(band, {"u_psf": {"unit": "mag"}, "e_u": {"unit": "mag"}, "flags_psf": {"dtype": "int32"}})
    table = pl.DataFrame(
        {"id": [1, 2, 3, 4], "u_psf": [15.0, 16.0, 17.0, None], "e_u": [0.1] * 4, "flags_psf": [0, 1, None, 1]}
    )
    for output in (None, tmp_path / "clean.parquet"):
        table.write_parquet(tmp_path / "table.parquet")
        cleaned = ss.clean(table if output is None else tmp_path / "table.parquet", survey=of, output=output)
        rows = ss.read(output) if output else cleaned.table
        assert rows is not None
        assert rows["u_psf"].to_list() == [15.0, None, None, None]
        assert rows["e_u"].to_list() == [0.1, None, None, None]
        assert cleaned.invalid == {"u_psf": 2, "e_u": 3}
    assert standardise(rows, of).equals(rows)


def test_a_survey_is_the_same_after_it_was_written() -> None:
    of = of_flux(keep="f < 1e6", ivar=True)
    assert validate(Survey, of.model_dump(mode="json"), "copy") == of
    merged = survey({"magnitude": "m", "keep": "k = 0"}, {"m": {"valid": "m > 3"}, "k": {}})
    assert merged.columns["m"].valid == "(m > 3) AND (k = 0)"
    assert validate(Survey, merged.model_dump(mode="json"), "copy") == merged


def test_limits_of_allwise_are_no_measurements() -> None:
    columns = {"designation": ["J1", "J2"], "w1mpro": [12.0, 17.5], "w1sigmpro": [0.02, None]}
    found = ss.read(pl.DataFrame(columns), survey="allwise")
    assert found["w1mpro"].to_list() == [12.0, None]


def test_a_failed_flux_of_rubin_is_missing_in_its_band() -> None:
    mags = {"u_psfMag": [22.0, 23.0], "g_psfMag": [21.0, 22.0]}
    table = pl.DataFrame({"objectId": [1, 2], "u_psfFlux_flag": [False, True], **mags})
    found = ss.read(table, survey="rubin_dp1")
    assert found["u_psfMag"].to_list() == [22.0, None]
    assert found["g_psfMag"].to_list() == [21.0, 22.0]
    said: list[str] = []
    ss.clean(table, survey="rubin_dp1", cuts=Cuts(apply=False), progress=RecordedProgress(said))
    assert "note: whether g_psfMag is valid is unknown: the table has no g_psfFlux_flag" in said
    assert "note: u_psfMag: 1 not valid, read as missing" in said
