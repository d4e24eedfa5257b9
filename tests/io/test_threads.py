"""Results of a stream of work come in order, items are fetched as threads get free, errors in their place."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from starscale.io.threads import stream_in_threads


def test_results_come_in_the_order_of_the_items() -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(stream_in_threads(work, range(40))) == [n * n for n in range(40)]
    assert list(stream_in_threads(work, [])) == []


def test_an_endless_stream_is_not_fetched_far_ahead() -> None:
    fetched = 0

    def endless() -> Iterator[int]:
        nonlocal fetched
        while True:
            fetched += 1
            yield fetched

    results = stream_in_threads(lambda n: n, endless())
    assert [next(results) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert fetched <= 5 + 8
    results.close()


def test_items_of_the_next_batch_are_begun_while_one_is_still_at_work() -> None:
    later = threading.Event()

    def work(number: int) -> bool:
        if number == 1:
            later.set()
            return True
        # The first can only end when the second has been begun.
        return later.wait(10)

    with patch("starscale.io.threads.threads", lambda: 2):
        assert list(stream_in_threads(work, iter([0, 1]))) == [True, True]


def test_an_error_of_the_work_comes_in_its_place_and_stops_the_rest() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return 10 // (3 - number)

    results = stream_in_threads(work, range(1000))
    assert [next(results) for _ in range(3)] == [3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) < 30


def test_an_error_of_the_items_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(stream_in_threads(str, items()))
