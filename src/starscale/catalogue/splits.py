"""Training, validation and test parts that do not leak: a star, or a group of rows, is on one side only."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from starscale.catalogue.positions import ARCSEC, Positions
from starscale.vocabulary.config import SplitConfig

PARTS = ("train", "validation", "test")


def stable_hash(ids: pl.Series, seed: int) -> NDArray[np.uint64]:
    """Hash identifiers to 64 bits, the same on every machine and for ever. Shape (n,).

    Integers go through SplitMix64 (Steele, Lea & Flood 2014), texts through SHA-256.
    """
    if ids.dtype == pl.String:
        values = np.array(
            [int.from_bytes(hashlib.sha256(str(text).encode()).digest()[:8], "little") for text in ids.to_list()],
            dtype=np.uint64,
        )
    else:
        values = ids.cast(pl.Int64).to_numpy().astype(np.int64).view(np.uint64)
    return _splitmix(_splitmix(values) ^ _splitmix(np.full(1, seed, dtype=np.uint64)))


def _splitmix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def position_groups(where: Positions, radius: float) -> NDArray[np.intp]:
    """Number the groups of rows that are chained together by separations below `radius` (arcsec). Shape (n,).

    A row without a position is a group of its own.
    """
    n = len(where)
    rows = np.flatnonzero(where.valid)
    vectors = where.without_motion().vectors(rows, np.full(len(rows), np.nan))
    chord = 2 * np.sin(radius * ARCSEC / 2)
    pairs = (
        cKDTree(vectors).query_pairs(chord, output_type="ndarray") if len(rows) else np.empty((0, 2), dtype=int)
    )
    graph = coo_matrix((np.ones(len(pairs)), (rows[pairs[:, 0]], rows[pairs[:, 1]])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.intp)


def assign_parts(
    ids: pl.Series, config: SplitConfig, seed: int, groups: NDArray[np.intp] | None = None
) -> pl.Series:
    """Give every row its part: ``train``, ``validation`` or ``test``.

    Parameters
    ----------
    ids : polars.Series, (n,)
        Identifiers of the stars; rows of one star share it and so its part.
    config : SplitConfig
        Shares of the parts.
    seed : int
        Another seed gives another split.
    groups : ndarray of int, (n,), optional
        Rows of one group go together. Their part follows from the smallest hash in the group, hashed
        once more: the smallest itself would send large groups to the first part.

    Returns
    -------
    polars.Series of str, (n,)
    """
    hashes = stable_hash(ids, seed)
    if groups is not None and len(groups):
        smallest = np.full(groups.max() + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
        np.minimum.at(smallest, groups, hashes)
        hashes = _splitmix(smallest)[groups]
    place = hashes.astype(np.float64) / 2.0**64
    edges = np.array([config.train, config.train + config.validation])
    return pl.Series("part", np.array(PARTS)[np.searchsorted(edges, place, side="right")])
