"""Files and directories that appear complete or not at all.

They are built in the folder of the output (:mod:`starscale.io.partial`), and renamed when they are complete and on
the disk. An interrupted run leaves an older file unchanged.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polars.exceptions import PolarsError

from starscale.io.partial import remove, under_construction
from starscale.vocabulary.errors import InputError, Problem, StarscaleError

_FIX = {
    errno.ENOSPC: "The disk is full: make room, or write elsewhere.",
    errno.EDQUOT: "Your disk quota is used up: make room, or write elsewhere.",
    errno.EFBIG: "The file would be larger than this system or a limit (ulimit -f) allows.",
    errno.EACCES: "You may not write there: choose another folder.",
    errno.EPERM: "You may not write there: choose another folder.",
    errno.EROFS: "That disk is read-only: choose another folder.",
    errno.ENOTDIR: "A part of the path is a file, not a folder: choose another name.",
    errno.EEXIST: "A part of the path is a file, not a folder: choose another name.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}

_OF_POLARS = re.compile(r"\(os error (\d+)\)")

#: Errors of a folder that cannot be made.
_NO_FOLDER = (errno.ENOENT, errno.EPERM, errno.EACCES)


@contextmanager
def atomic(path: str | Path, *, inside: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, renamed to `path` on success.

    Missing folders are created. After an error nothing is left behind, and an older file is unchanged.

    Parameters
    ----------
    path : str or Path
        The file to write.
    inside : Path, optional
        Another folder for the partial file, on the same disk, which the caller cleans up after a crash.

    Raises
    ------
    StarscaleError
        The disk is full, the folder cannot be written, ...
    """
    target = Path(path)
    with explained(target, inside), _building(target, inside) as partial:
        refuse_directory(target)
        yield partial
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)


@contextmanager
def atomic_directory(path: str | Path, *, marker: str | None = None, inside: Path | None = None) -> Iterator[Path]:
    """Yield a new empty directory next to `path`, renamed to `path` on success.

    An older directory is renamed first, to ``.old-<random>``, and deleted last: a program that is killed between
    the two renames leaves it under that name.

    Parameters
    ----------
    path : str or Path
        The directory to write.
    marker : str, optional
        Name of a file that only directories of this kind contain. An older directory is replaced if it contains
        this file, or if all its entries exist in the new one: a mistyped path must not delete other files of the
        user.
    inside : Path, optional
        Another folder for the partial file, on the same disk, which the caller cleans up after a crash.

    Raises
    ------
    StarscaleError
        The disk is full, the folder cannot be written, ...
    InputError
        The older directory holds other files, or `path` is a file.
    """
    target = Path(path)
    with explained(target, inside), _building(target, inside, folder=True) as partial:
        if target.exists() and not target.is_dir():
            raise InputError(Problem(str(target), "is a file", "the name of a directory to write"))
        yield partial
        for file in partial.rglob("*"):
            _sync(file)
        _sync(partial)
        _swap(target, partial, marker)
        _sync(target.parent)


@contextmanager
def work_folder(output: str | Path) -> Iterator[Path]:
    """Yield an empty directory next to an output for temporary files; it is removed afterwards.

    Raises
    ------
    StarscaleError
        The disk is full, the folder cannot be written, ...
    """
    target = Path(output)
    with explained(target), _building(target, None, folder=True) as partial:
        yield partial


def check_place(path: str | Path) -> None:
    """Check, before a long computation, that the file can be written; missing folders are created.

    Raises
    ------
    InputError
        `path` is a directory.
    StarscaleError
        The file cannot be written.
    """
    refuse_directory(Path(path))
    with work_folder(path):
        pass


def refuse_directory(target: Path) -> None:
    """Refuse to replace a directory by a file."""
    if target.is_dir():
        raise InputError(Problem(str(target), "is a directory", "the name of a file to write"))


def atomic_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def atomic_json(path: str | Path, value: Any) -> None:
    """Write plain data as indented JSON atomically; NaN is refused, since JSON has none."""
    atomic_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def _building(target: Path, inside: Path | None, *, folder: bool = False) -> Iterator[Path]:
    """Yield the partial file, or folder, of an output; what is left of it at the end is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if inside is None:
        with under_construction(target, folder=folder) as partial:
            yield partial
        return
    partial = inside / target.name
    try:
        if folder:
            partial.mkdir()
        yield partial
    finally:
        remove(partial)


def _swap(target: Path, partial: Path, marker: str | None) -> None:
    """Rename `partial` to `target`, replacing an older directory."""
    if not target.exists():
        partial.rename(target)
        return
    if marker is None or not (target / marker).exists():
        others = sorted({item.name for item in target.iterdir()} - {item.name for item in partial.iterdir()})
        if others:
            shown = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
            fix = "Choose another name, or remove the directory yourself."
            raise InputError(Problem(str(target), f"holds other things ({shown}) and is not replaced", fix=fix))
    old = target.with_name(f"{target.name}.old-{secrets.token_hex(4)}")
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot do this for folders; other errors, as of a full disk, are raised.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


@contextmanager
def explained(target: Path, folder: Path | None = None) -> Iterator[None]:
    """Turn an error of the disk about an output into a message with a fix; leave all other errors unchanged.

    Parameters
    ----------
    target : Path
        The output.
    folder : Path, optional
        Where it, or a part of it, is built; default: next to the output.
    """
    try:
        yield
    except (OSError, PolarsError) as error:
        number = _number(error)
        if number is None or not _concerns(error, target, folder):
            raise
        fix = _FIX.get(number, "")
        if not fix and number in _NO_FOLDER and not target.parent.is_dir():
            fix = "The folder cannot be created: choose another one."
        message = f"{target}: cannot be written: {os.strerror(number)}." + (f" {fix}" if fix else "")
        raise StarscaleError(message) from error


def _number(error: Exception) -> int | None:
    """Return the number of an error of the disk; polars states it in the text only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    stated = _OF_POLARS.search(str(error))
    return int(stated[1]) if stated else None


def _concerns(error: Exception, target: Path, folder: Path | None) -> bool:
    """Whether an error of the disk is about the output, its unfinished form, or a folder above it."""
    about = {str(name) for key in ("filename", "filename2") if (name := getattr(error, key, None)) is not None}
    beginnings = (f"{target}.partial-", *([str(folder)] if folder else []))
    return not about or any(
        name.startswith(beginnings) or name == str(target) or Path(name) in target.parents for name in about
    )
