"""Files appear whole or not at all, and errors of the disk say what to do."""

from __future__ import annotations

import errno
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from starscale import io
from starscale.vocabulary.errors import InputError, StarscaleError

TABLE = pl.DataFrame({"id": [1, 2, 3], "name": ["a", "b", None]})
SUFFIXES = (".parquet", ".fits", ".fits.gz", ".vot", ".ecsv", ".csv")


class Stop(Exception):
    pass


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with io.atomic(path) as partial:
        assert partial.parent == path.parent
        assert ".partial-" in partial.name
        partial.write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"
    assert names(path.parent) == ["a.txt"]


def test_an_exception_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with io.atomic(path) as partial:
            partial.write_text("new")
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("older", [True, False])
def test_a_writer_that_fails_midway_leaves_nothing_behind(tmp_path: Path, suffix: str, older: bool) -> None:
    path = tmp_path / f"t{suffix}"
    if older:
        io.write(TABLE.head(1), path)
    before = path.read_bytes() if older else None

    def fail() -> None:
        with io.open_writer(path, TABLE.schema) as writer:
            writer.append(TABLE)
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert names(tmp_path) == ([path.name] if older else [])
    assert (path.read_bytes() if older else None) == before


def test_a_wrong_number_of_rows_or_other_columns_make_no_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with (
        pytest.raises(ValueError, match="5 rows were announced and 3 came"),
        io.open_writer(path, TABLE.schema, n_rows=5) as writer,
    ):
        writer.append(TABLE)
    with pytest.raises(ValueError, match="other columns"), io.open_writer(path, TABLE.schema) as writer:
        writer.append(TABLE.select("name", "id"))
    with pytest.raises(ValueError, match="Int32 instead of Int64"), io.open_writer(path, TABLE.schema) as writer:
        writer.append(TABLE.with_columns(pl.col("id").cast(pl.Int32)))
    assert names(tmp_path) == []
    with pytest.raises(ValueError, match="with"):
        io.open_writer(path, TABLE.schema).append(TABLE)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_in_the_place_of_a_folder(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StarscaleError, match="is a file, not a folder") as error:
        io.write(TABLE, tmp_path / "file" / f"t{suffix}")
    assert str(tmp_path / "file" / f"t{suffix}") in str(error.value)


def test_a_folder_that_cannot_be_made() -> None:
    with pytest.raises(StarscaleError, match="cannot be written"):
        io.write(TABLE, "/proc/nowhere/t.parquet")


def test_a_directory_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        io.write(TABLE, tmp_path / "t.csv")


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(StarscaleError, match="disk is full") as error, io.atomic(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(path) in str(error.value)
    assert names(tmp_path) == ["a.txt"]


def test_an_error_about_another_file_is_not_blamed_on_this_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), io.atomic(tmp_path / "a.txt"):
        (tmp_path / "input.txt").read_text()
    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_grows_too_large_is_explained_and_removed(tmp_path: Path, suffix: str) -> None:
    code = f"""
import resource, sys
import numpy as np, polars as pl
from starscale import io
from starscale.vocabulary.errors import StarscaleError
table = pl.DataFrame({{"x": np.random.default_rng(0).random(20_000)}})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    io.write(table, {str(tmp_path / f"t{suffix}")!r})
except StarscaleError as error:
    print(error)
    sys.exit(2)
"""
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert f"t{suffix}: cannot be written" in done.stdout
    assert "larger than" in done.stdout
    assert "Exception ignored" not in done.stderr
    assert names(tmp_path) == []


def test_text_and_json(tmp_path: Path) -> None:
    io.atomic_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "é\n"
    io.atomic_json(tmp_path / "a.json", {"b": [1, "é"]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"b": [1, "é"]}
    with pytest.raises(ValueError, match="JSON"):
        io.atomic_json(tmp_path / "b.json", float("nan"))
    assert names(tmp_path) == ["a.json", "a.txt"]


def test_a_directory_is_swapped_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for text in ("old", "new"):
        with io.atomic_directory(path) as partial:
            (partial / "weights").write_text(text)
            (partial / "deep").mkdir()
            (partial / "deep" / "x").write_text("x")
    assert (path / "weights").read_text() == "new"
    assert names(tmp_path) == ["model"]

    def fail() -> None:
        with io.atomic_directory(path) as partial:
            (partial / "weights").write_text("half")
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert (path / "weights").read_text() == "new"
    assert names(tmp_path) == ["model"]


def test_a_directory_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "home"
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(InputError, match=r"thesis\.tex"),
        io.atomic_directory(path, marker="model.json") as partial,
    ):
        (partial / "model.json").write_text("")
    assert names(path) == ["thesis.tex"]
    (path / "model.json").write_text("")
    with io.atomic_directory(path, marker="model.json") as partial:
        (partial / "model.json").write_text("new")
    assert names(path) == ["model.json"]
    assert names(tmp_path) == ["home"]


def test_a_file_in_the_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(InputError, match="is a file"), io.atomic_directory(tmp_path / "model"):
        pass


def test_checksums(tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "b").write_bytes(b"b")
    (tmp_path / "d" / "sub" / "a").write_bytes(b"a")
    one, two = (hashlib.sha256(text).hexdigest() for text in (b"b", b"a"))
    assert io.checksum(tmp_path / "d" / "b") == one
    whole = hashlib.sha256(f"{one}  b\n{two}  sub/a\n".encode()).hexdigest()
    assert io.checksum(tmp_path / "d") == whole
    (tmp_path / "d" / "sub" / "a").rename(tmp_path / "d" / "sub" / "c")
    assert io.checksum(tmp_path / "d") != whole
    with pytest.raises(InputError, match="Did you mean 'd'"):
        io.checksum(tmp_path / "dd")


def test_a_place_for_a_result_is_looked_for_beforehand(tmp_path: Path) -> None:
    """The same complaints as in the end, and nothing is left there."""
    (tmp_path / "file").write_text("")
    (tmp_path / "t.csv").mkdir()
    for path, words in (
        (tmp_path / "file" / "t.csv", "is a file, not a folder"),
        (tmp_path / "t.csv", "is a directory"),
        (tmp_path / "t.cvs", "suffix '.cvs'"),
        (Path("/proc/nowhere/t.parquet"), "cannot be written"),
    ):
        with pytest.raises(StarscaleError, match=words):
            io.check_target(path)
    (tmp_path / "old.hats").mkdir()
    for name in ("t.parquet", "old.hats", "new/t.fits"):
        io.check_target(tmp_path / name)
    assert names(tmp_path) == ["file", "new", "old.hats", "t.csv"]
