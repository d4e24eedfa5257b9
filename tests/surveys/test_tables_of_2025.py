"""Tables of the new surveys as their archives write them: five tables in one file, fluxes, vectors, two tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale.surveys import load_survey
from starscale.tables.positions import positions
from starscale.tables.standardise import standardise


def published(feh: float, teff: float, logg: float, cut: float, low: list[float], high: list[float]) -> float:
    """[Fe/H] after feh_correct.py of dr1_vac_code: numpy's polynomial in log10(teff / 5000) / 0.1."""
    return feh - float(np.poly1d((low if logg < cut else high)[::-1])(np.log10(teff / 5000) / 0.1))


def write_desi(path: Path) -> None:
    n = 5
    common = {
        "TARGETID": np.arange(n) + 1,
        "TEFF": [4500.0, 5800.0, 6000.0, 7000.0, 5000.0],
        "LOGG": [2.0, 4.29, 4.5, 4.0, 4.4],
        "FEH": [-1.0, -0.5, 0.1, 0.0, -0.2],
    }
    rv = common | {f"{name}_ERR": np.full(n, 0.1) for name in ("TEFF", "LOGG", "FEH")}
    rv |= {"TARGET_RA": np.arange(n) + 10.0, "TARGET_DEC": np.arange(n) + 1.0, "SN_R": np.full(n, 30.0)}
    rv |= {"RVS_WARN": np.array([0, 0, 0, 0, 1]), "RR_SPECTYPE": np.full(n, "STAR"), "PRIMARY": np.ones(n, bool)}
    sp = common | {
        "FEH": np.array(common["FEH"]) + 0.05,
        "SUCCESS": np.ones(n, int),
        "BESTGRID": np.full(n, "m_1"),
    }
    tables = {
        "RVTAB": rv,
        "SPTAB": sp,
        "FIBERMAP": {"TARGETID": common["TARGETID"], "REF_EPOCH": np.full(n, 2015.5)},
    }
    tables["GAIA"] = {"SOURCE_ID": np.arange(n) + 100}
    hdus = [
        fits.BinTableHDU(fits.FITS_rec.from_columns(_columns(given)), name=name) for name, given in tables.items()
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)


def _columns(given: dict[str, object]) -> fits.ColDefs:
    kinds = {"i": "K", "f": "D", "b": "L", "U": "8A"}
    arrays = {name: np.asarray(values) for name, values in given.items()}
    return fits.ColDefs([fits.Column(name, kinds[a.dtype.kind], array=a) for name, a in arrays.items()])


@pytest.mark.parametrize("shape", [(25,), (5, 5), None])
def test_errors_of_the_second_pipeline_of_desi(tmp_path: Path, shape: tuple[int, ...] | None) -> None:
    write_desi(tmp_path / "mwsall.fits")
    errors = np.array([0.05, 0.1, 0.2, 60.0, 0.15])
    with fits.open(tmp_path / "mwsall.fits") as file:
        if shape is not None:
            one = np.outer(errors, errors) * (0.3 + 0.7 * np.eye(5))
            covariances = np.stack([k * one for k in (1, 4, 0, -1, 9)]).reshape(5, *shape)
            column = fits.Column("COVAR", "25D", array=covariances, dim="(5,5)" if len(shape) == 2 else None)
            table = fits.BinTableHDU.from_columns([*file["SPTAB"].columns, column], name="SPTAB")
            file[2] = table
        file.writeto(tmp_path / "new.fits")
    found = ss.read(tmp_path / "new.fits", survey="desi_dr1_mws_sp")
    for name, error in (("feh", 0.05), ("teff", 60.0), ("logg", 0.15)):
        if shape is None:
            assert f"sp_{name}_error" not in found.columns
        else:
            expected = [error, 2 * error, None, None, 3 * error]
            assert found[f"sp_{name}_error"].to_list() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "column", "polynomials"),
    [
        ("desi_dr1_mws", "feh", (4.3, [0.197, -0.809, 0.441], [0.039, -0.284, 0.079])),
        ("desi_dr1_mws_sp", "sp_feh", (3.5, [0.113, 0.215, -0.146], [0.116, -0.216, -0.081])),
    ],
)
def test_metallicities_of_desi_are_corrected_as_published(
    tmp_path: Path, name: str, column: str, polynomials: tuple[float, list[float], list[float]]
) -> None:
    write_desi(tmp_path / "mwsall.fits")
    table = ss.read(tmp_path / "mwsall.fits", survey=name)
    start = "sp_" if column.startswith("sp_") else ""
    teff, logg = table[f"{start}teff"], table[f"{start}logg"]
    expected = [published(*row, *polynomials) for row in zip(table[column], teff, logg, strict=True)]
    # 7000 K is outside the range of the polynomials.
    expected[3] = None  # type: ignore[call-overload]
    assert table[f"{column}_corrected"].to_list() == pytest.approx(expected)
    assert table["gaia_source_id"].to_list() == [100, 101, 102, 103, 104]
    cleaned = ss.clean(tmp_path / "mwsall.fits", survey=name).table
    assert cleaned is not None
    assert cleaned["targetid"].to_list() == [1, 2, 3, 4]


def test_the_second_table_of_a_file_of_aspcap_is_read(tmp_path: Path) -> None:
    boss = fits.BinTableHDU(fits.FITS_rec.from_columns(_columns({"sdss_id": np.array([9])})))
    apogee = fits.BinTableHDU(
        fits.FITS_rec.from_columns(_columns({"sdss_id": np.array([1, 2]), "flag_bad": np.array([False, True])}))
    )
    fits.HDUList([fits.PrimaryHDU(), boss, apogee]).writeto(tmp_path / "astra.fits")
    table = ss.read(tmp_path / "astra.fits", survey="sdss_dr19_aspcap")
    assert table["sdss_id"].to_list() == [1, 2]
    assert table["flag_bad"].to_list() == [False, True]


def test_fluxes_and_identifiers_of_the_legacy_surveys() -> None:
    rows = {"release": [9010, 9011], "brickid": [330368, 662174], "objid": [7, 65535], "ra": [1.0, 2.0]}
    rows |= {"dec": [60.0, 0.0], "ra_ivar": [1e12, 1e12], "dec_ivar": [1e12, 0.0]}
    rows |= {"flux_r": [100.0, -0.1], "flux_ivar_r": [4.0, 4.0]}
    # The Data Lab adds magnitudes that are missing where a flux is negative.
    table = ss.read(pl.DataFrame({**rows, "mag_r": [17.5, None]}), survey="legacy_survey")
    assert table["ls_id"].to_list() == [(9010 << 40) + (330368 << 16) + 7, (9011 << 40) + (662174 << 16) + 65535]
    assert table["asinh_mag_r"][0] == pytest.approx(17.5, abs=0.001)
    assert table["asinh_mag_r"][1] > 25.6
    assert table["asinh_mag_error_r"][0] == pytest.approx(1.0857 * 0.5 / 100, rel=0.001)
    assert table["ra_error"][0] == pytest.approx(3600e-6 / 2)


def test_near_infrared_fluxes_of_euclid_are_scaled_to_the_total() -> None:
    rows = {
        "object_id": [1],
        "ra": [1.0],
        "dec": [2.0],
        "mer_flux_detection_total": [20.0],
        "mer_flux_vis_psf": [18.0],
    }
    rows |= {"mer_flux_vis_to_y_templfit": [10.0], "mer_flux_y_templfit": [30.0], "mer_fluxerr_y_templfit": [0.3]}
    table = ss.read(pl.DataFrame(rows), survey="euclid_q1")
    assert table["flux_y_total"].to_list() == pytest.approx([60.0])
    assert table["mag_y"][0] == pytest.approx(23.9 - 2.5 * np.log10(60.0), abs=0.001)


def test_vectors_of_jplus_are_read_by_filter() -> None:
    order = [14.0 + 0.1 * k for k in range(12)]
    rows = {"tile_id": [85560], "number": [12], "alpha_j2000": [1.0], "delta_j2000": [2.0]}
    rows |= {"mag_psfcor": [order], "mag_err_psfcor": [[0.01] * 12], "mask_flags": [[0] * 11 + [1]]}
    table = ss.read(pl.DataFrame(rows), survey="jplus_dr3")
    assert table["jplus_id"].to_list() == ["85560-12"]
    assert table["mag_rSDSS"].to_list() == pytest.approx([14.0])
    assert table["mag_uJAVA"].to_list() == pytest.approx([14.4])
    # The flag of the last filter.
    assert table["mag_J0861"].to_list() == [None]


def test_vectors_of_another_release_of_jplus_are_refused() -> None:
    rows = {"tile_id": [85560], "number": [12], "alpha_j2000": [1.0], "delta_j2000": [2.0]}
    rows |= {"mag_psfcor": [[14.0] * 13], "mag_err_psfcor": [[0.01] * 12], "mask_flags": [[0] * 12]}
    with pytest.raises(ss.InputError, match=r"(?s)'mag_psfcor': has vectors of length 13 .*expected length 12"):
        ss.read(pl.DataFrame(rows), survey="jplus_dr3")


@settings(max_examples=20)
@given(
    st.lists(
        st.lists(st.tuples(st.one_of(st.none(), st.floats(60600, 60700)), st.booleans()), min_size=6, max_size=6),
        min_size=1,
        max_size=5,
    )
)
def test_the_epoch_of_rubin_is_the_mean_of_the_bands_that_are_used(
    rows: list[list[tuple[float | None, bool]]],
) -> None:
    table = pl.DataFrame({"objectId": range(1, len(rows) + 1)})
    for i, band in enumerate("ugrizy"):
        epochs = pl.Series(f"{band}_epoch", [row[i][0] for row in rows], dtype=pl.Float64)
        table = table.with_columns(epochs, pl.Series(f"{band}_psfFlux_flag", [row[i][1] for row in rows]))
    survey = load_survey("rubin_dp1")
    found = standardise(table, survey)["mean_epoch"]
    for row, value in zip(rows, found, strict=True):
        used = [epoch for epoch, failed in row if epoch is not None and not failed]
        assert value == (pytest.approx(np.mean(used), rel=1e-12) if used else None)
    years = positions(standardise(table.with_columns(coord_ra=1.0, coord_dec=2.0), survey), survey).epoch
    days = (found.fill_null(51544.5 + 365.25 * 24.9) - 51544.5) / 365.25
    assert years == pytest.approx(2000 + days.to_numpy(), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        ("gaia_dr2_calibration", {"g": 0.0018, "bp": 0.0014, "rp": 0.0019}),
        ("gaia_dr3_calibration", {"g": 0.0027553202, "bp": 0.0027901700, "rp": 0.0037793818}),
        ("gaia_dr4", {"g": 0.0027553202, "bp": 0.0027901700, "rp": 0.0037793818}),
    ],
)
def test_errors_of_gaia_magnitudes_from_their_ratios(name: str, errors: dict[str, float]) -> None:
    ratios = np.array([10.0, 100.0, 1e4, 0.0, -1.0, np.nan])
    table = pl.DataFrame({"source_id": np.arange(1, 7) * 2**40})
    table = table.with_columns(pl.Series(f"phot_{band}_mean_flux_over_error", ratios) for band in errors)
    found = standardise(table, load_survey(name))
    for band, zero_point in errors.items():
        values = found[f"phot_{band}_mean_mag_error"].to_list()
        assert values[:3] == pytest.approx(np.hypot(2.5 / np.log(10) / ratios[:3], zero_point), rel=1e-6)
        assert values[3:] == [None] * 3


def test_a_band_of_skymapper_that_neighbours_bias_is_missing_and_its_star_stays() -> None:
    bits = {"z": 1, "i": 2, "r": 4, "g": 8, "v": 16, "u": 32}
    masks = [0, *bits.values(), 33, None]
    rows = {"object_id": range(1, len(masks) + 1), "flags_psf": masks, "raj2000": 10.0, "dej2000": -10.0}
    rows |= {f"{band}_psf": 15.0 for band in bits} | {f"e_{band}_psf": 0.01 for band in bits}
    table = ss.read(pl.DataFrame(rows), survey="skymapper_dr4")
    assert table.height == len(masks)
    for band, bit in bits.items():
        good = [mask is not None and not mask & bit for mask in masks]
        assert table[f"{band}_psf"].is_not_null().to_list() == good, band
        assert table[f"e_{band}_psf"].is_not_null().to_list() == good, band
