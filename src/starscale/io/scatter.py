"""Rows of a large table sorted into many small files, to be read back group by group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Scatter:
    """A folder of groups of rows that a step of the program needs for itself, and removes afterwards.

    Parameters
    ----------
    folder : Path
        Made when the first rows come.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts: dict[int, int] = {}
        self._schema: pl.Schema | None = None

    @property
    def groups(self) -> list[int]:
        """Groups that have rows, in order."""
        return sorted(self._parts)

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
        parts = range(self._parts.get(group, 0))
        frames = [pl.read_ipc(self._path(group, part)) for part in parts]
        return pl.concat(frames) if frames else pl.DataFrame(schema=self._schema)

    def _write(self, frame: pl.DataFrame, group: int) -> None:
        part = self._parts.get(group, 0)
        path = self._path(group, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_ipc(path, compression="lz4")
        self._parts[group] = part + 1

    def _path(self, group: int, part: int) -> Path:
        # Few files in one folder, whatever the number of groups.
        return self.folder / f"{group % 1000:03d}" / f"{group}_{part}.arrow"
