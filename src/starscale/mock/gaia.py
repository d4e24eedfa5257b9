"""The Gaia table of the mock: astrometry, photometry and flags in the columns of the archive."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.mock.archive import archive_table, close_pairs
from starscale.mock.fields import Stars
from starscale.mock.gspphot import gspphot_columns
from starscale.tables.healpix import cells
from starscale.vocabulary.arrays import FloatArray

EPOCH = 2016.0
#: Number of additional rows (quasars and galaxies) relative to the stars.
_EXTRA = 0.002
_PARAMETERS = ("ra", "dec", "parallax", "pmra", "pmdec")
#: Half of the time span of the data, yr, which converts proper motions to mas for the longest axis.
_HALF_SPAN = 1.38


def source_identifiers(ra: FloatArray, dec: FloatArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return unique identifiers with the level-12 HEALPix cell in the upper bits, as in Gaia.

    ``source_id >> 35`` is the nested cell. Below it stand a running number (15 bits) and 20 random bits.
    """
    cell = cells(ra, dec, 12)
    order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[order], cell[order])
    running = np.empty(len(cell), dtype=np.int64)
    running[order] = np.arange(len(cell)) - first
    return (cell << 35) + (running << 20) + rng.integers(0, 1 << 20, len(cell))


def parallax_sigma(g: FloatArray) -> FloatArray:
    """Return the standard error of the parallax, mas, at magnitude G.

    The form and numbers of the Gaia science performance page (0.001 sqrt(40 + 800 z + 30 z^2)), times 0.80.
    """
    z = np.maximum(10 ** (0.4 * (13.0 - 15.0)), 10 ** (0.4 * (g - 15.0)))
    sigma: FloatArray = 0.80e-3 * np.sqrt(40 + 800 * z + 30 * z**2)
    return sigma


def _astrometry(g: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Errors (n, 5), correlations (n, 5, 5) and noise (n, 5) of the five parameters.

    Correlations come from two common factors, so that their matrix is positive definite by construction.
    """
    n = len(g)
    scatter = np.exp(rng.normal(0.0, 0.12, n))
    sigma = (parallax_sigma(g) * scatter)[:, None] * np.array([0.80, 0.74, 1.0, 1.02, 0.96])
    loading = rng.normal(0.0, 0.35, (n, 5, 2))
    norm = np.sqrt(1 + (loading**2).sum(axis=2))
    correlation = loading @ np.swapaxes(loading, 1, 2) / (norm[:, :, None] * norm[:, None, :])
    correlation[:, np.arange(5), np.arange(5)] = 1.0
    common = (loading * rng.normal(size=(n, 1, 2))).sum(axis=2)
    return sigma, correlation, sigma * (rng.normal(size=(n, 5)) + common) / norm


def _longest_axis(sigma: FloatArray, correlation: FloatArray) -> FloatArray:
    scaled = sigma * np.array([1.0, 1.0, 1.0, _HALF_SPAN, _HALF_SPAN])
    return np.sqrt(np.linalg.eigvalsh(correlation * scaled[:, :, None] * scaled[:, None, :])[:, -1])


def _photometry(magnitudes: FloatArray, lost: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, Any]:
    n = len(magnitudes)
    g, bp, rp = magnitudes[:, 0], magnitudes[:, 1], magnitudes[:, 2]
    noisy_g = g + rng.normal(size=n) * np.hypot(0.0012, 0.0015 * 10 ** (0.3 * (g - 18)))
    noisy_bp = bp + rng.normal(size=n) * np.hypot(0.003, 0.014 * 10 ** (0.34 * (bp - 18)))
    noisy_rp = rp + rng.normal(size=n) * np.hypot(0.003, 0.010 * 10 ** (0.34 * (rp - 18)))
    colour = noisy_bp - noisy_rp
    excess = 1.16 + 0.05 * colour + 0.02 * colour**2 + rng.normal(0.0, 0.01, n) + np.where(lost, 0.2, 0.0)
    missing = rng.random(n) < np.where(lost, 0.3, 0.002)
    return {
        "phot_g_mean_mag": noisy_g,
        "phot_bp_mean_mag": np.where(missing, np.nan, noisy_bp),
        "phot_rp_mean_mag": np.where(missing, np.nan, noisy_rp),
        "bp_rp": np.where(missing, np.nan, colour),
        "phot_bp_rp_excess_factor": np.where(missing, np.nan, excess),
    }


def _quality(
    binary: NDArray[np.bool_], crowded: FloatArray, g: FloatArray, rng: np.random.Generator
) -> dict[str, Any]:
    """Image and fit statistics; `crowded` is the distance to the nearest neighbour, arcsec (inf: none)."""
    n = len(g)
    disturbed = binary & (rng.random(n) < 0.12)
    ruwe = np.exp(rng.normal(0.015, 0.05, n)) * np.where(disturbed, 1 + rng.exponential(0.8, n), 1.0)
    ruwe *= np.where(crowded < 1.2, 1 + rng.exponential(0.5, n), 1.0)
    peaks = rng.poisson(0.15, n) + np.where(crowded < 1.2, rng.integers(15, 80, n), 0)
    odd = rng.poisson(0.1, n) + np.where(crowded < 2.0, rng.integers(5, 60, n), 0)
    known = binary & (g < 14) & (rng.random(n) < 0.06)
    variable = rng.random(n) < 0.02
    constant = ~variable & (rng.random(n) < 0.01)
    return {
        "ruwe": ruwe,
        "ipd_frac_multi_peak": np.minimum(peaks, 100),
        "ipd_frac_odd_win": np.minimum(odd, 100),
        "duplicated_source": rng.random(n) < np.where(crowded < 1.0, 0.2, 0.003),
        "non_single_star": np.where(known, rng.choice([1, 2, 3], n), 0),
        "phot_variable_flag": np.where(variable, "VARIABLE", np.where(constant, "CONSTANT", "NOT_AVAILABLE")),
    }


def _spectrometer(
    velocity: FloatArray, teff: FloatArray, g: FloatArray, rng: np.random.Generator
) -> dict[str, Any]:
    n = len(g)
    has_velocity = (g < 14.2) & (teff < 7500) & (rng.random(n) < 0.95)
    has_width = (g < 12) & (rng.random(n) < 0.7)
    # INVENTED: stars hotter than about 6500 K have not lost angular momentum.
    width = 4 + rng.exponential(3.0, n) + rng.exponential(45.0, n) * np.clip((teff - 6200) / 800, 0, 1)
    noise = rng.normal(size=n) * (0.3 + 3 * 10 ** (0.4 * (g - 14)))
    return {
        "radial_velocity": np.where(has_velocity, velocity + noise, np.nan),
        "vbroad": np.where(has_width, width, np.nan),
    }


def gaia_table(
    stars: Stars, magnitudes: FloatArray, rng: np.random.Generator
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Return the Gaia table and the source_id of every star, shape (n,).

    Parameters
    ----------
    stars : Stars
        The truth.
    magnitudes : ndarray, shape (n, 9)
        Apparent magnitudes with extinction.
    rng : numpy.random.Generator
        Source of randomness.
    """
    n, extra = len(stars), max(2, round(_EXTRA * len(stars)))
    hosts = rng.integers(0, n, extra)
    nothing, faint = np.zeros(extra), rng.uniform(16.5, 18.5, extra)
    everything = {
        "ra": (stars.ra, (stars.ra[hosts] + rng.normal(0, 0.02, extra)) % 360.0),
        "dec": (stars.dec, np.clip(stars.dec[hosts] + rng.normal(0, 0.02, extra), -90, 90)),
        "parallax": (1000.0 / stars.distance, nothing),
        "pmra": (stars.pmra, nothing),
        "pmdec": (stars.pmdec, nothing),
        "velocity": (stars.radial_velocity, nothing),
        "teff": (stars.teff, np.full(extra, 9000.0)),
    }
    true = {name: np.concatenate(parts) for name, parts in everything.items()}
    quasars = faint[:, None] + np.array([0.0, 0.25, -0.45])
    apparent = np.concatenate([magnitudes[:, :3], quasars])
    g = apparent[:, 0]
    pairs, apart = close_pairs(true["ra"], true["dec"], 2.0)
    crowded = np.full(n + extra, np.inf)
    np.minimum.at(crowded, pairs.ravel(), np.repeat(apart, 2))
    binary = np.concatenate([stars.mass_ratio > 0, np.zeros(extra, dtype=bool)])

    sigma, correlation, noise = _astrometry(g, rng)
    to_degrees = 1.0 / 3.6e6
    dec = true["dec"] + noise[:, 1] * to_degrees
    ra = (true["ra"] + noise[:, 0] * to_degrees / np.cos(np.radians(true["dec"]))) % 360.0
    parallax = true["parallax"] + noise[:, 2]
    identifiers = source_identifiers(ra, dec, rng)
    columns: dict[str, Any] = {
        "source_id": identifiers,
        "ref_epoch": np.full(n + extra, EPOCH),
        "ra": ra,
        "dec": dec,
        "parallax": parallax,
        "parallax_over_error": parallax / sigma[:, 2],
        "pmra": true["pmra"] + noise[:, 3],
        "pmdec": true["pmdec"] + noise[:, 4],
        "astrometric_sigma5d_max": _longest_axis(sigma, correlation),
        "in_qso_candidates": np.concatenate([rng.random(n) < 0.0005, np.arange(extra) % 2 == 0]),
        "in_galaxy_candidates": np.concatenate([rng.random(n) < 0.0003, np.arange(extra) % 2 == 1]),
    }
    for i, name in enumerate(_PARAMETERS):
        columns[f"{name}_error"] = sigma[:, i]
        columns |= {f"{name}_{_PARAMETERS[j]}_corr": correlation[:, i, j] for j in range(i + 1, 5)}
    columns |= _photometry(apparent, crowded < 1.5, rng) | _quality(binary, crowded, g, rng)
    columns |= _spectrometer(true["velocity"], true["teff"], g, rng) | gspphot_columns(stars, g, extra, rng)
    # The archive is sorted by identifier, so that the order of creation is not visible.
    return archive_table("gaia_dr3", columns).sort("source_id"), identifiers[:n]
