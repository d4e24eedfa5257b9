"""What a killed process left of its output is removed by the next one; what is in use, or not ours, stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from starscale import io
from starscale.io.partial import under_construction
from starscale.vocabulary.errors import StarscaleError

KILLED = """
import os, signal, sys
from pathlib import Path
from starscale import io
target = Path(sys.argv[1])
with io.atomic_directory(target) if sys.argv[2] == "folder" else io.atomic(target) as partial:
    (partial / "part" if sys.argv[2] == "folder" else partial).write_text("half")
    if sys.argv[3] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print(partial.name, flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_litter_of_a_killed_process_is_removed(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "o[1].parquet"
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", KILLED, str(target), kind, "kill"]).returncode == -9
        assert len(names(tmp_path)) == 1, "the second one removes what the first one left"
    io.write(pl.DataFrame({"a": [1]}), target)
    assert names(tmp_path) == ["o[1].parquet"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_living_process_builds_is_left_alone(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out.parquet"
    command = [sys.executable, "-c", KILLED, str(target), kind, "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        partial = process.stdout.readline().strip()
        with under_construction(target) as own:
            assert set(names(tmp_path)) == {partial, own.name}
        assert names(tmp_path) == [partial]
        process.communicate("")
    assert process.returncode == 0
    assert names(tmp_path) == ["out.parquet"]


def test_files_of_the_user_and_links_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.tex").write_text("mine")
    (tmp_path / "out.parquet.partial-0123abcd").symlink_to(tmp_path / "thesis")
    kept = ("out.parquet.partial-results", "out.parquet.partial-0123abcd.txt", "xout.parquet.partial-0123abcd")
    for name in kept:
        (tmp_path / name).write_text("mine")
    os.mkfifo(tmp_path / "out.parquet.partial-aaaaaaaa")
    io.write(pl.DataFrame({"a": [1]}), target)
    there = {*kept, "out.parquet", "out.parquet.partial-0123abcd", "thesis"}
    assert there <= set(names(tmp_path))
    assert (tmp_path / "thesis" / "one.tex").read_text() == "mine"


def test_a_full_disk_in_polars_is_explained(tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    for error in (OSError, pl.exceptions.ComputeError):
        with (
            pytest.raises(StarscaleError, match=r"t.parquet: cannot be written.*disk is full"),
            io.atomic(target),
        ):
            raise error("No space left on device (os error 28)")
    with pytest.raises(pl.exceptions.ComputeError, match="overflow"), io.atomic(target):
        raise pl.exceptions.ComputeError("overflow")
    assert names(tmp_path) == []
