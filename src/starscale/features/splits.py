"""Assign stars to training, validation and test parts by stable hashes.

A *group* contains rows that are, or may be, the same star; a *block* contains stars that are kept together for
another reason (a cell of the sky, a cluster). A row goes to the part of the leader of its group. The part of a
leader follows from the hash of its block, or of its identifier if it has no block.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.tables.hashes import splitmix, stable_hash
from starscale.tables.positions import ARCSEC, Positions
from starscale.vocabulary.later import Later
from starscale.vocabulary.settings.split import SplitConfig

sparse = Later("scipy.sparse")
csgraph = Later("scipy.sparse.csgraph")
spatial = Later("scipy.spatial")

PARTS = ("train", "validation", "test")
#: Epoch (Julian year) at which positions are compared; fixed, so that it does not depend on the other rows.
EPOCH = 2016.0


def near_pairs(where: Positions, radius: float) -> NDArray[np.intp]:
    """Return all pairs of rows closer than `radius` (arcsec) at a common epoch. Shape (n_pairs, 2)."""
    rows = np.flatnonzero(where.valid)
    if not len(rows):
        return np.empty((0, 2), dtype=np.intp)
    vectors = where.vectors(rows, np.full(len(rows), EPOCH))
    chord = 2 * np.sin(radius * ARCSEC / 2)
    pairs: NDArray[np.intp] = spatial.cKDTree(vectors).query_pairs(chord, output_type="ndarray")
    return rows[pairs]


def same_pairs(keys: pl.Series) -> NDArray[np.intp]:
    """Return pairs that connect all rows with the same key; rows without a key (null) are in no pair."""
    table = pl.DataFrame({"key": keys}).with_row_index("row").drop_nulls("key")
    first = table.select(pl.col("row").first().over("key").alias("first"), "row").filter(
        pl.col("first") != pl.col("row")
    )
    return first.to_numpy().astype(np.intp).reshape(-1, 2)


def chained(n: int, *pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number the connected groups of `n` rows, given pairs of connected rows. Shape (n,)."""
    links = np.concatenate([np.empty((0, 2), dtype=np.intp), *pairs])
    graph = sparse.coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))
    return np.asarray(csgraph.connected_components(graph, directed=False)[1], dtype=np.intp)


def position_groups(where: Positions, radius: float) -> NDArray[np.intp]:
    """Number the groups of rows that are connected by separations below `radius` (arcsec). Shape (n,).

    A row without a position is a group by itself.
    """
    return chained(len(where), near_pairs(where, radius))


def assign_parts(
    ids: pl.Series,
    config: SplitConfig,
    seed: int,
    groups: NDArray[np.intp] | None = None,
    *,
    blocks: pl.Series | None = None,
    held_out: NDArray[np.bool_] | None = None,
) -> pl.Series:
    """Assign every row to a part: ``train``, ``validation`` or ``test``.

    Parameters
    ----------
    ids : polars.Series, (n,)
        Identifiers of the stars; rows with the same identifier get the same part.
    config : SplitConfig
        Fractions of the parts.
    seed : int
        Seed of the hashes.
    groups : ndarray of int, (n,), optional
        Rows of a group get the part of their leader: of the rows with a block, if there are any, the row whose
        hash, hashed again, is smallest. (The smallest hash itself would put large groups into the first part.)
    blocks : polars.Series, (n,), optional
        Numbers or names; rows of a block get the same part. Null: no block.
    held_out : ndarray of bool, (n,), optional
        Rows that make up the test part, together with their groups; the other rows are divided between training
        and validation in proportion to their fractions.

    Returns
    -------
    polars.Series of str, (n,)
    """
    hashes = stable_hash(ids, seed)
    alone = np.ones(len(ids), dtype=bool)
    if blocks is not None:
        alone = blocks.is_null().to_numpy()
        hashes[~alone] = stable_hash(blocks.drop_nulls(), seed)
    if groups is not None:
        order = np.lexsort((splitmix(hashes), alone, groups))
        leaders = order[np.unique(groups[order], return_index=True)[1]]
        hashes = hashes[leaders][groups]
    # Uniform in [0, 1): the parts are intervals of it.
    place = hashes.astype(np.float64) / 2.0**64
    if held_out is None:
        edges = np.array([config.train, config.train + config.validation])
        number = np.searchsorted(edges, place, side="right")
    else:
        if groups is not None:
            held_out = np.isin(groups, groups[held_out])
        share = config.train / (config.train + config.validation)
        number = np.where(held_out, PARTS.index("test"), place >= share)
    return pl.Series("part", np.array(PARTS)[number])
