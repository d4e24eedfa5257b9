"""The fields and clusters of the mock sky, and the stars in them, with all true properties."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from starscale.mock import galaxy
from starscale.mock.populations import POPULATIONS, Pool, field_pool, make_pool, pick_by_weight
from starscale.vocabulary.arrays import FloatArray

#: Magnitude limit in true G (without noise).
FAINTEST = 18.5
#: R_G of an average star, for the selection by magnitude.
_R_G = 2.74


@dataclass(frozen=True, slots=True)
class Field:
    """A circular field: centre (deg) and area relative to the others."""

    name: str
    ra: float
    dec: float
    area: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster: position, age, abundances and motion.

    Units: distance pc, age Myr, motions mas/yr and km/s, dispersion km/s. The radius of the Plummer sphere is an
    angle (deg), so that nearby clusters fit into their fields; `share` is the fraction of all stars of the sky.
    """

    name: str
    field: str
    distance: float
    age: float
    fe_h: float
    alpha_fe: float
    pmra: float
    pmdec: float
    radial_velocity: float
    radius: float
    dispersion: float
    share: float


#: Areas increase towards the Galactic poles, where stars are rare. SkyMapper has no data north of +2 deg.
FIELDS = (
    Field("S01", 10.0, -32.0, 4.0),
    Field("S02", 62.0, -46.0, 2.5),
    Field("S03", 340.0, -52.0, 2.5),
    Field("S04", 90.0, -62.0, 1.2),
    Field("S05", 118.0, -44.0, 0.35),
    Field("S06", 107.0, -22.0, 0.4),
    Field("S07", 165.0, -36.0, 0.9),
    Field("S08", 200.0, -24.0, 1.8),
    Field("S09", 226.0, -12.0, 1.5),
    Field("S10", 246.0, -56.0, 0.12),
    Field("S11", 300.0, -36.0, 0.9),
    Field("S12", 275.0, -48.0, 0.4),
    Field("E01", 30.0, -3.0, 3.5),
    Field("E02", 132.5, -2.0, 1.4),
    Field("E03", 181.0, -1.0, 3.5),
    Field("E04", 326.0, -5.0, 1.8),
    Field("E05", 96.0, -4.0, 0.4),
    Field("N01", 115.0, 28.0, 1.4),
    Field("N02", 215.0, 35.0, 3.5),
    Field("N03", 300.0, 44.0, 0.25),
)

CLUSTERS = (
    Cluster("globular A", "S03", 4800.0, 12500.0, -1.50, 0.3, 3.2, -6.1, -95.0, 0.06, 6.0, 0.006),
    Cluster("globular B", "S08", 7500.0, 12800.0, -2.15, 0.3, -2.9, 1.4, 55.0, 0.045, 5.0, 0.005),
    Cluster("globular C", "S04", 4300.0, 12000.0, -0.75, 0.25, 5.2, -2.6, -18.0, 0.065, 7.0, 0.006),
    Cluster("open A", "E02", 860.0, 4000.0, 0.00, 0.0, -10.9, -2.9, 34.0, 0.1, 0.8, 0.005),
    Cluster("open B", "S11", 185.0, 700.0, 0.15, 0.0, -36.0, -12.9, 35.0, 0.1, 0.6, 0.003),
    Cluster("open C", "S06", 1700.0, 1500.0, -0.20, 0.0, -1.3, 2.6, 48.0, 0.08, 0.8, 0.005),
    Cluster("open D", "N01", 480.0, 2200.0, 0.30, 0.0, 4.1, -7.7, 12.0, 0.1, 0.7, 0.003),
)


@dataclass(frozen=True, slots=True)
class Stars:
    """True properties; arrays of shape (n,), `magnitudes` (n, 9): apparent, without extinction.

    `population`, `field` and `cluster` are indices of `POPULATIONS`, `FIELDS` and `CLUSTERS` (-1: none). `ebv` and
    `ebv_column` are true E(B-V) to the star and along the full line of sight.
    """

    ra: FloatArray
    dec: FloatArray
    distance: FloatArray
    pmra: FloatArray
    pmdec: FloatArray
    radial_velocity: FloatArray
    ebv: FloatArray
    ebv_column: FloatArray
    teff: FloatArray
    logg: FloatArray
    fe_h: FloatArray
    mass_ratio: FloatArray
    magnitudes: FloatArray
    population: NDArray[np.int64]
    field: NDArray[np.int64]
    cluster: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ra)


def _join(parts: list[Stars]) -> Stars:
    return Stars(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Stars)))


def _scatter(ra: float, dec: float, radius: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return positions at angular distances `radius` (deg) from a centre, in random directions."""
    angle, direction = np.radians(radius), rng.uniform(0, 2 * np.pi, len(radius))
    centre = np.radians(dec)
    sin_dec = np.sin(centre) * np.cos(angle) + np.cos(centre) * np.sin(angle) * np.cos(direction)
    across = np.sin(angle) * np.sin(direction)
    along = np.cos(angle) * np.cos(centre) - np.sin(angle) * np.sin(centre) * np.cos(direction)
    return (ra + np.degrees(np.arctan2(across, along))) % 360.0, np.degrees(np.arcsin(sin_dec))


class _Shelf:
    """A pool sorted into bins of absolute G, from which stars of any bin are drawn by weight."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.edges = np.arange(-5.0, 14.01, 0.1)
        bins = np.clip(np.digitize(pool.magnitudes[:, 0], self.edges) - 1, 0, len(self.edges) - 2)
        self.order = np.argsort(bins, kind="stable")
        self.luminosity_function = np.bincount(bins, pool.weight, len(self.edges) - 1)
        self.cumulative = np.concatenate([[0.0], np.cumsum(pool.weight[self.order])])
        self.starts = np.searchsorted(bins[self.order], np.arange(len(self.edges)))

    def draw(self, bins: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        low, high = self.cumulative[self.starts[bins]], self.cumulative[self.starts[bins + 1]]
        place = np.searchsorted(self.cumulative, low + rng.random(len(bins)) * (high - low), side="right") - 1
        return np.asarray(self.order[np.clip(place, self.starts[bins], self.starts[bins + 1] - 1)])


_DISTANCE_EDGES = np.geomspace(4.0, 60000.0, 221)


def _expected(shelf: _Shelf, population: int, field: Field, dust: float) -> FloatArray:
    """Return the stars per square degree brighter than the limit, by bins of absolute G and of distance."""
    lon, lat = (float(value[0]) for value in galaxy.galactic(np.array([field.ra]), np.array([field.dec])))
    middle = np.sqrt(_DISTANCE_EDGES[1:] * _DISTANCE_EDGES[:-1])
    volume = np.diff(_DISTANCE_EDGES**3) / 3 * np.radians(1.0) ** 2
    stars = volume * galaxy.density(population, *galaxy.heliocentric(lon, lat, middle))
    modulus = 5 * np.log10(middle / 10) + _R_G * dust * galaxy.mean_reddening(lat, middle)
    absolute = (shelf.edges[1:] + shelf.edges[:-1]) / 2
    seen = absolute[:, None] + modulus[None, :] < FAINTEST
    return np.where(seen, shelf.luminosity_function[:, None] * stars[None, :], 0.0)


def _field_stars(n: int, rng: np.random.Generator) -> tuple[Stars, FloatArray, FloatArray]:
    """Draw the stars of all fields; return them with the radius (deg) and the dust factor of each field."""
    shelves = [
        _Shelf(field_pool(number, min(max(20_000, int(n * factor)), 1_500_000), rng))
        for number, factor in enumerate((3.0, 1.8, 1.0))
    ]
    dust = np.exp(rng.normal(0.0, 0.3, len(FIELDS)))
    tables = [
        [_expected(shelf, p, field, dust[f]) for p, shelf in enumerate(shelves)] for f, field in enumerate(FIELDS)
    ]
    totals = np.array([[table.sum() for table in row] for row in tables]) * np.array([[f.area] for f in FIELDS])
    # A common factor of all areas gives the required number of stars at the true density.
    stretch = n / totals.sum()
    radius = np.sqrt(np.array([f.area for f in FIELDS]) * stretch / np.pi)
    counts = rng.multinomial(n, (totals / totals.sum()).ravel()).reshape(totals.shape)
    parts = []
    for f, field in enumerate(FIELDS):
        for p, shelf in enumerate(shelves):
            cells = pick_by_weight(tables[f][p].ravel(), int(counts[f, p]), rng)
            bins, steps = np.divmod(cells, len(_DISTANCE_EDGES) - 1)
            ratio = _DISTANCE_EDGES[1] / _DISTANCE_EDGES[0]
            distance = _DISTANCE_EDGES[steps] * ratio ** rng.random(len(cells))
            ra, dec = _scatter(field.ra, field.dec, radius[f] * np.sqrt(rng.random(len(cells))), rng)
            motion = galaxy.draw_motions(ra, dec, distance, np.full(len(cells), p), rng)
            parts.append(_place(shelf.pool, shelf.draw(bins, rng), ra, dec, distance, motion, p, f, -1))
    return _join(parts), radius, dust


def _place(
    pool: Pool,
    index: NDArray[np.int64],
    ra: FloatArray,
    dec: FloatArray,
    distance: FloatArray,
    motion: tuple[FloatArray, FloatArray, FloatArray],
    population: int,
    field: int,
    cluster: int,
) -> Stars:
    n = len(index)
    return Stars(
        ra, dec, distance, *motion, np.zeros(n), np.zeros(n), pool.teff[index], pool.logg[index], pool.fe_h[index],
        pool.mass_ratio[index], pool.magnitudes[index] + 5 * np.log10(distance / 10)[:, None],
        np.full(n, population), np.full(n, field), np.full(n, cluster),
    )  # fmt: skip


def _cluster_stars(number: int, n: int, field: int, rng: np.random.Generator) -> Stars:
    """Draw the members of a cluster, with the same distance, age, [Fe/H] (within 0.02 dex) and motion."""
    cluster = CLUSTERS[number]
    size = max(4000, 6 * n)
    pool = make_pool(
        np.full(size, cluster.age), rng.normal(cluster.fe_h, 0.02, size), np.full(size, cluster.alpha_fe), rng
    )
    lat = float(galaxy.galactic(np.array([FIELDS[field].ra]), np.array([FIELDS[field].dec]))[1][0])
    extinction = _R_G * galaxy.mean_reddening(lat, np.array([cluster.distance]))[0]
    seen = pool.magnitudes[:, 0] + 5 * np.log10(cluster.distance / 10) + extinction < FAINTEST
    index = pick_by_weight(np.where(seen, pool.weight, 0.0), n, rng)
    # A projected Plummer sphere, truncated at six radii.
    share = rng.uniform(0.0, 36.0 / 37.0, n)
    radius = cluster.radius * np.sqrt(share / (1 - share))
    ra, dec = _scatter(FIELDS[field].ra, FIELDS[field].dec, radius, rng)
    distance = cluster.distance * (1 + rng.normal(0.0, np.radians(cluster.radius), n))
    spread = 1000.0 * cluster.dispersion / (galaxy.KM_S * cluster.distance)
    motion = (
        rng.normal(cluster.pmra, spread, n),
        rng.normal(cluster.pmdec, spread, n),
        rng.normal(cluster.radial_velocity, cluster.dispersion, n),
    )
    population = POPULATIONS.index(
        "halo" if cluster.fe_h < -1 else "thick disc" if cluster.fe_h < -0.5 else "thin disc"
    )
    return _place(pool, index, ra, dec, distance, motion, population, field, number)


def _redden(stars: Stars, dust: FloatArray, rng: np.random.Generator) -> Stars:
    """Set true E(B-V) to the star and along the full line of sight."""
    ebv, column = np.zeros(len(stars)), np.zeros(len(stars))
    for f, field in enumerate(FIELDS):
        here = np.flatnonzero(stars.field == f)
        lat = float(galaxy.galactic(np.array([field.ra]), np.array([field.dec]))[1][0])
        factor = dust[f] * galaxy.dust_texture(stars.ra[here], stars.dec[here], rng)
        ebv[here] = factor * galaxy.mean_reddening(lat, stars.distance[here])
        column[here] = factor * galaxy.mean_reddening(lat, np.full(len(here), 1e6))
    # Structure that the map does not resolve: 5 % from star to star.
    return replace(stars, ebv=ebv * np.exp(rng.normal(0.0, 0.05, len(stars))), ebv_column=column)


def _make_optical_pairs(stars: Stars, rng: np.random.Generator) -> Stars:
    """Move one star in two hundred to 0.5 to 3 arcsec from another star of its field, as a chance alignment."""
    n = len(stars)
    movers = rng.choice(n, size=n // 200, replace=False)
    order = np.argsort(stars.field, kind="stable")
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    hosts = order[(rank[movers] + rng.integers(1, 200, len(movers))) % n]
    good = (stars.field[hosts] == stars.field[movers]) & (stars.cluster[movers] < 0) & ~np.isin(hosts, movers)
    movers, hosts = movers[good], hosts[good]
    apart, angle = rng.uniform(0.5, 3.0, len(movers)) / 3600, rng.uniform(0, 2 * np.pi, len(movers))
    ra, dec = stars.ra.copy(), stars.dec.copy()
    dec[movers] = stars.dec[hosts] + apart * np.cos(angle)
    ra[movers] = (stars.ra[hosts] + apart * np.sin(angle) / np.cos(np.radians(dec[movers]))) % 360.0
    return replace(stars, ra=ra, dec=dec)


def make_stars(n: int, rng: np.random.Generator) -> tuple[Stars, FloatArray]:
    """Return `n` stars with all true properties, in random order, and the radius of each field (deg)."""
    names = [field.name for field in FIELDS]
    members = [max(1, round(cluster.share * n)) for cluster in CLUSTERS]
    field_stars, radius, dust = _field_stars(n - sum(members), rng)
    clusters = [
        _cluster_stars(number, members[number], names.index(cluster.field), rng)
        for number, cluster in enumerate(CLUSTERS)
    ]
    stars = _redden(_make_optical_pairs(_join([field_stars, *clusters]), rng), dust, rng)
    order = rng.permutation(len(stars))
    return Stars(*(getattr(stars, item.name)[order] for item in fields(Stars))), radius
