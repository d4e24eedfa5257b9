"""Small random skies with errors for the tests of the cross-match."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.pieces import Side
from starscale.tables.position_errors import MotionErrors, PositionErrors
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray


def errors(rng: np.random.Generator, n: int, low: float, high: float) -> PositionErrors:
    """Random error ellipses of `low` to `high` mas."""
    a, b = rng.uniform(low, high, (2, n))
    return PositionErrors(a**2, b**2, rng.uniform(-0.9, 0.9, n) * a * b, rng.random(n) < 0.9)


def motion_errors(rng: np.random.Generator, place: PositionErrors) -> MotionErrors:
    """Errors of motions from a random positive definite covariance with the given position block."""
    n = len(place.east)
    sigma = rng.uniform(0.01, 3.0, (2, n))
    # Correlations below 0.3 each keep any 4 x 4 matrix with |rho(ra, dec)| < 0.9 close to positive definite.
    rho = rng.uniform(-0.3, 0.3, (5, n)) * 0.3
    ra, dec = np.sqrt(place.east), np.sqrt(place.north)
    return MotionErrors(
        sigma[0],
        sigma[1],
        rho[0] * sigma[0] * sigma[1],
        rho[1] * ra * sigma[0],
        rho[2] * ra * sigma[1],
        rho[3] * dec * sigma[0],
        rho[4] * dec * sigma[1],
    )


def random_sky(seed: int, most: int = 12) -> tuple[Positions, Positions]:
    """A crowded patch anywhere, poles and right ascension 0 often, with holes in every column."""
    rng = np.random.default_rng(seed)
    dec0 = rng.choice([-90.0, 90.0, 0.0, float(rng.uniform(-85, 85))])
    ra0 = rng.choice([0.0, 360.0, float(rng.uniform(0, 360))])
    n, m = int(rng.integers(1, most)), int(rng.integers(1, most))
    size = rng.choice([1.5, 6.0]) / 3600

    def place(count: int) -> tuple[FloatArray, FloatArray]:
        dec = dec0 + rng.uniform(-size, size, count)
        over = np.abs(dec) > 90
        dec = np.where(over, np.sign(dec) * 180 - dec, dec)
        wide = size / max(np.cos(np.radians(dec0)), 1e-3)
        ra = rng.uniform(0, 360, count) if abs(dec0) == 90 else (ra0 + rng.uniform(-wide, wide, count)) % 360
        return ra, dec

    def hole(values: FloatArray) -> FloatArray:
        return np.where(rng.random(len(values)) < 0.08, np.nan, values)

    ra, dec = place(n)
    speed = rng.choice([0.0, 3.0, 30.0, 300.0, 10_000.0], n, p=[0.2, 0.3, 0.3, 0.1, 0.1])
    angle = rng.uniform(0, 2 * np.pi, n)
    own = errors(rng, n, 0.02, 2.0)
    moving = Positions(
        hole(ra),
        dec,
        hole(rng.choice([2015.5, 2016.0], n)),
        hole(speed * np.cos(angle)),
        hole(speed * np.sin(angle)),
        np.ones(n, dtype=bool),
        own,
        motion_errors(rng, own),
        hole(rng.choice([-0.1, 0.5, 20.0, 600.0], n)),
        hole(rng.normal(0, 150, n)),
    )
    ra, dec = place(m)
    ra[m // 2 :], dec[m // 2 :] = ra[: m - m // 2], dec[: m - m // 2]  # duplicated positions
    standing = Positions(
        ra, hole(dec), hole(rng.uniform(1950, 2030, m)), None, None, rng.random(m) < 0.8, errors(rng, m, 20, 500)
    )
    return moving, standing


def sides(moving: Positions, standing: Positions) -> tuple[Side, Side]:
    """Both catalogues with identifiers that are not the order of the rows."""
    rng = np.random.default_rng(len(moving) * 1000 + len(standing))
    ids = pl.Series(rng.permutation(len(moving)).astype(np.int64) + 1)
    names = pl.Series(rng.permutation(len(standing)).astype(np.int64) + 1001)
    return Side.of(moving, ids), Side.of(standing, names)


def field_of(
    rng: np.random.Generator,
    n: int,
    *,
    scale: float = 1.0,
    floor: float = 0.0,
    offset: tuple[float, float] = (0.0, 0.0),
    blended: float = 0.0,
    wide: float = 800.0,
    unrelated: int = 0,
    complete: float = 1.0,
    centre: tuple[float, float] = (150.0, -30.0),
    size: float = 1.0,
) -> tuple[Side, Side]:
    """A field of `size` degrees with `n` stars and a known distribution of displacements.

    External sources have the identifier of their star plus a million; unrelated ones follow.
    """
    dec = centre[1] + rng.uniform(-size / 2, size / 2, n)
    ra = centre[0] + rng.uniform(-size / 2, size / 2, n) / np.cos(np.radians(dec))
    pm = rng.normal(0, 15, (2, n))
    none = np.zeros(n)
    own = PositionErrors(np.full(n, 0.05**2), np.full(n, 0.05**2), none, np.ones(n, dtype=bool))
    motion = MotionErrors(np.full(n, 0.05), np.full(n, 0.05), none, none, none, none, none)
    moving = Positions(ra, dec, np.full(n, 2016.0), pm[0], pm[1], np.ones(n, dtype=bool), own, motion)
    there = np.flatnonzero(rng.random(n) < complete)
    epoch = rng.uniform(1998, 2002, len(there))
    stated = rng.uniform(60, 140, len(there))
    sigma = np.hypot(scale * stated, floor)
    sigma = np.where(rng.random(len(there)) < blended, np.hypot(sigma, wide), sigma)
    shift = rng.normal(0, 1, (2, len(there))) * sigma + np.array(offset)[:, None]
    years = epoch - 2016.0
    mas = 1 / 3.6e6
    new_dec = dec[there] + (pm[1][there] * years + shift[1]) * mas
    new_ra = ra[there] + (pm[0][there] * years + shift[0]) * mas / np.cos(np.radians(dec[there]))
    extra_dec = centre[1] + rng.uniform(-size / 2, size / 2, unrelated)
    extra_ra = centre[0] + rng.uniform(-size / 2, size / 2, unrelated) / np.cos(np.radians(extra_dec))
    m = len(there) + unrelated
    all_stated = np.concatenate([stated, rng.uniform(60, 140, unrelated)])
    standing = Positions(
        np.concatenate([new_ra, extra_ra]),
        np.concatenate([new_dec, extra_dec]),
        np.concatenate([epoch, rng.uniform(1998, 2002, unrelated)]),
        None,
        None,
        np.ones(m, dtype=bool),
        PositionErrors(all_stated**2, all_stated**2, np.zeros(m), np.ones(m, dtype=bool)),
    )
    names = np.concatenate([there + 1_000_000, np.arange(unrelated) + 5_000_000]).astype(np.int64)
    return Side.of(moving, pl.Series(np.arange(n, dtype=np.int64))), Side.of(standing, pl.Series(names))
