"""A progress that records what it receives, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from starscale.vocabulary.progress import SilentProgress, SilentTask


@dataclass
class RecordedTask(SilentTask):
    """Counts the units of one task."""

    title: str
    total: int | None
    unit: str
    done: int = 0
    before: int = 0

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` units."""
        self.done += n

    def resumed(self, n: int) -> None:
        """Count `n` units of an earlier process."""
        self.before += n


@dataclass
class RecordedProgress(SilentProgress):
    """Keeps all messages and tasks."""

    messages: list[str] = field(default_factory=list)
    tasks: list[RecordedTask] = field(default_factory=list)

    def message(self, text: str) -> None:
        """Keep one line of text."""
        self.messages.append(text)

    def task(self, title: str, total: int | None = None, unit: str = "rows") -> RecordedTask:
        """Begin a task and keep it."""
        self.tasks.append(RecordedTask(title, total, unit))
        return self.tasks[-1]
