"""An analytic stellar spectrum, and absolute magnitudes integrated from it.

INVENTED for this mock: a black body with metal lines that become stronger towards the blue, a Balmer jump,
calcium, CN, CH, MgH and TiO. It has the main properties of real spectra (ultraviolet bands depend on metallicity
and gravity, magnesium distinguishes dwarfs from giants) and approximately correct colours; it is not a model
atmosphere. Passbands are trapezia and Gaussians with the published central wavelengths and widths: SkyMapper,
Bessell et al. 2011, PASP 123, 789; Gaia, Riello et al. 2021, A&A 649, A3.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from starscale.mock.evolution import SUN_LOGG, SUN_TEFF
from starscale.vocabulary.arrays import FloatArray

#: Bands of every magnitude array of the mock, in this order.
BANDS = ("G", "BP", "RP", "u", "v", "g", "r", "i", "z")

# Trapezia: feet and shoulders in nm.
_TRAPEZIA = {
    "G": (330.0, 480.0, 720.0, 1050.0),
    "BP": (330.0, 440.0, 630.0, 680.0),
    "RP": (620.0, 660.0, 860.0, 1060.0),
    "g": (410.0, 454.0, 566.0, 610.0),
    "r": (525.0, 559.0, 675.0, 709.0),
    "i": (695.0, 721.0, 837.0, 863.0),
    "z": (860.0, 888.0, 944.0, 972.0),
}
# Gaussians: centre and full width at half maximum in nm.
_GAUSSIANS = {"u": (349.0, 42.0), "v": (384.0, 28.0)}

# Absolute magnitudes of the Sun that fix the zero points. Gaia (Vega system): Casagrande & VandenBerg 2018,
# MNRAS 479, L102, rounded. SkyMapper (AB): one INVENTED shift of all bands, which corrects the continuum slope.
_SUN = {"G": 4.67, "BP": 5.00, "RP": 4.18, "g": 4.98}

# Flux of one solar luminosity (3.828e33 erg/s, IAU 2015) at 10 pc, erg/s/cm2.
_SUN_FLUX = 3.828e33 / (4 * np.pi * (10 * 3.0856776e18) ** 2)

_TEFF = np.concatenate(
    [np.arange(2900.0, 4000.0, 100.0), np.arange(4000.0, 7600.0, 150.0), np.arange(7600.0, 12601.0, 500.0)]
)
_LOGG = np.arange(-0.5, 5.76, 0.5)
_FE_H = np.concatenate([np.arange(-4.0, -2.5, 0.5), np.arange(-2.5, 0.61, 0.25)])


def _bell(wave: FloatArray, centre: float, sigma: float) -> FloatArray:
    bell: FloatArray = np.exp(-0.5 * ((wave - centre) / sigma) ** 2)
    return bell


def _line_depth(wave: FloatArray, teff: FloatArray, logg: FloatArray, fe_h: FloatArray) -> FloatArray:
    """Optical depth of metal lines and molecules; INVENTED."""
    cool = np.minimum((SUN_TEFF / teff) ** 3.0, 2.2)
    giant = np.clip((4.4 - logg) / 2.0, -0.5, 2.0)
    # A curve of growth: strong lines depend less on the abundance than weak lines.
    weak = np.log1p(4.0 * 10 ** (0.60 * fe_h)) / np.log(5.0)
    strong = np.log1p(4.0 * 10 ** (0.45 * fe_h)) / np.log(5.0)
    forest = (0.44 * np.exp(-(wave - 350.0) / 50.0) + 0.015) * cool * weak * (1 + 0.06 * giant)
    calcium = (0.65 * _bell(wave, 395.0, 8.0) + 0.10 * _bell(wave, 860.0, 8.0)) * cool * strong
    carbon = 0.30 * _bell(wave, 386.0, 5.0) * cool * 10 ** (0.6 * np.minimum(fe_h, 0.3)) * (0.6 + 0.5 * giant)
    carbon = carbon + 0.28 * _bell(wave, 430.0, 4.0) * cool * strong
    magnesium = 0.16 * _bell(wave, 514.0, 11.0) * cool**2 * strong * np.clip(1.0 - 0.42 * giant, 0.1, 1.4)
    oxide = np.clip((4150.0 - teff) / 700.0, 0.0, 1.6) ** 1.5 * 10 ** (0.3 * np.maximum(fe_h, -2.0))
    bands = _bell(wave, 500.0, 25.0) + 1.1 * _bell(wave, 625.0, 25.0) + 1.2 * _bell(wave, 710.0, 30.0)
    bands = bands + 0.7 * _bell(wave, 780.0, 20.0) + 0.6 * _bell(wave, 850.0, 20.0)
    depth: FloatArray = forest + calcium + carbon + magnesium + 0.55 * oxide * bands
    return depth


def _balmer_depth(wave: FloatArray, teff: FloatArray, logg: FloatArray) -> FloatArray:
    """Optical depth of the Balmer continuum below 365 nm; INVENTED. Largest for A stars, larger in giants."""
    warm = np.exp(-0.5 * (np.log(teff / 9200.0) / 0.30) ** 2)
    jump = 0.85 * warm * np.clip(1.0 - 0.22 * (logg - 4.0), 0.4, 2.2)
    depth: FloatArray = jump * 0.5 * (1 - np.tanh((wave - 369.0) / 8.0))
    return depth


def spectrum(wave: FloatArray, teff: FloatArray, logg: FloatArray, fe_h: FloatArray) -> FloatArray:
    """Return the flux per unit wavelength, in arbitrary units."""
    planck = wave**-5 / np.expm1(1.438777e7 / (wave * teff))
    # The continuous opacity of H- makes the optical continuum bluer than the black body of the same temperature.
    planck = planck * (np.clip(wave, 300.0, 1600.0) / 550.0) ** -0.33
    return planck * np.exp(-_line_depth(wave, teff, logg, fe_h) - _balmer_depth(wave, teff, logg))


def passband(band: str, wave: FloatArray) -> FloatArray:
    """Return the response of a band at some wavelengths (nm), at most 1."""
    if band in _GAUSSIANS:
        centre, width = _GAUSSIANS[band]
        return _bell(wave, centre, width / 2.3548)
    feet = _TRAPEZIA[band]
    return np.interp(wave, feet, [0.0, 1.0, 1.0, 0.0])


def _ab_magnitudes(teff: FloatArray, logg: FloatArray, fe_h: FloatArray) -> FloatArray:
    """Return AB magnitudes (photon counting) at 10 pc of stars of one solar luminosity, shape (n, 9)."""
    wave = np.concatenate([np.arange(200.0, 1100.0, 3.0), np.geomspace(1100.0, 30000.0, 160)])
    step = np.gradient(wave)
    flux = spectrum(wave, teff[:, None], logg[:, None], fe_h[:, None])
    # Flux absorbed by lines is emitted at other wavelengths: the luminosity is conserved.
    flux *= _SUN_FLUX / (flux * step).sum(axis=1, keepdims=True)
    light = 2.99792458e17  # nm/s
    columns = []
    for band in BANDS:
        weight = passband(band, wave) * step
        mean = flux @ (weight * wave) / (weight * light / wave).sum()
        columns.append(-2.5 * np.log10(mean) - 48.60)
    return np.stack(columns, axis=1)


@lru_cache
def _grid() -> RegularGridInterpolator[np.float64]:
    nodes = np.meshgrid(_TEFF, _LOGG, _FE_H, indexing="ij")
    teff, logg, fe_h = (node.ravel() for node in nodes)
    blocks = zip(*(np.array_split(part, 20) for part in (teff, logg, fe_h)), strict=True)
    table = np.concatenate([_ab_magnitudes(*block) for block in blocks])
    sun = _ab_magnitudes(np.array([SUN_TEFF]), np.array([SUN_LOGG]), np.array([0.0]))[0]
    for column, band in enumerate(BANDS):
        anchor = band if band in _SUN else "g"
        table[:, column] += _SUN[anchor] - sun[BANDS.index(anchor)]
    shape = (len(_TEFF), len(_LOGG), len(_FE_H), len(BANDS))
    return RegularGridInterpolator((np.log10(_TEFF), _LOGG, _FE_H), table.reshape(shape))


def absolute_magnitudes(teff: FloatArray, logg: FloatArray, fe_h: FloatArray, log_lum: FloatArray) -> FloatArray:
    """Return absolute magnitudes: Gaia (Vega) and SkyMapper (AB).

    Parameters
    ----------
    teff, logg, fe_h, log_lum : ndarray, shape (n,)
        Effective temperature (K), log g (cgs), [Fe/H], log10 of the luminosity (L_sun).

    Returns
    -------
    ndarray, shape (n, 9)
        One column for each of `BANDS`. Parameters outside the grid are moved to its edge.
    """
    points = np.stack(
        [
            np.log10(np.clip(teff, _TEFF[0], _TEFF[-1])),
            np.clip(logg, _LOGG[0], _LOGG[-1]),
            np.clip(fe_h, _FE_H[0], _FE_H[-1]),
        ],
        axis=1,
    )
    return np.asarray(_grid()(points)) - 2.5 * log_lum[:, None]
