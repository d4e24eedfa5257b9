"""Measurements of five spectroscopic surveys: their selections, noise and label scales.

Selections, noise and scales are INVENTED. The scales are smooth and on purpose no polynomials, so that a
polynomial calibration cannot undo them exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.mock.fields import FIELDS, Stars
from starscale.mock.galaxy import galactic
from starscale.vocabulary.arrays import FloatArray

LABELS = ("teff", "logg", "fe_h")
#: Fraction of rows with a gross error.
OUTLIERS = 0.05
_OUTLIER_SCALE = np.array([450.0, 0.8, 0.5])

Scale = Callable[[FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True)
class Spectrograph:
    """Properties of one survey.

    Parameters
    ----------
    share : float
        Fraction of all stars of the mock that are observed.
    repeats : float
        Fraction of stars with a second row; a quarter of these have a third row.
    bright, faint : float
        Range in G.
    south, north : float
        Range in declination, deg.
    giants : float
        Probability of selecting a giant relative to that of a dwarf.
    sigma : tuple of float
        True noise (K, dex, dex) at high signal-to-noise.
    understated : float
        True noise divided by the quoted error.
    signal : float
        Signal-to-noise ratio at G = 12.
    caught : float
        Fraction of the outliers that are flagged.
    scale : callable
        Systematic offsets as a function of true teff, logg, fe_h.
    """

    share: float
    repeats: float
    bright: float
    faint: float
    south: float
    north: float
    giants: float
    sigma: tuple[float, float, float]
    understated: float
    signal: float
    caught: float
    scale: Scale


def _apogee(teff: FloatArray, logg: FloatArray, fe_h: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        45 * np.tanh((teff - 5000) / 500) + 15 * np.sin(2.5 * fe_h),
        0.08 * np.tanh(2 * (logg - 3.4)) - 0.04 * np.sin(2 * logg),
        0.05 * np.tanh((teff - 4700) / 400) - 0.04 * np.exp(fe_h),
    )


def _galah(teff: FloatArray, logg: FloatArray, fe_h: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        -60 * np.sin((teff - 4500) / 900) + 20 * np.tanh(2 * (fe_h + 0.8)),
        -0.06 + 0.12 * np.exp(-(((logg - 3.2) / 0.8) ** 2)),
        0.10 * np.tanh(1.5 * (fe_h + 0.7)) - 0.06 * np.sin(teff / 600),
    )


def _gaia_eso(teff: FloatArray, logg: FloatArray, fe_h: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        70 * np.exp(-(((teff - 5300) / 700) ** 2)) - 40,
        0.10 * np.sin(1.7 * logg) + 0.05 * np.tanh(fe_h + 1),
        -0.08 * np.tanh(2 * (fe_h + 0.4)) + 0.05 * np.tanh(logg - 3),
    )


def _rave(teff: FloatArray, logg: FloatArray, fe_h: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        100 * np.tanh((teff - 5400) / 700) + 50 * np.exp(-(((fe_h + 1) / 0.5) ** 2)),
        0.25 * np.sin(1.3 * logg - 1) + 0.08 * np.tanh((teff - 5500) / 600),
        0.18 * np.tanh(-1.8 * (fe_h + 0.5)) + 0.06 * np.sin(2 * logg),
    )


def _lamost(teff: FloatArray, logg: FloatArray, fe_h: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        -50 * np.tanh((teff - 5600) / 600) + 30 * np.sin(teff / 350),
        0.14 * np.tanh(1.5 * (logg - 3.8)) - 0.05 * np.exp(-(((fe_h + 1.2) / 0.4) ** 2)),
        0.10 * np.exp(-(((teff - 6200) / 500) ** 2)) + 0.09 * np.tanh(-2 * (fe_h + 1)),
    )


SPECTROGRAPHS: dict[str, Spectrograph] = {
    "apogee_dr17": Spectrograph(0.055, 0.12, 8, 15.4, -90, 90, 4.0, (45, 0.05, 0.03), 1.9, 220, 0.6, _apogee),
    "galah_dr3": Spectrograph(0.055, 0.08, 9, 14.6, -90, 8, 1.0, (60, 0.11, 0.06), 1.4, 90, 0.6, _galah),
    "gaia_eso_dr3": Spectrograph(0.035, 0.06, 11, 18.2, -90, 8, 1.0, (55, 0.10, 0.06), 1.3, 130, 0.0, _gaia_eso),
    "rave_dr6": Spectrograph(0.025, 0.10, 9, 13.8, -90, 4, 1.3, (75, 0.16, 0.10), 1.6, 48, 0.4, _rave),
    "lamost_dr5": Spectrograph(0.090, 0.20, 10, 17.6, -9, 90, 1.0, (65, 0.12, 0.07), 1.8, 120, 0.3, _lamost),
}


@dataclass(frozen=True, slots=True)
class SpectroscopicRows:
    """Rows of one survey; arrays of shape (n,), or (n, 3) for the labels of `LABELS`.

    `value` is truth + `systematic` + `noise`; `sigma` is the standard deviation of the noise of good rows, `error`
    is the quoted error. `repeat` is the number of the row of a star, from 0. `blank` marks rows without labels.
    """

    star: NDArray[np.int64]
    source_id: NDArray[np.int64]
    repeat: NDArray[np.int64]
    value: FloatArray
    error: FloatArray
    sigma: FloatArray
    noise: FloatArray
    systematic: FloatArray
    signal: FloatArray
    outlier: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    blank: NDArray[np.bool_]


def draw_calibrators(stars: Stars, g: FloatArray, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw bright and metal-poor stars that all surveys tend to observe, so that they overlap."""
    return (g < 14.3) & (rng.random(len(stars)) < np.where(stars.fe_h < -0.8, 0.7, 0.25))


def _chosen(
    survey: Spectrograph, stars: Stars, g: FloatArray, calibrator: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw targets without replacement, by the exponential keys of Efraimidis & Spirakis 2006."""
    latitude = np.abs(galactic(stars.ra, stars.dec)[1])
    weight = np.where(stars.logg < 3.5, survey.giants, 1.0) * np.where(calibrator, 3.0, 1.0)
    weight *= np.where(np.array([f.name.startswith("E") for f in FIELDS])[stars.field], 3.0, 1.0)
    weight *= np.where(stars.cluster >= 0, 4.0, 1.0) * np.where(latitude < 8, 0.6, 1.0)
    # Brighter stars are preferred, since exposure time is limited.
    weight *= 10 ** (-0.15 * np.clip(g - survey.bright - 2, 0, None))
    reach = (g > survey.bright) & (g < survey.faint) & (stars.dec > survey.south) & (stars.dec < survey.north)
    reach &= (stars.teff > 3600) & (stars.teff < 7800)
    candidates = np.flatnonzero(reach)
    keys = rng.exponential(size=len(candidates)) / weight[candidates]
    wanted = min(len(candidates), max(4, round(survey.share * len(stars))))
    return np.sort(candidates[np.argsort(keys, kind="stable")[:wanted]])


def observe(
    survey: Spectrograph,
    stars: Stars,
    source_id: NDArray[np.int64],
    g: FloatArray,
    calibrator: NDArray[np.bool_],
    rng: np.random.Generator,
) -> SpectroscopicRows:
    """Select the stars of a survey and draw their measurements.

    Parameters
    ----------
    survey : Spectrograph
        How the survey works.
    stars : Stars
        The truth, n stars.
    source_id, g : ndarray, shape (n,)
        Gaia identifier and apparent G.
    calibrator : ndarray, shape (n,)
        Stars that all surveys prefer.
    rng : numpy.random.Generator
        Source of randomness.
    """
    chosen = _chosen(survey, stars, g, calibrator, rng)
    lot = rng.random(len(chosen))
    times = 1 + (lot < survey.repeats) + (lot < survey.repeats / 4)
    star = np.repeat(chosen, times)
    repeat = np.arange(len(star)) - np.repeat(np.cumsum(times) - times, times)
    n = len(star)
    signal = np.minimum(survey.signal * 10 ** (-0.17 * (g[star] - 12)) * np.exp(rng.normal(0.0, 0.25, n)), 900.0)
    labels = np.stack([stars.teff[star], stars.logg[star], stars.fe_h[star]], axis=1)
    # Hot and metal-poor stars have few lines.
    hard = 1 + 0.5 * np.clip((labels[:, 0] - 6300) / 1000, 0, 1.5) + 0.35 * np.clip(-1 - labels[:, 2], 0, 2)
    sigma = np.array(survey.sigma) * (hard * np.sqrt(1 + (25.0 / signal) ** 2))[:, None]
    noise = sigma * rng.normal(size=(n, 3))
    outlier = rng.random(n) < OUTLIERS
    noise[outlier] += _OUTLIER_SCALE * rng.standard_t(4, size=(int(outlier.sum()), 3))
    systematic = np.stack(survey.scale(*labels.T), axis=1)
    flagged = (outlier & (rng.random(n) < survey.caught)) | (rng.random(n) < 0.01)
    return SpectroscopicRows(
        star=star,
        source_id=source_id[star],
        repeat=repeat,
        value=labels + systematic + noise,
        error=sigma / survey.understated * np.exp(rng.normal(0.0, 0.12, (n, 3))),
        sigma=sigma,
        noise=noise,
        systematic=systematic,
        signal=signal,
        outlier=outlier,
        flagged=flagged,
        blank=rng.random(n) < 0.02,
    )
