"""Progress of long work: plain lines in a log, live bars on a terminal and in Jupyter, nothing by default."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from starscale.io import progress
from starscale.io.progress import DisplayedProgress, progress_of
from starscale.vocabulary.progress import SILENT


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that the test sets, in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_gets_a_line_every_few_seconds_and_a_last_one_with_the_total(clock: Clock) -> None:
    stream = io.StringIO()
    with DisplayedProgress(stream).task("predicting", 2000) as task:
        for second in range(1, 11):
            clock.now = float(second)
            task.advance(100, "star by star")
        # Not counted: the last line states the total all the same, since the work is complete.
        clock.now = 12.5
    assert stream.getvalue().splitlines() == [
        "predicting: 500 of 2,000 rows (25 %), 100 rows/s, 15 s left, star by star",
        "predicting: 1,000 of 2,000 rows (50 %), 100 rows/s, 10 s left, star by star",
        "predicting: 2,000 of 2,000 rows (100 %), 12.5 s",
    ]


def test_a_total_that_is_not_known_is_what_was_counted(clock: Clock) -> None:
    stream = io.StringIO()
    with DisplayedProgress(stream).task("downloading", unit="bytes") as task:
        clock.now = 5.0
        task.advance(3000)
        clock.now = 6.0
        task.advance(1000)
    assert stream.getvalue().splitlines() == [
        "downloading: 3,000 bytes, 600 bytes/s",
        "downloading: 4,000 of 4,000 bytes (100 %), 6.0 s",
    ]


def test_an_error_ends_a_task_without_its_last_line() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="damaged"), DisplayedProgress(stream).task("reading", 10):
        raise ValueError("damaged")
    assert stream.getvalue() == ""


def test_units_done_by_an_earlier_process_do_not_count_in_the_rate(clock: Clock) -> None:
    stream = io.StringIO()
    with DisplayedProgress(stream).task("matching", 100, "tiles") as task:
        task.resumed(50)
        clock.now = 5.0
        task.advance(10)
    assert stream.getvalue().splitlines() == [
        "matching: 50 tiles were done before; resuming there",
        "matching: 60 of 100 tiles (60 %), 2 tiles/s, 20 s left",
        "matching: 100 of 100 tiles (100 %), 5.0 s",
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_messages_are_lines_of_their_own_and_keep_their_brackets(stream: io.StringIO) -> None:
    shown = DisplayedProgress(stream)
    shown.message("warning: column [bold] has no unit, " + "and this is a long line " * 20)
    text = stream.getvalue()
    assert text.startswith("warning: column [bold] has no unit, ")
    assert text.count("\n") == 1


def test_a_terminal_shows_several_bars_below_one_another() -> None:
    stream = Terminal()
    shown = DisplayedProgress(stream)
    with shown.task("teff", 3, "epochs") as first:
        with shown.task("logg", 3, "epochs") as second:
            second.resumed(1)
            first.advance(1, "loss 0.5")
            second.advance(2, "loss 0.25")
            shown.message("validation begins")
            shown.live.refresh()
            both = stream.getvalue()
        first.advance(2)
    assert "loss 0.5" in both
    assert "loss 0.25" in both
    assert "3/3" in both
    assert "validation begins\n" in both
    text = stream.getvalue()
    assert "teff: 3 of 3 epochs (100 %)" in text
    # The cursor is shown again, and another task may follow.
    assert text.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in text
    assert not shown.live.live.is_started
    with shown.task("fe_h", 1, "epochs") as third:
        third.advance()
    assert "fe_h: 1 of 1 epochs (100 %)" in stream.getvalue()
    assert not shown.live.live.is_started


def test_an_error_on_a_terminal_ends_the_live_display() -> None:
    shown = DisplayedProgress(Terminal())
    with pytest.raises(ValueError, match="damaged"), shown.task("reading", 10):
        raise ValueError("damaged")
    assert not shown.live.live.is_started


class Output:
    """The widget of ipywidgets in which a live display is drawn."""

    def clear_output(self, *, wait: bool) -> None:
        assert wait

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...


def test_a_notebook_shows_live_bars(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    displayed: list[Any] = []
    notebook, widgets = ModuleType("IPython.display"), ModuleType("ipywidgets")
    notebook.display = lambda *items, **_: displayed.extend(items)  # type: ignore[attr-defined]
    widgets.Output = Output  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    shown = DisplayedProgress()
    with shown.task("predicting", 10) as task:
        task.advance(4)
        shown.live.refresh()
        shown.message("one step")
    texts = [str(getattr(item, "text", "")) for item in displayed]
    assert any(isinstance(item, Output) for item in displayed)
    assert any("predicting" in text and "4/10" in text for text in texts)
    assert any("one step" in text for text in texts)
    assert any("predicting: 10 of 10 rows (100 %)" in text for text in texts)
    assert capsys.readouterr() == ("", "")


def test_without_a_stream_the_display_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with DisplayedProgress().task("predicting", 10) as task:
        task.advance(10)
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("predicting: 10 of 10 rows (100 %), ")


def test_nothing_is_shown_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    for choice in (None, False):
        shown = progress_of(choice)
        assert shown is SILENT
        shown.message("a step")
        with shown.task("predicting", 10) as task:
            task.resumed(5)
            task.advance(5, "note")
    assert capsys.readouterr() == ("", "")


def test_true_is_a_display_and_an_object_is_kept() -> None:
    assert isinstance(progress_of(True), DisplayedProgress)
    mine = DisplayedProgress(io.StringIO())
    assert progress_of(mine) is mine


def test_a_stream_that_shows_no_bars_does_not_load_rich() -> None:
    script = """
import sys
from starscale.io.progress import DisplayedProgress
with DisplayedProgress().task("predicting", 10) as task:
    task.advance(10)
print(any(name.startswith("rich") for name in sys.modules))
"""
    free = {name: value for name, value in os.environ.items() if name not in progress._TERMINAL}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=free)
    assert done.stdout.strip() == "False"
    assert done.stderr.startswith("predicting: 10 of 10 rows (100 %)")


def test_a_user_who_wants_colour_in_a_log_gets_what_rich_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    with DisplayedProgress(stream).task("predicting", 10) as task:
        task.advance(10)
    assert "predicting: 10 of 10 rows (100 %)" in stream.getvalue()
