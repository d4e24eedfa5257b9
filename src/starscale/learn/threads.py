"""Independent pieces of work on the cores of a processor, each in a thread.

A training step of a small network leaves cores idle between its matrix products; several networks side by side do
not. Compiled programs and numpy let go of the interpreter while they work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Threads at most: every one holds the arrays of its work, and programs use idle cores by themselves.
_MOST = 4


def cores() -> int:
    """Number of processor cores that this process may use."""
    # Not everywhere: macOS has no affinity.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Results of some work on every item, in their order."""
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(len(items), _MOST), "training") as pool:
        return list(pool.map(work, items))
