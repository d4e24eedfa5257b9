"""Runs of consecutive sources, which threads work on, and the memory that they hold."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Columns of a table by their names.
Columns = dict[str, NDArray[Any] | pl.Series]

#: Sources of a run: the arrays of their pairs stay in the processor's caches.
RUN = 65_536


def runs(n: int) -> list[slice]:
    """Consecutive runs that make up `n` rows; one, and that empty, where there is no row."""
    return [slice(start, min(start + RUN, n)) for start in range(0, max(n, 1), RUN)]


def drained(items: list[Item]) -> Iterator[Item]:
    """The items of a list, each taken out of it."""
    items.reverse()
    while items:
        yield items.pop()


def give_back() -> None:
    """Give memory that was freed back to the system.

    The allocator of the GNU C library keeps what threads have freed for their next requests, which do not come
    after the last run; other systems have no such call, and nothing is done there. pyarrow keeps as much as it
    needed to read a table.
    """
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def stacked(tables: Sequence[Columns]) -> pl.DataFrame:
    """Columns one below the other; they are taken out of their tables, so that all rows are never there twice."""
    whole = {}
    for name in list(tables[0]):
        parts = [table.pop(name) for table in tables]
        if isinstance(parts[0], pl.Series):
            whole[name] = pl.concat([part for part in parts if isinstance(part, pl.Series)], rechunk=True)
        else:
            whole[name] = pl.Series(np.concatenate(parts))
        del parts
    give_back()
    return pl.DataFrame(whole)
