"""Pieces of the sky hold everything that their leading sources can reach."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starscale.crossmatch.kernel.pieces import (
    SORT_ORDER,
    Epochs,
    Side,
    among,
    in_ranges,
    margin_order,
    on_border,
    places,
    ranges_around,
    tiles_in,
    tiles_of,
)
from starscale.crossmatch.kernel.select import Mode
from starscale.tables.healpix import cells
from starscale.tables.positions import Positions
from starscale.vocabulary.settings.match import MatchConfig
from support.skies import field_of, random_sky, sides
from support.tiled import pieces_of, tiled_match


@pytest.mark.parametrize("order", [0, 2, 5, 9, 11, 12])
@pytest.mark.parametrize("margin", [5.0, 40.0, 600.0])
def test_the_margin_holds_everything_within_it(order: int, margin: float) -> None:
    """Points anywhere, poles and corners of base cells too, and others at the margin's distance around them."""
    rng = np.random.default_rng(order)
    ra = np.concatenate([rng.uniform(0, 360, 24), [0.0, 45.0, 90.0, 45.0, 0.0, 315.0]])
    dec = np.concatenate(
        [np.degrees(np.arcsin(rng.uniform(-1, 1, 24))), [0.0, 41.8103, 89.99999, -90.0, 90.0, -41.8103]]
    )
    n = len(ra)
    place = Positions(ra, dec, np.full(n, 2016.0), None, None, np.ones(n, dtype=bool))
    radial, east, north = place.triads(np.arange(n))
    for angle in np.linspace(0, 2 * np.pi, 13):
        step = np.radians(0.999 * margin / 3600)
        out = radial * np.cos(step) + np.sin(step) * (np.cos(angle) * east + np.sin(angle) * north)
        there = cells(
            np.degrees(np.arctan2(out[:, 1], out[:, 0])) % 360,
            np.degrees(np.arcsin(np.clip(out[:, 2], -1, 1))),
            SORT_ORDER,
        )
        for tile, pixel in zip(tiles_of(place, order), there, strict=True):
            assert in_ranges(np.array([pixel]), ranges_around(int(tile), order, margin))[0]


@pytest.mark.parametrize("order", [0, 1, 3, 6])
@pytest.mark.parametrize("margin", [5.0, 600.0, 8000.0])
def test_what_is_near_another_tile_is_at_the_border_of_its_own(order: int, margin: float) -> None:
    rng, shift, fine = np.random.default_rng(order), 2 * (SORT_ORDER - order), margin_order(margin, order)
    for tile in rng.choice(12 * 4**order, 6, replace=False):
        ranges = ranges_around(int(tile), order, margin)
        near = np.concatenate([ranges[:, 0], ranges[:, 1] - 1, rng.integers(ranges[:, 0], ranges[:, 1])])
        assert on_border(near[near >> shift != tile], order, fine).all()
    anywhere = rng.integers(0, 12 * 4**SORT_ORDER, 100_000)
    cells_along = 2.0 ** max(fine - order, 0)
    inside = max(1 - 2 / cells_along, 0) ** 2
    assert 1 - on_border(anywhere, order, fine).mean() == pytest.approx(inside, abs=0.01)


@pytest.mark.parametrize("order", [0, 2, 5])
@pytest.mark.parametrize("margin", [5.0, 8000.0, 4e5])
def test_tiles_with_a_part_of_a_margin(order: int, margin: float) -> None:
    shift = 2 * (SORT_ORDER - order)
    for tile in (0, 12 * 4**order - 1, 5 * 4**order):
        ranges = ranges_around(tile, order, margin)
        slowly = {t for low, high in ranges.tolist() for t in range(low >> shift, ((high - 1) >> shift) + 1)}
        assert tiles_in(ranges, order) == slowly


def test_the_margin_is_no_more_than_it_must_be() -> None:
    ranges = ranges_around(1000, 5, 10.0)
    inside = 4 ** (SORT_ORDER - 5)
    assert inside < (ranges[:, 1] - ranges[:, 0]).sum() < 1.1 * inside
    assert (ranges[1:, 0] >= ranges[:-1, 1]).all()


@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_every_leading_source_is_in_one_piece(mode: Mode) -> None:
    moving, standing = field_of(np.random.default_rng(1), 500, unrelated=100, size=5.0)
    pieces = pieces_of(moving, standing, mode, 5.0, 4)
    assert len(pieces) > 3
    rows = np.concatenate([own.side.rows for own, _ in pieces])
    assert sorted(rows) == list(range(len(moving if mode == "dense" else standing)))


def test_a_fast_star_widens_its_own_tile_only() -> None:
    moving, standing = field_of(np.random.default_rng(2), 2000, unrelated=2000, size=6.0)
    slow = {len(near.side) for _, near in pieces_of(moving, standing, "dense", 5.0, 6) if near is not None}
    assert moving.positions.pmra is not None
    moving.positions.pmra[0] = 10_000.0
    fast = [len(near.side) for _, near in pieces_of(moving, standing, "dense", 5.0, 6) if near is not None]
    assert sum(n not in slow for n in fast) == 1


@pytest.mark.parametrize("mode", ["dense", "sparse"])
@pytest.mark.parametrize("order", [1, 8, 10, 11])
def test_a_star_of_ten_arcseconds_a_year_is_found_over_tiles(mode: Mode, order: int) -> None:
    rng = np.random.default_rng(3)
    n = 60
    dec = rng.uniform(-60, 60, n)
    ra = rng.uniform(0, 360, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    ids = pl.Series(np.arange(n))
    fast = Positions(ra, dec, np.full(n, 2016.0), 1e4 * np.cos(angle), 1e4 * np.sin(angle), np.ones(n, dtype=bool))
    there = fast.vectors(np.arange(n), np.full(n, 1955.0))
    old = Positions(
        np.degrees(np.arctan2(there[:, 1], there[:, 0])) % 360,
        np.degrees(np.arcsin(there[:, 2])),
        np.full(n, 1955.0),
        None,
        None,
        np.ones(n, dtype=bool),
    )
    config = MatchConfig(method="nearest", radius=1.0)
    found = tiled_match(Side.of(fast, ids), Side.of(old, ids), config, mode, order)
    assert found.best.select("source_id").to_series().to_list() == list(range(n))
    assert (found.best["source_id"] == found.best["original_ext_source_id"]).all()


def test_how_far_stars_go() -> None:
    moving, _ = sides(*random_sky(11))
    p = Positions(*(np.array([x]) for x in (1.0, 2.0, 2016.0, 3000.0, 4000.0)), np.ones(1, dtype=bool))
    assert Epochs(1956.0, 2020.0).longest_way(p) == pytest.approx(1.1 * 5.0 * 60)
    assert Epochs(np.nan, np.nan).longest_way(p) == 0.0
    assert (Epochs(np.nan, np.nan) | Epochs(1990.0, 2000.0)) == Epochs(1990.0, 2000.0)
    assert Epochs.of(moving.positions.take(np.empty(0, dtype=int))).longest_way(p) == 0.0


@pytest.mark.parametrize("among", [[], [0, 1, 2, 3], [2, 3, 7, 11]])
def test_row_numbers_find_their_places(among: list[int]) -> None:
    rows = np.array(among, dtype=np.intp)
    chosen = np.arange(len(among))[::-1]
    assert places(rows[chosen], rows).tolist() == chosen.tolist()


@given(rows=st.lists(st.integers(0, 30)), some=st.sets(st.integers(0, 30)))
def test_rows_among_sorted_ones(rows: list[int], some: set[int]) -> None:
    found = among(np.array(rows, dtype=np.int64), np.array(sorted(some), dtype=np.int64))
    assert found.tolist() == [row in some for row in rows]
