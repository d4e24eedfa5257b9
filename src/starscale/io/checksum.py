"""Checksums, so that a result can say what it was made from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starscale.vocabulary.paths import must_exist


def checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file, or of a directory, in hexadecimal.

    For a directory it is the SHA-256 of the lines ``<sum>  <relative name>`` of all its files, in
    the order of their names: what ``sha256sum`` prints, hashed once more.

    Raises
    ------
    InputError
        When nothing is there.
    """
    target = Path(path)
    must_exist(target)
    if target.is_file():
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    total = hashlib.sha256()
    for name in _names(target):
        total.update(f"{checksum(target / name)}  {name}\n".encode())
    return total.hexdigest()


def state_of(path: str | Path) -> dict[str, list[int]]:
    """Return size and time of change (ns) of a file, or of every file of a directory, by relative name.

    Costs nothing however large the files are, and tells whether they were changed meanwhile.

    Raises
    ------
    InputError
        When nothing is there.
    """
    target = Path(path)
    must_exist(target)
    if target.is_file():
        return {target.name: _size_and_time(target)}
    return {name: _size_and_time(target / name) for name in _names(target)}


def _names(folder: Path) -> list[str]:
    """Relative names of all files of a directory, in order."""
    return sorted(item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file())


def _size_and_time(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
