"""Analytic stellar evolution: luminosity, temperature and gravity from mass, age and metallicity.

Published fits are cited where they are used: Tout, Pols, Eggleton & Han 1996, MNRAS 281, 257 ("T96"),
and Hurley, Pols & Tout 2000, MNRAS 315, 543 ("H00"). Everything marked INVENTED was chosen for this
mock so that the diagrams resemble those of real stars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from starscale.vocabulary.arrays import FloatArray

SUN_TEFF = 5772.0
SUN_LOGG = 4.438

#: The fits of T96 and H00 are valid from Z = 0.0001 to 0.03 (Z_sun = 0.02); outside, the limit is used.
_ZETA_RANGE = (-2.3, 0.176)

# T96, table 1: rows alpha to eta, columns powers 0 to 4 of log10(Z / 0.02).
_ZAMS_LUMINOSITY = np.array(
    [
        [0.39704170, -0.32913574, 0.34776688, 0.37470851, 0.09011915],
        [8.52762600, -24.41225973, 56.43597107, 37.06152575, 5.45624060],
        [0.00025546, -0.00123461, -0.00023246, 0.00045519, 0.00016176],
        [5.43288900, -8.62157806, 13.44202049, 14.51584135, 3.39793084],
        [5.56357900, -10.32345224, 19.44322980, 18.97361347, 4.16903097],
        [0.78866060, -2.90870942, 6.54713531, 4.05606657, 0.53287322],
        [0.00586685, -0.01704237, 0.03872348, 0.02570041, 0.00383376],
    ]
)
# T96, table 2: rows theta to pi.
_ZAMS_RADIUS = np.array(
    [
        [1.71535900, 0.62246212, -0.92557761, -1.16996966, -0.30631491],
        [6.59778800, -0.42450044, -12.13339427, -10.73509484, -2.51487077],
        [10.08855000, -7.11727086, -31.67119479, -24.24848322, -5.33608972],
        [1.01249500, 0.32699690, -0.00923418, -0.03876858, -0.00412750],
        [0.07490166, 0.02410413, 0.07233664, 0.03040467, 0.00197741],
        [0.01077422, 0.0, 0.0, 0.0, 0.0],
        [3.08223400, 0.94472050, -2.15200882, -2.49219496, -0.63848738],
        [17.84778000, -7.45345690, -48.96066856, -40.05386135, -9.09331816],
        [0.00022582, -0.00186899, 0.00388783, 0.00142402, -0.00007671],
    ]
)
# H00, appendix A: a_n as polynomials of log10(Z / 0.02).
_A: dict[int, tuple[float, ...]] = {
    1: (1.593890e3, 2.053038e3, 1.231226e3, 2.327785e2),
    2: (2.706708e3, 1.483131e3, 5.772723e2, 7.411230e1),
    3: (1.466143e2, -1.048442e2, -6.795374e1, -1.391127e1),
    4: (4.141960e-2, 4.564888e-2, 2.958542e-2, 5.571483e-3),
    5: (3.426349e-1,),
    6: (1.949814e1, 1.758178e0, -6.008212e0, -4.470533e0),
    7: (4.903830e0,),
    8: (5.212154e-2, 3.166411e-2, -2.750074e-3, -2.271549e-3),
    9: (1.312179e0, -3.294936e-1, 9.231860e-2, 2.610989e-2),
    10: (8.073972e-1,),
    11: (1.031538e0, -2.434480e-1, 7.732821e0, 6.460705e0, 1.374484e0),
    12: (1.043715e0, -1.577474e0, -5.168234e0, -5.596506e0, -1.299394e0),
    13: (7.859573e2, -8.542048e0, -2.642511e1, -9.585707e0),
    14: (3.858911e3, 2.459681e3, -7.630093e1, -3.486057e2, -4.861703e1),
    15: (2.888720e2, 2.952979e2, 1.850341e2, 3.797254e1),
    16: (7.196580e0, 5.613746e-1, 3.805871e-1, 8.398728e-2),
    18: (2.187715e-1, -2.154437e0, -3.768678e0, -1.975518e0, -3.021475e-1),
    19: (1.466440e0, 1.839725e0, 6.442199e0, 4.023635e0, 6.957529e-1),
    20: (2.652091e1, 8.178458e1, 1.156058e2, 7.633811e1, 1.950698e1),
    21: (1.472103e0, -2.947609e0, -3.312828e0, -9.945065e-1),
    22: (3.071048e0, -5.679941e0, -9.745523e0, -3.594543e0),
    23: (2.617890e0, 1.019135e0, -3.292551e-2, -7.445123e-2),
    24: (1.075567e-2, 1.773287e-2, 9.610479e-3, 1.732469e-3),
    25: (1.476246e0, 1.899331e0, 1.195010e0, 3.035051e-1),
    26: (5.502535e0, -6.601663e-2, 9.968707e-2, 3.599801e-2),
    27: (9.511033e1, 6.819618e1, -1.045625e1, -1.474939e1),
    28: (3.113458e1, 1.012033e1, -4.650511e0, -2.463185e0),
    29: (1.413057e0, 4.578814e-1, -6.850581e-2, -5.588658e-2),
    30: (3.910862e1, 5.196646e1, 2.264970e1, 2.873680e0),
    31: (4.597479e0, -2.855179e-1, 2.709724e-1),
    32: (6.682518e0, 2.827718e-1, -7.294429e-2),
}

# INVENTED durations of core helium burning and of the asymptotic giant branch, Myr.
_HELIUM_BURNING = 110.0
_ASYMPTOTIC_BRANCH = 12.0
# INVENTED: early growth of the radius on the main sequence, set so that the Sun has 1 R_sun at 4.57 Gyr.
_RADIUS_GROWTH = 0.085


@dataclass(frozen=True, slots=True)
class Star:
    """State of stars: effective temperature (K), log g (cgs), log10 of the luminosity (L_sun); shape (n,) each."""

    teff: FloatArray
    logg: FloatArray
    log_lum: FloatArray


def _zeta(m_h: FloatArray) -> FloatArray:
    return np.clip(m_h, *_ZETA_RANGE)


def _a(number: int, zeta: FloatArray) -> FloatArray:
    value = np.zeros_like(zeta)
    for coefficient in reversed(_A[number]):
        value = value * zeta + coefficient
    return value


def _zams(mass: FloatArray, zeta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Luminosity and radius (solar units) at zero age: T96, equations 1 and 2."""
    powers = zeta[None, :] ** np.arange(5)[:, None]
    a = _ZAMS_LUMINOSITY @ powers
    lum = (a[0] * mass**5.5 + a[1] * mass**11) / (
        a[2] + mass**3 + a[3] * mass**5 + a[4] * mass**7 + a[5] * mass**8 + a[6] * mass**9.5
    )
    r = _ZAMS_RADIUS @ powers
    radius = (r[0] * mass**2.5 + r[1] * mass**6.5 + r[2] * mass**11 + r[3] * mass**19 + r[4] * mass**19.5) / (
        r[5] + r[6] * mass**2 + r[7] * mass**8.5 + mass**18.5 + r[8] * mass**19.5
    )
    return lum, radius


def giant_branch_age(mass: FloatArray, m_h: FloatArray) -> FloatArray:
    """Age at the base of the giant branch, Myr: H00, equation 4."""
    z = _zeta(m_h)
    top = _a(1, z) + _a(2, z) * mass**4 + _a(3, z) * mass**5.5 + mass**7
    return top / (_a(4, z) * mass**2 + _a(5, z) * mass**7)


def main_sequence_age(mass: FloatArray, m_h: FloatArray) -> FloatArray:
    """Age at the end of the main sequence, Myr: H00, equations 5 to 7."""
    z = _zeta(m_h)
    x = np.maximum(0.95, np.minimum(0.95 - 0.03 * (z + 0.30103), 0.99))
    drop = np.maximum(_a(6, z) / mass ** _a(7, z), _a(8, z) + _a(9, z) / mass ** _a(10, z))
    return np.maximum(np.maximum(0.5, 1.0 - 0.01 * drop), x) * giant_branch_age(mass, m_h)


def _turn_off(mass: FloatArray, zeta: FloatArray, zams_radius: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Luminosity and radius at the end of the main sequence: H00, equations 8 and 9."""
    a14, a16, a20 = _a(14, zeta), _a(16, zeta), _a(20, zeta)
    lum = (_a(11, zeta) * a14 * mass**3 + _a(12, zeta) * a14 * mass**4 + _a(13, zeta) * mass ** (a16 + 1.8)) / (
        a14 + _a(15, zeta) * mass**5 + mass**a16
    )
    low = (_a(18, zeta) * a20 + _a(19, zeta) * a20 * mass ** _a(21, zeta)) / (a20 + mass ** _a(22, zeta))
    a26 = _a(26, zeta)
    high = (-8.672073e-2 * mass**3 + _a(23, zeta) * mass**a26 + _a(24, zeta) * mass ** (a26 + 1.5)) / (
        _a(25, zeta) + mass**5
    )
    sigma = np.log10(0.02) + zeta
    log_a17 = np.maximum(
        0.097 - 0.1072 * (sigma + 3), np.maximum(0.097, np.minimum(0.1461, 0.1461 + 0.1237 * (sigma + 2)))
    )
    share = np.clip((mass - 10**log_a17) / 0.1, 0.0, 1.0)
    radius = low + share * (high - low)
    # The fit is for stars that reach the end of the main sequence; no star below half a solar mass has done so.
    return lum, np.where(mass < 0.5, np.maximum(1.5 * zams_radius, radius), radius)


def _giant_base_luminosity(mass: FloatArray, zeta: FloatArray) -> FloatArray:
    """Luminosity at the base of the giant branch: H00, equation 10."""
    a32 = _a(32, zeta)
    top = _a(27, zeta) * mass ** _a(31, zeta) + _a(28, zeta) * mass**9.301992
    return top / (_a(29, zeta) ** a32 + _a(30, zeta) * mass**4.637345 + mass**a32)


def _giant_rate(mass: FloatArray, zeta: FloatArray) -> FloatArray:
    """Rate at which L^(-5/6) falls on the giant branch, per Myr: H00, equations 31 to 43 with p = 6."""
    log_hydrogen = np.maximum(-4.8, np.minimum(-5.7 + 0.8 * mass, -4.1 + 0.14 * mass))
    return 5.0 * 10 ** (log_hydrogen + (5.37 + 0.135 * zeta) / 6.0)


def _tip_luminosity(mass: FloatArray) -> FloatArray:
    """INVENTED luminosity at helium ignition: constant below 1.8 M_sun, lower for non-degenerate cores."""
    return 10 ** (3.38 - 1.2 * np.clip((mass - 1.8) / 0.5, 0.0, 1.0))


def post_main_sequence_time(mass: FloatArray, m_h: FloatArray) -> FloatArray:
    """Time from the end of the main sequence to the end of visible life, Myr."""
    zeta = _zeta(m_h)
    base = _giant_base_luminosity(mass, zeta)
    climb = (base ** (-5 / 6) - np.maximum(_tip_luminosity(mass), base) ** (-5 / 6)) / _giant_rate(mass, zeta)
    subgiant = giant_branch_age(mass, m_h) - main_sequence_age(mass, m_h)
    return subgiant + climb + _HELIUM_BURNING + _ASYMPTOTIC_BRANCH


def _logg(log_mass: FloatArray, teff: FloatArray, log_lum: FloatArray) -> FloatArray:
    """Surface gravity from mass, temperature and luminosity (Stefan-Boltzmann law)."""
    logg: FloatArray = SUN_LOGG + log_mass + 4 * np.log10(teff / SUN_TEFF) - log_lum
    return logg


def _ridge_teff(log_mass: FloatArray, log_lum: FloatArray, fe_h: FloatArray) -> FloatArray:
    """INVENTED ridge of the giant branch: temperature against log g, hotter when metal-poor or massive."""
    poor = np.clip(fe_h, -2.5, 0.5)
    zero = 4600.0 - 380.0 * poor - 50.0 * poor**2 + 120.0 * np.clip(10**log_mass - 1.1, -0.4, 2.0)
    teff = zero
    for _ in range(6):
        above = _logg(log_mass, teff, log_lum) - 2.5
        teff = zero + 430.0 * above - 50.0 * np.minimum(above, 0.0) ** 2
    return np.maximum(teff, 3050.0)


def _helium_burning(
    log_mass: FloatArray, fe_h: FloatArray, share: FloatArray, loss: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """INVENTED red clump and horizontal branch: log luminosity and temperature.

    `loss` (0 to 1) stands for the mass lost on the giant branch: below [Fe/H] = -1 it spreads stars to the blue.
    """
    massive = np.maximum(0.0, 2.5 * (log_mass - np.log10(2.2)))
    log_lum = 1.64 + 0.10 * share**2 + massive
    red = _ridge_teff(log_mass, log_lum, fe_h) + 190.0
    blue_end = 190.0 + 3900.0 * np.clip(-(fe_h + 1.0) / 0.7, 0.0, 1.0)
    return log_lum, red + (blue_end - 190.0) * loss**2


def evolve(mass: FloatArray, age: FloatArray, fe_h: FloatArray, m_h: FloatArray, loss: FloatArray) -> Star:
    """Return the state of stars of given mass (M_sun) and age (Myr).

    Parameters
    ----------
    mass, age, fe_h, m_h, loss : ndarray, shape (n,)
        Initial mass, age, iron abundance, overall metallicity (for the fits), and the share (0 to 1)
        of the possible mass loss. A star older than its life stays at its last state.

    Returns
    -------
    Star
    """
    zeta, log_mass = _zeta(m_h), np.log10(mass)
    zams_lum, zams_radius = _zams(mass, zeta)
    end_lum, end_radius = _turn_off(mass, zeta, zams_radius)
    t_main, t_base = main_sequence_age(mass, m_h), giant_branch_age(mass, m_h)

    # Main sequence: the leading terms of H00, equations 12 and 13; the hook is left out.
    tau = np.minimum(age / t_main, 1.0)
    log_lum = np.log10(zams_lum) + 0.24 * tau + (np.log10(end_lum / zams_lum) - 0.24) * tau**2
    log_radius = (
        np.log10(zams_radius)
        + _RADIUS_GROWTH * tau
        + (np.log10(end_radius / zams_radius) - _RADIUS_GROWTH) * tau**3
    )
    teff = SUN_TEFF * 10 ** (log_lum / 4 - log_radius / 2)

    # Subgiants: luminosity and temperature go over to those of the giant branch as powers, H00 equation 26.
    base = _giant_base_luminosity(mass, zeta)
    share = np.clip((age - t_main) / (t_base - t_main), 0.0, 1.0)
    base_teff = _ridge_teff(log_mass, np.log10(base), fe_h)
    after = age > t_main
    log_lum = np.where(after, np.log10(end_lum) + share * np.log10(base / end_lum), log_lum)
    teff = np.where(after, teff * (base_teff / teff) ** share, teff)

    # Giant branch: L^(-5/6) falls linearly in time.
    rate, tip = _giant_rate(mass, zeta), np.maximum(_tip_luminosity(mass), base)
    t_tip = t_base + (base ** (-5 / 6) - tip ** (-5 / 6)) / rate
    left = np.maximum(base ** (-5 / 6) - rate * np.clip(age - t_base, 0.0, None), tip ** (-5 / 6))
    giant = age > t_base
    log_lum = np.where(giant, -1.2 * np.log10(left), log_lum)
    teff = np.where(giant, _ridge_teff(log_mass, log_lum, fe_h), teff)

    # Core helium burning, then a short asymptotic branch slightly hotter than the first (both INVENTED).
    helium = age > t_tip
    share = np.clip((age - t_tip) / _HELIUM_BURNING, 0.0, 1.0)
    helium_lum, helium_teff = _helium_burning(log_mass, fe_h, share, loss)
    log_lum, teff = np.where(helium, helium_lum, log_lum), np.where(helium, helium_teff, teff)
    again = age > t_tip + _HELIUM_BURNING
    share = np.clip((age - t_tip - _HELIUM_BURNING) / _ASYMPTOTIC_BRANCH, 0.0, 1.0)
    log_lum = np.where(again, 2.0 + 1.2 * share, log_lum)
    teff = np.where(again, _ridge_teff(log_mass, log_lum, fe_h) + 60.0, teff)

    lost = np.where(helium, np.log10(1.0 - 0.12 / np.maximum(mass, 0.6)), 0.0)
    return Star(teff, _logg(log_mass + lost, teff, log_lum), log_lum)
