"""Stars of the two discs, the halo and single-age clusters, without positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from starscale.mock.evolution import evolve, main_sequence_age, post_main_sequence_time
from starscale.mock.spectrum import absolute_magnitudes
from starscale.vocabulary.arrays import FloatArray

#: Names of the populations; other modules refer to them by their index.
POPULATIONS = ("thin disc", "thick disc", "halo")

#: Fraction of stars with an unresolved companion.
BINARY_SHARE = 0.35

_LEAST_MASS = 0.15
_LOG_AGES = np.linspace(np.log10(250.0), np.log10(14500.0), 120)
_METALS = np.linspace(-2.3, 0.176, 24)


@dataclass(frozen=True, slots=True)
class Pool:
    """Stars to draw from; each array has shape (n,), `magnitudes` (n, 9).

    `weight` is proportional to the number of such stars in a volume of the population; its sum over a pool
    is 1. `magnitudes` are absolute and include the unresolved companion.
    """

    weight: FloatArray
    teff: FloatArray
    logg: FloatArray
    fe_h: FloatArray
    mass_ratio: FloatArray
    magnitudes: FloatArray


def kroupa(mass: FloatArray) -> FloatArray:
    """Return the initial mass function dN/dM, not normalised: Kroupa 2001, MNRAS 322, 231, eq. 2."""
    return np.where(mass < 0.5, (mass / 0.5) ** -1.3, (mass / 0.5) ** -2.3)


def overall_metallicity(fe_h: FloatArray, alpha_fe: FloatArray) -> FloatArray:
    """[M/H] of an alpha-enhanced mixture: Salaris, Chieffi & Straniero 1993, ApJ 414, 580."""
    return fe_h + np.log10(0.638 * 10**alpha_fe + 0.362)


def draw_ages(population: int, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw ages (Myr) and [Fe/H] of a field population; the distributions are INVENTED, with typical means."""
    if population == 0:
        age = rng.uniform(300.0, 9500.0, n)
        fe_h = rng.normal(0.08 - 0.022 * age / 1000.0, 0.12 + 0.010 * age / 1000.0)
    elif population == 1:
        age = rng.normal(10500.0, 900.0, n)
        fe_h = rng.normal(-0.60 - 0.10 * (age - 10500.0) / 1000.0, 0.26)
    else:
        age = rng.normal(12000.0, 600.0, n)
        fe_h = rng.normal(-1.45, 0.42, n) - rng.exponential(0.2, n)
    return np.clip(age, 300.0, 13500.0), np.clip(fe_h, -3.5, 0.5)


@lru_cache
def _turn_off_table() -> RegularGridInterpolator[np.float64]:
    """Return log10 of the turn-off mass at a given age, on a grid of metallicity and log age."""
    mass = np.geomspace(0.4, 6.0, 600)
    rows = []
    for metal in _METALS:
        age = np.log10(main_sequence_age(mass, np.full_like(mass, metal)))
        rows.append(np.interp(_LOG_AGES, age[::-1], np.log10(mass)[::-1]))
    return RegularGridInterpolator((_METALS, _LOG_AGES), np.array(rows))


def _turn_off_mass(age: FloatArray, m_h: FloatArray) -> FloatArray:
    point = np.stack(
        [
            np.clip(m_h, _METALS[0], _METALS[-1]),
            np.clip(np.log10(age), _LOG_AGES[0], _LOG_AGES[-1]),
        ],
        axis=1,
    )
    return 10 ** np.asarray(_turn_off_table()(point))


def _dwarf_masses(turn_off: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw masses below the turn-off, half of them near it, with their importance weights."""
    near = rng.random(len(turn_off)) < 0.5
    middle = 0.6 * turn_off
    mass = rng.uniform(np.where(near, middle, _LEAST_MASS), turn_off)
    density = 0.5 / (turn_off - _LEAST_MASS) + np.where(mass > middle, 0.5 / (turn_off - middle), 0.0)
    return mass, kroupa(mass) / density


def _evolved_masses(
    age: FloatArray, m_h: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Draw masses above the turn-off, ages at which they are in their phase, and importance weights.

    The phase is drawn instead of the mass, so that late, bright and short phases have enough stars. The number of
    stars per phase is IMF(M) |dM/dt| t_post, where M(t) is the mass of the stars in this phase at the age t.
    """
    n = len(age)
    late = rng.random(n) < 0.6
    phase = rng.uniform(np.where(late, 0.80, 0.0), 1.0)
    density = 0.4 + np.where(phase > 0.80, 0.6 / 0.20, 0.0)
    mass = _turn_off_mass(age, m_h)
    left = np.maximum(age - phase * post_main_sequence_time(mass, m_h), 280.0)
    mass = _turn_off_mass(left, m_h)
    post = post_main_sequence_time(mass, m_h)
    age = main_sequence_age(mass, m_h) + phase * post
    heavier = 1.01 * mass
    earlier = main_sequence_age(heavier, m_h) + phase * post_main_sequence_time(heavier, m_h)
    slope = 0.01 * mass / np.maximum(age - earlier, 1e-3 * age)
    return mass, age, kroupa(mass) * slope * post / density


def make_pool(age: FloatArray, fe_h: FloatArray, alpha_fe: FloatArray, rng: np.random.Generator) -> Pool:
    """Draw one star for each age (Myr) and [Fe/H], with a weight that corrects the over-sampling of rare phases.

    Parameters
    ----------
    age, fe_h, alpha_fe : ndarray, shape (n,)
        What the stars are born with.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Pool
    """
    n = len(age)
    m_h = overall_metallicity(fe_h, alpha_fe)
    evolved = rng.random(n) < 0.5
    dwarf_mass, dwarf_weight = _dwarf_masses(_turn_off_mass(age, m_h), rng)
    late_mass, late_age, late_weight = _evolved_masses(age, m_h, rng)
    mass = np.where(evolved, late_mass, dwarf_mass)
    age = np.where(evolved, late_age, age)
    weight = np.where(evolved, late_weight, dwarf_weight)
    primary = evolve(mass, age, fe_h, m_h, rng.random(n))
    magnitudes = absolute_magnitudes(primary.teff, primary.logg, fe_h, primary.log_lum)

    # Mass ratios are flat, as in Raghavan et al. 2010, ApJS 190, 1; the companion has the same age and [Fe/H].
    binary = rng.random(n) < BINARY_SHARE
    ratio = np.where(binary, rng.uniform(0.1, 1.0, n), 0.0)
    companion_mass = ratio * mass
    visible = companion_mass > 0.1
    other = evolve(np.where(visible, companion_mass, 0.5), age, fe_h, m_h, rng.random(n))
    other_magnitudes = absolute_magnitudes(other.teff, other.logg, fe_h, other.log_lum)
    flux = 10 ** (-0.4 * magnitudes) + np.where(visible[:, None], 10 ** (-0.4 * other_magnitudes), 0.0)
    return Pool(
        weight=weight / weight.sum(),
        teff=primary.teff,
        logg=primary.logg,
        fe_h=fe_h,
        mass_ratio=ratio,
        magnitudes=-2.5 * np.log10(flux),
    )


def field_pool(population: int, n: int, rng: np.random.Generator) -> Pool:
    """Return a pool of one of `POPULATIONS`."""
    age, fe_h = draw_ages(population, n, rng)
    alpha = np.full(n, (0.0, 0.2, 0.3)[population])
    return make_pool(age, fe_h, alpha, rng)


def pick_by_weight(weight: FloatArray, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `n` indices with probability proportional to `weight`, with replacement."""
    edges = np.cumsum(weight)
    place = np.searchsorted(edges, rng.random(n) * edges[-1])
    return np.asarray(np.minimum(place, len(weight) - 1), dtype=np.int64)
