"""Columns as arrays of numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starscale.tables.arrays import all_within

NUMBERS = st.sampled_from([None, float("nan"), float("-inf"), float("inf"), -90.0, -1.0, 0.0, 89.9, 90.0, 1e300])


@given(st.lists(NUMBERS, max_size=6), st.sampled_from([pl.Float64, pl.Float32]))
def test_all_are_within_where_none_is_outside(rows: list[float | None], kind: type[pl.DataType]) -> None:
    values = pl.Series(rows, dtype=pl.Float64).cast(kind)
    none_outside = values.is_between(-90, 90).fill_null(False).all() and not values.is_nan().any()
    assert all_within(values, -90, 90) == bool(len(values) and none_outside)


@pytest.mark.parametrize("kind", [pl.Int8, pl.UInt64, pl.Int64])
def test_whole_numbers(kind: type[pl.DataType]) -> None:
    assert all_within(pl.Series([0, 5], dtype=kind), 0, 5)
    assert not all_within(pl.Series([0, 6], dtype=kind), 0, 5)
    assert not all_within(pl.Series([0, None], dtype=kind), 0, 5)
    assert not all_within(pl.Series([], dtype=kind), 0, 5)
    assert all_within(pl.Series([0, 6], dtype=kind), -np.inf, np.inf)
