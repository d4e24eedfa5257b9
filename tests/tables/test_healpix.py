"""HEALPix cells against values of the reference implementation, and the nesting itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
