"""The tables of the five spectroscopic surveys, with the columns, flags and missing values of the archives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.mock.archive import archive_table
from starscale.mock.fields import FIELDS, Stars
from starscale.mock.labels import LABELS, SPECTROGRAPHS, SpectroscopicRows, draw_calibrators, observe
from starscale.surveys.schema import TRUE_OVER_SFD
from starscale.vocabulary.arrays import FloatArray

#: Value of a missing integer in the files of GALAH.
_NO_INTEGER = np.iinfo(np.int64).min
#: Bits of ASPCAPFLAG (STAR_BAD) and STARFLAG (LOW_SNR, SUSPECT_RV_COMBINATION).
_STAR_BAD, _LOW_SNR, _SUSPECT = 1 << 23, 1 << 4, 1 << 16

Writer = Callable[[Stars, SpectroscopicRows, np.random.Generator], pl.DataFrame]


def _positions(
    stars: Stars, star: NDArray[np.int64], epoch: float, error: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return positions (deg) at a Julian year with noise (mas), the same for all rows of a star."""
    to_degrees = 1 / 3.6e6
    targets, back = np.unique(star, return_inverse=True)
    noise = error * rng.normal(size=(2, len(targets)))
    years = epoch - 2016.0
    dec = stars.dec[targets] + (stars.pmdec[targets] * years + noise[0]) * to_degrees
    step = (stars.pmra[targets] * years + noise[1]) * to_degrees
    return ((stars.ra[targets] + step / np.cos(np.radians(dec))) % 360.0)[back], dec[back]


def _names(prefix: str, ra: FloatArray, dec: FloatArray, digits: tuple[int, int]) -> list[str]:
    """Return names from positions, as ``2M12345678-1234567``, truncated, not rounded (IAU convention)."""

    def part(value: FloatArray, places: int) -> list[str]:
        units = np.floor(value * 3600 * 10**places).astype(np.int64)
        base = 10**places
        return [
            f"{u // (3600 * base):02d}{u // (60 * base) % 60:02d}{u % (60 * base):0{2 + places}d}"
            for u in units.tolist()
        ]

    signs = np.where(dec < 0, "-", "+").tolist()
    return [
        f"{prefix}{hours}{sign}{degrees}"
        for hours, sign, degrees in zip(part(ra / 15, digits[0]), signs, part(np.abs(dec), digits[1]), strict=True)
    ]


def _labels(
    rows: SpectroscopicRows, names: tuple[str, ...], errors: tuple[str, ...], missing: float
) -> dict[str, Any]:
    """Return values and errors by the column names of the survey, with its missing-value mark."""
    columns: dict[str, Any] = {}
    for i, (name, error) in enumerate(zip(names, errors, strict=True)):
        columns[name] = np.where(rows.blank, missing, rows.value[:, i])
        columns[error] = np.where(rows.blank, missing, rows.error[:, i])
    return columns


def _field_names(stars: Stars, rows: SpectroscopicRows) -> NDArray[Any]:
    return np.array([field.name for field in FIELDS])[stars.field[rows.star]]


def _velocities(stars: Stars, rows: SpectroscopicRows, sigma: float, rng: np.random.Generator) -> FloatArray:
    return stars.radial_velocity[rows.star] + sigma * rng.normal(size=len(rows.star))


def _apogee(stars: Stars, rows: SpectroscopicRows, rng: np.random.Generator) -> pl.DataFrame:
    n = len(rows.star)
    ra, dec = _positions(stars, rows.star, 2000.0, 90.0, rng)
    columns = {
        "APOGEE_ID": _names("2M", ra, dec, (2, 1)),
        "RA": ra,
        "DEC": dec,
        "GAIAEDR3_SOURCE_ID": np.where(rng.random(n) < 0.01, 0, rows.source_id),
        "TELESCOPE": np.where(dec < -20, "lco25m", "apo25m"),
        "FIELD": _field_names(stars, rows),
        "NVISITS": rng.integers(1, 9, n),
        "SNR": rows.signal,
        "STARFLAG": np.where(rows.signal < 5, _LOW_SNR, 0) | np.where(rng.random(n) < 0.05, _SUSPECT, 0),
        "ASPCAPFLAG": np.where(rows.flagged, _STAR_BAD, 0),
        "EXTRATARG": np.where(rows.repeat > 0, 1 << 4, 0),
        "VHELIO_AVG": _velocities(stars, rows, 0.1, rng),
        "M_H": np.where(rows.blank, np.nan, rows.value[:, 2] + rng.normal(0, 0.01, n)),
        "M_H_ERR": np.where(rows.blank, np.nan, rows.error[:, 2]),
        "FE_H_FLAG": np.where(rows.blank, 2, 0),
    }
    columns |= _labels(rows, ("TEFF", "LOGG", "FE_H"), ("TEFF_ERR", "LOGG_ERR", "FE_H_ERR"), np.nan)
    return archive_table("apogee_dr17", columns, keep_nan=True)


def _galah(stars: Stars, rows: SpectroscopicRows, rng: np.random.Generator) -> pl.DataFrame:
    n = len(rows.star)
    ra, dec = _positions(stars, rows.star, 2015.5, 0.1, rng)
    ra2000, dec2000 = _positions(stars, rows.star, 2000.0, 90.0, rng)
    own = rows.source_id
    columns = {
        # Date, plate and fibre, in 15 digits as in the survey.
        "sobject_id": 140_000_000_000_000 + np.cumsum(rng.integers(1, 900_000, n)),
        "star_id": _names("", ra2000, dec2000, (2, 1)),
        # Some sources were renumbered between the releases.
        "dr2_source_id": np.where(rng.random(n) < 0.1, own ^ (1 << 12), own),
        "dr3_source_id": np.where(rng.random(n) < 0.01, _NO_INTEGER, own),
        "ra_dr2": ra,
        "dec_dr2": dec,
        "flag_repeat": rows.repeat,
        "flag_sp": np.where(rows.flagged, rng.choice([1, 2, 4, 16], n), 0),
        "flag_fe_h": np.where(rows.blank, 32, np.where(rng.random(n) < 0.02, 1, 0)),
        "chi2_sp": rng.gamma(4.0, 0.4, n) * np.where(rows.outlier, 2.0, 1.0),
        "rv_galah": _velocities(stars, rows, 0.3, rng),
        "ebv": stars.ebv_column[rows.star] / TRUE_OVER_SFD,
    }
    columns |= {f"snr_c{arm}_iraf": rows.signal * factor for arm, factor in enumerate((0.6, 0.85, 1.0, 0.9), 1)}
    columns |= _labels(rows, LABELS, ("e_teff", "e_logg", "e_fe_h"), np.nan)
    return archive_table("galah_dr3", columns, keep_nan=True)


def _gaia_eso(stars: Stars, rows: SpectroscopicRows, rng: np.random.Generator) -> pl.DataFrame:
    ra, dec = _positions(stars, rows.star, 2000.0, 120.0, rng)
    names = _names("", ra, dec, (2, 1))
    columns = {
        "CNAME": names,
        "GES_FLD": _field_names(stars, rows),
        "GES_TYPE": np.where(stars.cluster[rows.star] >= 0, "GE_CL", "GE_MW"),
        "OBJECT": [f"J{name[:4]}{name[8:13]}" for name in names],
        "RA": ra,
        "DECLINATION": dec,
        "SNR": rows.signal,
    }
    columns |= _labels(rows, ("TEFF", "LOGG", "FEH"), ("E_TEFF", "E_LOGG", "E_FEH"), np.nan)
    return archive_table("gaia_eso_dr3", columns, keep_nan=True)


def _rave(stars: Stars, rows: SpectroscopicRows, rng: np.random.Generator) -> pl.DataFrame:
    n = len(rows.star)
    ra, dec = _positions(stars, rows.star, 2000.0, 120.0, rng)
    fields = _field_names(stars, rows)
    velocity_error = np.exp(rng.normal(0.3, 0.4, n))
    without_iron = rows.blank | (rng.random(n) < 0.35)
    columns = {
        "rave_obs_id": [
            f"2010{i // 150 % 1000:04d}_{name}_{i % 150 + 1:03d}_{i // 150_000}" for i, name in enumerate(fields)
        ],
        "ra_input": ra,
        "dec_input": dec,
        "snr_med_sparv": rows.signal,
        "hrv_sparv": stars.radial_velocity[rows.star] + velocity_error * rng.normal(size=n),
        "hrv_error_sparv": velocity_error,
        "algo_conv_madera": np.where(rows.flagged, rng.choice([1, 2, 3], n), 0),
        "fe_h_gauguin": np.where(without_iron, np.nan, rows.value[:, 2] + rng.normal(0.0, 0.08, n)),
        "fe_h_error_gauguin": np.where(without_iron, np.nan, rows.error[:, 2]),
    }
    names = ("teff_cal_madera", "logg_cal_madera", "m_h_cal_madera")
    columns |= _labels(rows, names, ("teff_error_madera", "logg_error_madera", "m_h_error_madera"), np.nan)
    return archive_table("rave_dr6", columns)


def _lamost(stars: Stars, rows: SpectroscopicRows, rng: np.random.Generator) -> pl.DataFrame:
    n = len(rows.star)
    ra, dec = _positions(stars, rows.star, 2000.0, 150.0, rng)
    types = np.array(["M0", "K5", "K1", "G5", "G0", "F5", "F0", "A7"])
    velocity_error = np.exp(rng.normal(1.4, 0.3, n))
    columns = {
        "obsid": 100_000_000 + np.cumsum(rng.integers(1, 2000, n)),
        "designation": _names("J", ra, dec, (2, 1)),
        "lmjd": rng.integers(55_900, 57_900, n),
        "ra": ra,
        "dec": dec,
        # Rows below the limits of the survey keep their labels and have a low S/N in g.
        "snrg": np.where(rows.flagged, rng.uniform(3.0, 14.0, n), rows.signal),
        "class": np.full(n, "STAR"),
        "subclass": types[np.digitize(stars.teff[rows.star], [4000, 4500, 5200, 5700, 6100, 6700, 7300])],
        "rv": stars.radial_velocity[rows.star] + velocity_error * rng.normal(size=n),
        "rv_err": velocity_error,
    }
    columns |= {
        f"snr{band}": rows.signal * factor for band, factor in (("u", 0.3), ("r", 1.4), ("i", 1.5), ("z", 1.0))
    }
    columns |= _labels(rows, ("teff", "logg", "feh"), ("teff_err", "logg_err", "feh_err"), -9999.0)
    return archive_table("lamost_dr5", columns)


_WRITERS: dict[str, Writer] = {
    "apogee_dr17": _apogee,
    "galah_dr3": _galah,
    "gaia_eso_dr3": _gaia_eso,
    "rave_dr6": _rave,
    "lamost_dr5": _lamost,
}


def _truth(survey: str, rows: SpectroscopicRows) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "survey": [survey] * len(rows.star),
        "row": np.arange(len(rows.star)),
        "source_id": rows.source_id,
    }
    for i, label in enumerate(LABELS):
        columns |= {
            f"{label}_sigma": rows.sigma[:, i],
            f"{label}_noise": rows.noise[:, i],
            f"{label}_systematic": rows.systematic[:, i],
        }
    columns |= {"outlier": rows.outlier, "flagged": rows.flagged, "blank": rows.blank}
    return pl.DataFrame(columns)


def spectroscopic_tables(
    stars: Stars, g: FloatArray, source_id: NDArray[np.int64], rng: np.random.Generator
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Return the table of each survey, by name, and the true values of all rows.

    Parameters
    ----------
    stars : Stars
        The truth, n stars.
    g, source_id : ndarray, shape (n,)
        Apparent G and Gaia identifier.
    rng : numpy.random.Generator
        Source of randomness.
    """
    calibrator = draw_calibrators(stars, g, rng)
    tables, truths = {}, []
    for name, survey in SPECTROGRAPHS.items():
        rows = observe(survey, stars, source_id, g, calibrator, rng)
        tables[name] = _WRITERS[name](stars, rows, rng)
        truths.append(_truth(name, rows))
    return tables, pl.concat(truths)
