"""Distribution of stars and dust: density laws, reddening, and Galactic coordinates.

Density laws and normalisations: Juric et al. 2008, ApJ 673, 864, table 10. The dust disc is INVENTED, with a
typical scale height and local density.
"""

from __future__ import annotations

import numpy as np

from starscale.vocabulary.arrays import FloatArray

#: Distance of the Sun from the Galactic centre and above the plane, pc.
SUN_RADIUS, SUN_HEIGHT = 8122.0, 20.0

#: Stars above 0.15 M_sun per cubic parsec near the Sun (INVENTED, rounded), and the other populations relative to
#: the thin disc.
LOCAL_DENSITY = 0.06
SHARES = (1.0, 0.12, 0.0051)

#: Scale height of the dust, pc, and true E(B-V) per pc in the plane near the Sun.
DUST_HEIGHT, DUST_DENSITY = 120.0, 0.00028

# Rows: unit vectors towards the centre, l = 90 and the pole (ESA 1997, SP-1200, volume 1, equation 1.5.11).
_TO_GALACTIC = np.array(
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [+0.4941094279, -0.4448296300, +0.7469822445],
        [-0.8676661490, -0.1980763734, +0.4559837762],
    ]
)


def unit_vectors(ra: FloatArray, dec: FloatArray) -> FloatArray:
    """Return ICRS unit vectors, shape (n, 3), of positions in deg."""
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def galactic(ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Galactic longitude and latitude, deg, of ICRS positions in deg."""
    x, y, z = np.moveaxis(unit_vectors(ra, dec) @ _TO_GALACTIC.T, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(np.clip(z, -1, 1)))


def heliocentric(longitude: float, latitude: float, distance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Galactocentric radius in the plane and height above it, pc, along one line of sight (deg, deg, pc)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    x = SUN_RADIUS - distance * np.cos(lat) * np.cos(lon)
    y = distance * np.cos(lat) * np.sin(lon)
    return np.hypot(x, y), SUN_HEIGHT + distance * np.sin(lat)


def density(population: int, radius: FloatArray, height: FloatArray) -> FloatArray:
    """Return the stars per cubic parsec of a population at a galactocentric radius and height, pc."""
    height = np.abs(height)
    if population == 2:
        oblate = np.hypot(radius, height / 0.64)
        shape = (SUN_RADIUS / np.maximum(oblate, 1000.0)) ** 2.77
    else:
        length, thickness = ((2600.0, 300.0), (3600.0, 900.0))[population]
        shape = np.exp(-(radius - SUN_RADIUS) / length - (height - SUN_HEIGHT) / thickness)
    return LOCAL_DENSITY * SHARES[population] * shape


def mean_reddening(latitude: float, distance: FloatArray) -> FloatArray:
    """Return true E(B-V) to a distance (pc) through a smooth dust disc, without the factor of the field."""
    slope = max(abs(float(np.sin(np.radians(latitude)))), 0.02)
    share: FloatArray = -np.expm1(-distance * slope / DUST_HEIGHT)
    return DUST_DENSITY * DUST_HEIGHT / slope * share


def dust_texture(ra: FloatArray, dec: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the small-scale factor of the dust, close to 1: a sum of waves of 4 to 60 arcmin."""
    place = unit_vectors(ra, dec)
    total = np.zeros(len(ra))
    for wavelength in np.geomspace(1.0, 0.07, 8):
        direction = rng.normal(size=3)
        wave = direction / np.linalg.norm(direction) * 2 * np.pi / np.radians(wavelength)
        total += 0.08 * np.sqrt(wavelength) * np.sin(place @ wave + rng.uniform(0, 2 * np.pi))
    return np.exp(total)


# Velocity ellipsoids and asymmetric drifts, km/s: Bensby, Feltzing & Lundstrom 2003, A&A 410, 527, table 1.
_DISPERSION = np.array([[35.0, 20.0, 16.0], [67.0, 38.0, 35.0], [160.0, 90.0, 90.0]])
_DRIFT = np.array([-15.0, -46.0, -220.0])
# Motion of the Sun, km/s: Schonrich, Binney & Dehnen 2010, MNRAS 403, 1829.
_SUN_MOTION = np.array([11.1, 12.24, 7.25])
# Oort's constants, km/s/kpc: Bovy 2017, MNRAS 468, L63.
_OORT_A, _OORT_B = 15.3, -11.9
#: km/s of one arcsec/yr at one parsec.
KM_S = 4.740470


def draw_motions(
    ra: FloatArray, dec: FloatArray, distance: FloatArray, population: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Draw proper motions (mas/yr, with cos(dec)) and radial velocities (km/s) of field stars.

    Velocities come from one ellipsoid for each population, plus the differential rotation of the discs (its
    formula holds near the Sun, so distances enter up to 4 kpc).
    """
    number = np.asarray(population, dtype=np.int64)
    velocity = rng.normal(size=(len(ra), 3)) * _DISPERSION[number] - _SUN_MOTION
    velocity[:, 1] += _DRIFT[number]
    lon, lat = np.radians(np.stack(galactic(ra, dec)))
    near = np.minimum(distance, 4000.0) / 1000.0 * np.where(number == 2, 0.0, 1.0) * np.cos(lat)
    along_l = near * (_OORT_A * np.cos(2 * lon) + _OORT_B)
    outward = near * _OORT_A * np.sin(2 * lon)
    velocity[:, 0] += outward * np.cos(lon) - along_l * np.sin(lon)
    velocity[:, 1] += outward * np.sin(lon) + along_l * np.cos(lon)
    return project(ra, dec, distance, velocity @ _TO_GALACTIC)


def project(
    ra: FloatArray, dec: FloatArray, distance: FloatArray, velocity: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Proper motions (mas/yr) and radial velocity (km/s) of ICRS velocities, shape (n, 3), km/s."""
    a, d = np.radians(ra), np.radians(dec)
    zero = np.zeros_like(a)
    east = np.stack([-np.sin(a), np.cos(a), zero], axis=-1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=-1)
    scale = 1000.0 / (KM_S * distance)
    pmra, pmdec = (velocity * east).sum(axis=1) * scale, (velocity * north).sum(axis=1) * scale
    return pmra, pmdec, (velocity * unit_vectors(ra, dec)).sum(axis=1)
