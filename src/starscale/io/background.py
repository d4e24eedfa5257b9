"""Reading, writing and hashing in separate threads, while the computation continues."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Any, Self, TypeVar

from starscale.io.checksum import checksum

T = TypeVar("T")


#: Seconds between two checks whether the consumer has stopped.
_LOOK = 0.1


def read_ahead(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """Yield `items` in order, while a thread fetches the following ones.

    Parameters
    ----------
    items : iterable
        An error that it raises is raised here, in its place.
    depth : int
        Most fetched items that wait to be taken.
    """
    waiting: Queue[tuple[bool, Any]] = Queue(depth)
    stopped = threading.Event()

    def put(is_item: bool, value: Any) -> None:
        while not stopped.is_set():
            try:
                waiting.put((is_item, value), timeout=_LOOK)
            except Full:
                continue
            return

    def fetch() -> None:
        error = None
        try:
            for item in items:
                put(True, item)
                if stopped.is_set():
                    return
        except BaseException as caught:  # noqa: BLE001 (raised in the consumer)
            error = caught
        put(False, error)

    thread = threading.Thread(target=fetch, name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = waiting.get()
            if is_item:
                yield value
            elif value is not None:
                raise value
            else:
                return
    finally:
        stopped.set()
        _drain(waiting)
        thread.join()


def _drain(queue: Queue[Any]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return


class Worker:
    """Does work in one thread, in order, while the caller continues; use it in a ``with`` block.

    A call of :meth:`do` waits for the previous work, so at most two pieces are in memory. An error in the work is
    raised by the next call, or at the end of the block.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "worker")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def do(self, work: Callable[..., None], *arguments: Any, **named: Any) -> None:
        """Wait for the previous work, then start this one."""
        if self._last is not None:
            self._last.result()
        self._last = self._executor.submit(work, *arguments, **named)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True)
        if error is None and self._last is not None:
            self._last.result()


class Hashing:
    """Computes the checksum of a file in a thread."""

    def __init__(self, path: Path) -> None:
        self._found: list[str | BaseException] = []
        # A daemon: a program that fails need not wait for the rest of a large file.
        self._thread = threading.Thread(target=self._hash, args=(path,), name="checksum", daemon=True)
        self._thread.start()

    def _hash(self, path: Path) -> None:
        try:
            self._found.append(checksum(path))
        except BaseException as error:  # noqa: BLE001 (raised by result())
            self._found.append(error)

    def result(self) -> str:
        """Wait for the checksum and return it; see :func:`starscale.io.checksum`."""
        self._thread.join()
        (found,) = self._found
        if isinstance(found, BaseException):
            raise found
        return found
