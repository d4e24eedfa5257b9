"""Checksums that are known from before: only as long as nothing touched the file."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.io import KnownSums, checksum


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read for a checksum."""
    seen: list[Path] = []
    module = importlib.import_module("starscale.io.checksum")
    monkeypatch.setattr(module, "_FRESH", 0)
    monkeypatch.setattr(module, "checksum", lambda path: seen.append(path) or checksum(path))
    return seen


def test_a_file_is_read_once(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "table"
    file.write_text("rows")
    sums = KnownSums()
    assert sums.of(file) == sums.of(file) == checksum(file)
    later = KnownSums(sums.document())
    assert later.of(file) == checksum(file)
    assert read == [file]


def test_a_file_that_was_touched_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "table"
    file.write_text("rows")
    times = file.stat()
    before = KnownSums()
    before.of(file)
    # Other content of the same length, with the times of the content set back.
    file.write_text("ROWS")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert KnownSums(before.document()).of(file) == checksum(file)
    # Another file in its place.
    other = tmp_path / "other"
    other.write_text("rowS")
    other.replace(file)
    assert KnownSums(before.document()).of(file) == checksum(file)
    assert len(read) == 3


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_text("rows")
    sums = KnownSums()
    sums.of(file)
    assert sums.document() == {}


def test_a_folder_is_known_by_all_its_files(tmp_path: Path, read: list[Path]) -> None:
    (tmp_path / "model").mkdir()
    for name in ("a", "b"):
        (tmp_path / "model" / name).write_text(name)
    sums = KnownSums()
    first = sums.of(tmp_path / "model")
    assert sums.of(tmp_path / "model") == first
    assert read.count(tmp_path / "model") == 1
    (tmp_path / "model" / "c").write_text("c")
    assert sums.of(tmp_path / "model") == checksum(tmp_path / "model") != first


@settings(max_examples=20)
@given(
    known=st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_a_damaged_record_is_no_record(tmp_path_factory: pytest.TempPathFactory, known: object) -> None:
    file = tmp_path_factory.mktemp("damaged") / "table"
    file.write_text("rows")
    for given_one in (known, {str(file): known}):
        assert KnownSums(given_one).of(file) == checksum(file)
