"""How much memory this process can still have."""

from __future__ import annotations

from pathlib import Path

#: Where Linux states what is free on the machine, and what a container (cgroup, version 2) may use and uses.
_MACHINE, _CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Return the bytes that are free on the machine, or in the container if these are fewer; None if unknown."""
    found = [free for free in (_of_machine(), _of_container()) if free is not None]
    return min(found, default=None)


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
