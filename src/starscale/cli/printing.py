"""What the command prints and where: -q, -v, --log and a reader that has gone away.

Results go to standard output; progress, notes and errors to standard error. The state is set by the options of
the command, once for each call of `starscale.cli.main.main`.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Progress, Task


class Session:
    """How much one call of the command prints."""

    def __init__(self) -> None:
        self.log: TextIO | None = None
        self.begin()

    def begin(self) -> None:
        """Forget the call before."""
        self.quiet = self.verbose = False
        self.log = None
        self.started = time.monotonic()

    def open_log(self, path: Path) -> None:
        """Write all that is printed into a file too; an older file is continued.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        try:
            self.log = path.open("a", encoding="utf-8")
        except OSError as error:
            found = f"cannot be written ({error.strerror})"
            raise InputError(Problem(f"--log {path}", found, "a file in a folder that exists")) from None
        self.note(f"command: {' '.join(sys.argv)}")

    def note(self, text: str) -> None:
        """Write lines into the log, with the time."""
        if self.log is not None and not self.log.closed:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S")
            self.log.write("".join(f"{stamp} {line}\n" for line in text.splitlines()))
            self.log.flush()


#: Of the call that is running.
session = Session()


class _Shown(io.TextIOBase):
    """Standard output, also written to the log; ends the program well when its reader has gone (``| head``)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._line = stream, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *whole, self._line = (self._line + text).split("\n")
        session.note("\n".join(whole))
        return int(self._guarded(lambda: self._stream.write(text)))

    def flush(self) -> None:
        self._guarded(self._stream.flush)

    def _guarded(self, work: Any) -> Any:
        try:
            return work()
        except BrokenPipeError:
            # The interpreter flushes once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            raise SystemExit(0) from None


class _Stamped(io.TextIOBase):
    """Lines with the seconds since the start, or into the log."""

    def __init__(self, work: Any) -> None:
        self._work = work

    def write(self, text: str) -> int:
        self._work(text.rstrip("\n"))
        return len(text)


class _Several:
    """A progress, or one of its tasks, that is shown in several places."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts, self._stack = parts, ExitStack()

    def message(self, text: str) -> None:
        for part in self._parts:
            part.message(text)

    def task(self, title: str, total: int | None = None, unit: str = "rows") -> Task:
        return _Several([part.task(title, total, unit) for part in self._parts])

    def advance(self, n: int = 1, note: str = "") -> None:
        for part in self._parts:
            part.advance(n, note)

    def resumed(self, n: int) -> None:
        for part in self._parts:
            part.resumed(n)

    def __enter__(self) -> _Several:
        for part in self._parts:
            self._stack.enter_context(part)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def progress() -> Progress:
    """Return what shows the progress of this call: bars, lines with times, a log, or nothing."""
    # Loads what a short command does not need.
    display = importlib.import_module("starscale.io.progress").DisplayedProgress
    parts: list[Any] = []
    if session.verbose:
        parts.append(display(_Stamped(lambda text: say(f"[{_seconds():7.1f} s] {text}", logged=False))))
    elif not session.quiet:
        parts.append(display())
    if session.log is not None:
        parts.append(display(_Stamped(session.note)))
    return _Several(parts)


def say(text: str, *, error: bool = False, logged: bool = True) -> None:
    """Print a line on standard error, where it does not mix with results; `error` also when quiet."""
    if logged:
        session.note(text)
    if error or not session.quiet:
        print(text, file=sys.stderr)  # noqa: T201


def _seconds() -> float:
    return time.monotonic() - session.started


@contextmanager
def printing() -> Iterator[None]:
    """Set up the output of one call, and end it: with times when verbose, with a closed log."""
    session.begin()
    before = sys.stdout
    sys.stdout = _Shown(before)
    try:
        yield
        sys.stdout.flush()
    except Exception as error:
        session.note(_traceback(error))
        raise
    finally:
        sys.stdout = before
        if session.verbose or session.log is not None:
            _close()


def _traceback(error: Exception) -> str:
    lines = importlib.import_module("traceback").format_exception(error)
    return "".join(lines)


def _close() -> None:
    """Say what the call took."""
    text = f"took {_seconds():.1f} s, {time.process_time():.1f} s of the processor"
    if sys.platform == "linux":
        most = importlib.import_module("resource").getrusage(0).ru_maxrss
        text += f", {most / 1024:,.0f} MB of memory at most"
    if session.verbose:
        say(text)
    else:
        session.note(text)
    if session.log is not None:
        session.log.close()


def introduce(version: str) -> None:
    """Say with what the work is done: for -v and the log."""
    text = f"starscale {version}, Python {sys.version.split()[0]}, {sys.platform}, {os.cpu_count()} cores"
    if session.verbose:
        say(text)
    else:
        session.note(text)
