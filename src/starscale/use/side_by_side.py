"""Work on a stream of items in threads: results in order, and no more items at a time than threads keep busy."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Threads, this many at most: every one holds the arrays of an item, and the networks use all cores by themselves.
_MOST = 4
THREADS = min(os.cpu_count() or 1, _MOST)


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the result of some work on every item, in their order.

    The items are fetched as threads get free, so that their number does not matter and no thread waits for a
    batch of them to be finished. An error, of an item or of the work, is raised in its place.
    """
    pool = ThreadPoolExecutor(THREADS, "side by side")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            # As many again are begun while the first is handed on.
            if len(waiting) == 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
