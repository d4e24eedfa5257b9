"""A training is shown as a task for each thing that trains at the same time."""

from __future__ import annotations

import io

import pytest

from starscale.io import progress as module
from starscale.io.progress import DisplayedProgress, EpochTasks
from starscale.vocabulary.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def train(progress: Progress) -> None:
    """Two labels that train at the same time, the first of which has a second phase."""
    with EpochTasks(progress, "model") as epochs:
        for epoch in (1, 2, 3):
            phase = "teff, SMAPE" if epoch == 3 else "teff, absolute error"
            epochs(phase, 1 if epoch == 3 else epoch, 2, {"loss": 0.5})
            epochs("logg, absolute error", epoch, 3, {"loss": 0.25})


def test_labels_that_train_at_the_same_time_are_counted_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    stream = io.StringIO()
    train(DisplayedProgress(stream))
    lines = stream.getvalue().splitlines()
    assert [line[: line.index(")") + 1] for line in lines] == [
        "model: teff, absolute error: 1 of 2 epochs (50 %)",
        "model: logg, absolute error: 1 of 3 epochs (33 %)",
        "model: teff, absolute error: 2 of 2 epochs (100 %)",
        "model: logg, absolute error: 2 of 3 epochs (67 %)",
        "model: teff, absolute error: 2 of 2 epochs (100 %)",
        "model: teff, SMAPE: 1 of 2 epochs (50 %)",
        "model: logg, absolute error: 3 of 3 epochs (100 %)",
        # Stopped early: what was done is the total.
        "model: teff, SMAPE: 1 of 1 epochs (100 %)",
        "model: logg, absolute error: 3 of 3 epochs (100 %)",
    ]


def test_several_bars_at_a_time_and_another_training_after_them() -> None:
    stream = Terminal()
    display = DisplayedProgress(stream)
    train(display)
    assert "model: logg, absolute error" in stream.getvalue()
    train(display)
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l")
