"""Runs of consecutive sources, which threads work on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.io.threads import give_back

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
