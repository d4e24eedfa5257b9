"""Work on the runs of a match in threads: numpy lets go of the interpreter where it works."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Columns of a table by their names.
Columns = dict[str, NDArray[Any] | pl.Series]

#: Sources of a run: the arrays of their pairs stay in the processor's caches.
RUN = 32_768
#: Threads at most: every one holds the arrays of a run.
_THREADS = 4


def runs(n: int) -> list[slice]:
    """Consecutive runs that make up `n` rows; one, and that empty, where there is no row."""
    return [slice(start, min(start + RUN, n)) for start in range(0, max(n, 1), RUN)]


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Results of some work on every item, in their order; an item is let go of when its work is done."""
    if isinstance(items, Sequence) and len(items) == 1:
        return [work(items[0])]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS)) as pool:
        return list(pool.map(work, items))


def at_once(first: Callable[[], Item], second: Callable[[], Result]) -> tuple[Item, Result]:
    """Results of two pieces of work that need nothing of each other, one of them in a thread."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        mine = first()
        return mine, other.result()


def drained(items: list[Item]) -> Iterator[Item]:
    """The items of a list, each taken out of it."""
    items.reverse()
    while items:
        yield items.pop()


def give_back() -> None:
    """Give memory that was freed back to the system.

    The allocator of the GNU C library keeps what threads have freed for their next requests, which do not come
    after the last run; other systems have no such call, and nothing is done there.
    """
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
