"""Display the progress of long work: live bars on a terminal and in Jupyter, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from starscale.vocabulary.later import Later
from starscale.vocabulary.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as LiveDisplay
    from rich.progress import TaskID

#: Needed where bars can be shown.
consoles, displays, texts = Later("rich.console"), Later("rich.progress"), Later("rich.text")

#: Seconds between two plain lines of the same task.
_INTERVAL = 5.0
#: Variables with which rich is told that a stream is a terminal.
_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


class DisplayedTask:
    """A task as plain lines, or as a bar of a live display; its last line gives the total and the time."""

    def __init__(self, display: DisplayedProgress, title: str, total: int | None, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self._display = display
        self._done = self._before = 0
        self._started = self._shown = time.monotonic()
        self._live = display.open_bar(title, total)

    def __enter__(self) -> DisplayedTask:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._display.close_bar(self._live)
        if kind is None:
            self._display.message(self._summary())

    def resumed(self, n: int) -> None:
        """Count `n` units that an earlier process did."""
        self._done += n
        self._before += n
        if self._live is not None:
            self._display.live.reset(self._live, completed=self._done)
        self._display.message(f"{self.title}: {self._done:,} {self.unit} were done before; resuming there")

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more units."""
        self._done += n
        if self._live is not None:
            self._display.live.update(self._live, advance=n, note=note)
            return
        now = time.monotonic()
        if now - self._shown >= _INTERVAL:
            self._shown = now
            self._display.message(self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        rate = (self._done - self._before) / max(now - self._started, 1e-9)
        text = f"{self.title}: {self._done:,}"
        text += f" of {self.total:,} {self.unit}" if self.total else f" {self.unit}"
        text += f" ({100 * self._done / self.total:.0f} %)" if self.total else ""
        text += f", {rate:,.0f} {self.unit}/s"
        if self.total and rate > 0:
            text += f", {max(self.total - self._done, 0) / rate:.0f} s left"
        return text + (f", {note}" if note else "")

    def _summary(self) -> str:
        """Return the last line: the work is complete, so the total is the announced one, or else the count."""
        total = self._done if self.total is None else self.total
        seconds = time.monotonic() - self._started
        return f"{self.title}: {total:,} of {total:,} {self.unit} (100 %), {seconds:.1f} s"


class DisplayedProgress:
    """Shows messages and tasks on a stream, standard error by default.

    A terminal and a Jupyter notebook show live bars, several at once where work runs side by side; any other
    stream gets a line every few seconds. The last line of a task says 100 % and the total.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._bars = 0
        console = _console(stream)
        self._console = console if console is not None and (console.is_terminal or console.is_jupyter) else None
        self._live = None if self._console is None else _live(self._console)

    @property
    def live(self) -> LiveDisplay:
        """The bars, where they can be shown."""
        if self._live is None:
            raise TypeError("this stream gets plain lines")
        return self._live

    def message(self, text: str) -> None:
        """Show one line of text, above the bars where there are any."""
        if self._console is not None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        stream = self._stream or sys.stderr
        stream.write(text + "\n")
        stream.flush()

    def task(self, title: str, total: int | None = None, unit: str = "rows") -> DisplayedTask:
        """Begin a piece of work."""
        return DisplayedTask(self, title, total, unit)

    def open_bar(self, title: str, total: int | None) -> TaskID | None:
        """Show a bar, where bars can be shown, and return its number."""
        if self._live is None:
            return None
        with self._lock:
            if self._bars == 0:
                self.live.start()
            self._bars += 1
            return self.live.add_task(title, total=total, note="")

    def close_bar(self, number: TaskID) -> None:
        """Take a bar away; the display ends with its last bar."""
        with self._lock:
            self.live.remove_task(number)
            self._bars -= 1
            if self._bars == 0:
                self.live.stop()


def _console(stream: TextIO | None) -> Console | None:
    """Return the console of a stream, by default the notebook's in Jupyter and else one on standard error.

    None where it is certain that there can be no bars, so that rich is not loaded.
    """
    # Jupyter has loaded IPython.
    certain = not any(name in os.environ for name in _TERMINAL) and "IPython" not in sys.modules
    if certain and not (stream or sys.stderr).isatty():
        return None
    here: Console = consoles.Console(file=stream)
    return here if stream is not None or here.is_jupyter else consoles.Console(stderr=True)


def _speed(_: Any, task: Any) -> Any:
    return texts.Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def _live(console: Console) -> LiveDisplay:
    # A class whose base is not imported before.
    rate = type("Rate", (displays.ProgressColumn,), {"render": _speed})
    display: LiveDisplay = displays.Progress(
        displays.TextColumn("{task.description}"),
        displays.BarColumn(),
        displays.MofNCompleteColumn(),
        rate(),
        displays.TimeRemainingColumn(),
        displays.TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
    )
    return display


def progress_of(progress: Progress | bool | None) -> Progress:
    """Return what shows the progress: nothing for None and False, a display for True, or the object given."""
    if progress is None or progress is False:
        return SILENT
    return DisplayedProgress() if progress is True else progress
