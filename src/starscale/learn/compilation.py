"""How programs are compiled: what is kept of them, and how exactly they multiply."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import jax

from starscale.version import __version__

P = ParamSpec("P")
T = TypeVar("T")

#: Environment variable with the folder to use; empty: nothing is kept.
VARIABLE = "STARSCALE_CACHE"


@cache
def keep_compiled() -> None:
    """Keep compiled programs in the user's cache folder, unless jax was told where to keep them already.

    The next training or prediction starts at once then.
    """
    folder = os.environ.get(VARIABLE)
    if folder == "" or getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    if folder is None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starscale"
    else:
        base = Path(folder)
    try:
        (base / __version__).mkdir(parents=True, exist_ok=True)
    except OSError:
        # A read-only home directory costs the time of compiling again, no more.
        return
    jax.config.update("jax_compilation_cache_dir", str(base / __version__))  # type: ignore[no-untyped-call]
    # Small programs are compiled as fast as they are read.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)  # type: ignore[no-untyped-call]


def full_precision(function: Callable[P, T]) -> Callable[P, T]:
    """Make the matrix products of a function that is to be compiled as exact as single precision is.

    By default an accelerator rounds the factors to ten bits: fast, good enough for a gradient, and seen in a
    catalogue. A processor is as exact in any case.
    """

    @wraps(function)
    def exact(*arguments: P.args, **named: P.kwargs) -> T:
        with jax.default_matmul_precision("highest"):
            return function(*arguments, **named)

    return exact
