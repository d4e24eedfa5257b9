"""Candidates and the nearest match: as a brute force with astropy, and every number of the result."""

from __future__ import annotations

from collections import Counter, defaultdict

import astropy.units as u
import numpy as np
import polars as pl
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time

from starscale.crossmatch.kernel.candidates import SearchTargets
from starscale.crossmatch.kernel.engine import crossmatch
from starscale.crossmatch.kernel.pieces import Side
from starscale.crossmatch.kernel.select import choose_pairs
from starscale.crossmatch.kernel.tally import MatchStatistics
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import PAIR_COLUMNS
from starscale.vocabulary.flags import PairFlag
from starscale.vocabulary.settings.match import MatchConfig

Pairs = dict[tuple[int, int], float]


def sky(
    ra: object,
    dec: object,
    epoch: object = 2016.0,
    pm: tuple[object, object] | None = None,
    own: object = True,
) -> Positions:
    ra = np.atleast_1d(np.asarray(ra, dtype=float))
    n = len(ra)

    def column(values: object) -> FloatArray:
        return np.broadcast_to(np.asarray(values, dtype=float), n).copy()

    return Positions(
        ra,
        column(dec),
        column(epoch),
        None if pm is None else column(pm[0]),
        None if pm is None else column(pm[1]),
        np.broadcast_to(np.asarray(own, dtype=bool), n).copy(),
    )


def ids(n: int, first: int = 1) -> pl.Series:
    return pl.Series(np.arange(first, first + n, dtype=np.int64))


def match_catalogues(
    lead: Positions, external: Positions, names: tuple[pl.Series, pl.Series], *, radius: float
) -> tuple[pl.DataFrame, MatchStatistics]:
    config = MatchConfig(method="nearest", radius=radius)
    found = crossmatch(Side.of(lead, names[0]), Side.of(external, names[1]), config, "dense")
    counts = found.statistics
    return found.best, counts


def match(lead: Positions, external: Positions, radius: float = 1.0) -> pl.DataFrame:
    return match_catalogues(lead, external, (ids(len(lead)), ids(len(external), 1001)), radius=radius)[0]


def brute_force(lead: Positions, external: Positions, radius: float) -> Pairs:
    """All pairs, one leading star after the other, with astropy's space motion and separation.

    The result does not depend on the distance, but for terms of (v/c)^2 in astropy's; at 0.01 pc they
    are far below what is compared. The radial velocity is zero, and years are those of TDB.
    """
    found = {}
    usable = np.flatnonzero(np.isfinite(external.ra) & np.isfinite(external.dec))
    target = SkyCoord(external.ra[usable], external.dec[usable], unit="deg")
    for i in range(len(lead)):
        if not np.isfinite(lead.ra[i]) or not np.isfinite(lead.dec[i]):
            continue
        years = np.zeros(len(usable))
        moves = lead.pmra is not None and lead.pmdec is not None
        if moves and np.isfinite([lead.pmra[i], lead.pmdec[i], lead.epoch[i]]).all():
            at = external.epoch[usable]
            years = np.where(np.isfinite(at), at - lead.epoch[i], 0.0)
        n = len(usable)
        star = SkyCoord(np.full(n, lead.ra[i]), np.full(n, lead.dec[i]), unit="deg")
        if years.any():
            star = SkyCoord(
                star.ra,
                star.dec,
                distance=np.full(n, 0.01) * u.pc,
                pm_ra_cosdec=np.full(n, lead.pmra[i]) * u.mas / u.yr,
                pm_dec=np.full(n, lead.pmdec[i]) * u.mas / u.yr,
                radial_velocity=np.zeros(n) * u.km / u.s,
                # Any epoch serves: only the difference counts.
                obstime=Time(2000.0, format="jyear", scale="tdb"),
            ).apply_space_motion(dt=years * u.yr)
        for j, distance in zip(usable, star.separation(target).to_value("arcsec"), strict=True):
            if distance <= radius:
                found[i, int(j)] = float(distance)
    return found


def as_pairs(lead: Positions, external: Positions, radius: float) -> Pairs:
    found = SearchTargets.of(Side.of(external, pl.Series(range(len(external)))), radius).candidates(lead)
    return {
        (int(i), int(j)): float(d) for i, j, d in zip(found.moving, found.standing, found.distance, strict=True)
    }


def assert_same(lead: Positions, external: Positions, radius: float) -> Pairs:
    mine, theirs = as_pairs(lead, external, radius), brute_force(lead, external, radius)
    # A pair on the very edge of the radius may fall on either side of it by rounding.
    for pair in mine.keys() ^ theirs.keys():
        assert abs({**mine, **theirs}[pair] - radius) < 1e-6, pair
    for pair in mine.keys() & theirs.keys():
        assert mine[pair] == pytest.approx(theirs[pair], abs=1e-6)
    return mine


def random_sky(seed: int) -> tuple[Positions, Positions, float]:
    """A crowded patch anywhere, poles and right ascension 0 often, with holes in every column."""
    rng = np.random.default_rng(seed)
    dec0 = rng.choice([-90.0, 90.0, 0.0, float(rng.uniform(-85, 85))])
    ra0 = rng.choice([0.0, 360.0, float(rng.uniform(0, 360))])
    n, m = int(rng.integers(1, 30)), int(rng.integers(1, 30))
    size = 15 / 3600

    def place(count: int) -> tuple[FloatArray, FloatArray]:
        dec = dec0 + rng.uniform(-size, size, count)
        over = np.abs(dec) > 90
        dec = np.where(over, np.sign(dec) * 180 - dec, dec)
        wide = size / max(np.cos(np.radians(dec0)), 1e-3)
        ra = rng.uniform(0, 360, count) if abs(dec0) == 90 else (ra0 + rng.uniform(-wide, wide, count)) % 360
        return ra, dec

    def hole(values: FloatArray) -> FloatArray:
        return np.where(rng.random(len(values)) < 0.1, np.nan, values)

    ra, dec = place(n)
    speed = rng.choice([0.0, 10.0, 300.0, 10_000.0], n)
    angle = rng.uniform(0, 2 * np.pi, n)
    pm = (hole(speed * np.cos(angle)), hole(speed * np.sin(angle)))
    lead = sky(hole(ra), dec, hole(rng.choice([2015.5, 2016.0], n)), pm)
    ra, dec = place(m)
    ra[m // 2 :], dec[m // 2 :] = ra[: m - m // 2], dec[: m - m // 2]  # duplicated positions
    external = sky(ra, hole(dec), hole(rng.uniform(1950, 2030, m)))
    return lead, external, float(rng.choice([0.5, 1.0, 5.0, 20.0]))


def test_the_pairs_are_those_of_a_brute_force() -> None:
    total = sum(len(assert_same(*random_sky(seed))) for seed in range(40))
    assert total > 500  # the comparison is not one of empty tables


@pytest.mark.parametrize("dec", [90.0, -90.0, 89.9999, 0.0, -60.0])
@pytest.mark.parametrize("year", [1950.0, 2030.0])
def test_a_star_of_ten_arcseconds_a_year_is_followed(dec: float, year: float) -> None:
    rng = np.random.default_rng(5)
    lead = sky([0.001, 0.0], dec, 2016.0, ([9000.0, 0.0], [-4400.0, 0.0]))
    moved = lead.vectors(np.array([0, 1]), np.full(2, year))
    # Companions that surround where both stars are at that epoch, and a field that must not be taken.
    around = np.repeat(moved, 8, axis=0) + rng.normal(0, 4e-6, (16, 3))
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    ra = np.degrees(np.arctan2(around[:, 1], around[:, 0])) % 360
    external = sky(ra, np.degrees(np.arcsin(np.clip(around[:, 2], -1, 1))), year)
    found = assert_same(lead, external, 2.0)
    assert {i for i, _ in found} == {0, 1}


def test_a_fast_star_is_found_at_both_ends_of_a_long_span() -> None:
    """The search starts in the middle of the epochs: its reach must cover half of the span, and no less."""
    lead = sky([50.0], [30.0], 2016.0, (6000.0, 8000.0))
    ends = np.concatenate([lead.vectors(np.array([0]), np.array([year])) for year in (1950.0, 2030.0)])
    ra, dec = np.degrees(np.arctan2(ends[:, 1], ends[:, 0])), np.degrees(np.arcsin(ends[:, 2]))
    found = assert_same(lead, sky(ra, dec, [1950.0, 2030.0]), 0.1)
    assert found.keys() == {(0, 0), (0, 1)}


def test_a_star_crosses_right_ascension_zero_and_the_pole() -> None:
    second = 1 / 3600
    lead = sky([359.9999, 90.0], [0.0, 90 - second], 2016.0, ([1000.0, 0.0], [0.0, 1000.0]))
    # One arcsec a year: after three years 2.64 arcsec beyond zero, and two arcsec beyond the pole (at ra + 180).
    external = sky([(359.9999 + 3 * second) % 360, 270.0], [0.0, 90 - 2 * second], 2019.0)
    assert external.ra[0] < 1
    found = as_pairs(lead, external, 0.1)
    assert found.keys() == {(0, 0), (1, 1)}
    assert max(found.values()) < 1e-6


def test_without_an_epoch_the_star_is_met_where_it_stands() -> None:
    lead = sky([10.0], [20.0], 2016.0, (5000.0, 0.0))
    both = sky([10.0, 10.0], 20.0, [np.nan, 2000.0])
    assert as_pairs(lead, both, 1.0).keys() == {(0, 0)}
    assert as_pairs(sky([10.0], [20.0], np.nan, (5000.0, 0.0)), both, 1.0).keys() == {(0, 0), (0, 1)}
    assert as_pairs(sky([10.0], [20.0], 2016.0, (np.nan, 0.0)), both, 1.0).keys() == {(0, 0), (0, 1)}
    assert as_pairs(lead.without_motion(), both, 1.0).keys() == {(0, 0), (0, 1)}


EMPTY = sky(np.empty(0), np.empty(0))
ONE = sky([10.0], [20.0])
NOWHERE = sky([np.nan], [20.0])


@pytest.mark.parametrize(
    ("lead", "external"), [(EMPTY, ONE), (ONE, EMPTY), (EMPTY, EMPTY), (ONE, NOWHERE), (NOWHERE, ONE)]
)
def test_nothing_to_match(lead: Positions, external: Positions) -> None:
    best, statistics = match_catalogues(lead, external, (ids(len(lead)), ids(len(external))), radius=1.0)
    assert best.height == 0
    assert {*PAIR_COLUMNS, "degree"} == set(best.columns)
    assert (statistics.n_pairs, statistics.n_matched, statistics.n_strict) == (0, 0, 0)
    assert np.isnan(statistics.median_distance)


def test_one_star_at_the_same_place() -> None:
    best = match(ONE, ONE)
    assert best.row(0, named=True) == {
        "source_id": 1,
        "original_ext_source_id": 1001,
        "angular_distance": 0.0,
        "number_of_neighbours": 1,
        "number_of_mates": 0,
        "score": 0.0,
        "xm_flag": int(PairFlag.NO_PROPER_MOTION),
        "match_probability": None,
        "degree": 1,
    }


def moved_far(lead: Positions, i: int, at: float, radius: float) -> bool:
    assert lead.pmra is not None
    assert lead.pmdec is not None
    way = np.hypot(lead.pmra[i], lead.pmdec[i]) * abs(at - lead.epoch[i]) / 1000
    return bool(way > radius)


@pytest.mark.parametrize("seed", range(15))
def test_counts_are_those_of_a_dictionary(seed: int) -> None:
    lead, external, radius = random_sky(100 + seed)
    pairs = as_pairs(lead, external, radius)
    of: dict[int, dict[int, float]] = defaultdict(dict)
    for (i, j), distance in pairs.items():
        of[i][j] = distance
    chosen = {i: min(near, key=lambda j, near=near: (near[j], j)) for i, near in of.items()}
    degree, picked = Counter(j for _, j in pairs), Counter(chosen.values())
    expected = []
    for i, near in sorted(of.items()):
        j = chosen[i]
        flag = PairFlag(0)
        flag |= PairFlag.SEVERAL_NEIGHBOURS if len(near) > 1 else flag
        flag |= PairFlag.HAS_MATES if picked[j] > 1 else flag
        assert lead.pmra is not None
        assert lead.pmdec is not None
        known = np.isfinite([lead.pmra[i], lead.pmdec[i], lead.epoch[i]]).all()
        flag |= flag if known else PairFlag.NO_PROPER_MOTION
        flag |= flag if external.own_epoch[j] else PairFlag.NO_EPOCH
        flag |= PairFlag.HIGH_PROPER_MOTION if moved_far(lead, i, external.epoch[j], radius) else flag
        flag |= PairFlag.TIE if sorted(near.values())[:2].count(near[j]) > 1 else flag
        expected.append((i + 1, j + 1001, near[j], len(near), picked[j] - 1, -near[j], int(flag), None, degree[j]))
    best, statistics = match_catalogues(lead, external, (ids(len(lead)), ids(len(external), 1001)), radius=radius)
    assert best.rows() == expected
    strict = [row[:2] for row in expected if row[3] == 1 and row[8] == 1]
    loose = [row[:2] for row in expected if row[3] == 1 and row[4] == 0]
    assert choose_pairs(best, "strict").select("source_id", "original_ext_source_id").rows() == strict
    assert choose_pairs(best, "loose").select("source_id", "original_ext_source_id").rows() == loose
    assert choose_pairs(best, "best").rows() == [row[:8] for row in expected]
    assert (statistics.n_pairs, statistics.n_matched) == (len(pairs), len(of))
    assert (statistics.n_strict, statistics.n_loose) == (len(strict), len(loose))


def test_the_three_choices_differ_where_they_should() -> None:
    second = 1 / 3600
    # A: alone. B and C share their only neighbour. D has two. E's only neighbour is D's second best.
    lead = sky([0, 1, 1 + 0.2 * second, 2, 2 + 1.5 * second], 0.0)
    external = sky([0, 1, 2, 2 + 0.8 * second], 0.0, own=[True, True, False, True])
    best = match(lead, external)
    assert best["original_ext_source_id"].to_list() == [1001, 1002, 1002, 1003, 1004]
    assert best["number_of_mates"].to_list() == [0, 1, 1, 0, 0]
    assert best["degree"].to_list() == [1, 2, 2, 1, 2]
    assert choose_pairs(best, "strict")["source_id"].to_list() == [1]
    assert choose_pairs(best, "loose")["source_id"].to_list() == [1, 5]
    assert choose_pairs(best, "best")["source_id"].to_list() == [1, 2, 3, 4, 5]
    flags = [PairFlag(flag) & ~PairFlag.NO_PROPER_MOTION for flag in best["xm_flag"]]
    no_epoch_and_two = PairFlag.SEVERAL_NEIGHBOURS | PairFlag.NO_EPOCH
    assert flags == [PairFlag(0), PairFlag.HAS_MATES, PairFlag.HAS_MATES, no_epoch_and_two, PairFlag(0)]


def test_a_tie_goes_to_the_lower_identifier_whatever_the_order() -> None:
    lead, external = sky([10.0], [20.0]), sky([10.0001, 10.0001, 10.0002], 20.0)
    for names in ([7, 5, 1], [5, 7, 1]):
        best, _ = match_catalogues(lead, external, (ids(1), pl.Series(names)), radius=1.0)
        assert best["original_ext_source_id"].to_list() == [5]
        assert PairFlag.TIE in PairFlag(best["xm_flag"][0])


def test_a_tie_of_the_second_and_third_neighbour_is_no_tie() -> None:
    best = match(sky([10.0], [20.0]), sky([10.0, 10.0001, 10.0001], 20.0))
    assert PairFlag.TIE not in PairFlag(best["xm_flag"][0])


def test_text_identifiers() -> None:
    best, _ = match_catalogues(ONE, sky([10.0, 10.0], 20.0), (ids(1), pl.Series(["b", "a"])), radius=1.0)
    assert best["original_ext_source_id"].to_list() == ["a"]


def permuted(where: Positions, order: np.ndarray) -> Positions:
    pick = [None if x is None else x[order] for x in (where.pmra, where.pmdec)]
    return Positions(where.ra[order], where.dec[order], where.epoch[order], *pick, where.own_epoch[order])


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    lead, external, radius = random_sky(200 + seed)
    rng = np.random.default_rng(seed)
    a, b = rng.permutation(len(lead)), rng.permutation(len(external))
    lead_ids, external_ids = ids(len(lead)), ids(len(external), 1001)
    straight, _ = match_catalogues(lead, external, (lead_ids, external_ids), radius=radius)
    shuffled, _ = match_catalogues(
        permuted(lead, a), permuted(external, b), (lead_ids.gather(a), external_ids.gather(b)), radius=radius
    )
    assert shuffled["source_id"].to_list() == [i for i in lead_ids.gather(a) if i in set(straight["source_id"])]
    columns = pl.exclude("angular_distance", "score")
    assert shuffled.sort("source_id").select(columns).equals(straight.select(columns))
    np.testing.assert_allclose(
        shuffled.sort("source_id")["angular_distance"], straight["angular_distance"], atol=1e-9
    )


def rotated(where: Positions, matrix: FloatArray) -> Positions:
    """The same sky seen in another frame: positions and the vectors of proper motion are turned."""
    ra, dec = np.radians(where.ra), np.radians(where.dec)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=1)
    radial = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1) @ matrix.T
    new_ra = np.arctan2(radial[:, 1], radial[:, 0])
    new_dec = np.arctan2(radial[:, 2], np.hypot(radial[:, 0], radial[:, 1]))
    pm = None
    if where.pmra is not None and where.pmdec is not None:
        motion = (where.pmra[:, None] * east + where.pmdec[:, None] * north) @ matrix.T
        new_east = np.stack([-np.sin(new_ra), np.cos(new_ra), np.zeros_like(new_ra)], axis=1)
        new_north = np.cross(radial, new_east)
        pm = ((motion * new_east).sum(axis=1), (motion * new_north).sum(axis=1))
    return sky(np.degrees(new_ra) % 360, np.degrees(new_dec), where.epoch, pm)


@pytest.mark.parametrize("seed", range(10))
def test_a_turn_of_the_whole_sky_leaves_the_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lead, external, radius = random_sky(300 + seed)
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix *= np.sign(np.linalg.det(matrix))
    straight = as_pairs(lead, external, radius)
    turned = as_pairs(rotated(lead, matrix), rotated(external, matrix), radius)
    assert turned.keys() == straight.keys()
    for pair, distance in straight.items():
        assert turned[pair] == pytest.approx(distance, abs=1e-7)


def test_the_inputs_are_not_modified() -> None:
    lead, external, radius = random_sky(7)
    before = [np.copy(x) for x in (lead.ra, lead.dec, lead.epoch, lead.pmra, external.ra, external.epoch)]
    match(lead, external, radius)
    for old, new in zip(
        before, (lead.ra, lead.dec, lead.epoch, lead.pmra, external.ra, external.epoch), strict=True
    ):
        np.testing.assert_array_equal(old, new)
