"""Count the identifiers that occur in more than one row of a stream, with flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray

#: Files among which the identifiers are divided; one of them is in memory at a time.
BUCKETS = 256
#: Identifiers that are held in memory before files are written; small tables need no files.
HELD = 1_000_000


class RepeatedIds:
    """Collects identifiers on disk, eight bytes each, and counts those that occur more than once.

    Identifiers are compared by a 64-bit hash: the probability that any two of 10^9 different identifiers have the
    same hash is 3 %. All identifiers must be added in one process.

    Parameters
    ----------
    folder : Path
        Folder for temporary files, created when it is needed; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[IO[bytes]] = []
        self._held: list[NDArray[np.uint64]] = []
        self._n_held = 0

    def add(self, ids: pl.Series) -> None:
        """Add the identifiers of some rows; missing identifiers are ignored."""
        hashes = hashed(ids.drop_nulls())
        self._held.append(hashes)
        self._n_held += len(hashes)
        if self._n_held > HELD:
            self._spill()

    def count(self) -> tuple[int, int, int | None]:
        """Return the number of repeated identifiers, of rows that have one, and the hash of one of them."""
        n_ids = n_rows = 0
        example = None
        for hashes in self._groups():
            values, counts = np.unique(hashes, return_counts=True)
            again = counts > 1
            n_ids += int(again.sum())
            n_rows += int(counts[again].sum())
            if example is None and again.any():
                example = int(values[again][0])
        return n_ids, n_rows, example

    def close(self) -> None:
        """Close the files; ignore a second error from a full disk."""
        for file in self._files:
            with suppress(OSError):
                file.close()

    def _groups(self) -> Iterator[NDArray[np.uint64]]:
        """Yield all hashes in groups; equal hashes are in the same group."""
        if not self._files:
            yield self._taken()
            return
        self._spill()
        for file in self._files:
            file.close()
            path = Path(file.name)
            yield np.fromfile(path, np.uint64)
            path.unlink()

    def _taken(self) -> NDArray[np.uint64]:
        hashes = np.concatenate(self._held) if self._held else np.empty(0, np.uint64)
        self._held, self._n_held = [], 0
        return hashes

    def _spill(self) -> None:
        """Move the identifiers in memory to the files."""
        if not self._files:
            self._folder.mkdir(exist_ok=True)
            self._files = [(self._folder / f"identifiers-{number:03d}").open("wb") for number in range(BUCKETS)]
        hashes = self._taken()
        bucket = (hashes >> np.uint64(56)).astype(np.intp)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(BUCKETS + 1))
        of_buckets = hashes[order]
        for file, start, stop in zip(self._files, edges[:-1], edges[1:], strict=True):
            file.write(of_buckets[start:stop].tobytes())


def hashed(ids: pl.Series) -> NDArray[np.uint64]:
    """Return the hash of every identifier, the same within one process. Shape (n,)."""
    return np.asarray(ids.hash(seed=0).to_numpy(), dtype=np.uint64)
