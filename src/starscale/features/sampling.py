"""A sample of the stars with labels, where they are too many: by a stable hash, evenly from groups of stars."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.tables.hashes import splitmix, stable_hash
from starscale.tables.healpix import cells
from starscale.vocabulary.settings.sample import SampleConfig

#: Widths of the cells in the space of the labels: K, dex, dex.
WIDTHS = {"teff": 250.0, "logg": 0.5, "fe_h": 0.25}


def sampled(ids: pl.Series, groups: pl.Series | None, config: SampleConfig) -> NDArray[np.bool_]:
    """Choose stars, :attr:`SampleConfig.max_stars` at most.

    Every group gives its stars in the order of their hashes, one from each group in turn, until there are enough.
    A group with few stars gives all of them.

    Parameters
    ----------
    ids : polars.Series, (n,)
        Identifiers, one row a star.
    groups : polars.Series, (n,), optional
        Group of every star; null is a group as well.
    config : SampleConfig

    Returns
    -------
    ndarray of bool, (n,)
    """
    if config.max_stars is None or len(ids) <= config.max_stars:
        return np.ones(len(ids), dtype=bool)
    # Hashed once more: by the hash itself stars are assigned to the parts of a split.
    hashes = splitmix(~stable_hash(ids, config.seed))
    table = pl.DataFrame({"hash": hashes, "id": ids, "group": groups if groups is not None else [0] * len(ids)})
    turn = table.select(pl.struct("hash", "id").rank("ordinal").over("group")).to_series()
    order = table.with_row_index("row").with_columns(turn=turn if groups is not None else pl.lit(0))
    chosen = order.sort("turn", "hash", "id")["row"].head(config.max_stars)
    mask = np.zeros(len(ids), dtype=bool)
    mask[chosen.to_numpy()] = True
    return mask


def sky_groups(ra: pl.Series, dec: pl.Series, order: int) -> pl.Series:
    """Return the cell of the sky of every star; null without a position."""
    known = (ra.is_finite() & dec.is_between(-90, 90)).fill_null(False).to_numpy()
    found = np.zeros(len(ra), dtype=np.int64)
    found[known] = cells(ra.to_numpy()[known] % 360, dec.to_numpy()[known], order)
    return pl.Series("cell", found).set(pl.Series(~known), None)


def label_groups(table: pl.DataFrame, labels: tuple[str, ...]) -> pl.Series:
    """Return the cell of every star in the space of the labels; missing labels are a cell of their own."""
    numbers = [(pl.col(name) / WIDTHS[name]).floor().cast(pl.Int64) for name in labels]
    return table.select(pl.concat_str(numbers, separator=" ", ignore_nulls=False).fill_null("")).to_series()
