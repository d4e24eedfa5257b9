"""HEALPix cells against values of the reference implementation, and the nesting itself."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested
from hypothesis import given
from hypothesis import strategies as st

from starscale.tables.healpix import cell_centres, cell_type, neighbourhoods, placed_cells, surrounding
from starscale.tables.healpix import cells as nested_cell

# (ra, dec): cells at levels 0, 3 and 12, computed with astropy-healpix 1.1.
KNOWN = {
    (45.0, 90.0): (0, 63, 16777215),
    (0.0, -90.0): (8, 512, 134217728),
    (359.9999, 0.001): (4, 304, 79691776),
    (132.8, 11.8): (1, 67, 17605504),
    (266.405, -28.936): (7, 450, 118088310),
    (180.0, -41.81): (6, 384, 100663296),
    (80.0, 41.8104): (0, 21, 5678442),
    (301.25, 66.5): (3, 249, 65428172),
    (12.5, -66.5): (8, 522, 136946671),
}


@pytest.mark.parametrize(("place", "level"), [(i, level) for i, level in enumerate((0, 3, 12))])
def test_known_cells(place: int, level: int) -> None:
    ra, dec = (np.array(part) for part in zip(*KNOWN, strict=True))
    assert nested_cell(ra, dec, level).tolist() == [cells[place] for cells in KNOWN.values()]


@given(st.floats(0, 360), st.floats(-90, 90), st.integers(0, 20))
def test_a_cell_lies_in_its_parent(ra: float, dec: float, level: int) -> None:
    position = np.array([ra]), np.array([dec])
    parent, child = nested_cell(*position, level)[0], nested_cell(*position, level + 1)[0]
    assert child >> 2 == parent
    assert 0 <= parent < 12 * 4**level


def test_cells_have_equal_area() -> None:
    rng = np.random.default_rng(0)
    n = 192_000
    counts = np.bincount(
        nested_cell(rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))), 2), minlength=192
    )
    assert len(counts) == 192
    # Chi-squared with 191 degrees of freedom: 191 +- 20.
    assert ((counts - 1000) ** 2 / 1000).sum() == pytest.approx(191, abs=90)


def some_cells(order: int, n: int = 30_000) -> np.ndarray:
    """All cells of an order, or some, with many at the edges of base cells."""
    if 12 * 4**order <= n:
        return np.arange(12 * 4**order)
    rng, last = np.random.default_rng(order), 4**order - 1
    edges = rng.integers(0, 12, 4000)[:, None] * 4**order + [0, last // 3, 2 * (last // 3), last, last // 3 - 1]
    return np.concatenate([rng.integers(0, 12 * 4**order, n), edges.ravel()])


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4, 5, 6, 12, 13, 20, 29])
def test_neighbours_are_those_of_another_library(order: int) -> None:
    pixels = some_cells(order)
    expected = np.asarray(nested.neighbours(pixels.astype(np.uint64), order)).astype(np.int64)
    found = neighbourhoods(pixels, order)
    assert found.dtype == cell_type(order)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(expected, axis=1))
    assert neighbourhoods(pixels[:0], order).shape == (0, 9)
    # Numbers of cells of the shorter type do as well.
    np.testing.assert_array_equal(neighbourhoods(pixels.astype(cell_type(order)), order), found)


@pytest.mark.parametrize("order", [0, 1, 2, 5])
@pytest.mark.parametrize("deeper", [0, 1, 2, 4])
def test_what_touches_a_cell_is_what_another_library_says(order: int, deeper: int) -> None:
    for pixel in some_cells(order)[:: 1 + 4**order // 16]:
        one = np.array([pixel], dtype=np.uint64)
        if deeper:
            sides = nested.external_neighbours(one, order, deeper)
            expected = np.unique(np.concatenate([np.ravel(side) for side in sides]).astype(np.int64))
        else:
            expected = np.unique(np.asarray(nested.neighbours(one, order)).astype(np.int64))
            expected = expected[expected != pixel]
        np.testing.assert_array_equal(surrounding(int(pixel), order, order + deeper), expected[expected >= 0])


@pytest.mark.parametrize("order", [0, 1, 3, 8, 12, 17, 29])
def test_cells_and_centres_are_those_of_another_library(order: int) -> None:
    rng = np.random.default_rng(1)
    ra = np.concatenate([rng.uniform(-400, 800, 50_000), np.repeat([0, 45, 90, 360, -45.0], 5)])
    dec = np.concatenate([np.degrees(np.arcsin(rng.uniform(-1, 1, 50_000))), np.tile([-90, -45, 1e-9, 60, 90], 5)])
    expected = nested.lonlat_to_healpix(Longitude(ra, u.deg), Latitude(dec, u.deg), order)
    np.testing.assert_array_equal(nested_cell(ra, dec, order), np.asarray(expected).astype(np.int64))
    pixels = some_cells(order)
    longitude, latitude = (a.to_value(u.rad) for a in nested.healpix_to_lonlat(pixels.astype(np.uint64), order))
    vectors = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
    np.testing.assert_allclose(cell_centres(pixels, order), vectors, rtol=0, atol=1e-14)
    ra[[3, 70]], dec[4] = np.nan, np.inf
    where = placed_cells(ra, dec, order)
    assert np.flatnonzero(where == -1).tolist() == [3, 4, 70]
