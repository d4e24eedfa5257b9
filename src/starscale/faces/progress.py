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


class Bar:
    """Counts units of work (rows, epochs) towards a total that may be unknown.

    A terminal shows a bar with rate and time left; elsewhere a line appears every few seconds.
    Use as a context manager.
    """

    def __init__(self, title: str, total: int | None, unit: str = "rows", stream: TextIO | None = None) -> None:
        self.title, self.total, self.unit = title, total, unit
        self._stream = stream or sys.stderr
        self._done, self._before, self._started, self._shown = 0, 0, time.monotonic(), time.monotonic()
        self._rich: Progress | None = None

    def __enter__(self) -> Bar:
        if self._stream.isatty():
            self._rich = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(file=self._stream),
                transient=True,
            )
            self._task = self._rich.add_task(self.title, total=self.total, note="")
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

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
    """Shows a training: one bar a phase, with the figures of the last epoch."""

    def __init__(self, title: str = "training") -> None:
        self.title = title
        self._bar: Bar | None = None
        self._phase = ""

    def __call__(self, phase: str, epoch: int, n_epochs: int, figures: Mapping[str, float]) -> None:
        """Report that `epoch` of `n_epochs` of `phase` is done."""
        if self._bar is None or phase != self._phase or epoch <= 1:
            self.close()
            self._phase = phase
            self._bar = Bar(f"{self.title}: {phase}", n_epochs, "epochs").__enter__()
        self._bar.advance(1, "  ".join(f"{name} {value:.4g}" for name, value in figures.items()))

    def close(self) -> None:
        """End the bar that is showing."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
