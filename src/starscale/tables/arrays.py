"""Columns as arrays of numbers."""

from __future__ import annotations

import polars as pl

from starscale.vocabulary.arrays import FloatArray


def as_floats(values: pl.Series) -> FloatArray:
    """Return a column as float64, NaN where a value is missing. Shape (n,)."""
    # A null of numbers becomes NaN by itself.
    return values.cast(pl.Float64).to_numpy(writable=True)
