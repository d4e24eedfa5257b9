"""Training, validation and test parts: from identifiers, groups and blocks to a part, by stable hashes.

A *group* holds rows that are, or may be, one star; a *block* holds stars that go together for another
reason (a cell of the sky, a cluster). The part of a row is that of its group's leader, and the part of a leader
follows from the hash of its block, or of its own identifier where it has none.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from starscale.tables.hashes import splitmix, stable_hash
from starscale.tables.positions import ARCSEC, Positions
from starscale.vocabulary.settings.split import SplitConfig

PARTS = ("train", "validation", "test")
#: Positions are compared at this Julian year: a fixed one, so that nothing depends on which rows are there.
EPOCH = 2016.0


def near_pairs(where: Positions, radius: float) -> NDArray[np.intp]:
    """All pairs of rows closer than `radius` (arcsec), moved to one epoch. Shape (n_pairs, 2)."""
    rows = np.flatnonzero(where.valid)
    if not len(rows):
        return np.empty((0, 2), dtype=np.intp)
    vectors = where.vectors(rows, np.full(len(rows), EPOCH))
    chord = 2 * np.sin(radius * ARCSEC / 2)
    return rows[cKDTree(vectors).query_pairs(chord, output_type="ndarray")]


def same_pairs(keys: pl.Series) -> NDArray[np.intp]:
    """Chains of pairs that tie rows with the same key together; rows without one (null) are alone."""
    table = pl.DataFrame({"key": keys}).with_row_index("row").drop_nulls("key")
    first = table.select(pl.col("row").first().over("key").alias("first"), "row").filter(
        pl.col("first") != pl.col("row")
    )
    return first.to_numpy().astype(np.intp).reshape(-1, 2)


def chained(n: int, *pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number the groups of `n` rows that pairs tie together, through any chain. Shape (n,)."""
    links = np.concatenate([np.empty((0, 2), dtype=np.intp), *pairs])
    graph = coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.intp)


def position_groups(where: Positions, radius: float) -> NDArray[np.intp]:
    """Number the groups of rows that are chained together by separations below `radius` (arcsec). Shape (n,).

    A row without a position is a group of its own.
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
        Rows of one group go together, to the part where one of them, the leader, would go alone: a row with
        a block before one without, then the one whose hash, hashed once more, is smallest. (The smallest
        hash itself would send large groups to the first part.)
    blocks : polars.Series, (n,), optional
        Numbers or names; rows of one block go together. Null: the star goes by itself.
    held_out : ndarray of bool, (n,), optional
        Rows that are the test part, with their groups; training and validation then share the others in
        proportion.

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
