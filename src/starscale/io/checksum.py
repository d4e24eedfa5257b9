"""Checksums, so that a result can say what it was made from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starscale.io.sniff import missing


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
    if not target.exists():
        raise missing(target)
    if target.is_file():
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    names = sorted(item.relative_to(target).as_posix() for item in target.rglob("*") if item.is_file())
    total = hashlib.sha256()
    for name in names:
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
    if not target.exists():
        raise missing(target)
    files = [target] if target.is_file() else sorted(item for item in target.rglob("*") if item.is_file())
    found = {}
    for file in files:
        name = file.name if file == target else file.relative_to(target).as_posix()
        status = file.stat()
        found[name] = [status.st_size, status.st_mtime_ns]
    return found
