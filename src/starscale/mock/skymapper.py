"""The SkyMapper table of the mock: positions, epochs and noise, duplicates, blends, galaxies.

Depths, rates and noise are INVENTED to look like those of a data release whose main survey is partly done.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.mock.archive import archive_table, close_pairs
from starscale.mock.fields import FIELDS, Stars
from starscale.mock.spectrum import BANDS
from starscale.surveys.schema import TRUE_OVER_SFD
from starscale.vocabulary.arrays import FloatArray

FILTERS = ("u", "v", "g", "r", "i", "z")
#: Northern limit of the survey, deg.
NORTH = 2.0
#: Magnitude at which the error is 0.2 mag, and smallest error, by filter.
_DEPTH = np.array([19.6, 19.8, 21.7, 21.5, 20.6, 19.8])
_FLOOR = np.array([0.020, 0.016, 0.008, 0.008, 0.009, 0.010])
#: Separation, arcsec, below which two stars are one entry.
_BLEND_RADIUS = 1.3
_DUPLICATES, _GALAXIES, _UNRELATED = 0.015, 0.04, 0.04
_MJD_2016 = 57388.5  # Julian year 2016.0
#: Kinds of entries in `truth_skymapper`.
KINDS = ("star", "blend", "duplicate", "galaxy", "unrelated")


def magnitude_error(magnitudes: FloatArray) -> FloatArray:
    """Return the errors, mag, of true magnitudes in u v g r i z, shape (n, 6)."""
    error: FloatArray = np.hypot(_FLOOR, 0.2 * 10 ** (0.32 * (magnitudes - _DEPTH)))
    return error


def _merge_blends(
    stars: Stars, magnitudes: FloatArray, seen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merge close pairs of observed stars; return leaders (n,) and companions (n,), -1 for none.

    The brighter star of a pair is the leader; a star that is not merged is its own leader. The closest pairs are
    merged first, each star at most once.
    """
    leader, companion = np.arange(len(stars)), np.full(len(stars), -1)
    pairs, apart = close_pairs(stars.ra[seen], stars.dec[seen], _BLEND_RADIUS)
    taken = np.zeros(len(stars), dtype=bool)
    for first, second in seen[pairs[np.argsort(apart)]]:
        if taken[first] or taken[second]:
            continue
        taken[[first, second]] = True
        bright, faint = (first, second) if magnitudes[first, 3] <= magnitudes[second, 3] else (second, first)
        leader[faint], companion[bright] = bright, faint
    return leader, companion


def _strangers(n: int, field: NDArray[np.int64], radius: FloatArray, rng: np.random.Generator) -> dict[str, Any]:
    """Draw galaxies and faint stars without a Gaia source in all fields."""
    angle, apart = rng.uniform(0, 2 * np.pi, n), radius[field] * np.sqrt(rng.random(n))
    centre = np.array([(f.ra, f.dec) for f in FIELDS])[field]
    dec = np.clip(centre[:, 1] + apart * np.sin(angle), -90, 90)
    galaxy = np.arange(n) < n * _GALAXIES / (_GALAXIES + _UNRELATED)
    colours = np.where(galaxy[:, None], [1.6, 1.2, 0.0, -0.7, -1.1, -1.3], [2.4, 1.7, 0.0, -0.6, -0.9, -1.0])
    g = rng.uniform(17.5, 20.8, n) + np.where(galaxy, 0.0, 0.8)
    return {
        "ra": (centre[:, 0] + apart * np.cos(angle) / np.cos(np.radians(dec))) % 360.0,
        "dec": dec,
        "magnitudes": g[:, None] + colours * rng.uniform(0.6, 1.4, (n, 1)) + rng.normal(0, 0.1, (n, 6)),
        "kind": np.where(galaxy, KINDS.index("galaxy"), KINDS.index("unrelated")),
    }


def _measured(true: FloatArray, kind: NDArray[np.int64], rng: np.random.Generator) -> dict[str, Any]:
    """Return magnitudes, errors and numbers of observations; missing bands are NaN."""
    n = len(true)
    error = magnitude_error(true)
    noisy = true + error * rng.normal(size=true.shape)
    stated = error * np.exp(rng.normal(0.0, 0.05, true.shape))
    undetected = true + rng.normal(0, 0.15, true.shape) > _DEPTH
    missing = undetected | (rng.random(true.shape) < 0.01)
    noisy = np.where(rng.random(true.shape) < 0.0004, rng.uniform(25.2, 27.5, true.shape), noisy)
    columns: dict[str, Any] = {}
    for i, name in enumerate(FILTERS):
        columns[f"{name}_psf"] = np.where(missing[:, i], np.nan, noisy[:, i])
        columns[f"e_{name}_psf"] = np.where(missing[:, i], np.nan, stated[:, i])
    visits = rng.poisson(5.0, n) if n else np.zeros(0, dtype=np.int64)
    columns["ngood"] = (~missing).sum(axis=1) * (1 + np.where(kind == KINDS.index("duplicate"), 0, visits))
    return columns


def _quality(kind: NDArray[np.int64], g: FloatArray, rng: np.random.Generator) -> dict[str, Any]:
    n = len(kind)
    star = np.clip(1.0 - rng.exponential(0.02 + 0.10 * np.clip((g - 18) / 3, 0, 1), n), 0.0, 1.0)
    blend = kind == KINDS.index("blend")
    star = np.where(blend, star - rng.exponential(0.08, n), star)
    star = np.where(kind == KINDS.index("galaxy"), rng.beta(1.2, 4.0, n), star)
    warned = rng.random(n) < np.where(blend, 0.4, 0.03)
    warned_psf = rng.random(n) < np.where(blend, 0.3, 0.015)
    return {
        "class_star": np.clip(star, 0.0, 1.0),
        "flags": np.where(warned, rng.choice([1, 2, 3, 4, 16], n), 0),
        "flags_psf": np.where(warned_psf, rng.choice([1, 2, 4], n), 0),
    }


def skymapper_table(
    stars: Stars, magnitudes: FloatArray, radius: FloatArray, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame, NDArray[np.int64]]:
    """Return the SkyMapper table, its true values, and the entry of each star.

    Parameters
    ----------
    stars : Stars
        The truth, n stars.
    magnitudes : ndarray, shape (n, 9)
        Apparent magnitudes with extinction.
    radius : ndarray
        Radius of each field, deg.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    table : DataFrame
        With the archive's columns, sorted by position in the sky as `object_id` is.
    truth : DataFrame
        `object_id`, `star` and `companion` (row numbers in `stars`, null where there is none) and `kind`.
    entry : ndarray, shape (n,)
        `object_id` of each star's primary entry; 0 where the survey has none.
    """
    native = magnitudes[:, [BANDS.index(name) for name in FILTERS]]
    seen = np.flatnonzero((stars.dec < NORTH) & (rng.random(len(stars)) > 0.015))
    leader, companion = _merge_blends(stars, native, seen)
    main = seen[leader[seen] == seen]
    twice = main[rng.random(len(main)) < _DUPLICATES]
    index = np.concatenate([main, twice])
    merged = companion[index] >= 0
    flux, other = 10 ** (-0.4 * native[index]), 10 ** (-0.4 * native[companion[index]])
    other[~merged] = 0.0
    light = other[:, 3] / (flux[:, 3] + other[:, 3])
    kind = np.where(merged, KINDS.index("blend"), KINDS.index("star"))
    kind[len(main) :] = KINDS.index("duplicate")

    # Position of each object at the epoch of its observations; of a blend, the centre of light.
    mjd_field = rng.uniform(56900.0, 58100.0, len(FIELDS))
    mjd = mjd_field[stars.field[index]] + rng.normal(0.0, 90.0, len(index))
    years = (mjd - _MJD_2016) / 365.25
    to_degrees, cos_dec = 1 / 3.6e6, np.cos(np.radians(stars.dec[index]))
    ra = stars.ra[index] + stars.pmra[index] * years * to_degrees / cos_dec
    dec = stars.dec[index] + stars.pmdec[index] * years * to_degrees
    mate = companion[index]
    ra += np.where(merged, light * ((stars.ra[mate] - stars.ra[index] + 180) % 360 - 180), 0.0)
    dec += np.where(merged, light * (stars.dec[mate] - stars.dec[index]), 0.0)
    column = stars.ebv_column[index]

    southern = np.array([f.dec < NORTH for f in FIELDS])[stars.field]
    n_strange = round(len(main) * (_GALAXIES + _UNRELATED))
    hosts = rng.choice(np.flatnonzero(southern), n_strange) if n_strange else np.zeros(0, dtype=np.int64)
    strange = _strangers(n_strange, stars.field[hosts], radius, rng)
    ra, dec = np.concatenate([ra, strange["ra"]]), np.concatenate([dec, strange["dec"]])
    kind = np.concatenate([kind, strange["kind"]])
    true = np.concatenate([-2.5 * np.log10(flux + other), strange["magnitudes"]])
    mjd = np.concatenate([mjd, mjd_field[stars.field[hosts]] + rng.normal(0.0, 90.0, n_strange)])
    column = np.concatenate([column, stars.ebv_column[hosts]])

    n = len(ra)
    sigma = (40.0 + 60.0 * np.clip((true[:, 2] - 16) / 4, 0, 1.5)) * np.exp(rng.normal(0.0, 0.2, n))
    sigma[len(main) : len(index)] += 120.0
    dec = np.clip(dec + sigma * rng.normal(size=n) * to_degrees, -90, 90)
    ra = (ra + sigma * rng.normal(size=n) * to_degrees / np.cos(np.radians(dec))) % 360.0
    # Identifiers increase with declination, as if the fields were processed in this order.
    identifier = np.empty(n, dtype=np.int64)
    identifier[np.argsort(dec, kind="stable")] = 10_000_000 + np.cumsum(rng.integers(1, 9, n))
    columns: dict[str, Any] = {
        "object_id": identifier,
        "raj2000": ra,
        "dej2000": dec,
        "e_raj2000": sigma * np.exp(rng.normal(0.0, 0.1, n)),
        "e_dej2000": sigma * np.exp(rng.normal(0.0, 0.1, n)),
        "mean_epoch": mjd,
        "rms_epoch": rng.uniform(60.0, 400.0, n),
        "ebmv_sfd": column / TRUE_OVER_SFD * np.exp(rng.normal(0.0, 0.03, n)),
    }
    columns |= _measured(true, kind, rng) | _quality(kind, true[:, 2], rng)
    nothing = np.full(n_strange, -1)
    truth = pl.DataFrame(
        {
            "object_id": identifier,
            "star": np.concatenate([index, nothing]),
            "companion": np.concatenate([mate, nothing]),
            "kind": pl.Series(np.array(KINDS)[kind]),
        }
    ).with_columns(pl.when(pl.col(name) >= 0).then(name) for name in ("star", "companion"))
    entry = np.zeros(len(stars), dtype=np.int64)
    entry[main] = identifier[: len(main)]
    entry[seen] = entry[leader[seen]]
    return archive_table("skymapper_dr2", columns).sort("object_id"), truth.sort("object_id"), entry
