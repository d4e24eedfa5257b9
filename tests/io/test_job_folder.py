"""The folder from which an interrupted job resumes: key, lock, verified parts, and foreign files."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from starscale.archives.tap.manifest import Manifest
from starscale.io import Unfinished, checksum
from starscale.io.job_folder import FolderLock, JobFolder, unchanged
from starscale.learn.training.checkpoint import Checkpoint
from starscale.vocabulary.errors import InputError

KEY = {"input": [1, 2], "program": "a"}
NAMES = ("part-*",)


def begun(folder: Path, parts: int = 0) -> JobFolder:
    """Begin a job and complete some parts."""
    job = JobFolder(folder, NAMES)
    job.begin(KEY)
    for number in range(parts):
        job.file(f"part-{number}").write_text(str(number))
        job.complete([f"part-{number}"], number=number)
    return job


def test_completed_parts_are_found_again_with_their_notes(tmp_path: Path) -> None:
    begun(tmp_path, 2)
    (tmp_path / "part-2").write_text("incomplete")
    job = JobFolder(tmp_path, NAMES)
    assert job.begin(KEY)
    assert [part["number"] for part in job.parts] == [0, 1]
    assert all(job.intact(part) for part in job.parts)
    assert not (tmp_path / "part-2").exists()


def test_a_part_that_was_altered_is_not_intact(tmp_path: Path) -> None:
    job = begun(tmp_path, 2)
    job.file("part-1").write_text("x")
    assert [job.intact(part) for part in job.parts] == [True, False]
    job.file("part-0").unlink()
    assert not unchanged(tmp_path, job.parts[0]["files"])


@pytest.mark.parametrize("rest", ['{"files": {"part-2"', '{"files": {"../other": "0"}}\n', "[1]\n"])
def test_a_line_that_is_incomplete_or_wrong_ends_the_record(tmp_path: Path, rest: str) -> None:
    begun(tmp_path, 2)
    with (tmp_path / "parts.jsonl").open("a") as record:
        record.write(rest)
    job = JobFolder(tmp_path, NAMES)
    assert job.begin(KEY)
    job.file("part-2").write_text("2")
    job.complete(["part-2"])
    assert len(JobFolder(tmp_path, NAMES).parts) == 3


@pytest.mark.parametrize(("key", "again"), [({**KEY, "program": "b"}, False), (KEY, True)])
def test_another_job_begins_without_parts_and_keeps_foreign_files(tmp_path: Path, key: dict, again: bool) -> None:
    begun(tmp_path, 2)
    (tmp_path / "thesis.tex").write_text("mine")
    job = JobFolder(tmp_path, NAMES)
    assert not job.begin(key, again=again)
    assert job.parts == []
    job.clear()
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("n_removed", range(5))
def test_a_kill_while_the_folder_is_cleared_leaves_no_record_of_a_part_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_removed: int
) -> None:
    job = begun(tmp_path, 2)
    left, unlink = [n_removed], Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt) if n_removed < 4 else nullcontext():
            job.clear()
    found = JobFolder(tmp_path, NAMES)
    assert found.key == (None if n_removed == 4 else KEY)
    assert all(found.intact(part) for part in found.parts)
    assert len(found.parts) == (0 if n_removed else 2)


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from starscale.io.job_folder import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1]), Path('out'))\nprint('locked', flush=True)\nsys.stdin.read()"
    )
    folder = tmp_path / "job"
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(
            InputError, match=rf"out: is being written by another process \(number {process.pid}.*Wait"
        ):
            FolderLock(folder, Path("out"))
        process.kill()
    # A lock ends with its process, even if its file stays.
    with FolderLock(folder, Path("out")):
        assert (folder / "lock").exists()
    assert not folder.exists()


def test_without_locks_of_the_file_system_the_named_process_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    with (
        FolderLock(tmp_path / "job", Path("out")),
        pytest.raises(InputError, match=f"another process \\(number {os.getpid()} on {platform.node()}"),
    ):
        FolderLock(tmp_path / "job", Path("out"))
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "lock").write_text("5 another.machine\n")
    with pytest.raises(InputError, match=r"on another\.machine.*If that process has ended, remove"):
        FolderLock(tmp_path / "job", Path("out"))
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    (tmp_path / "job" / "lock").write_text(f"{ended.pid} {platform.node()}\n")
    FolderLock(tmp_path / "job", Path("out")).release()
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_folder_of_an_earlier_build_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "out.parquet.unfinished"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({**KEY, "program": "earlier"}))
    (folder / "part-00000000.arrow").write_bytes(b"rows")
    (folder / "lock").touch()
    with (
        pytest.raises(InputError, match=r"holds 1 finished parts.*program was earlier and is a.*--restart"),
        Unfinished.open(tmp_path / "out.parquet", KEY),
    ):
        pass
    with Unfinished.open(tmp_path / "out.parquet", KEY, "restart") as kept:
        assert kept.n_parts == 0
    assert list(tmp_path.iterdir()) == []


def test_a_download_of_an_earlier_build_resumes(tmp_path: Path) -> None:
    folder = tmp_path / "out.parquet.fetch"
    folder.mkdir()
    (folder / "piece-00000.parquet").write_bytes(b"rows")
    (folder / "piece-00001.parquet").write_bytes(b"other")
    stored = {"rows": 3, "seconds": 1.0, "attempts": 1, "fetched": "2026-01-01", "range": None, "part": 0}
    digest = checksum(folder / "piece-00000.parquet")
    document = {
        "format": 1,
        "key": "k",
        "request": {"rows_before_cuts": 9},
        "pieces": [{"rows": 3, "range": None, "part": 0}, {"rows": 4, "range": None, "part": 0}],
        "stored": {
            "0": [{"file": "piece-00000.parquet", "sha256": digest, **stored}],
            "1": [{"file": "piece-00001.parquet", "sha256": "0", **stored}],
        },
    }
    (folder / "manifest.json").write_text(json.dumps(document))
    with Manifest.open(folder, "k", {"survey": "x"}) as manifest:
        assert manifest.planned
        assert manifest.missing() == [1]
        assert [item.rows for item in manifest.all_stored()] == [3]
        assert manifest.about == {"rows_before_cuts": 9, "survey": "x"}
        with pytest.raises(InputError, match=r"out.parquet: is being written by another process"):
            Manifest.open(folder, "k", {})
    with Manifest.open(folder, "k", {"survey": "x"}) as manifest:
        assert manifest.missing() == [1]
        manifest.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_removes_its_own_files_only(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"mine")
    kept = Checkpoint(tmp_path, "k")
    for number in range(3):
        kept.save("Trunk, 1", lambda: {"a": np.arange(3)}, now=True)
        assert len(list(tmp_path.glob("checkpoint-*"))) == 1, number
    kept.done()
    assert [item.name for item in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("files", ["x", ["a"], {"../a": "0"}, {"..": "0"}, {"a": 1}, None])
def test_a_line_that_names_no_files_of_the_folder_ends_the_record(tmp_path: Path, files: object) -> None:
    job = begun(tmp_path / "job")
    with (tmp_path / "job" / "parts.jsonl").open("a") as record:
        record.write(json.dumps({"files": files, "part": "p"}) + "\n")
    assert JobFolder(tmp_path / "job", job.names).parts == job.parts
