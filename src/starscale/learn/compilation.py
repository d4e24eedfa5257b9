"""Programs that were compiled once are kept, so that the next training or prediction starts at once."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import jax

from starscale.version import __version__

#: Environment variable with the folder to use; empty: nothing is kept.
VARIABLE = "STARSCALE_CACHE"


@cache
def keep_compiled() -> None:
    """Keep compiled programs in the user's cache folder, unless jax was told where to keep them already."""
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
