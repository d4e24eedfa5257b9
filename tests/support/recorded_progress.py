"""A progress that records what it receives, for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import TracebackType

import pytest

from starscale.learn import turchi
from starscale.learn.training import ensemble
from starscale.vocabulary.progress import SilentProgress, SilentTask


class Killed(Exception):
    """Stands for a kill."""


@dataclass
class RecordedTask(SilentTask):
    """Counts the units of one task, and keeps their notes."""

    title: str
    total: int | None
    unit: str
    stop_after: list[int]
    done: int = 0
    before: int = 0
    notes: list[str] = field(default_factory=list)
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
        """Count `n` units, and raise `Killed` when it is time."""
        assert not self.ended
        self.done += n
        self.notes.append(note)
        self.stop_after[0] -= 1
        if self.stop_after[0] == 0:
            raise Killed

    def resumed(self, n: int) -> None:
        """Count `n` units of an earlier process."""
        self.before += n

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert not self.ended
        self.ended = True


class RecordedProgress(SilentProgress):
    """Keeps all messages and tasks; with `stop_after` it stops the job after so many calls of `advance`."""

    def __init__(self, messages: list[str] | None = None, stop_after: int = -1) -> None:
        self.messages: list[str] = [] if messages is None else messages
        self.tasks: list[RecordedTask] = []
        self._stop_after = [stop_after]

    @property
    def n_units(self) -> int:
        """Units of all tasks."""
        return sum(task.done for task in self.tasks)

    def message(self, text: str) -> None:
        """Keep one line of text."""
        self.messages.append(text)

    def task(self, title: str, total: int | None = None, unit: str = "rows") -> RecordedTask:
        """Begin a task and keep it."""
        self.tasks.append(RecordedTask(title, total, unit, self._stop_after))
        return self.tasks[-1]


def exact_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the networks note their losses with all digits, so that tests can compare them."""
    for module in (ensemble, turchi):
        monkeypatch.setattr(module, "note_of", json.dumps)
