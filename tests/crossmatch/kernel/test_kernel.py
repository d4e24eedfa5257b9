"""The cross-match against a brute force in long double that shares no code with it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from starscale.crossmatch.kernel.candidates import SearchTargets
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.ellipses import PairEllipses
from starscale.crossmatch.kernel.engine import Match, crossmatch
from starscale.crossmatch.kernel.pieces import Side
from starscale.crossmatch.kernel.score import limit
from starscale.crossmatch.kernel.select import Mode
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.match import MatchConfig
from support.often import OFTEN
from support.skies import random_sky, sides
from support.tiled import tiled_match

L = np.longdouble
MAS = L(np.pi) / L(648_000_000)
KM_S = L("4.740470446")
STATED = MatchConfig(errors="stated", radius=3.0, unknown_motion=50.0)


def axes(ra: float, dec: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    a, d = L(ra) * L(np.pi) / 180, L(dec) * L(np.pi) / 180
    return (
        np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)]),
        np.array([-np.sin(a), np.cos(a), L(0)]),
        np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)]),
    )


def known(*values: float) -> bool:
    return bool(np.isfinite(values).all())


def one_pair(moving: Positions, i: int, standing: Positions, j: int, unknown: float) -> dict[str, float]:
    """Separation (arcsec), and chi-square and log |C|: motion in space in long double, full 5 x 5 covariance."""
    assert moving.pmra is not None
    assert moving.pmdec is not None
    assert moving.errors is not None
    assert moving.motion_errors is not None
    assert moving.parallax is not None
    assert moving.radial_velocity is not None
    assert standing.errors is not None
    r, e, n = axes(moving.ra[i], moving.dec[i])
    target, te, tn = axes(standing.ra[j], standing.dec[j])
    moves = known(moving.pmra[i], moving.pmdec[i], moving.epoch[i])
    dt = L(standing.epoch[j] - moving.epoch[i]) if known(standing.epoch[j], moving.epoch[i]) else L(0)
    plx, rv = moving.parallax[i], moving.radial_velocity[i]
    radial = L(rv) * L(plx) / KM_S * MAS if known(plx, rv) and plx > 0 else L(0)
    pm = np.array([L(moving.pmra[i]), L(moving.pmdec[i])]) if moves else np.zeros(2, dtype=L)
    # Position in space in units of the present distance.
    there = r * (1 + (radial * dt if moves else 0)) + (pm[0] * e + pm[1] * n) * MAS * dt
    there = there / np.sqrt((there**2).sum())
    cross = np.array(
        [
            there[1] * target[2] - there[2] * target[1],
            there[2] * target[0] - there[0] * target[2],
            there[0] * target[1] - there[1] * target[0],
        ]
    )
    angle = np.arctan2(np.sqrt((cross**2).sum()), (there * target).sum())
    # Displacement and covariances in the tangent plane of the star's own position.
    flat = np.array([(e * target).sum() / (r * target).sum(), (n * target).sum() / (r * target).sum()])
    moved = np.array([(e * there).sum() / (r * there).sum(), (n * there).sum() / (r * there).sum()])
    d = (flat - moved) / MAS
    m, own = moving.motion_errors, moving.errors
    covariance = np.array(
        [
            [own.east[i], own.cross[i], m.ra_pmra[i], m.ra_pmdec[i]],
            [own.cross[i], own.north[i], m.dec_pmra[i], m.dec_pmdec[i]],
            [m.ra_pmra[i], m.dec_pmra[i], m.pmra[i] ** 2, m.pm_cross[i]],
            [m.ra_pmdec[i], m.dec_pmdec[i], m.pm_cross[i], m.pmdec[i] ** 2],
        ],
        dtype=L,
    )
    t = dt / (1 + radial * dt) if moves else L(0)
    jacobian = np.array([[1, 0, t, 0], [0, 1, 0, t]], dtype=L)
    c = jacobian @ covariance @ jacobian.T
    if not moves:
        c = c + np.eye(2) * (L(unknown) * dt) ** 2
    if known(plx):
        c = c + np.eye(2) * max(L(plx), L(0)) ** 2 / 2
    turn = np.array([[(e * te).sum(), (e * tn).sum()], [(n * te).sum(), (n * tn).sum()]])
    other = standing.errors
    c = c + turn @ np.array([[other.east[j], other.cross[j]], [other.cross[j], other.north[j]]]) @ turn.T
    determinant = c[0, 0] * c[1, 1] - c[0, 1] ** 2
    chi2 = (c[1, 1] * d[0] ** 2 - 2 * c[0, 1] * d[0] * d[1] + c[0, 0] * d[1] ** 2) / determinant
    return {"angle": float(angle / MAS / 1000), "chi2": float(chi2), "log_det": float(np.log(determinant))}


def brute_force(moving: Side, standing: Side, config: MatchConfig, mode: Mode) -> list[dict[str, float]]:
    """All good pairs with score, best first for each leading source."""
    found = []
    p, q = moving.positions, standing.positions
    searched = q if mode == "dense" else p
    density = DensityMap.of(searched)
    k2 = -2 * np.log(1 - config.gamma)
    for i in np.flatnonzero(p.valid):
        for j in np.flatnonzero(q.valid):
            pair = one_pair(p, int(i), q, int(j), config.unknown_motion)
            if pair["angle"] > config.search_radius or pair["chi2"] >= k2:
                continue
            at = int(j) if mode == "dense" else int(i)
            rho = float(density.around(searched.ra[[at]], searched.dec[[at]]).density[0]) / 1e6
            score = -pair["chi2"] / 2 - np.log(2 * np.pi * rho) - pair["log_det"] / 2
            found.append({**pair, "i": int(i), "j": int(j), "score": float(score)})
    return found


def as_dict(match: Match) -> dict[tuple[int, int], dict[str, float]]:
    return {(r["source_id"], r["original_ext_source_id"]): r for r in match.neighbours.iter_rows(named=True)}


@pytest.mark.parametrize(
    "block", [*range(2), *(pytest.param(block, marks=pytest.mark.slow) for block in range(2, 8 * OFTEN))]
)
@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_the_neighbours_are_those_of_a_brute_force(block: int, mode: Mode) -> None:
    """800 skies, in the nightly tests 3,200: good pairs, separations, chi-squares, scores."""
    compared = 0
    for seed in range(50 * block, 50 * block + 50):
        moving, standing = sides(*random_sky(seed, most=7))
        mine = as_dict(crossmatch(moving, standing, STATED, mode))
        theirs = {
            (moving.ids[p["i"]], standing.ids[p["j"]]): p for p in brute_force(moving, standing, STATED, mode)
        }
        assert mine.keys() == theirs.keys(), seed
        for pair, row in mine.items():
            assert row["angular_distance"] == pytest.approx(theirs[pair]["angle"], abs=1e-6)
            assert row["normalised_distance"] ** 2 == pytest.approx(theirs[pair]["chi2"], rel=1e-5, abs=1e-5)
            assert row["score"] == pytest.approx(theirs[pair]["score"], rel=1e-5, abs=1e-4)
        compared += len(mine)
    assert compared > 20


@pytest.mark.parametrize("block", [0, 1, *(pytest.param(block, marks=pytest.mark.slow) for block in (2, 3))])
def test_dense_and_sparse_choices_are_those_of_plain_loops(block: int) -> None:
    shared = lost = 0
    for seed in range(3000 + 50 * block, 3050 + 50 * block):
        moving, standing = sides(*random_sky(seed))
        dense, sparse = (crossmatch(moving, standing, STATED, mode) for mode in ("dense", "sparse"))
        best: dict[int, int] = {}
        for row in sorted(
            dense.neighbours.iter_rows(named=True), key=lambda r: (-r["score"], r["original_ext_source_id"])
        ):
            best.setdefault(row["source_id"], row["original_ext_source_id"])
        got = {r["source_id"]: r for r in dense.best.iter_rows(named=True)}
        assert {s: r["original_ext_source_id"] for s, r in got.items()} == best
        for source, row in got.items():
            assert row["number_of_mates"] == sum(e == best[source] for e in best.values()) - 1
            near = dense.neighbours.filter(pl.col("source_id") == source)
            assert row["number_of_neighbours"] == near.height
            claims = dense.neighbours.filter(pl.col("original_ext_source_id") == row["original_ext_source_id"])
            assert row["degree"] == claims.height
            shared += row["number_of_mates"] > 0
        # One-to-one: the best pair of all first.
        given: dict[int, int] = {}
        order = sorted(
            sparse.neighbours.iter_rows(named=True),
            key=lambda r: (-r["score"], r["original_ext_source_id"], r["source_id"]),
        )
        for row in order:
            if row["source_id"] not in given.values() and row["original_ext_source_id"] not in given:
                given[row["original_ext_source_id"]] = row["source_id"]
        assert dict(sparse.best.select("original_ext_source_id", "source_id").iter_rows()) == given
        lost += sparse.neighbours["original_ext_source_id"].n_unique() - len(given)
    assert shared > 10
    assert lost > 5


def test_probabilities_are_those_of_the_formula() -> None:
    for seed in range(5000, 5040):
        moving, standing = sides(*random_sky(seed))
        found = crossmatch(moving, standing, STATED.model_copy(update={"gamma": 1 - 1e-12}), "dense")
        # Chi-squares beyond seven sigma add nothing to the sum.
        complete = found.model.completeness[-1]
        for _, pairs in found.neighbours.group_by("source_id"):
            ratio = np.exp(pairs["score"].to_numpy())
            expected = complete * ratio / (1 - complete + complete * ratio.sum())
            np.testing.assert_allclose(pairs["match_probability"], expected, rtol=1e-6, atol=1e-12)


def test_the_limit_is_that_of_the_paper() -> None:
    assert limit(0.9999994) == pytest.approx(5.36, abs=0.02)
    assert limit(0.9973) == pytest.approx(3.44, abs=0.01)


def permuted(side: Side, order: np.ndarray) -> Side:
    return Side.of(side.positions.take(order), side.ids.gather(order))


@pytest.mark.parametrize("mode", ["dense", "sparse"])
@pytest.mark.parametrize("seed", range(8))
def test_neither_row_order_nor_tiling_matters(seed: int, mode: Mode) -> None:
    rng = np.random.default_rng(seed)
    moving, standing = sides(*random_sky(6000 + seed, most=25))
    straight = crossmatch(moving, standing, STATED, mode)
    for order in (0, 3, 9, 12):
        tiled = tiled_match(moving, standing, STATED, mode, order)
        assert tiled.best.equals(straight.best)
        assert tiled.neighbours.equals(straight.neighbours)
        assert tiled.unmatched.equals(straight.unmatched)
    a, b = rng.permutation(len(moving)), rng.permutation(len(standing))
    shuffled = crossmatch(permuted(moving, a), permuted(standing, b), STATED, mode)
    key = ["source_id", "original_ext_source_id"]
    for name in ("best", "neighbours"):
        one, two = (getattr(m, name).sort(key) for m in (straight, shuffled))
        assert one.select(key).equals(two.select(key))
        for column in ("angular_distance", "score", "match_probability"):
            np.testing.assert_allclose(one[column], two[column], rtol=1e-9, atol=1e-12)
    assert straight.unmatched.sort("leading_id").equals(shuffled.unmatched.sort("leading_id"))


def turned(where: Positions, matrix: FloatArray) -> Positions:
    """The same sky in another frame: positions, motions and all covariances."""
    rows = np.arange(len(where))
    radial, east, north = where.triads(rows)
    radial = radial @ matrix.T
    ra, dec = (
        np.arctan2(radial[:, 1], radial[:, 0]),
        np.arctan2(radial[:, 2], np.hypot(radial[:, 0], radial[:, 1])),
    )
    bare = Positions(np.degrees(ra) % 360, np.degrees(dec), where.epoch, None, None, where.own_epoch)
    _, new_east, new_north = bare.triads(rows)
    turn = np.stack(
        [
            np.stack([(new * (old @ matrix.T)).sum(axis=1) for old in (east, north)], axis=1)
            for new in (new_east, new_north)
        ],
        axis=1,
    )
    assert where.errors is not None
    o = where.errors
    place = (
        turn @ np.stack([np.stack([o.east, o.cross], 1), np.stack([o.cross, o.north], 1)], 1) @ turn.swapaxes(1, 2)
    )
    new_errors = type(o)(place[:, 0, 0], place[:, 1, 1], place[:, 0, 1], o.stated)
    pm = (None, None)
    m = where.motion_errors
    new_motion = None
    if where.pmra is not None and where.pmdec is not None and m is not None:
        both = np.einsum("nij,nj->ni", turn, np.stack([where.pmra, where.pmdec], axis=1))
        pm = (both[:, 0], both[:, 1])
        block = np.stack([np.stack([m.pmra**2, m.pm_cross], 1), np.stack([m.pm_cross, m.pmdec**2], 1)], 1)
        block = turn @ block @ turn.swapaxes(1, 2)
        mixed = np.stack([np.stack([m.ra_pmra, m.ra_pmdec], 1), np.stack([m.dec_pmra, m.dec_pmdec], 1)], 1)
        mixed = turn @ mixed @ turn.swapaxes(1, 2)
        new_motion = type(m)(
            np.sqrt(block[:, 0, 0]),
            np.sqrt(block[:, 1, 1]),
            block[:, 0, 1],
            mixed[:, 0, 0],
            mixed[:, 0, 1],
            mixed[:, 1, 0],
            mixed[:, 1, 1],
        )
    return Positions(
        bare.ra,
        bare.dec,
        where.epoch,
        *pm,
        where.own_epoch,
        new_errors,
        new_motion,
        where.parallax,
        where.radial_velocity,
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_turn_of_the_whole_sky_leaves_pairs_and_errors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    moving, standing = random_sky(7000 + seed, most=20)
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix *= np.sign(np.linalg.det(matrix))
    # A component of a motion that is missing would be mixed with the other.
    assert moving.pmra is not None
    assert moving.pmdec is not None
    gone = np.isnan(moving.pmra) | np.isnan(moving.pmdec)
    moving.pmra[gone] = moving.pmdec[gone] = np.nan

    def chi2(a: Positions, b: Positions) -> dict[tuple[int, int], tuple[float, float]]:
        pairs = SearchTargets.of(Side.of(b, pl.Series(range(len(b)))), 3.0).candidates(a)
        c = PairEllipses.of(pairs, a, b, unknown_motion=50.0)
        xx, yy = c.moving.east + c.standing.east, c.moving.north + c.standing.north
        xy = c.moving.cross + c.standing.cross
        det = xx * yy - xy**2
        value = (yy * pairs.east**2 - 2 * xy * pairs.east * pairs.north + xx * pairs.north**2) / det
        return {
            (int(i), int(j)): (float(x), float(d))
            for i, j, x, d in zip(pairs.moving, pairs.standing, value, det, strict=True)
        }

    one, two = chi2(moving, standing), chi2(turned(moving, matrix), turned(standing, matrix))
    assert one.keys() == two.keys()
    for pair, (value, det) in one.items():
        assert two[pair][0] == pytest.approx(value, rel=1e-4, abs=1e-4)
        assert two[pair][1] == pytest.approx(det, rel=1e-4)


def test_the_same_pairs_whoever_leads() -> None:
    """Good pairs by the chi-square test are symmetric: only densities and choices differ."""
    total = 0
    for seed in range(8000, 8030):
        moving, standing = sides(*random_sky(seed))
        key = ["source_id", "original_ext_source_id", "angular_distance", "normalised_distance"]
        dense, sparse = (
            crossmatch(moving, standing, STATED, mode).neighbours.select(key).sort(key)
            for mode in ("dense", "sparse")
        )
        assert dense.equals(sparse)
        total += dense.height
    assert total > 100


@pytest.mark.parametrize("mode", ["dense", "sparse"])
@pytest.mark.parametrize("method", ["figure_of_merit", "nearest"])
def test_nothing_to_match(mode: Mode, method: str) -> None:
    moving, standing = sides(*random_sky(1))
    none, nobody = moving.take(np.empty(0, dtype=int)), standing.take(np.empty(0, dtype=int))
    config = MatchConfig.model_validate({"method": method})
    for a, b in ((none, standing), (moving, nobody), (none, nobody)):
        found = crossmatch(a, b, config, mode)
        assert found.best.is_empty()
        assert found.neighbours.is_empty()
        leading = a if mode == "dense" else b
        assert found.unmatched.height == len(leading)
