"""Identifiers that stand in more than one row of a stream, counted with flat memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

#: Files over which the identifiers are spread; one of them is in memory at a time.
BUCKETS = 256


class RepeatedIds:
    """Collects identifiers on disk, eight bytes each, and says in the end which come more than once.

    Identifiers are compared by a 64-bit hash: two different ones among 10^9 are taken for the same with a
    probability of 3 %. They must all be added in one process.

    Parameters
    ----------
    folder : Path
        An existing folder for temporary files; whoever made it removes it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._paths = [folder / f"identifiers-{number:03d}" for number in range(BUCKETS)]
        self._files: list[IO[bytes]] = [path.open("wb") for path in self._paths]

    def add(self, ids: pl.Series) -> None:
        """Add the identifiers of some rows; those that are missing do not count."""
        hashes = hashed(ids.drop_nulls())
        bucket = (hashes >> np.uint64(56)).astype(np.intp)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(BUCKETS + 1))
        of_buckets = hashes[order]
        for file, start, stop in zip(self._files, edges[:-1], edges[1:], strict=True):
            file.write(of_buckets[start:stop].tobytes())

    def count(self) -> tuple[int, int, int | None]:
        """Return how many identifiers are repeated, in how many rows they stand, and the hash of one of them."""
        n_ids = n_rows = 0
        example = None
        for path, file in zip(self._paths, self._files, strict=True):
            file.close()
            values, counts = np.unique(np.fromfile(path, np.uint64), return_counts=True)
            path.unlink()
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


def hashed(ids: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Hash of every identifier, shape (n,); the same within one process."""
    return np.asarray(ids.hash(seed=0).to_numpy(), dtype=np.uint64)
