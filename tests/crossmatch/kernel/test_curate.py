"""Curation of an external catalogue, cleaning of pairs, and what becomes of every source."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from starscale.crossmatch.kernel.curate import Evidence, collapse, curate, near_pairs, rank_keys
from starscale.crossmatch.kernel.engine import crossmatch
from starscale.crossmatch.kernel.link import link_by_position
from starscale.crossmatch.kernel.losses import REASONS
from starscale.crossmatch.kernel.pieces import Side
from starscale.crossmatch.kernel.select import choose_pairs, is_clean
from starscale.crossmatch.kernel.zones import Zones
from starscale.surveys import Survey
from starscale.surveys.schema import Duplicates
from starscale.tables.position_errors import PositionErrors
from starscale.tables.positions import Positions
from starscale.vocabulary.columns import NEIGHBOUR_COLUMNS, PAIR_COLUMNS, UNMATCHED_COLUMNS
from starscale.vocabulary.flags import PairFlag
from starscale.vocabulary.settings.match import MatchConfig
from support.skies import field_of, random_sky, sides

ARCSEC = 1 / 3600


def row(ra: list[float], error: list[float]) -> Positions:
    """Sources on the equator, `ra` in arcsec."""
    n = len(ra)
    e = np.array(error)
    errors = PositionErrors(e**2, e**2, np.zeros(n), np.ones(n, dtype=bool))
    return Positions(
        np.array(ra) * ARCSEC + 10, np.zeros(n), np.full(n, 2016.0), None, None, np.ones(n, dtype=bool), errors
    )


def test_imprecise_positions_take_no_part() -> None:
    found = curate(row([0, 10, 20], [50, 1001, 1000]), pl.Series([1, 2, 3]), ceiling=1000)
    assert found.imprecise.tolist() == [False, True, False]
    assert found.positions.valid.tolist() == [True, False, True]
    assert not found.duplicate.any()


def test_of_entries_that_repeat_one_another_the_preferred_stays() -> None:
    where = row([0, 0.5, 1.0, 10, 10.2, 20, 20.3], [50, 60, 70, 50, 40, 50, 50])
    ids = pl.Series([7, 6, 5, 4, 3, 2, 1])
    g = np.array([15.0, 15.05, 15.1, 15, 16, 15, np.nan])
    r = np.array([14.0, 14.0, np.nan, 14, 14, np.nan, 14.0])
    votes = np.array([1, 1, 9, 1, 1, 1, 1.0])
    rule = Duplicates(radius=0.6, tolerance=0.2)
    found = curate(where, ids, ceiling=1000, duplicates=rule, evidence=Evidence({"g": g, "r": r}, votes))
    # The first three are a chain and the third has the votes; the next two differ in g; the last share no band.
    assert found.stands_for.tolist() == [2, 2, 2, 3, 4, 5, 6]
    assert found.table(ids).rows() == [(7, 5), (6, 5)]
    assert found.stands_for_several.tolist() == [False, False, True, False, False, False, False]
    assert found.positions.valid.tolist() == [False, False, True, True, True, True, True]
    # Without evidence the smaller error decides, then the lower identifier.
    bare = curate(where, ids, ceiling=1000, duplicates=rule)
    assert bare.stands_for.tolist() == [0, 0, 0, 4, 4, 6, 6]


@pytest.mark.parametrize("seed", range(5))
def test_curation_does_not_depend_on_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    where = row(list(rng.uniform(0, 60, 80)), list(rng.choice([50.0, 60.0], 80)))
    ids = pl.Series(rng.permutation(80))
    order = rng.permutation(80)
    rule = Duplicates(radius=0.5)
    key = "original_ext_source_id"
    straight = curate(where, ids, ceiling=1e3, duplicates=rule).table(ids).sort(key)
    shuffled = curate(where.take(order), ids.gather(order), ceiling=1e3, duplicates=rule)
    assert straight.height > 10
    assert shuffled.table(ids.gather(order)).sort(key).equals(straight)


def scattered(seed: int, n: int, middle: tuple[float, float], size: float) -> Positions:
    """Positions in a field of a size (deg), a third of them an arcsecond or two from another one."""
    rng = np.random.default_rng(seed)
    dec = np.clip(middle[1] + rng.uniform(-size, size, n), -90, 90)
    ra = middle[0] + rng.uniform(-size, size, n) / np.maximum(np.cos(np.radians(dec)), 1e-4)
    ra[n // 3 : 2 * (n // 3)] = ra[: n // 3] + rng.normal(0, 3e-4, n // 3)
    dec[n // 3 : 2 * (n // 3)] = np.clip(dec[: n // 3] + rng.normal(0, 3e-4, n // 3), -90, 90)
    dec[rng.random(n) < 0.05] = np.nan
    return Positions(ra % 360, dec, np.full(n, 2016.0), None, None, np.ones(n, dtype=bool))


def neighbours(where: Positions, radius: float) -> set[tuple[int, int]]:
    """Pairs within a radius (arcsec), by scipy's tree."""
    rows = np.flatnonzero(where.valid)
    tree = cKDTree(where.directions(rows))
    pairs = tree.query_pairs(2 * np.sin(np.radians(radius / 3600) / 2), output_type="ndarray")
    return {(min(pair), max(pair)) for pair in rows[pairs].tolist()}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 400),
    middle=st.sampled_from([(0.0, 0.0), (359.9999, 40.0), (120.0, 90.0), (3.0, -89.999), (200.0, -30.0)]),
    size=st.sampled_from([0.002, 0.02, 0.5]),
    radius=st.sampled_from([0.3, 1.5, 5.0]),
)
def test_repeated_rows_are_those_of_a_tree(
    seed: int, n: int, middle: tuple[float, float], size: float, radius: float
) -> None:
    where = scattered(seed, n, middle, size)
    rows = np.flatnonzero(where.valid)
    # Whatever radius they were sorted for.
    for usual in (radius, 5.0, 0.2):
        zones = Zones.of(where.ra, where.dec, usual / 3600, rows)
        found = near_pairs(where, Duplicates(radius=radius), zones)
        assert {(min(pair), max(pair)) for pair in found.tolist()} == neighbours(where, radius)
    pairs = [(min(pair), max(pair)) for pair in found.tolist()]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == neighbours(where, radius)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 300), links=st.floats(0, 3))
def test_a_group_has_one_row_for_all(seed: int, n: int, links: float) -> None:
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, n, (int(links * n), 2))
    where, ids = row(list(range(n)), list(rng.uniform(50, 60, n))), pl.Series(rng.permutation(n))
    rows = np.unique(pairs)
    table = collapse(pairs, rank_keys(where, ids, None, rows))
    stands_for = np.arange(n)
    stands_for[table["row"].to_numpy()] = table["stands_for"].to_numpy()
    graph = coo_matrix((np.ones(len(pairs)), tuple(pairs.T)), shape=(n, n))
    number, group = connected_components(graph, directed=False)
    assert len(set(stands_for)) == number
    assert len({(one, other) for one, other in zip(group, stands_for, strict=True)}) == number


def test_nothing_to_collapse() -> None:
    where, ids = row([0, 10], [50, 50]), pl.Series([1, 2])
    nothing = np.empty((0, 2), dtype=int)
    for rows in (np.empty(0, dtype=int), np.arange(2)):
        assert collapse(nothing, rank_keys(where, ids, None, rows)).is_empty()


@pytest.mark.parametrize("choice", ["strict", "loose", "best"])
@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_every_source_is_in_the_pairs_or_among_the_losses(mode: str, choice: str) -> None:
    reasons = set()
    for seed in range(12):
        moving, standing = sides(*random_sky(9000 + seed))
        config = MatchConfig.model_validate({"errors": "stated", "radius": 3.0, "pairs": choice})
        found = crossmatch(moving, standing, config, mode)  # type: ignore[arg-type]
        leading, key = (moving, "source_id") if mode == "dense" else (standing, "original_ext_source_id")
        kept = choose_pairs(found.best, config.pairs)[key].to_list()
        lost = found.unmatched["leading_id"].to_list()
        assert sorted(kept + lost) == sorted(leading.ids)
        assert len(set(kept)) == len(kept)
        assert found.unmatched.columns == list(UNMATCHED_COLUMNS)
        assert found.neighbours.columns == list(NEIGHBOUR_COLUMNS)
        assert found.best.columns == [*PAIR_COLUMNS, "degree"]
        reasons |= set(found.unmatched["reason"])
        for lost_row in found.unmatched.iter_rows(named=True):
            near = found.neighbours.filter(pl.col(key) == lost_row["leading_id"])
            if lost_row["reason"] in ("several_neighbours", "shared_neighbour", "taken"):
                assert near.height > 0
                assert lost_row["rival_id"] is not None
            else:
                assert near.is_empty()
            if lost_row["reason"] == "no_position":
                where = leading.ids.to_list().index(lost_row["leading_id"])
                assert not leading.positions.valid[where]
    assert reasons <= set(REASONS)
    assert {"no_position", "no_candidate", "not_compatible"} <= reasons
    assert ("taken" in reasons) == (mode == "sparse")
    assert ("several_neighbours" in reasons) == (choice != "best")


def test_who_it_was_lost_to() -> None:
    gaia = row([0, 10, 10.3, 20, 40], [1] * 5)
    other = row([0.1, 10.1, 20.0, 20.4, 44.0], [100] * 5)
    moving, standing = Side.of(gaia, pl.Series([1, 2, 3, 4, 5])), Side.of(other, pl.Series([11, 12, 13, 14, 15]))
    config = MatchConfig(errors="stated", pairs="strict")
    rows = {
        r["leading_id"]: r for r in crossmatch(moving, standing, config, "dense").unmatched.iter_rows(named=True)
    }
    assert rows.keys() == {2, 3, 4, 5}
    assert (rows[2]["reason"], rows[2]["rival_id"]) == ("shared_neighbour", 3)
    assert (rows[3]["reason"], rows[3]["rival_id"]) == ("shared_neighbour", 2)
    assert (rows[4]["reason"], rows[4]["rival_id"]) == ("several_neighbours", 14)
    assert (rows[5]["reason"], rows[5]["rival_id"]) == ("not_compatible", 15)
    assert rows[5]["angular_distance"] == pytest.approx(4.0)
    sparse = crossmatch(moving, standing, config.model_copy(update={"pairs": "best"}), "sparse")
    assert dict(sparse.best.select("original_ext_source_id", "source_id").iter_rows()) == {11: 1, 12: 2, 13: 4}
    rows = {r["leading_id"]: r for r in sparse.unmatched.iter_rows(named=True)}
    assert (rows[14]["reason"], rows[14]["rival_id"]) == ("taken", 13)


def test_strict_is_stricter_than_loose_and_loose_than_best() -> None:
    moving, standing = field_of(np.random.default_rng(1), 3000, unrelated=20_000, size=0.4)
    best = crossmatch(moving, standing, MatchConfig(), "dense").best
    counts = [best.filter(is_clean(choice)).height for choice in ("strict", "loose", "best")]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]


def test_flags_of_a_pair() -> None:
    gaia = row([0, 10, 10.35], [1] * 3)
    other = row([0.1, 10.1, 10.18], [100] * 3)
    found = crossmatch(
        Side.of(gaia, pl.Series([1, 2, 3])),
        Side.of(other, pl.Series([11, 12, 13]), several=np.array([True, False, False])),
        MatchConfig(errors="stated"),
        "dense",
    )
    flags = [PairFlag(f) for f in found.best["xm_flag"]]
    assert PairFlag.DUPLICATES in flags[0]
    assert PairFlag.NO_PROPER_MOTION in flags[0]
    assert PairFlag.SEVERAL_NEIGHBOURS not in flags[0]
    assert PairFlag.SEVERAL_NEIGHBOURS | PairFlag.AMBIGUOUS in flags[1]
    assert PairFlag.EDGE_OF_COVERAGE in flags[0]


SPECTRA = Survey.model_validate(
    {
        "name": "spectra",
        "title": "A spectroscopic survey",
        "kind": "spectroscopic",
        "id": {"column": "name", "unique": False},
        "position": {"ra": "ra", "dec": "dec", "error_floor": 150.0, "epoch": {"default": 2016.0}},
        "columns": {"name": {"dtype": "string"}, "ra": {"unit": "deg"}, "dec": {"unit": "deg"}},
    }
)


def test_repeated_spectra_all_find_their_star_and_two_targets_do_not_share_one() -> None:
    gaia = Side.of(row([0, 3.0, 20], [1] * 3), pl.Series([1, 2, 3]))
    table = pl.DataFrame(
        {
            "name": ["a", "a", "b", None, "c"],
            "ra": [10 + x * ARCSEC for x in (0.1, -0.2, 2.9, 1.3, 300.0)],
            "dec": [0.0] * 5,
        }
    )
    links, match = link_by_position(gaia, table, SPECTRA, MatchConfig(radius=2.0, pairs="best"))
    assert links.rows() == [(1, 0), (1, 1), (2, 2)]
    reasons = dict(match.unmatched.select("leading_id", "reason").iter_rows())
    assert reasons[1] == "duplicate" or reasons[0] == "duplicate"
    assert reasons[4] in ("no_candidate", "not_covered")
