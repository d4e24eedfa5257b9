"""Files and folders under construction: ``<name>.partial-<random>``, next to the output.

Each is locked by the process that builds it. What a killed process left has no lock, and the next process that
writes the same output removes it. Where a file system has no locks nothing is removed.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_RANDOM = "[0-9a-f]{8}"


@contextmanager
def under_construction(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield an empty partial file, or folder, of `target`; what is left of it at the end is removed.

    Parameters
    ----------
    target : Path
        The output; its folder exists.
    folder : bool
        Make a folder.
    """
    _remove_litter(target)
    partial, lock = _claimed(target, folder)
    try:
        yield partial
    finally:
        remove(partial)
        os.close(lock)


def _claimed(target: Path, folder: bool) -> tuple[Path, int]:
    """Return a new partial file or folder with its lock."""
    while True:
        partial = target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
        if folder:
            partial.mkdir()
        else:
            partial.touch(exist_ok=False)
        lock = os.open(partial, os.O_RDONLY)
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have taken it for litter before it was locked.
        if _is(partial, lock):
            return partial, lock
        os.close(lock)


def _remove_litter(target: Path) -> None:
    """Remove the partial files and folders of `target` whose process has ended."""
    of_target = re.compile(re.escape(f"{target.name}.partial-") + _RANDOM)
    with suppress(OSError):
        for item in [item for item in target.parent.iterdir() if of_target.fullmatch(item.name)]:
            _remove_if_unlocked(item)


def _remove_if_unlocked(item: Path) -> None:
    with suppress(OSError):
        # A link is not ours, and a pipe would wait for a writer.
        lock = os.open(item, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(item, lock):
                remove(item)
        finally:
            os.close(lock)


def _is(path: Path, handle: int) -> bool:
    """Whether a path still names the open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that it holds, as far as the disk allows."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
