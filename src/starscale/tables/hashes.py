"""Hashes of identifiers, used to select stars; they are the same on every machine and in every version."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray


def stable_hash(ids: pl.Series, seed: int) -> NDArray[np.uint64]:
    """Hash identifiers to 64 bits, the same on every machine and in every version. Shape (n,).

    Integers are hashed by SplitMix64 (Steele, Lea & Flood 2014), texts by SHA-256.
    """
    if ids.dtype == pl.String:
        values = np.array(
            [int.from_bytes(hashlib.sha256(str(text).encode()).digest()[:8], "little") for text in ids.to_list()],
            dtype=np.uint64,
        )
    else:
        values = ids.cast(pl.Int64).to_numpy().astype(np.int64).view(np.uint64)
    return splitmix(splitmix(values) ^ splitmix(np.full(1, seed, dtype=np.uint64)))


def splitmix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of 64-bit numbers: SplitMix64. Shape (n,)."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
