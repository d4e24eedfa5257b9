"""BP and RP spectra of the mock as coefficients, in the form of Gaia's continuously represented mean spectra.

As in De Angeli et al. 2023, A&A 674, A2, a spectrum is a sum of Hermite functions of the pseudo-wavelength,
rotated so that the first bases contribute most. Dispersion, line spread and noise are INVENTED, of realistic size.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.mock.fields import Stars
from starscale.mock.spectrum import BANDS, passband, spectrum
from starscale.surveys import load_survey
from starscale.surveys.schema import TRUE_OVER_SFD
from starscale.vocabulary.arrays import FloatArray

#: Faintest magnitude of DR3's spectra.
FAINTEST = 17.65
#: First and last wavelength, nm, and the dispersion there, nm per pixel.
_DISPERSION = {"BP": (330.0, 680.0, 4.0, 20.0), "RP": (620.0, 1060.0, 7.0, 15.0)}
#: Magnitude of 1 electron/s (Riello et al. 2021, A&A 649, A3), and relative noise of the flux at magnitude 18.
_PHOTOMETRY = {"BP": (25.34, 0.014), "RP": (24.75, 0.010)}
#: In pixels: steps of the integration, empty margin, standard deviation of the line spread, scale of the bases.
_STEP, _MARGIN, _SPREAD, _SCALE = 0.25, 10.0, 1.2, 2.7
_ROWS = 20_000


def hermite_functions(x: FloatArray, number: int) -> FloatArray:
    """Return the first orthonormal Hermite functions, shape (number, n).

    ``phi_0 = pi^(-1/4) exp(-x^2 / 2)``, ``phi_1 = sqrt(2) x phi_0`` and
    ``phi_n = sqrt(2 / n) x phi_(n-1) - sqrt((n - 1) / n) phi_(n-2)``.
    """
    found = np.zeros((number, len(x)))
    before = np.zeros_like(x)
    found[0] = np.pi**-0.25 * np.exp(-0.5 * x**2)
    for n in range(1, number):
        found[n] = np.sqrt(2 / n) * x * found[n - 1] - np.sqrt((n - 1) / n) * before
        before = found[n - 1]
    return found


@lru_cache
def _wavelengths(band: str) -> tuple[FloatArray, FloatArray]:
    """Return pseudo-wavelength (pixels) and wavelength (nm), whose step per pixel grows linearly with it."""
    first, last, fine, coarse = _DISPERSION[band]
    slope = (coarse - fine) / (last - first)
    pixels = np.arange(0.0, np.log(coarse / fine) / slope, _STEP)
    return pixels, first + fine / slope * np.expm1(slope * pixels)


@lru_cache
def _projection(band: str, number: int) -> FloatArray:
    """Return the matrix from spectra per step of the pseudo-wavelength to coefficients, (n_steps, number)."""
    pixels, _ = _wavelengths(band)
    wide = np.arange(-_MARGIN, pixels[-1] + _MARGIN, _STEP)
    spread = np.exp(-0.5 * ((pixels[:, None] - wide) / _SPREAD) ** 2)
    spread /= spread.sum(axis=1, keepdims=True)
    centred = (wide - pixels[-1] / 2) / _SCALE
    plain = spread @ hermite_functions(centred, number).T / np.sqrt(_SCALE)
    # Bases in the order of their contribution to spectra of a grid of stars.
    nodes = np.meshgrid([3500.0, 4200.0, 5000.0, 6000.0, 8000.0], [1.0, 4.5], [-2.0, -0.5, 0.3], indexing="ij")
    teff, logg, fe_h = (node.ravel() for node in nodes)
    grid = _pixel_fluxes(band, teff, logg, fe_h, np.zeros(len(teff))) @ plain
    return np.asarray(plain @ np.linalg.svd(grid)[2].T)


def _pixel_fluxes(band: str, teff: FloatArray, logg: FloatArray, fe_h: FloatArray, ebv: FloatArray) -> FloatArray:
    """Return photons per step of the pseudo-wavelength, of sum 1. Shape (n, n_steps)."""
    _, wave = _wavelengths(band)
    flux = spectrum(wave, teff[:, None], logg[:, None], fe_h[:, None])
    flux = flux * wave * passband(band, wave) * np.gradient(wave) * 10 ** (-0.4 * _extinction(wave) * ebv[:, None])
    return np.asarray(flux / flux.sum(axis=1, keepdims=True))


def _extinction(wave: FloatArray) -> FloatArray:
    """Return A(wavelength) / E(B-V), between the coefficients of the SkyMapper bands."""
    bands = load_survey("skymapper_dr2").bands.values()
    return np.interp(wave, [b.wavelength for b in bands], [b.extinction or 0.0 for b in bands]) / TRUE_OVER_SFD


def xp_table(
    stars: Stars, apparent: FloatArray, source_id: NDArray[np.int64], rng: np.random.Generator
) -> pl.DataFrame:
    """Return the coefficients of the BP and RP spectra, and their errors, of stars to G = 17.65.

    Parameters
    ----------
    stars : Stars
        The truth, n stars. The spectrum of a binary has the form of its primary's.
    apparent : ndarray, shape (n, 9)
        Apparent magnitudes with extinction.
    source_id : ndarray, shape (n,)
        Gaia identifiers.
    rng : numpy.random.Generator
        Source of randomness.
    """
    rows = np.flatnonzero((apparent[:, 0] < FAINTEST) & (rng.random(len(stars)) < 0.98))
    columns = {"source_id": pl.Series(source_id[rows])}
    for key, spec in load_survey("gaia_dr3_xp").spectra.items():
        number = spec.length or 1
        values, errors = _coefficients(key.upper(), stars, rows, apparent, number, rng)
        kind = pl.Array(pl.Float32, number)
        columns[spec.coefficients] = pl.Series(values.astype(np.float32), dtype=kind)
        columns[str(spec.errors)] = pl.Series(errors.astype(np.float32), dtype=kind)
    return pl.DataFrame(columns).sort("source_id")


def _coefficients(
    band: str, stars: Stars, rows: NDArray[np.intp], apparent: FloatArray, number: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return noisy coefficients and their errors, electron/s, shapes (n, number)."""
    matrix = _projection(band, number)
    parts = [
        _pixel_fluxes(band, stars.teff[part], stars.logg[part], stars.fe_h[part], stars.ebv[part]) @ matrix
        for part in np.array_split(rows, 1 + len(rows) // _ROWS)
    ]
    zero_point, noise = _PHOTOMETRY[band]
    magnitude = apparent[rows, BANDS.index(band)]
    flux = 10 ** (-0.4 * (magnitude - zero_point))
    relative = np.hypot(0.001, noise * 10 ** (0.34 * (magnitude - 18)))
    # Noise that is the same in all pixels has the same size in all coefficients of an orthonormal basis.
    width = len(matrix) * _STEP
    errors = (flux * relative / np.sqrt(width))[:, None] * np.exp(rng.normal(0.0, 0.1, (len(rows), number)))
    return np.concatenate(parts) * flux[:, None] + errors * rng.normal(size=errors.shape), errors
