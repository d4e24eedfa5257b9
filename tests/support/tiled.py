"""A match in memory, divided into tiles: the result must not depend on the division."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from starscale.crossmatch.kernel.driver import MatchJob
from starscale.crossmatch.kernel.engine import CatalogueInMemory, Match, TableInMemory, crossmatch
from starscale.crossmatch.kernel.inputs import SkyRows
from starscale.crossmatch.kernel.pieces import Side, in_ranges, ranges_around, tiles_of
from starscale.crossmatch.kernel.select import Mode
from starscale.crossmatch.kernel.stores import PieceResult, Results, Step, T
from starscale.vocabulary.settings.match import MatchConfig


class TiledInMemory(CatalogueInMemory):
    """A catalogue in memory, divided into tiles of a HEALPix order; sources without a position are in tile -1."""

    undivided = False

    def __init__(self, side: Side, order: int) -> None:
        super().__init__(SkyRows(side))
        self.side, self.order = side, order

    def each(
        self,
        step: Step[T],
        near: Any = None,
        margin: Callable[[int], float] | None = None,
    ) -> Iterator[PieceResult[T]]:
        """Apply a step to one tile after the other."""
        tiles = tiles_of(self.side.positions, self.order)
        for tile in np.unique(tiles).tolist():
            own = SkyRows(self.side.take(np.flatnonzero(tiles == tile)))
            around = None
            if near is not None and margin is not None and tile >= 0:
                ranges = ranges_around(tile, self.order, margin(tile))
                around = SkyRows(near.side.take(np.flatnonzero(in_ranges(near.side.pixels, ranges))))
            yield PieceResult(tile, len(own.side), step(own, around))


def tiled_match(moving: Side, standing: Side, config: MatchConfig, mode: Mode, order: int | None) -> Match:
    """Match two catalogues in tiles of an order, or undivided."""
    if order is None:
        return crossmatch(moving, standing, config, mode)
    results = Results(TableInMemory(), TableInMemory(), TableInMemory())
    job = MatchJob(TiledInMemory(moving, order), TiledInMemory(standing, order), config, mode, results)
    (rows,) = job.run()
    tables = (rows.best, rows.neighbours, rows.unmatched, job.duplicates)
    return Match(*tables, job.model, job.statistics, job.tally.losses, job.account)


def pieces_of(
    moving: Side, standing: Side, mode: Mode, radius: float, order: int
) -> list[tuple[SkyRows, SkyRows | None]]:
    """Return the rows of every tile of the leading catalogue, and those around it, as a match receives them."""
    job = MatchJob(
        TiledInMemory(moving, order),
        TiledInMemory(standing, order),
        MatchConfig(method="nearest", radius=radius),
        mode,
        Results(TableInMemory(), TableInMemory(), TableInMemory()),
    )
    job._survey()
    return [r.result for r in job.leading.each(lambda own, near: (own, near), job.searched, job._margin())]
