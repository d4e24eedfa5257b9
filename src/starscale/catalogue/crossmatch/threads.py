"""Work on the runs of a match in threads: numpy lets go of the interpreter where it works."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import polars as pl

Item = TypeVar("Item")
Result = TypeVar("Result")

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


def drained(items: list[Item]) -> Iterator[Item]:
    """The items of a list, each taken out of it."""
    items.reverse()
    while items:
        yield items.pop()


def stacked(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Tables of the same columns, one below the other, and themselves left empty.

    It goes column by column, so that the rows are never all there twice.
    """
    return pl.DataFrame(
        [pl.concat([table.drop_in_place(name) for table in tables], rechunk=True) for name in tables[0].columns]
    )
