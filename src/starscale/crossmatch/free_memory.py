"""How much memory this process can still have."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

from starscale.vocabulary.errors import InputError, Problem

#: Where Linux states what is free on the machine, and what a container (cgroup, version 2) may use and uses.
_MACHINE, _CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
#: Where it states the pages of this process.
_PROCESS = Path("/proc/self/statm")


#: Memory that the user grants, such as 4G or 500 MB.
GRANTED = "STARSCALE_MEMORY"
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kMGT]?)(i?)B?")


def free_memory() -> int | None:
    """Return the bytes that are free on the machine, in the container, or below a limit; None if unknown.

    The least of what the machine has, the container and the process (``ulimit -v``) may take, and the user grants
    (environment variable ``STARSCALE_MEMORY``).

    Raises
    ------
    InputError
        What the user grants is no size.
    """
    found = [free for free in (_of_machine(), _of_container(), _of_process(), _granted()) if free is not None]
    return min(found, default=None)


def _granted() -> int | None:
    given = os.environ.get(GRANTED, "").strip()
    if not given:
        return None
    size = _SIZE.fullmatch(given)
    if size is None:
        raise InputError(Problem(GRANTED, repr(given), "a size in bytes, such as 4G, 500 MB or 2GiB"))
    step = 1024 if size[3] else 1000
    return int(float(size[1]) * step ** " kMGT".index(size[2] or " "))


def _of_process() -> int | None:
    """Bytes below the limit of the address space, if there is one."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        used = int(_PROCESS.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None
    return max(limit - used, 0)


def _of_machine() -> int | None:
    try:
        lines = _MACHINE.read_text(encoding="ascii").splitlines()
        # Without what programs use, but with the caches of files, which the system gives up.
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _of_container() -> int | None:
    try:
        limit = int((_CONTAINER / "memory.max").read_text(encoding="ascii"))
        used = int((_CONTAINER / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        # No limit ("max"), no container, or another version of cgroup.
        return None
    return max(limit - used + _cached(), 0)


def _cached() -> int:
    """Bytes of files in memory that the container gives up when it needs them."""
    try:
        lines = (_CONTAINER / "memory.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
