"""External sort of rows by their cell on the sky.

A table may be larger than memory, with its rows in any order. Rows are collected until they fill a buffer, sorted
by cell, and written as one file, a run. The rows of a range of cells are then one slice of every run, found by
bisection.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

#: Bytes of rows that are collected before they are written as a run.
RUN_BYTES = 64 << 20


class SortedRuns:
    """A growing table from which the rows of a range of cells can be read in order.

    Parameters
    ----------
    folder : Path
        An existing, empty directory for the runs.
    key : str
        Column of the cells, 64-bit integers without nulls.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key
        self._held: list[pl.DataFrame] = []
        self._size = 0
        self._runs: list[Path] = []

    def append(self, frame: pl.DataFrame) -> None:
        """Append rows; a run is written when the buffer is full."""
        if not frame.height:
            return
        self._held.append(frame)
        self._size += int(frame.estimated_size())
        if self._size >= RUN_BYTES:
            self._flush()

    def finish(self) -> None:
        """Write the rows that are still in memory."""
        self._flush()

    def cells(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the sorted cells of the rows with ``first <= cell < last``. Shape (n,)."""
        parts = []
        for run in self._runs:
            with pa.memory_map(str(run)) as file:
                found = _column(pa.ipc.open_file(file).get_batch(0), self._key)
                start, stop = np.searchsorted(found, (first, last))
                parts.append(found[start:stop].copy())
                del found
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)

    def rows(self, first: int, last: int) -> pl.DataFrame | None:
        """Return the rows with ``first <= cell < last``, sorted by cell, then by arrival; None without rows."""
        parts = []
        for run in self._runs:
            # The slice is copied, so that one file is open at a time, however many runs there are.
            with pa.memory_map(str(run)) as file:
                batch = pa.ipc.open_file(file).get_batch(0)
                start, stop = np.searchsorted(_column(batch, self._key), (first, last))
                if stop > start:
                    parts.append(pl.DataFrame(batch.take(pa.array(np.arange(start, stop)))))
                del batch
        if not parts:
            return None
        joined = pl.concat(parts)
        # The sort is stable and runs are in the order of arrival: the result does not depend on the size of the
        # chunks.
        return joined[np.argsort(joined[self._key].to_numpy(), kind="stable")]

    def _flush(self) -> None:
        if not self._held:
            return
        table = pl.concat(self._held).sort(self._key, maintain_order=True).rechunk()
        self._held, self._size = [], 0
        path = self._folder / f"{len(self._runs)}.arrow"
        plain = table.to_arrow(compat_level=pl.CompatLevel.oldest())
        with pa.ipc.new_file(str(path), plain.schema) as file:
            file.write_batch(plain.combine_chunks().to_batches()[0])
        self._runs.append(path)


def _column(batch: pa.RecordBatch, name: str) -> NDArray[np.int64]:
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=True))
