"""Reading, writing and hashing beside the computation, each in a thread of its own."""

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


#: Seconds between two looks at whether the other side has given up.
_LOOK = 0.1


def read_ahead(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """Yield `items` in order, while a thread fetches the next ones.

    Parameters
    ----------
    items : iterable
        Whatever it raises is raised here, in its place.
    depth : int
        Items that wait at most, beside the one that is being fetched.
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
        except BaseException as caught:  # noqa: BLE001 (handed over, whatever it is)
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
    """Does one piece of work beside the caller's, in order; use it in a ``with`` block.

    The next piece is taken when the one before is done, so that no more than two are held. An error of a piece
    is raised when the next is handed over, or at the end of the block.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "worker")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def do(self, work: Callable[..., None], *arguments: Any, **named: Any) -> None:
        """Wait for the piece before, then start this one."""
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
    """The checksum of a file, made while other work goes on."""

    def __init__(self, path: Path) -> None:
        self._found: list[str | BaseException] = []
        # A daemon: work that fails must not wait for the rest of a large file.
        self._thread = threading.Thread(target=self._hash, args=(path,), name="checksum", daemon=True)
        self._thread.start()

    def _hash(self, path: Path) -> None:
        try:
            self._found.append(checksum(path))
        except BaseException as error:  # noqa: BLE001 (raised where the result is asked for)
            self._found.append(error)

    def result(self) -> str:
        """Wait for it; see :func:`starscale.io.checksum`."""
        self._thread.join()
        (found,) = self._found
        if isinstance(found, BaseException):
            raise found
        return found
