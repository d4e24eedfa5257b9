"""A catalogue that is larger than memory, divided into tiles of the sky on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.inputs import Curation, SkyRows, match_columns, side_of
from starscale.crossmatch.kernel.pieces import (
    SORT_ORDER,
    Side,
    in_ranges,
    margin_order,
    on_border,
    ranges_around,
    tiles_in,
    tiles_of,
)
from starscale.crossmatch.kernel.stores import PieceResult, Step, T
from starscale.io.scatter import Scatter
from starscale.surveys import Survey
from starscale.tables.positions import positions
from starscale.tables.stream import pieces
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Task

#: Rows that are read at a time.
CHUNK = 250_000
#: Rows of the most recently read tiles that are kept in memory, and of the most recently used borders of tiles.
RECENT = 500_000
_ROW, _PIXEL = "__row", "__pixel"


def side_with_rows(
    table: pl.DataFrame, survey: Survey, where: str, row: str, curation: Curation | None
) -> SkyRows:
    """Return the rows of a piece as a step receives them.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
        Standardised.
    survey : Survey
    where : str
        Name of the catalogue in error messages.
    row : str
        Column with the row number in the whole catalogue.
    curation : Curation, optional
        Applied where it is known.
    """
    side = side_of(table, survey, where, whole=False)
    cells = table[_PIXEL].to_numpy() if _PIXEL in table.columns else None
    side = Side(side.positions, side.ids, table[row].to_numpy(), side.several, side.brightness, cells=cells)
    return SkyRows(side, table=table) if curation is None else curation.applied(side, survey, table)


class _Recent:
    """Tables that were used last, :data:`RECENT` rows of them."""

    def __init__(self) -> None:
        self._tables: dict[tuple[int, ...], pl.DataFrame] = {}
        self._rows = 0

    def get(self, key: tuple[int, ...], make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """Return a table; it is made where it is not kept."""
        table = self._tables.pop(key, None)
        if table is None:
            table = make()
            self._rows += table.height
        self._tables[key] = table
        while len(self._tables) > 1 and self._rows > RECENT:
            self._rows -= self._tables.pop(next(iter(self._tables))).height
        return table


class TiledCatalogue:
    """One catalogue in tiles on disk.

    Parameters
    ----------
    path : Path
    survey : Survey
    folder : Path
        Folder for the tiles; rows without a position are in tile -1.
    order : int
        HEALPix order of the tiles.
    """

    undivided = False

    def __init__(self, path: Path, survey: Survey, folder: Path, order: int) -> None:
        self.path, self.survey, self.order = path, survey, order
        self.rows = 0
        self._tiles = Scatter(folder)
        self._curation: Curation | None = None
        self._recent, self._borders = _Recent(), _Recent()
        self._checked: set[tuple[int, str]] = set()

    def read(self, task: Task) -> None:
        """Read the table once and sort its rows into tiles."""
        where = str(self.path)
        for table in pieces(self.path, self.survey, match_columns(self.survey), rows=CHUNK):
            pixels = tiles_of(positions(table, self.survey, where, whole=False), SORT_ORDER)
            numbers = np.arange(self.rows, self.rows + table.height)
            tiles = np.where(pixels < 0, -1, pixels >> (2 * (SORT_ORDER - self.order)))
            self._tiles.append(table.with_columns(pl.Series(_ROW, numbers), pl.Series(_PIXEL, pixels)), tiles)
            self.rows += table.height
            task.advance(table.height, f"reading {self.path.name}")
        if self.rows == 0:
            raise InputError(Problem(where, "has no rows", "one or more"))
        if self._tiles.groups == [-1]:
            found = f"none of the {self.rows} rows has a finite position"
            raise InputError(Problem(where, found, "ra and dec in degrees"))

    def each(
        self,
        step: Step[T],
        near: TiledCatalogue | None = None,
        margin: Callable[[int], float] | None = None,
    ) -> Iterator[PieceResult[T]]:
        """Apply a step to one tile after the other."""
        for tile in self._tiles.groups:
            own = self._rows(self._tile(tile), (tile, "own"))
            around = None
            if near is not None and tile >= 0:
                around = near.around(tile, 0.0 if margin is None else margin(tile))
            yield PieceResult(tile, len(own.side), step(own, around))

    def around(self, tile: int, margin: float) -> SkyRows:
        """Return the rows of a tile and of a margin (arcsec) around it, in the order of the catalogue."""
        ranges = ranges_around(tile, self.order, margin)
        fine = margin_order(margin, self.order)
        rows = self._tile(tile)
        others = sorted(tiles_in(ranges, self.order) - {tile})
        if others:
            borders = pl.concat([self._border(other, fine) for other in others])
            near = _chosen(borders, in_ranges(borders[_PIXEL].to_numpy(), ranges))
            rows = pl.concat([rows, near]).sort(_ROW)
        return self._rows(rows, (tile, "around"))

    def curate(self, curation: Curation) -> None:
        """Apply the curation to all rows passed to later steps."""
        self._curation = curation

    def share(self, density: DensityMap) -> DensityMap:
        """Return the density map itself."""
        return density

    def _tile(self, number: int) -> pl.DataFrame:
        """Return the rows of a tile, which several steps read."""
        return self._recent.get((number,), lambda: self._tiles.read(number))

    def _border(self, number: int, fine: int) -> pl.DataFrame:
        """Return the rows at the border of a tile, which are all that its neighbours need of it."""

        def border() -> pl.DataFrame:
            whole = self._tile(number)
            return _chosen(whole, on_border(whole[_PIXEL].to_numpy(), self.order, fine))

        return self._borders.get((number, fine), border)

    def _rows(self, table: pl.DataFrame, place: tuple[int, str]) -> SkyRows:
        """Return rows as a step receives them; those of a place are checked when they are read first."""
        where, column = str(self.path), self.survey.id
        rows = side_with_rows(table, self.survey, where, _ROW, self._curation)
        unchecked = column.unique and place not in self._checked
        if unchecked and (repeated := len(rows.side) - rows.side.ids.n_unique()):
            name, found = (
                f"{where}: column {column.column!r}",
                f"{repeated} rows repeat an identifier of another row",
            )
            raise InputError(Problem(name, found, "every one once"))
        self._checked.add(place)
        return rows


def _chosen(table: pl.DataFrame, rows: NDArray[np.bool_]) -> pl.DataFrame:
    return table.filter(pl.Series(rows, dtype=pl.Boolean))
