"""Cutting a request into pieces, and waiting between attempts."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starscale.archives.tap.plan import Count, DownloadPiece, divide, merge
from starscale.archives.tap.query import Range
from starscale.archives.tap.retry import Retry
from starscale.archives.tap.trouble import CancelledError, QueryError, TransientError
from starscale.vocabulary.errors import InputError
from support.recorded_progress import RecordedProgress


def counter(values: list[float | None]) -> Callable[[Range | None], Count]:
    """What a service would count."""

    def inside(value: float | None, range_: Range | None) -> bool:
        if range_ is None:
            return True
        if value is None or range_.nulls:
            return value is None and range_.nulls
        return (range_.low is None or value >= range_.low) and (range_.high is None or value < range_.high)

    def count(range_: Range | None) -> Count:
        found = [value for value in values if inside(value, range_)]
        present = [value for value in found if value is not None]
        return Count(len(found), len(present), min(present, default=None), max(present, default=None))

    return count


def rows(piece: DownloadPiece, values: list[float | None]) -> list[float | None]:
    low, high = (piece.range.low, piece.range.high) if piece.range else (None, None)
    if piece.range is not None and piece.range.nulls:
        return [v for v in values if v is None]
    return [
        v
        for v in values
        if (v is not None or piece.range is None)
        and (low is None or (v is not None and v >= low))
        and (high is None or (v is not None and v < high))
    ]


@given(
    st.lists(
        st.none() | st.integers(-(2**62), 2**62), max_size=80, unique_by=lambda v: v if v is not None else object()
    ),
    st.integers(1, 30),
)
def test_pieces_of_whole_numbers_hold_every_row_once(values: list[float | None], most: int) -> None:
    if values.count(None) > most and len(values) > most:
        with pytest.raises(InputError, match=r"they have no t\.id"):
            divide(counter(values), "t.id", most)
        return
    pieces = divide(counter(values), "t.id", most)
    found = [value for piece in pieces for value in rows(piece, values)]
    assert sorted(map(str, found)) == sorted(map(str, values))
    assert all(0 < piece.rows <= most and piece.rows == len(rows(piece, values)) for piece in pieces)


@given(st.lists(st.floats(-90, 90), max_size=60, unique=True), st.integers(1, 30))
def test_pieces_of_real_numbers_hold_every_row_once(values: list[float | None], most: int) -> None:
    pieces = divide(counter(values), "t.dec", most, whole=False)
    found = [value for piece in pieces for value in rows(piece, values)]
    assert sorted(map(str, found)) == sorted(map(str, values))
    assert all(0 < piece.rows <= most for piece in pieces)


def test_neighbours_that_are_small_are_joined() -> None:
    values: list[float | None] = [float(v) for v in range(1000)]
    pieces = divide(counter(values), "t.id", 300)
    assert len(pieces) <= 6
    first = DownloadPiece(2, Range("c", None, 5))
    assert merge([first, DownloadPiece(3, Range("c", 5, 9)), DownloadPiece(4, Range("c", 9, None))], 5) == [
        DownloadPiece(5, Range("c", None, 9)),
        DownloadPiece(4, Range("c", 9, None)),
    ]


def test_a_range_can_be_cut_further() -> None:
    values: list[float | None] = [float(v) for v in range(100)]
    pieces = divide(counter(values), "t.id", 10, within=Range("t.id", 20, 60))
    assert sum(piece.rows for piece in pieces) == 40
    assert pieces[0].range is not None
    assert (pieces[0].range.low, pieces[-1].range.high if pieces[-1].range else 0) == (20, 60)


def test_what_cannot_be_divided_says_why() -> None:
    with pytest.raises(InputError, match=r"5 rows cannot be divided into pieces of 2: all of them have t.id = 7"):
        divide(counter([7.0] * 5), "t.id", 2)
    with pytest.raises(InputError, match="no column to divide it by"):
        divide(counter([1.0, 2.0, 3.0]), None, 2)
    grows = iter([Count(10, 10, 1, 100), *[Count(1, 1, 1, 2)] * 50])
    with pytest.raises(InputError, match="differ from that of the whole"):
        divide(lambda _: next(grows), "t.id", 5)


def test_pauses_double_and_are_bounded() -> None:
    retry = Retry(attempts=9, first=1, longest=20)
    assert [retry.pause(n, lambda: 1.0) for n in range(1, 8)] == [1, 2, 4, 8, 16, 20, 20]
    assert [retry.pause(n, lambda: 0.0) for n in range(1, 4)] == [0.5, 1, 2]
    assert len({retry.pause(1) for _ in range(20)}) > 10


def test_attempts_are_counted_and_end() -> None:
    stop, seen = threading.Event(), RecordedProgress()
    results: list[Exception | int] = [TransientError("a"), TransientError("b"), 5]

    def work() -> int:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    quick = Retry(attempts=3, first=0.001)
    assert quick.call(work, stop=stop, progress=seen) == (5, 3)
    assert len(seen.messages) == 2
    results = [TransientError("x")] * 3
    with pytest.raises(TransientError, match=r"x \(after 3 attempts\)"):
        quick.call(work, stop=stop)
    results = [QueryError("no")]
    with pytest.raises(QueryError):
        quick.call(work, stop=stop)
    results = [TransientError("x")] * 3
    stop.set()
    with pytest.raises(CancelledError):
        quick.call(work, stop=stop)
