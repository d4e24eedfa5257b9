"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

#: Seconds between two plain lines.
_EVERY = 5.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def _display(stream: TextIO) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(file=stream),
        transient=True,
    )


class Bar:
    """Counts units of work (rows, epochs) towards a total that may be unknown.

    A terminal shows a bar with rate and time left; elsewhere a line appears every few seconds.
    Use as a context manager. Bars that show at the same time share a `display`.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        unit: str = "rows",
        stream: TextIO | None = None,
        display: Progress | None = None,
    ) -> None:
        self.title, self.total, self.unit = title, total, unit
        self._stream, self._display = stream or sys.stderr, display
        self._done, self._before, self._started, self._shown = 0, 0, time.monotonic(), time.monotonic()
        self._rich: Progress | None = None

    def __enter__(self) -> Bar:
        if self._stream.isatty():
            self._rich = _display(self._stream) if self._display is None else self._display
            self._task = self._rich.add_task(self.title, total=self.total, note="")
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is None:
            return
        if self._display is None:
            self._rich.stop()
        else:
            self._rich.remove_task(self._task)

    def resumed(self, n: int) -> None:
        """Count `n` units that an earlier process did: they say nothing about the rate."""
        self._done += n
        self._before += n
        if self._rich is not None:
            self._rich.reset(self._task, completed=self._done)
        self._stream.write(f"{self.title}: {self._done:,} {self.unit} were done before, going on from there\n")

    def advance(self, n: int, note: str = "") -> None:
        """Count `n` more units; `note` is shown beside the bar."""
        self._done += n
        if self._rich is not None:
            self._rich.update(self._task, advance=n, note=note)
            return
        now = time.monotonic()
        if now - self._shown >= _EVERY:
            self._shown = now
            self._stream.write(self._line(now, note) + "\n")
            self._stream.flush()

    def _line(self, now: float, note: str) -> str:
        seconds = max(now - self._started, 1e-9)
        rate = (self._done - self._before) / seconds
        text = f"{self.title}: {self._done:,}"
        if self.total:
            text += f" of {self.total:,} {self.unit} ({100 * self._done / self.total:.0f} %)"
        text += f", {rate:,.0f} {self.unit}/s"
        if self.total and rate > 0:
            text += f", {max(self.total - self._done, 0) / rate:.0f} s left"
        return text + (f", {note}" if note else "")


class TrainingBar:
    """Shows a training: a bar for everything that trains at the same time, with the figures of the last epoch.

    What stands before a comma in the name of a phase says what trains: its next phase takes the place of the bar.
    """

    def __init__(self, title: str = "training", stream: TextIO | None = None) -> None:
        self.title = title
        self._stream = stream or sys.stderr
        self._display = _display(self._stream) if self._stream.isatty() else None
        self._bars: dict[str, tuple[str, Bar]] = {}

    def __call__(self, phase: str, epoch: int, n_epochs: int, figures: Mapping[str, float]) -> None:
        """Report that `epoch` of `n_epochs` of `phase` is done."""
        name = phase.partition(",")[0]
        shown, bar = self._bars.get(name, ("", None))
        if bar is None or phase != shown or epoch <= 1:
            if bar is not None:
                bar.__exit__(None, None, None)
            title = f"{self.title}: {phase}"
            bar = Bar(title, n_epochs, "epochs", self._stream, self._display).__enter__()
            self._bars[name] = phase, bar
        bar.advance(1, "  ".join(f"{name} {value:.4g}" for name, value in figures.items()))

    def close(self) -> None:
        """End the bars that are showing."""
        for _, bar in self._bars.values():
            bar.__exit__(None, None, None)
        self._bars = {}
        if self._display is not None:
            self._display.stop()
