"""Identifiers that stand in more than one row of a stream, counted with flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray

#: Files over which the identifiers are spread; one of them is in memory at a time.
BUCKETS = 256
#: Identifiers that are held before they go to the files; a small table needs none of these.
HELD = 1_000_000


class RepeatedIds:
    """Collects identifiers on disk, eight bytes each, and says in the end which come more than once.

    Identifiers are compared by a 64-bit hash: two different ones among 10^9 are taken for the same with a
    probability of 3 %. They must all be added in one process.

    Parameters
    ----------
    folder : Path
        A folder for temporary files, made when it is needed; whoever made what is above it removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[IO[bytes]] = []
        self._held: list[NDArray[np.uint64]] = []
        self._n_held = 0

    def add(self, ids: pl.Series) -> None:
        """Add the identifiers of some rows; those that are missing do not count."""
        hashes = hashed(ids.drop_nulls())
        self._held.append(hashes)
        self._n_held += len(hashes)
        if self._n_held > HELD:
            self._spill()

    def count(self) -> tuple[int, int, int | None]:
        """Return how many identifiers are repeated, in how many rows they stand, and the hash of one of them."""
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
        """Let go of the files; a disk that is full may well complain once more."""
        for file in self._files:
            with suppress(OSError):
                file.close()

    def _groups(self) -> Iterator[NDArray[np.uint64]]:
        """Yield all hashes in groups; equal ones are in the same."""
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
        """Spread what is held over the files."""
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
    """Hash of every identifier, shape (n,); the same within one process."""
    return np.asarray(ids.hash(seed=0).to_numpy(), dtype=np.uint64)
