from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starscale.io.threads import in_threads
from starscale.learn.training import lanes
from starscale.learn.training.lanes import on_lane


@pytest.fixture(autouse=True)
def own_lanes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lanes, "_compiled", set())
    lanes._lanes.cache_clear()
    yield
    lanes._lanes.cache_clear()


@jax.jit
def product(a: jax.Array, b: jax.Array) -> dict[str, jax.Array]:
    return {"product": a @ b}


def test_a_lane_is_a_device_of_its_own_and_jax_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in None, "3":
        monkeypatch.delenv("NPROC", raising=False)
        if before:
            monkeypatch.setenv("NPROC", before)
        first, second = lanes._opened(), lanes._opened()
        assert first is not None
        assert second is not None
        assert len({first, second, *jax.devices()}) == 3
        assert os.environ.get("NPROC") == before


def test_there_is_a_lane_for_each_core_and_none_is_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARSCALE_CORES", "2")
    n = lanes._lanes().qsize()
    held, most, lock = set(), [0], threading.Lock()
    begun = threading.Barrier(n)

    def work(number: int) -> None:
        with lanes._lane() as device:
            with lock:
                assert device not in held
                held.add(device)
                most[0] = max(most[0], len(held))
            if number < n:
                begun.wait(10)
            with lock:
                held.remove(device)

    in_threads(work, range(5), most=5)
    assert most[0] == n
    assert lanes._lanes().qsize() == n


def test_results_are_those_of_jax_wherever_they_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40, 40)).astype(np.float32)
    here = on_lane(product, jnp.asarray(a), b)["product"]
    assert isinstance(here, np.ndarray)
    monkeypatch.setattr(lanes, "_cpu_client", lambda: None)
    lanes._lanes.cache_clear()
    there = on_lane(product, a, b)["product"]
    assert isinstance(there, jax.Array)
    for found in here, there:
        np.testing.assert_allclose(found, a @ b, rtol=1e-4, atol=1e-4)


def test_the_first_use_of_a_program_is_alone_also_when_it_fails() -> None:
    inside: list[int] = []
    alone: list[bool] = []

    def work(number: int) -> str:
        try:
            with lanes._first_alone("program"):
                inside.append(number)
                alone.append(len(inside) == 1)
                if len(alone) == 1:
                    raise ValueError
                return "done"
        except ValueError:
            return "failed"
        finally:
            inside.remove(number)

    assert sorted(in_threads(work, range(6), most=6)) == ["done"] * 5 + ["failed"]
    assert alone[:2] == [True, True]


def test_other_programs_do_not_wait() -> None:
    with lanes._first_alone("one"), lanes._first_alone("another"):
        pass
    assert lanes._compiled == {"one", "another"}


def test_an_error_gives_the_lane_back() -> None:
    n = lanes._lanes().qsize()
    with pytest.raises(TypeError):
        on_lane(product, np.zeros((2, 3)), np.zeros((2, 3)))
    assert lanes._lanes().qsize() == n
