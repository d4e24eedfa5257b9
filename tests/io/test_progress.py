"""What long work shows of itself, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from starscale.io import bars as progress
from starscale.io.bars import Bar, TrainingBar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.0)


@pytest.mark.usefixtures("impatient")
def test_lines_elsewhere_say_how_much_is_done_and_what_is_left() -> None:
    stream = io.StringIO()
    with Bar("predicting", 2000, stream=stream) as bar:
        bar.advance(500)
        bar.advance(1500, "last part")
    first, last = stream.getvalue().splitlines()
    assert first.startswith("predicting: 500 of 2,000 rows (25 %), ")
    assert first.endswith(" s left")
    assert last.startswith("predicting: 2,000 of 2,000 rows (100 %), ")
    assert last.endswith(", last part")


def test_lines_elsewhere_are_seconds_apart() -> None:
    stream = io.StringIO()
    with Bar("predicting", 2000, stream=stream) as bar:
        for _ in range(20):
            bar.advance(100)
    assert not stream.getvalue()


def train(bar: TrainingBar) -> None:
    """Two labels that train at the same time, the first of which goes on to its second phase."""
    for epoch in (1, 2, 3):
        bar("teff, SMAPE" if epoch == 3 else "teff, absolute error", 1 if epoch == 3 else epoch, 2, {"loss": 0.5})
        bar("logg, absolute error", epoch, 3, {"loss": 0.25})
    bar.close()


@pytest.mark.usefixtures("impatient")
def test_labels_that_train_at_the_same_time_are_counted_by_themselves() -> None:
    stream = io.StringIO()
    train(TrainingBar("model", stream))
    assert [line[: line.index(")") + 1] for line in stream.getvalue().splitlines()] == [
        "model: teff, absolute error: 1 of 2 epochs (50 %)",
        "model: logg, absolute error: 1 of 3 epochs (33 %)",
        "model: teff, absolute error: 2 of 2 epochs (100 %)",
        "model: logg, absolute error: 2 of 3 epochs (67 %)",
        "model: teff, SMAPE: 1 of 2 epochs (50 %)",
        "model: logg, absolute error: 3 of 3 epochs (100 %)",
    ]


def test_a_terminal_shows_their_bars_below_one_another() -> None:
    stream = Terminal()
    bar = TrainingBar("model", stream)
    train(bar)
    shown = stream.getvalue()
    assert "model: logg, absolute error" in shown
    assert "loss 0.25" in shown
    # The cursor is shown again, and a further training may follow.
    assert shown.rstrip().endswith("\x1b[?25h")
    train(bar)
