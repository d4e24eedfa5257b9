"""Threads: how many cores this process may use, work on many items at the same time, memory that they have freed.

numpy, polars and compiled networks release the interpreter while they work, so threads are enough.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ContextDecorator, ExitStack
from pathlib import Path
from threading import Lock
from typing import TypeVar

from starscale.vocabulary.later import Later

threadpoolctl = Later("threadpoolctl")

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Variables in which a batch system, or the user, states the number of cores of this task.
_LIMITS = ("STARSCALE_CORES", "SLURM_CPUS_PER_TASK", "PBS_NCPUS", "NCPUS", "NSLOTS", "LSB_DJOB_NUMPROC")

#: Where Linux states the processor time of a container: "microseconds period", or "max period" for no limit.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Return the number of processor cores that this process may use.

    The smallest of: the cores of the machine, the process's affinity (``taskset``), the quota of its container
    (cgroup), and what a batch system states (``SLURM_CPUS_PER_TASK`` and its like) or the user in
    ``STARSCALE_CORES``. At least 1.
    """
    # macOS has no affinity.
    affinity = getattr(os, "sched_getaffinity", None)
    found = [len(affinity(0)) if affinity is not None else os.cpu_count() or 1, *_stated(), *_quota()]
    return max(1, min(found))


def _stated() -> list[int]:
    values = (os.environ.get(name, "") for name in _LIMITS)
    return [int(value) for value in values if value.isdecimal() and int(value) > 0]


def _quota() -> list[int]:
    try:
        allowed, period = _QUOTA.read_text(encoding="ascii").split()
        return [] if allowed == "max" else [max(1, round(int(allowed) / int(period)))]
    except (OSError, ValueError, ZeroDivisionError):
        # No Linux, an older cgroup, or a file of another form: no limit is known.
        return []


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], most: int | None = None) -> list[Result]:
    """Return the results of `work` on every item, in order; an item is released when its work is done.

    Parameters
    ----------
    work : callable
    items : iterable
    most : int, optional
        Threads; default: one for each of :func:`cores`.
    """
    number = cores() if most is None else most
    if number == 1 or (isinstance(items, Sequence) and len(items) == 1):
        return [work(item) for item in items]
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, items))


def in_turns(
    work: Callable[[Item], Result], items: Iterable[Item], finished: Callable[[Item], bool]
) -> Iterator[tuple[Item, Result]]:
    """Work on every item again and again, in threads, until it is finished; items take turns.

    Parameters
    ----------
    work : callable
    items : iterable
    finished : callable
        Whether there is no more to do for an item; asked before each turn.

    Yields
    ------
    item, result
        As results come. The next turn of the item begins when the caller asks for the next result.
    """
    waiting: dict[Future[Result], Item] = {}
    pool = ThreadPoolExecutor(cores(), "in turns")

    def begin(item: Item) -> None:
        if not finished(item):
            waiting[pool.submit(work, item)] = item

    try:
        for item in items:
            begin(item)
        while waiting:
            done = wait(waiting, return_when=FIRST_COMPLETED).done
            for future in [future for future in waiting if future in done]:
                item = waiting.pop(future)
                yield item, future.result()
                begin(item)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _OneThreadEach(ContextDecorator):
    """Holds the matrix products of numpy to one thread while it is entered, any number of times at the same time.

    The limit is that of the whole process: whoever leaves first may not lift it, and whoever enters second would
    take it for what was there before.
    """

    def __init__(self) -> None:
        self._lock, self._entered, self._held = Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._entered:
                self._held.enter_context(threadpoolctl.threadpool_limits(1, "blas"))
            self._entered += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._entered -= 1
            if not self._entered:
                self._held.close()


#: For blocks and functions (as a decorator) with small matrix products beside other work: further threads would
#: wait for more in busy loops.
one_thread_each = _OneThreadEach()


def stream_in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results of `work` on every item, in order.

    Items are taken as threads become free, so their number does not matter and no thread waits for a
    batch to be complete. An error, of an item or of the work, is raised in its place. Meanwhile matrix products of
    numpy have one thread each: more would wait in busy loops for cores that these threads have.
    """
    number = cores()
    pool = ThreadPoolExecutor(number, "stream in threads")
    waiting: deque[Future[Result]] = deque()
    with one_thread_each:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                # As many again have begun while the first result is handed on.
                if len(waiting) == 2 * number:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def both(first: Callable[[], Item], second: Callable[[], Result]) -> tuple[Item, Result]:
    """Return the results of two independent pieces of work, done at the same time where there are two cores."""
    if cores() == 1:
        return first(), second()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        mine = first()
        return mine, other.result()


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
