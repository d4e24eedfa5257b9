"""The progress protocol and its silent default."""

from __future__ import annotations

import pytest

from starscale.vocabulary.progress import SILENT, Progress, SilentTask, Task
from support.recorded_progress import RecordedProgress


def work(progress: Progress) -> None:
    """Two pieces of three units, after one that an earlier process did."""
    progress.message("begin")
    with progress.task("count", 7, "stars") as task:
        task.resumed(1)
        task.advance(3)
        task.advance(3, "note")


def test_the_silent_default_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    work(SILENT)
    assert capfd.readouterr() == ("", "")


def test_an_object_with_the_two_methods_receives_everything() -> None:
    seen = RecordedProgress()
    work(seen)
    assert seen.messages == ["begin"]
    (task,) = seen.tasks
    assert (task.title, task.total, task.unit, task.before, task.done) == ("count", 7, "stars", 1, 6)


def test_a_task_does_not_suppress_errors() -> None:
    task: Task = SilentTask()
    with pytest.raises(KeyError), task:
        raise KeyError
