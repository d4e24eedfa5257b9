"""Lanes: devices of jax with one core each, so that networks train side by side.

On a CPU jax computes in one pool of threads for the whole process. It divides the small products of a network
between them, which takes more time than it saves, and threads without work wait for more in busy loops. A lane is
a CPU device with a pool of its own, of one thread. Sums do not depend on the number of cores then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from queue import LifoQueue
from threading import Lock
from typing import Any, TypeVar

import jax
import numpy as np

from starscale.io.threads import cores

T = TypeVar("T")
Lanes = LifoQueue["jax.Device | None"]

#: What jax reads the number of threads of a new CPU client from.
_THREADS = "NPROC"
_opening = Lock()
_compiling: dict[Hashable, Lock] = {}
_compiled: set[Hashable] = set()


def on_lane(function: Callable[..., T], *arguments: Any, **static: Hashable) -> T:
    """Call a compiled function on a lane that nobody else uses; wait for one where all are in use.

    Parameters
    ----------
    function : callable
        Made by ``jax.jit``.
    *arguments : tree of arrays
    **static
        What the function has compiled in.

    Returns
    -------
    tree of arrays
        When they are computed: of numpy from a CPU, on the device from an accelerator, where there are no lanes.
    """
    shapes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(arguments))
    with _first_alone((function, *static.values(), shapes)), _lane() as device:
        if device is None:
            done: T = jax.block_until_ready(function(*arguments, **static))  # type: ignore[no-untyped-call]
        else:
            # Arrays on a lane cannot be mixed with those of others.
            done = jax.device_get(function(*jax.device_put(arguments, device), **static))
    return done


@contextmanager
def _first_alone(program: Hashable) -> Iterator[None]:
    """Let the first use of a program end before others begin: its lane compiles, others can read the result."""
    if program not in _compiled:
        with _compiling.setdefault(program, Lock()):
            if program not in _compiled:
                yield
                _compiled.add(program)
                return
    yield


@contextmanager
def _lane() -> Iterator[jax.Device | None]:
    with _opening:
        free = _lanes()
    held = free.get()
    try:
        yield held
    finally:
        free.put(held)


@cache
def _lanes() -> Lanes:
    """Open a lane for each core; the one used last comes first, since it has compiled its programs."""
    on_cpu, free = jax.default_backend() == "cpu", Lanes()
    for _ in range(cores()):
        free.put(_opened() if on_cpu else None)
    return free


def _opened() -> jax.Device | None:
    make = _cpu_client()
    if make is None:
        return None
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        device: jax.Device = make().devices()[0]
        return device
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before


def _cpu_client() -> Callable[[], Any] | None:
    """Return the function of jaxlib that makes a client; jax does not promise to keep it."""
    try:
        from jaxlib.xla_client import make_cpu_client
    except ImportError:
        return None
    return make_cpu_client
