"""Writing a HATS catalogue: a directory of Parquet files, one for each HEALPix cell, of limited numbers of rows.

The layout is that of the IVOA note on HATS: ``hats.properties``, ``partition_info.csv``,
``dataset/Norder=k/Dir=m/Npix=n.parquet``, and the schema and footers of all of them in
``dataset/_common_metadata`` and ``dataset/_metadata``. Rows are sorted by ``_healpix_29``, the cell at order 29,
which is the first column. The memory needed does not depend on the number of rows: they are sorted on disk.

A row without a position has no cell. It is written to ``unplaced.parquet`` next to the dataset, which
:func:`starscale.io.open_table` reads; other readers of HATS do not see it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import healpix
import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from starscale.io.hats.catalogue import HIGHEST_ORDER, INDEX, PROPERTIES, UNPLACED, properties_text
from starscale.io.hats.runs import SortedRuns
from starscale.io.parquet.sink import ROW_GROUP, ParquetSink, arrow_schema
from starscale.io.sky_columns import position_columns
from starscale.io.table import CHUNK_ROWS, Sink, WritePlan, picked
from starscale.version import __version__
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem

#: Most rows of a partition: a few hundred megabytes in memory, so that a worker of a cluster can hold several.
PARTITION_ROWS = 500_000
#: Rows are counted in cells of this order (0.05 square degrees); only cells with too many rows are divided
#: further.
COUNTED = 8
_DIRECTORY_CELLS = 10_000
_INDEX_COLUMN = Column(INDEX, "int64", "", "pos.healpix", "HEALPix cell of the position, nested, order 29")


@dataclass(frozen=True, slots=True)
class Cell:
    """A HEALPix cell (nested) with its number of rows."""

    order: int
    pixel: int
    rows: int

    @property
    def first(self) -> int:
        """The first cell at the highest order inside it."""
        return self.pixel << 2 * (HIGHEST_ORDER - self.order)

    @property
    def last(self) -> int:
        """One more than the last cell at the highest order inside it."""
        return self.pixel + 1 << 2 * (HIGHEST_ORDER - self.order)

    @property
    def file(self) -> str:
        """Name of its file within the dataset."""
        directory = self.pixel // _DIRECTORY_CELLS * _DIRECTORY_CELLS
        return f"Norder={self.order}/Dir={directory}/Npix={self.pixel}.parquet"

    def quarters(self) -> list[tuple[int, int]]:
        """Orders and numbers of its four children."""
        return [(self.order + 1, 4 * self.pixel + i) for i in range(4)]


class HatsSink(Sink):
    """Sorts rows on disk and divides them into partitions when it is closed.

    Raises
    ------
    InputError
        The table has no columns of positions.
    """

    def __init__(self, plan: WritePlan) -> None:
        found = position_columns(plan.schema, plan.columns)
        if found is None:
            raise InputError(
                Problem(
                    str(plan.target),
                    "cannot be a HATS catalogue: the table has no positions",
                    "columns ra and dec, or with the UCDs pos.eq.ra and pos.eq.dec, in degrees",
                    "Write Parquet.",
                )
            )
        self._plan = plan
        self._position = found
        # A table that was read from a HATS catalogue has the column already: it is computed again.
        others = {name: dtype for name, dtype in plan.schema.items() if name != INDEX}
        self._schema = pl.Schema({INDEX: pl.Int64(), **others})
        self._columns = {**plan.columns, INDEX: _INDEX_COLUMN}
        # Refuses types that Parquet lacks before the rows come.
        arrow_schema(self._schema, self._columns)
        self._waiting = plan.path / ".waiting"
        self._waiting.mkdir()
        self._runs = SortedRuns(self._waiting, INDEX)
        self._counts = np.zeros(12 * 4**COUNTED, np.int64)
        self._unplaced: ParquetSink | None = None
        self._unplaced_rows = 0

    def append(self, frame: pl.DataFrame) -> None:
        """Append rows; those without a position go to a separate file."""
        for piece in frame.iter_slices(CHUNK_ROWS):
            index = index_of(
                *(piece[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in self._position)
            )
            marked = picked(piece.with_columns(pl.Series(INDEX, index)), self._schema)
            placed = index >= 0
            coarse = index[placed] >> 2 * (HIGHEST_ORDER - COUNTED)
            self._counts += np.bincount(coarse, minlength=len(self._counts))
            self._runs.append(marked.filter(placed))
            if not placed.all():
                self._set_apart(marked.filter(~placed))

    def close(self, metadata: Mapping[str, str]) -> None:
        """Write the partitions and their descriptions."""
        self._runs.finish()
        dataset = self._plan.path / "dataset"
        dataset.mkdir()
        cells = list(self._cells())
        footers = []
        for cell in cells:
            file = dataset / cell.file
            file.parent.mkdir(parents=True, exist_ok=True)
            self._write(file, cell, metadata)
            footer = pq.read_metadata(file)
            footer.set_file_path(cell.file)
            footers.append(footer)
        schema = arrow_schema(self._schema, self._columns)
        pq.write_metadata(schema, dataset / "_common_metadata")
        if footers:
            pq.write_metadata(
                footers[0].schema.to_arrow_schema(), dataset / "_metadata", metadata_collector=footers
            )
        if self._unplaced is not None:
            self._unplaced.close(metadata)
        lines = ["Norder,Npix,num_rows", *(f"{cell.order},{cell.pixel},{cell.rows}" for cell in cells)]
        (self._plan.path / "partition_info.csv").write_text("\n".join(lines) + "\n", encoding="ascii")
        ours = self._properties(cells, dataset)
        text = properties_text({**ours, **{key: value for key, value in metadata.items() if key not in ours}})
        for name in PROPERTIES:
            (self._plan.path / name).write_text(text, encoding="utf-8")
        shutil.rmtree(self._waiting)

    def abort(self) -> None:
        """Close open files; the caller removes the directory."""
        if self._unplaced is not None:
            self._unplaced.abort()

    def _set_apart(self, frame: pl.DataFrame) -> None:
        if self._unplaced is None:
            path = self._plan.path / UNPLACED
            self._unplaced = ParquetSink(WritePlan(path, self._plan.target, self._schema, self._columns))
        self._unplaced.append(frame.with_columns(pl.lit(None, pl.Int64).alias(INDEX)))
        self._unplaced_rows += frame.height

    def _write(self, file: Path, cell: Cell, metadata: Mapping[str, str]) -> None:
        rows = self._runs.rows(cell.first, cell.last)
        if rows is None or rows.height != cell.rows:
            raise RuntimeError(f"{file}: rows are missing in the temporary files")
        sink = ParquetSink(WritePlan(file, self._plan.target, self._schema, self._columns))
        try:
            for piece in rows.iter_slices(ROW_GROUP):
                sink.append(piece.cast(self._schema))
            sink.close(metadata)
        except BaseException:
            sink.abort()
            raise

    def _cells(self) -> Iterator[Cell]:
        """Yield the largest cells with at most :data:`PARTITION_ROWS` rows, in nested order."""
        levels = [self._counts]
        while len(levels[0]) > 12:
            levels.insert(0, levels[0].reshape(-1, 4).sum(axis=1))
        pending = [Cell(0, pixel, int(levels[0][pixel])) for pixel in reversed(range(12))]
        while pending:
            cell = pending.pop()
            if cell.rows > PARTITION_ROWS and cell.order < COUNTED:
                parts = [Cell(order, pixel, int(levels[order][pixel])) for order, pixel in cell.quarters()]
                pending += reversed(parts)
            elif cell.rows > PARTITION_ROWS:
                yield from _divided(cell, self._runs.cells(cell.first, cell.last))
            elif cell.rows:
                yield cell

    def _properties(self, cells: list[Cell], dataset: Path) -> dict[str, str]:
        ra, dec = self._position
        size = sum(item.stat().st_size for item in dataset.rglob("*.parquet"))
        area = sum(4 * np.pi * np.degrees(1) ** 2 / (12 * 4**cell.order) for cell in cells)
        name = re.sub(r"\W+", "_", self._plan.target.stem) or "catalogue"
        return {
            "obs_collection": name,
            "dataproduct_type": "object",
            "hats_nrows": str(sum(cell.rows for cell in cells)),
            "hats_col_ra": ra,
            "hats_col_dec": dec,
            "hats_col_healpix": INDEX,
            "hats_col_healpix_order": str(HIGHEST_ORDER),
            "hats_npix_suffix": ".parquet",
            "hats_order": str(max((cell.order for cell in cells), default=0)),
            "hats_max_rows": str(max((cell.rows for cell in cells), default=0)),
            "hats_estsize": str(-(-size // 1024)),
            "hats_version": "v1.0",
            "hats_builder": f"starscale {__version__}",
            "moc_sky_fraction": f"{area / (4 * np.pi * np.degrees(1) ** 2):.5f}",
            **({"starscale.unplaced_rows": str(self._unplaced_rows)} if self._unplaced_rows else {}),
        }


def open_sink(plan: WritePlan) -> Sink:
    """Open a HATS catalogue for writing; `plan.path` is an existing, empty directory."""
    return HatsSink(plan)


def index_of(ra: FloatArray, dec: FloatArray) -> NDArray[np.int64]:
    """Return the nested HEALPix cell at order 29 of every position (deg); -1 for invalid ones. Shape (n,)."""
    placed = np.isfinite(ra) & np.isfinite(dec) & (np.abs(np.nan_to_num(dec)) <= 90)
    index = np.full(len(ra), -1, np.int64)
    if placed.any():
        # Within the circle: below -360 degrees healpix (2025.1) returns cells that do not exist.
        index[placed] = healpix.ang2pix(1 << HIGHEST_ORDER, ra[placed] % 360, dec[placed], nest=True, lonlat=True)
    return index


def _divided(cell: Cell, index: NDArray[np.int64]) -> Iterator[Cell]:
    """Divide a cell until its parts have few enough rows, or the highest order.

    `index` holds the cells of its rows at the highest order, sorted.
    """
    pending = [cell]
    while pending:
        cell = pending.pop()
        if cell.rows <= PARTITION_ROWS or cell.order == HIGHEST_ORDER:
            if cell.rows:
                yield cell
            continue
        parts = []
        for order, pixel in cell.quarters():
            part = Cell(order, pixel, 0)
            start, stop = np.searchsorted(index, (part.first, part.last))
            parts.append(Cell(order, pixel, int(stop - start)))
        pending += reversed(parts)
