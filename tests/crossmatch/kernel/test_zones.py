"""The order of sources in zones is that of their keys, however close these are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.crossmatch.kernel.zones import Zones, _order
from starscale.tables.arrays import in_order


@given(
    st.lists(
        st.floats(0, 4e6) | st.sampled_from([0.0, 1024.0, 2.0**21, 2.0**22, 1023.9999999999999]), max_size=60
    ),
    st.integers(0, 40),
)
@settings(deadline=None)
def test_the_order_is_exact_and_equal_keys_keep_theirs(keys: list[float], steps: int) -> None:
    # Neighbours that differ by less than the integers can tell.
    key = np.array([*keys, *(1024.0 + np.arange(steps)[::-1] * 1e-12), *keys])
    np.testing.assert_array_equal(_order(key), np.argsort(key, kind="stable"))


def test_many_keys_are_in_order() -> None:
    rng = np.random.default_rng(0)
    key = rng.integers(0, 3000, 200_000) * 1024 + np.round(rng.random(200_000) * 360, 3)
    np.testing.assert_array_equal(_order(key), np.argsort(key, kind="stable"))


def test_a_zone_holds_its_sources_by_right_ascension() -> None:
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 5000), rng.uniform(-90, 90, 5000)
    zones = Zones.of(ra, dec, 1 / 3600, np.arange(5000)[::3])
    assert (np.diff(zones.key) >= 0).all()
    assert sorted(zones.rows) == list(range(0, 5000, 3))
    np.testing.assert_array_equal(zones.dec, dec[zones.rows])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint64"])
def test_integers_are_sorted_in_their_type_and_a_new_array(dtype: str) -> None:
    numbers = np.random.default_rng(0).integers(0, 2**31, 1000).astype(dtype)
    before = numbers.copy()
    found = in_order(numbers)
    assert found.dtype == numbers.dtype
    np.testing.assert_array_equal(found, np.sort(numbers))
    found[:] = 0
    np.testing.assert_array_equal(numbers, before)
    assert in_order(numbers[:0]).shape == (0,)
