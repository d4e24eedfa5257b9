"""The folder that keeps what is done of a long piece of work, and the threads around it."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale import io
from starscale.io import Hashing, Unfinished, Worker, read_ahead, state_of
from starscale.vocabulary.errors import InputError, Problem, StarscaleError

PART = pl.DataFrame({"source_id": [1, 2, None], "teff": pl.Series([1.5, None, float("nan")], dtype=pl.Float32)})
JOB = {"model": "abc", "input": {"stars.parquet": [1000, 17]}, "chunk": 10}


def work(target: Path, parts: int, error: BaseException) -> None:
    """Do some parts of the work and fail."""
    with Unfinished.open(target, JOB) as kept:
        for _ in range(parts):
            kept.store(PART)
        raise error


def stopped_after(target: Path, parts: int) -> BaseException:
    with pytest.raises(KeyboardInterrupt) as caught:
        work(target, parts, KeyboardInterrupt())
    return caught.value


def test_parts_are_found_again_as_they_were(tmp_path: Path) -> None:
    stopped_after(tmp_path / "out.parquet", 2)
    with Unfinished.open(tmp_path / "out.parquet", JOB) as kept:
        assert kept.n_parts == 2
        assert kept.load(1).equals(PART)
        assert kept.load(1).schema == PART.schema
        kept.store(PART.head(1))
        assert kept.load(2).height == 1
    assert list(tmp_path.iterdir()) == []


def test_a_stop_says_where_the_parts_are(tmp_path: Path) -> None:
    error = stopped_after(tmp_path / "out.parquet", 1)
    assert "out.parquet.unfinished: the same command resumes there" in error.__notes__[0]


@pytest.mark.parametrize(
    ("parts", "error"), [(0, KeyboardInterrupt()), (3, InputError(Problem("stars", "a row is bad")))]
)
def test_nothing_stays_that_is_of_no_use(tmp_path: Path, parts: int, error: BaseException) -> None:
    with pytest.raises(type(error)):
        work(tmp_path / "out.parquet", parts, error)
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    stopped_after(target, 2)
    folder = tmp_path / "out.parquet.unfinished"
    (folder / "out.parquet").write_bytes(b"half")
    (folder / "part-00000002.arrow.partial-1234").write_bytes(b"half")
    (folder / "identifiers").mkdir()
    (folder / "identifiers" / "identifiers-000").write_bytes(b"")
    with Unfinished.open(target, JOB) as kept:
        assert kept.n_parts == 2
        assert sorted(item.name for item in folder.iterdir()) == [
            "job.json",
            "lock",
            "part-00000000.arrow",
            "part-00000001.arrow",
            "parts.jsonl",
        ]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({**JOB, "model": "xyz"}, "model was abc and is xyz"),
        ({**JOB, "chunk": 11}, "chunk was 10 and is 11"),
        ({**JOB, "input": {"stars.parquet": [1000, 18]}}, r"input changed \(stars.parquet\)"),
        ({**JOB, "program": "new"}, "program changed"),
        ({key: JOB[key] for key in ("model", "chunk")}, "input changed"),
    ],
)
def test_parts_of_another_job_are_refused_with_the_reason(tmp_path: Path, other: dict, said: str) -> None:
    target = tmp_path / "out.parquet"
    stopped_after(target, 2)
    with pytest.raises(InputError, match=said) as caught, Unfinished.open(target, other):
        pass
    assert "holds 2 finished parts" in str(caught.value)
    assert "--restart" in str(caught.value)
    with Unfinished.open(target, JOB) as kept:
        assert kept.n_parts == 2


@pytest.mark.parametrize(
    ("leftover", "chunk", "parts"), [("renew", 10, 2), ("renew", 11, 0), ("restart", 10, 0), ("restart", 11, 0)]
)
def test_beginning_anew(tmp_path: Path, leftover: str, chunk: int, parts: int) -> None:
    target = tmp_path / "out.parquet"
    stopped_after(target, 2)
    with Unfinished.open(target, {**JOB, "chunk": chunk}, leftover) as kept:
        assert kept.n_parts == parts


def test_a_folder_without_a_readable_record_is_refused_and_kept(tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    stopped_after(target, 2)
    folder = tmp_path / "out.parquet.unfinished"
    (folder / "job.json").write_text("{")
    before = sorted(folder.iterdir())
    for leftover in ("refuse", "renew", "restart"):
        with (
            pytest.raises(InputError, match=r"holds job.json, part-00000000.arrow.*no readable record.*remove it"),
            Unfinished.open(target, JOB, leftover),
        ):
            pass
    assert sorted(folder.iterdir()) == before


def test_a_folder_of_the_user_is_never_touched(tmp_path: Path) -> None:
    target, thesis = tmp_path / "out.parquet", tmp_path / "thesis"
    mine = ("lock", "part-00000000.arrow", "out.parquet", "identifiers", "job.txt")
    folder = tmp_path / "out.parquet.unfinished"
    folder.mkdir()
    for name in mine:
        (folder / name).write_text("mine")
    with pytest.raises(InputError, match="no readable record"), Unfinished.open(target, JOB, "restart"):
        pass
    folder.rename(thesis)
    folder.symlink_to(thesis)
    with pytest.raises(InputError, match=r"is a link.*Remove the link"), Unfinished.open(target, JOB, "restart"):
        pass
    assert {item.name: item.read_text() for item in thesis.iterdir()} == dict.fromkeys(mine, "mine")


def test_what_a_kill_left_before_the_record_is_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "out.parquet.unfinished"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "job.json.partial-01234567").write_text("{")
    with Unfinished.open(tmp_path / "out.parquet", JOB) as kept:
        kept.store(PART)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_is_said(tmp_path: Path) -> None:
    stopped_after(tmp_path / "out.parquet", 2)
    part = tmp_path / "out.parquet.unfinished" / "part-00000001.arrow"
    part.write_bytes(part.read_bytes()[:-40])
    with Unfinished.open(tmp_path / "out.parquet", JOB) as kept, pytest.raises(StarscaleError, match="--restart"):
        kept.load(1)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    with Unfinished.open(target, JOB) as kept:
        kept.store(PART)
        with pytest.raises(InputError, match="is being written by another process"), Unfinished.open(target, JOB):
            pass
        assert kept.load(0).equals(PART)


def test_a_full_disk_is_said_and_parts_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "out.parquet"
    stopped_after(target, 1)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StarscaleError, match="disk is full") as caught:
        work(target, 1, KeyboardInterrupt())
    assert "the same command resumes there" in caught.value.__notes__[0]
    monkeypatch.undo()
    with Unfinished.open(target, JOB) as kept:
        assert kept.n_parts == 1


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StarscaleError, match="cannot be written"), Unfinished.open(tmp_path / "file" / "x", JOB):
        pass


def test_state_of_a_directory_sees_every_change(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    first, second = tmp_path / "in" / "a", tmp_path / "in" / "b"
    first.write_text("x")
    before = state_of(tmp_path / "in")
    assert list(before) == ["a"]
    assert state_of(tmp_path / "in") == before
    os.utime(first, ns=(0, 5))
    assert state_of(tmp_path / "in") == {"a": [1, 5]}
    second.write_text("")
    assert list(state_of(tmp_path / "in")) == ["a", "b"]
    with pytest.raises(InputError, match="nothing"):
        state_of(tmp_path / "nothing")


@given(st.lists(st.integers()), st.integers(1, 3))
@settings(deadline=None)
def test_reading_ahead_changes_nothing(items: list[int], depth: int) -> None:
    assert list(read_ahead(iter(items), depth)) == items


def test_reading_ahead_raises_in_its_place() -> None:
    def two() -> Iterator[int]:
        yield 1
        yield 2
        raise InputError(Problem("third", "is damaged"))

    seen = []
    with pytest.raises(InputError, match="damaged"):
        seen.extend(read_ahead(two()))
    assert seen == [1, 2]
    ahead = read_ahead(two())
    assert [next(ahead), next(ahead)] == [1, 2]
    ahead.close()


def test_nobody_reads_on_when_the_reader_has_left() -> None:
    taken = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    ahead = read_ahead(endless())
    assert next(ahead) == 0
    ahead.close()
    n_taken = len(taken)
    time.sleep(0.05)
    assert len(taken) == n_taken <= 4
    assert not any(thread.name == "read ahead" for thread in threading.enumerate())


def test_work_is_done_in_order_and_errors_come_through() -> None:
    done: list[int] = []
    with Worker() as worker:
        for number in range(20):
            worker.do(done.append, number)
    assert done == list(range(20))

    def fail() -> None:
        raise StarscaleError("no room")

    def fail_and_go_on(more: int) -> None:
        with Worker() as worker:
            worker.do(fail)
            for number in range(more):
                worker.do(done.append, number)

    for more in (0, 1):
        with pytest.raises(StarscaleError, match="no room"):
            fail_and_go_on(more)
    assert len(done) == 20


def test_hashing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    assert Hashing(tmp_path / "a").result() == io.checksum(tmp_path / "a")
    with pytest.raises(InputError, match="b"):
        Hashing(tmp_path / "b").result()


@given(st.integers(0, 60), st.integers(1, 25), st.integers(1, 20))
@settings(deadline=None, max_examples=20)
def test_skipping_rows(tmp_path_factory: pytest.TempPathFactory, skip: int, rows: int, group: int) -> None:
    folder = tmp_path_factory.mktemp("skip")
    table = pl.DataFrame({"n": range(50), "x": [str(i) for i in range(50)]})
    (folder / "parts").mkdir()
    table.head(23).write_parquet(folder / "parts" / "a.parquet", row_group_size=group)
    table.slice(23).write_parquet(folder / "parts" / "b.parquet", row_group_size=group)
    io.write(table, folder / "t.fits")
    io.write(table, folder / "t.fits.gz")
    io.write(table, folder / "t.csv")
    io.write(table, folder / "t.vot")
    for name in ("parts", "t.fits", "t.fits.gz", "t.csv", "t.vot"):
        frames = list(io.open_table(folder / name).batches(rows, ["n"], skip=skip))
        assert [n for frame in frames for n in frame["n"]] == list(range(skip, 50))
        assert all(frame.height == rows for frame in frames[:-1])
