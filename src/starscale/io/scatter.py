"""Distribute the rows of a large table over many small files, to read them back group by group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.vocabulary.later import Later

pa, ipc = Later("pyarrow"), Later("pyarrow.ipc")


class Scatter:
    """A folder of temporary files, one for each group of rows, removed by the caller.

    Parameters
    ----------
    folder : Path
        Created with the first rows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._groups: set[int] = set()
        self._schema: pl.Schema | None = None

    @property
    def groups(self) -> list[int]:
        """Groups with rows, in order."""
        return sorted(self._groups)

    def append(self, frame: pl.DataFrame, groups: NDArray[np.integer] | int) -> None:
        """Append rows, each to its group; a group keeps the order of arrival."""
        self._schema = frame.schema
        if frame.is_empty():
            return
        if isinstance(groups, int):
            self._write(frame, groups)
            return
        # Short numbers are sorted by their digits.
        short = np.abs(groups).max() <= np.iinfo(np.int16).max
        order = np.argsort(groups.astype(np.int16) if short else groups, kind="stable")
        ordered, sorted_groups = frame[order], groups[order]
        starts = np.flatnonzero(np.diff(sorted_groups, prepend=sorted_groups[0] - 1))
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            self._write(ordered.slice(int(start), int(end - start)), int(sorted_groups[start]))

    def read(self, group: int) -> pl.DataFrame:
        """Return the rows of a group; an empty frame for a group without rows."""
        empty = pl.DataFrame(schema=self._schema)
        if group not in self._groups:
            return empty
        parts: list[pl.DataFrame] = []
        # Not mapped: a table would hold on to its file, which is removed while the table is in use.
        with pa.BufferReader(self._path(group).read_bytes()) as file:
            # Every call of append() wrote one stream.
            while file.tell() < file.size():
                parts.append(pl.DataFrame(pl.from_arrow(ipc.open_stream(file).read_all(), rechunk=False)))
        return pl.concat(parts, rechunk=True).cast(empty.schema)

    def take(self, group: int) -> pl.DataFrame:
        """Return the rows of a group and delete its file."""
        frame = self.read(group)
        if group in self._groups:
            self._path(group).unlink()
            self._groups.discard(group)
        return frame

    def _write(self, frame: pl.DataFrame, group: int) -> None:
        path = self._path(group)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            # Not compressed: the last digits of measurements are noise, and tiles are read several times.
            frame.write_ipc_stream(file)
        self._groups.add(group)

    def _path(self, group: int) -> Path:
        # At most 1000 folders, so that no folder holds too many files.
        return self.folder / f"{group % 1000:03d}" / f"{group}.arrow"
