"""The distributed engine as far as it can be tested without LSDB."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale.cluster import extra
from starscale.cluster.engine import is_hats
from starscale.cluster.placing import place
from starscale.io import open_table
from starscale.pipeline import apply as apply_module
from starscale.vocabulary.errors import InputError, Problem


def test_without_lsdb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"lsdb.*pip install 'starscale\[lsdb\]'"):
        ss.predict(tmp_path / "model", tmp_path / "stars.hats", tmp_path / "out.hats", engine="lsdb")


def test_apply_and_run_refuse_an_engine_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before a model or a table is looked at: none of these files is there."""
    with pytest.raises(InputError, match="Did you mean 'lsdb'"):
        ss.apply(tmp_path / "model", [tmp_path / "stars"], engine="lsbd")
    with pytest.raises(InputError, match="workers: is for engine 'lsdb' only"):
        ss.run(tmp_path / "run.toml", tmp_path / "run", workers=2)
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    for refused in (
        lambda: ss.run(tmp_path / "run.toml", tmp_path / "run", engine="lsdb"),
        lambda: ss.apply(tmp_path / "model", [tmp_path / "stars"], tmp_path / "out.hats", engine="lsdb"),
        lambda: ss.apply(tmp_path / "model", [tmp_path / "stars"], folder=tmp_path, lazy=True),
    ):
        with pytest.raises(InputError, match=r"lsdb.*pip install 'starscale\[lsdb\]'"):
            refused()
    assert list(tmp_path.iterdir()) == []


def test_a_lazy_catalogue_has_a_folder_and_no_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(apply_module, "check_engine", lambda engine, **cluster: True)
    with pytest.raises(InputError) as caught:
        ss.apply(tmp_path / "model", [tmp_path / "stars"], tmp_path / "out.hats", lazy=True)
    assert [problem.where for problem in caught.value.problems] == ["output", "folder"]
    with pytest.raises(InputError, match=r"out.fits: is .*expected HATS, which engine 'lsdb' writes"):
        ss.apply(tmp_path / "model", [tmp_path / "stars"], tmp_path / "out.fits", engine="lsdb")


def test_a_table_is_put_on_partitions_as_it_is(tmp_path: Path) -> None:
    """Values, units, descriptions and columns that no survey knows; positions under the names of the survey."""
    raw = {
        "object_id": [3, 1, 2],
        "raj2000": [10.0, 200.0, 100.0],
        "dej2000": [-30.0, 20.0, None],
        "u_psf": [15.0, None, 16.5],
        "mine": ["a", None, "c"],
    }
    columns = {"u_psf": ss.Column("u_psf", unit="mmag"), "mine": ss.Column("mine", description="of the user")}
    table, target = tmp_path / "table.fits", tmp_path / "placed.hats"
    ss.write(pl.DataFrame(raw), table, columns=columns)
    place(table, ss.load_survey("skymapper_dr2"), target)
    placed, before = open_table(target), open_table(table)
    assert is_hats(target)
    assert not is_hats(tmp_path)
    frame = placed.read(list(before.schema))
    assert frame.sort("object_id").equals(before.read().sort("object_id"))
    assert placed.columns["u_psf"] == before.columns["u_psf"]
    assert placed.columns["mine"].description == "of the user"
    # Sorted by the sky, the row without a position last.
    assert frame["object_id"].to_list()[-1] == 2
    with pytest.raises(InputError, match="has no positions"):
        place(table, ss.load_survey("bailer_jones_edr3"), tmp_path / "other.hats")


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
