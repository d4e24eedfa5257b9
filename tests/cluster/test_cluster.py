"""The distributed engine as far as it can be tested without LSDB."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import starscale as ss
from starscale.cluster import extra
from starscale.vocabulary.errors import InputError, Problem


def test_without_lsdb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"lsdb.*pip install 'starscale\[lsdb\]'"):
        ss.predict(tmp_path / "model", tmp_path / "stars.hats", tmp_path / "out.hats", engine="lsdb")


def test_an_engine_that_is_not_there_and_options_without_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'lsdb'"):
        ss.predict(tmp_path / "m", tmp_path / "s", tmp_path / "out.hats", engine="lsbd")
    with pytest.raises(InputError, match=r"(?s)scheduler: is for engine 'lsdb' only.*workers: is for") as caught:
        ss.predict(tmp_path / "m", tmp_path / "s", tmp_path / "out", scheduler="tcp://x:1", workers=2)
    assert len(caught.value.problems) == 2


def test_the_command_does_not_load_lsdb() -> None:
    names = ("lsdb", "hats", "dask", "distributed")
    script = f"import sys, starscale.cli.main; print(*(n for n in {names} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_errors_travel_between_processes_whole() -> None:
    error = InputError([Problem("here", "this", "that", "so"), Problem("there", "too")])
    again = pickle.loads(pickle.dumps(error))
    assert again.problems == error.problems
    assert str(again) == str(error)
