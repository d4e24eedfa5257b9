"""Rows of a large table sorted into many small files, to be read back group by group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc


class Scatter:
    """A folder of groups of rows that a step of the program needs for itself, and removes afterwards.

    Every group is one file, however many times rows were added to it.

    Parameters
    ----------
    folder : Path
        Made when the first rows come.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._groups: set[int] = set()
        self._schema: pl.Schema | None = None

    @property
    def groups(self) -> list[int]:
        """Groups that have rows, in order."""
        return sorted(self._groups)

    def append(self, frame: pl.DataFrame, groups: NDArray[np.integer] | int) -> None:
        """Add rows, each to its group; their order within a group is that in which they come."""
        self._schema = frame.schema
        if frame.is_empty():
            return
        if isinstance(groups, int):
            self._write(frame, groups)
            return
        order = np.argsort(groups, kind="stable")
        ordered, sorted_groups = frame[order], groups[order]
        starts = np.flatnonzero(np.diff(sorted_groups, prepend=sorted_groups[0] - 1))
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            self._write(ordered.slice(int(start), int(end - start)), int(sorted_groups[start]))

    def read(self, group: int) -> pl.DataFrame:
        """Rows of a group; none where nothing was added to it."""
        empty = pl.DataFrame(schema=self._schema)
        if group not in self._groups:
            return empty
        parts: list[pa.Table] = []
        with pa.OSFile(str(self._path(group))) as file:
            # One stream after the other.
            while file.tell() < file.size():
                parts.append(ipc.open_stream(file).read_all())
        return pl.DataFrame(pa.concat_tables(parts)).cast(empty.schema)

    def take(self, group: int) -> pl.DataFrame:
        """Read a group for the last time: its place on the disk is free again."""
        frame = self.read(group)
        if group in self._groups:
            self._path(group).unlink()
            self._groups.discard(group)
        return frame

    def _write(self, frame: pl.DataFrame, group: int) -> None:
        path = self._path(group)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            frame.write_ipc_stream(file, compression="lz4")
        self._groups.add(group)

    def _path(self, group: int) -> Path:
        # Few files in one folder, whatever the number of groups.
        return self.folder / f"{group % 1000:03d}" / f"{group}.arrow"
