"""The protocol by which long computations report their progress.

A verb takes ``progress=None`` (silent), ``True`` (a live bar on a terminal and in Jupyter, plain lines in a log),
or any object with the two methods of :class:`Progress`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


class Task(Protocol):
    """A part of the work that is counted in units; a context manager that ends with the work."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more units; `note` is shown with the count."""

    def resumed(self, n: int) -> None:
        """Count `n` units done by an earlier, interrupted process; they do not enter the rate."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Progress(Protocol):
    """Receives the progress of a long computation."""

    def message(self, text: str) -> None:
        """Show one line of text: a step that begins, a warning."""

    def task(self, title: str, total: int | None = None, unit: str = "rows") -> Task:
        """Begin a task of `total` units (None: unknown)."""


class SilentTask:
    """A task without a display."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Show nothing."""

    def resumed(self, n: int) -> None:
        """Show nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class SilentProgress:
    """No display: the default of every verb in Python."""

    def message(self, text: str) -> None:
        """Show nothing."""

    def task(self, title: str, total: int | None = None, unit: str = "rows") -> SilentTask:  # noqa: ARG002
        """Begin a task that shows nothing."""
        return SilentTask()


SILENT = SilentProgress()
