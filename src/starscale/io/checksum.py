"""Checksums of files, for the provenance of results."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starscale.vocabulary.paths import divided, matching, must_exist


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


def _files(target: Path) -> dict[str, Path]:
    """Return all files of a directory or of a pattern, by their sorted relative names."""
    if not target.is_dir():
        return {file.as_posix(): file for file in matching(target)}
    files = {item.relative_to(target).as_posix(): item for item in target.rglob("*") if item.is_file()}
    return dict(sorted(files.items()))


def _size_and_time(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
