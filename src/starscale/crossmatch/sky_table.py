"""A catalogue that is larger than memory, sorted into tiles of the sky."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.curate import is_imprecise, take_out
from starscale.crossmatch.kernel.inputs import error_ceiling, match_columns, side_of
from starscale.crossmatch.kernel.pieces import SORT_ORDER, Side, among, in_ranges, ranges_around, tiles_of
from starscale.io.scatter import Scatter
from starscale.surveys import Survey
from starscale.tables.positions import positions
from starscale.tables.stream import pieces
from starscale.vocabulary.errors import InputError, Problem

#: Rows that are read at a time.
CHUNK = 250_000
#: Rows of tiles that are kept in memory.
RECENT = 500_000
_ROW, _PIXEL = "__row", "__pixel"
Report = Callable[[str, int], None]


@dataclass
class SkyTable:
    """One catalogue, sorted into tiles on disk.

    Parameters
    ----------
    path : Path
    survey : Survey
    tiles : Scatter
        Where the rows are kept, by tile; those without a position in tile -1.
    order : int
        HEALPix order of the tiles.
    """

    path: Path
    survey: Survey
    tiles: Scatter
    order: int
    rows: int = 0
    #: Rows that curation took out, and those that others were collapsed into, sorted.
    imprecise: int = 0
    repeats: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    stand_ins: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    curated: bool = False
    _recent: dict[int, pl.DataFrame] = field(default_factory=dict)

    def scatter(self, report: Report) -> None:
        """Read the table once and sort its rows into tiles; rows without a position go to tile -1."""
        for table in pieces(self.path, self.survey, match_columns(self.survey), rows=CHUNK):
            where = positions(table, self.survey, str(self.path), whole=False)
            pixels = tiles_of(where, SORT_ORDER)
            kept = table.with_columns(
                pl.Series(_ROW, np.arange(self.rows, self.rows + table.height)), pl.Series(_PIXEL, pixels)
            )
            tiles = np.where(pixels < 0, -1, pixels >> (2 * (SORT_ORDER - self.order)))
            self.tiles.append(kept, tiles)
            self.rows += table.height
            report(f"reading {self.path.name}", table.height)
        if self.rows == 0:
            raise InputError(Problem(str(self.path), "has no rows", "one or more"))
        if self.tiles.groups == [-1]:
            raise InputError(
                Problem(
                    str(self.path), f"none of the {self.rows} rows has a finite position", "ra and dec in degrees"
                )
            )

    def own(self, tile: int) -> tuple[Side, pl.DataFrame]:
        """Rows of a tile."""
        return self._side(self._tile(tile))

    def around(self, tile: int, margin: float) -> tuple[Side, pl.DataFrame]:
        """Rows of a tile and of a margin (arcsec) around it."""
        ranges = ranges_around(tile, self.order, margin)
        shift = 2 * (SORT_ORDER - self.order)
        needed = {int(t) for low, high in ranges for t in range(low >> shift, ((high - 1) >> shift) + 1)}
        parts = []
        for other in sorted(needed):
            table = self._tile(other)
            if other != tile:
                table = table.filter(pl.Series(in_ranges(table[_PIXEL].to_numpy(), ranges), dtype=pl.Boolean))
            parts.append(table)
        return self._side(pl.concat(parts).sort(_ROW))

    def _tile(self, number: int) -> pl.DataFrame:
        """Rows of a tile. Those that were read last are kept: a tile is read again for each one around it."""
        table = self._recent.pop(number, None)
        if table is None:
            table = self.tiles.read(number)
        self._recent[number] = table
        while len(self._recent) > 1 and sum(t.height for t in self._recent.values()) > RECENT:
            del self._recent[next(iter(self._recent))]
        return table

    def _side(self, table: pl.DataFrame) -> tuple[Side, pl.DataFrame]:
        where = str(self.path)
        side = side_of(table, self.survey, where, whole=False)
        if (repeated := len(side) - side.ids.n_unique()) and self.survey.id.unique:
            name = f"{where}: column {self.survey.id.column!r}"
            raise InputError(
                Problem(name, f"{repeated} rows repeat an identifier of another row", "every one once")
            )
        rows = table[_ROW].to_numpy()
        if not self.curated:
            return Side(side.positions, side.ids, rows, side.several, side.brightness), table
        out = is_imprecise(side.positions, error_ceiling(self.survey)) | among(rows, self.repeats)
        several = among(rows, self.stand_ins)
        return Side(take_out(side.positions, out), side.ids, rows, several, side.brightness), table
