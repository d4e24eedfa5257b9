"""Checksums of files, for the provenance of results."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starscale.vocabulary.paths import divided, matching, must_exist

#: A file that was written so shortly (ns) before its checksum was taken is read again: clocks of disks are coarse.
_FRESH = 2_000_000_000


def checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file, a directory, or the files of a pattern, in hexadecimal.

    That of a directory is the SHA-256 of the lines ``<sum>  <relative name>`` of all its files, sorted by name:
    the output of ``sha256sum``, hashed again. A path that names a table of its file stands for the whole file.

    Raises
    ------
    InputError
        There is no file or folder at `path`.
    """
    must_exist(Path(path))
    target, _ = divided(Path(path))
    if target.is_file():
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    total = hashlib.sha256()
    for name, part in _files(target).items():
        total.update(f"{checksum(part)}  {name}\n".encode())
    return total.hexdigest()


def state_of(path: str | Path) -> dict[str, list[int]]:
    """Return size and modification time (ns) of a file, or of every file of a directory, by relative name.

    A fast way to find whether files were changed, whatever their size.

    Raises
    ------
    InputError
        There is no file or folder at `path`.
    """
    must_exist(Path(path))
    target, _ = divided(Path(path))
    if target.is_file():
        return {target.name: _size_and_time(target)}
    return {name: _size_and_time(file) for name, file in _files(target).items()}


def status_of(path: str | Path) -> dict[str, list[int]]:
    """Return size, times (ns) of the content and of the entry, device and inode of a file, or of every file.

    Raises
    ------
    InputError
        There is no file or folder at `path`.
    """
    must_exist(Path(path))
    target, _ = divided(Path(path))
    files = {target.name: target} if target.is_file() else _files(target)
    return {name: _status(file) for name, file in files.items()}


def _status(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino]


def _files(target: Path) -> dict[str, Path]:
    """Return all files of a directory or of a pattern, by their sorted relative names."""
    if not target.is_dir():
        return {file.as_posix(): file for file in matching(target)}
    files = {item.relative_to(target).as_posix(): item for item in target.rglob("*") if item.is_file()}
    return dict(sorted(files.items()))


def _size_and_time(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


class KnownSums:
    """Checksums with the status of the files that they are of.

    The status is size, times of the content and of the entry, device and inode. Any change of a file, also one
    that sets back the time of its content, changes the time of its entry, which no program can set.

    Parameters
    ----------
    known : mapping
        What :meth:`document` returned; anything else is as good as nothing.
    """

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        self._before = known if isinstance(known, Mapping) else {}
        self._now: dict[str, Any] = {}

    def of(self, path: Path) -> str:
        """Return the checksum of a file, a directory or a pattern, which is read only where it is not known."""
        name = str(path.absolute())
        status = status_of(path)
        for known in (self._now.get(name), self._before.get(name)):
            if isinstance(known, Mapping) and known.get("status") == status:
                self._now[name] = known
                return str(known["sha256"])
        started = time.time_ns()
        found = checksum(path)
        # Changed while it was read, or so lately that a further change might not show.
        calm = max((max(each[1:3]) for each in status.values()), default=0) < started - _FRESH
        if calm and status_of(path) == status:
            self._now[name] = {"status": status, "sha256": found}
        return found

    def document(self) -> dict[str, Any]:
        """Return the checksums that were asked for and are known, as plain data."""
        return dict(self._now)
