"""Density and coverage of a catalogue."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.crossmatch.kernel.density import DensityMap, DensitySum
from starscale.tables.healpix import FINEST, SPHERE, cell_area, cells
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray


def sky(ra: FloatArray, dec: FloatArray) -> Positions:
    n = len(ra)
    return Positions(np.asarray(ra), np.asarray(dec), np.full(n, 2016.0), None, None, np.ones(n, dtype=bool))


def uniform(rng: np.random.Generator, n: int, centre: tuple[float, float], size: float) -> Positions:
    dec = centre[1] + rng.uniform(-size / 2, size / 2, n)
    return sky((centre[0] + rng.uniform(-size / 2, size / 2, n) / np.cos(np.radians(dec))) % 360, dec)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (120.0, 60.0), (40.0, -45.0)])
@pytest.mark.parametrize(("n", "bias"), [(3000, 0.2), (40_000, 0.06)])
def test_a_uniform_field_has_its_density(centre: tuple[float, float], n: int, bias: float) -> None:
    """The few sources fill two cells only, whose covered parts end beyond the field."""
    field = uniform(np.random.default_rng(1), n, centre, 2.0)
    found = DensityMap.of(field).around(field.ra, field.dec).density
    true = n / (2.0 * 3600) ** 2
    assert np.median(found) == pytest.approx(true, rel=bias)
    # The edge is no gap in density, thanks to the parts of a cell that are covered.
    assert np.mean(np.abs(found / true - 1) < 0.3 + bias) > 0.93


def test_a_cluster_is_denser_than_the_field() -> None:
    rng = np.random.default_rng(2)
    field, cluster = uniform(rng, 4000, (10.0, 20.0), 2.0), uniform(rng, 4000, (10.0, 20.0), 0.1)
    both = DensityMap.of(field) + DensityMap.of(cluster)
    inside, outside = both.around(np.array([10.0, 10.7]), np.array([20.0, 20.5])).density
    assert inside == pytest.approx(4000 / 360.0**2, rel=0.3)
    assert outside == pytest.approx(4000 / 7200.0**2, rel=0.3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pieces=st.integers(1, 6))
def test_the_counts_of_pieces_add_up(seed: int, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    field = uniform(rng, 500, (0.0, 0.0), 1.0)
    part = rng.integers(0, pieces, 500)
    maps = [DensityMap.of(field.take(np.flatnonzero(part == i))) for i in range(pieces)]
    whole = DensityMap.of(field)
    added = maps[0]
    for one in maps[1:]:
        added = added + one
    together = DensitySum()
    for one in maps:
        together.add(one)
    for total in (added, together.total()):
        np.testing.assert_array_equal(total.pixels, whole.pixels)
        np.testing.assert_array_equal(total.counts, whole.counts)
    np.testing.assert_array_equal(
        added.around(field.ra, field.dec).density, whole.around(field.ra, field.dec).density
    )


@settings(max_examples=25, deadline=None)
@given(cells=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=80))
def test_sources_that_are_taken_out_were_never_counted(cells: list[tuple[int, bool]]) -> None:
    every, left = (np.array([c for c, out in cells if not (out and some)], np.int32) for some in (False, True))
    out = np.array([c for c, out in cells if out], np.int32)
    found, expected = DensityMap.count(every).without(out), DensityMap.count(left)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    np.testing.assert_array_equal(found.counts, expected.counts)
    assert found.counts.dtype == expected.counts.dtype


def test_where_the_catalogue_ends() -> None:
    field = uniform(np.random.default_rng(3), 50_000, (180.0, 0.0), 4.0)
    covered = DensityMap.of(field)
    ra, dec = np.array([180.0, 181.0, 181.99, 182.2, 190.0, 0.0]), np.array([0.0, 1.0, 0.0, 0.0, 0.0, 90.0])
    assert covered.around(ra, dec).edge.tolist() == [False, False, True, True, True, True]
    assert covered.around(ra, dec).covered.tolist() == [True, True, True, False, False, False]
    # Inside, chance leaves no holes.
    inner = (np.abs(field.ra - 180) < 1.7) & (np.abs(field.dec) < 1.7)
    assert covered.around(field.ra[inner], field.dec[inner]).edge.mean() < 0.002


def test_small_and_empty_catalogues() -> None:
    one = DensityMap.of(sky(np.array([10.0]), np.array([10.0])))
    near, far = one.around(np.array([10.0, 200.0]), np.array([10.0, -60.0])).density
    assert near == pytest.approx(1 / cell_area(FINEST))
    assert 0 < far < near
    nothing = DensityMap.of(sky(np.empty(0), np.empty(0)))
    assert nothing.around(np.array([1.0]), np.array([1.0])).density.tolist() == [0.0]
    assert not nothing.around(np.array([1.0]), np.array([1.0])).covered.any()
    assert one.around(np.empty(0), np.empty(0)).density.shape == (0,)
    bad = DensityMap.of(sky(np.array([np.nan, 10.0]), np.array([0.0, 10.0])))
    assert bad.total == 1


def test_cells_are_those_of_the_archive() -> None:
    """The first bits of a Gaia identifier are the cell of order 12 (Gaia DR3 documentation, sec. 20.1.1)."""
    identifier, ra, dec = 5853498713190525696, 217.392321472009, -62.6760751167667
    assert cells(np.array([ra]), np.array([dec]), 12)[0] == identifier // 2**35
    assert 12 * 4**5 * cell_area(5) == pytest.approx(SPHERE)


def test_the_table_leads_to_the_part_that_a_search_finds() -> None:
    """Also where a crowd divides cells of the table into many parts, and where there is no position."""
    rng = np.random.default_rng(6)
    wide = sky(rng.uniform(0, 360, 30_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 30_000))))
    crowd = sky(rng.normal(50, 0.02, 60_000), rng.normal(-30, 0.02, 60_000))
    both = DensityMap.of(wide) + DensityMap.of(crowd)
    pixels = np.concatenate([both.pixels[::7], rng.integers(0, 12 * 4**FINEST, 5000), [0, 12 * 4**FINEST - 1]])
    starts, density, covered, edge = both._parts
    at = np.searchsorted(starts, pixels, side="right") - 1
    found = both.at(pixels)
    np.testing.assert_array_equal(found.density, density[at])
    np.testing.assert_array_equal(found.covered, covered[at])
    np.testing.assert_array_equal(found.edge, edge[at])
    shift, first = both._guide
    assert (np.diff(first) > 1).any()
    assert first.tolist() == [
        *(np.searchsorted(starts, np.arange(len(first) - 1) << shift, "right") - 1),
        len(starts),
    ]
    nowhere = both.at(np.array([-1]))
    assert (nowhere.density[0], nowhere.covered[0], nowhere.edge[0]) == (0.0, False, False)


def test_the_sum_of_many_pieces_sorts_each_source_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_cells = 0
    add = DensityMap.__add__

    def counted(self: DensityMap, other: DensityMap) -> DensityMap:
        nonlocal sorted_cells
        sorted_cells += len(self.pixels) + len(other.pixels)
        return add(self, other)

    monkeypatch.setattr(DensityMap, "__add__", counted)
    total = DensitySum()
    assert total.total().total == 0
    for piece in range(1000):
        total.add(DensityMap.count(np.arange(10 * piece, 10 * piece + 10)))
    np.testing.assert_array_equal(total.total().pixels, np.arange(10_000))
    # To add one piece after the other would come to five million.
    assert sorted_cells < 10_000 * 2 * np.log2(1000)
