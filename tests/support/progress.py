"""A progress display that records the tasks of a training."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import pytest

from starscale.learn import ensemble, turchi


@dataclass
class RecordedTask:
    """One task: its title, its total, the notes of its units, and how it ended."""

    title: str
    total: int | None
    unit: str
    stop_after: list[int]
    notes: list[str] = field(default_factory=list)
    n_resumed: int = 0
    ended: bool = False

    @property
    def phase(self) -> str:
        """The title without what is trained."""
        return self.title.partition(": ")[2]

    @property
    def figures(self) -> list[dict[str, float]]:
        """The losses of every epoch; see :func:`exact_notes`."""
        return [json.loads(note) for note in self.notes]

    def advance(self, n: int = 1, note: str = "") -> None:
        """Record a unit, and raise `Killed` when it is time."""
        assert n == 1
        assert not self.ended
        self.notes.append(note)
        self.stop_after[0] -= 1
        if self.stop_after[0] == 0:
            raise Killed

    def resumed(self, n: int) -> None:
        """Record the units of an earlier process."""
        self.n_resumed += n

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert not self.ended
        self.ended = True


class Killed(Exception):
    """Stands for a kill."""


class RecordedProgress:
    """Records all tasks; with `stop_after` it stops the training after so many units."""

    def __init__(self, stop_after: int = -1) -> None:
        self.tasks: list[RecordedTask] = []
        self._stop_after = [stop_after]

    @property
    def n_units(self) -> int:
        """Units of all tasks."""
        return sum(len(task.notes) for task in self.tasks)

    def message(self, text: str) -> None:
        """A training has no messages."""
        raise AssertionError(text)

    def task(self, title: str, total: int | None = None, unit: str = "rows") -> RecordedTask:
        """Begin a task."""
        self.tasks.append(RecordedTask(title, total, unit, self._stop_after))
        return self.tasks[-1]


def exact_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the networks note their losses with all digits, so that tests can compare them."""
    for module in (ensemble, turchi):
        monkeypatch.setattr(module, "note_of", json.dumps)
