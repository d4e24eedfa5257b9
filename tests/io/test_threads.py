"""Work in threads: results in order, errors in their place; how many cores a process may use."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from starscale.io.threads import both, cores, in_threads, in_turns, stream_in_threads


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

    with patch("starscale.io.threads.cores", lambda: 2):
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


def test_streams_that_overlap_limit_the_matrix_products_until_the_last_one_ends() -> None:
    limits: list[str] = []

    @contextmanager
    def limit(number: int, of: str) -> Iterator[None]:
        assert (number, of) == (1, "blas")
        limits.append("set")
        yield
        limits.append("lifted")

    with patch("starscale.io.threads.threadpoolctl", SimpleNamespace(threadpool_limits=limit)):
        first, second = (stream_in_threads(str, range(5)) for _ in range(2))
        assert (next(first), next(second)) == ("0", "0")
        assert limits == ["set"]
        assert list(first) == ["1", "2", "3", "4"]
        assert limits == ["set"]
        second.close()
        assert limits == ["set", "lifted"]
        assert list(stream_in_threads(str, range(1))) == ["0"]
    assert limits == ["set", "lifted"] * 2


SetLimits = Callable[..., None]
VARIABLES = ("STARSCALE_CORES", "SLURM_CPUS_PER_TASK", "PBS_NCPUS", "NCPUS", "NSLOTS", "LSB_DJOB_NUMPROC")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SetLimits:
    """Set the limits of this process: cores of its affinity, text of the quota file, variables."""

    def set_limits(affinity: int = 64, quota: str | None = None, **variables: str) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
        file = tmp_path / "cpu.max"
        if quota is not None:
            file.write_text(quota)
        monkeypatch.setattr("starscale.io.threads._QUOTA", file)
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_limits


def test_cores_are_those_of_the_affinity(limits: SetLimits) -> None:
    limits(affinity=3)
    assert cores() == 3
    limits(affinity=64)
    assert cores() == 64


@pytest.mark.parametrize("number", [1, 2, 5, 16])
def test_as_many_workers_as_cores(limits: SetLimits, number: int) -> None:
    limits(affinity=number)
    together = threading.Barrier(number)

    def work(_: int) -> int:
        # None of them goes on before all cores are at work.
        together.wait(30)
        return threading.get_ident()

    for found in (in_threads(work, range(2 * number)), list(stream_in_threads(work, range(2 * number)))):
        assert len(set(found)) == number


def test_without_an_affinity_cores_are_those_of_the_machine(
    limits: SetLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


@pytest.mark.parametrize("name", VARIABLES)
def test_a_batch_system_or_the_user_limits_the_cores(limits: SetLimits, name: str) -> None:
    limits(**{name: "8"})
    assert cores() == 8
    # A limit above the affinity does not add cores.
    limits(affinity=2, **{name: "8"})
    assert cores() == 2


def test_the_smallest_limit_counts(limits: SetLimits) -> None:
    limits(affinity=32, quota="1200000 100000\n", SLURM_CPUS_PER_TASK="16", STARSCALE_CORES="20")
    assert cores() == 12
    limits(affinity=32, quota="1200000 100000\n", SLURM_CPUS_PER_TASK="16", STARSCALE_CORES="5")
    assert cores() == 5


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("400000 100000\n", 4), ("50000 100000\n", 1), ("149000 100000\n", 1), ("max 100000\n", 64)],
)
def test_the_quota_of_a_container_limits_the_cores(limits: SetLimits, quota: str, expected: int) -> None:
    limits(quota=quota)
    assert cores() == expected


@pytest.mark.parametrize("value", ["", "0", "-2", "many", "1.5", "4(x2)", "²"])
def test_a_variable_that_is_no_number_of_cores_is_ignored(limits: SetLimits, value: str) -> None:
    limits(SLURM_CPUS_PER_TASK=value)
    assert cores() == 64


@pytest.mark.parametrize("quota", ["", "max", "a b\n", "1 2 3\n", "100000 0\n", "é 1\n"])
def test_a_quota_file_that_cannot_be_understood_is_ignored(limits: SetLimits, quota: str) -> None:
    limits(quota=quota)
    assert cores() == 64


def test_with_one_core_all_work_is_done_in_the_calling_thread(limits: SetLimits) -> None:
    limits(STARSCALE_CORES="1")
    mine = threading.get_ident()
    assert in_threads(lambda _: threading.get_ident(), range(3)) == [mine] * 3
    assert both(threading.get_ident, threading.get_ident) == (mine, mine)


def test_results_of_in_threads_are_in_order(limits: SetLimits) -> None:
    limits(STARSCALE_CORES="3")
    assert in_threads(lambda n: n * n, iter(range(20))) == [n * n for n in range(20)]
    assert in_threads(lambda n: n, range(5), most=2) == list(range(5))
    assert both(lambda: 1, lambda: "two") == (1, "two")


def test_items_take_turns_until_they_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARSCALE_CORES", "1")
    left = {"a": 2, "b": 3, "c": 0}
    seen = []
    for item, result in in_turns(str.upper, left, lambda item: left[item] == 0):
        left[item] -= 1
        seen.append((item, result))
    assert [item for item, _ in seen] == ["a", "b", "a", "b", "b"]
    assert all(result == item.upper() for item, result in seen)


def test_turns_run_side_by_side_and_an_error_ends_them() -> None:
    together = threading.Barrier(min(cores(), 2))
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        together.wait(10)
        return 1 // (number - 1)

    with pytest.raises(ZeroDivisionError):
        for _ in in_turns(work, range(2), lambda _: False):
            pass
    assert begun.count(1) == 1


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs the GNU C library")
def test_freed_memory_is_given_back_to_the_system() -> None:
    program = """
import numpy as np, resource
from starscale.io.threads import give_back

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

blocks = [np.ones(8_000) for _ in range(4_000)]
kept = blocks[::40]
del blocks
before = held()
give_back()
print(before - held())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # Of 256 MB, some of it is near what is kept.
    assert int(done.stdout) > 150
