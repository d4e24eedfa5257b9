"""Files and directories that appear whole or not at all.

Everything is built beside its final place under a name that ends in ``.partial-<random>`` and is
renamed when it is complete and on the disk. A run that is interrupted leaves the older file as it was.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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

#: Errors of a folder that cannot be made.
_NO_FOLDER = (errno.ENOENT, errno.EPERM, errno.EACCES)


@contextmanager
def atomic(path: str | Path, *, inside: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, which takes the place of `path` on success.

    Folders that are missing are made. Whatever goes wrong inside, nothing is left behind and an
    older file stays as it was.

    Parameters
    ----------
    path : str or Path
        The file to write.
    inside : Path, optional
        A folder of the same disk to build it in, for a caller that clears away what a kill left there.

    Raises
    ------
    StarscaleError
        When the disk is full, the folder cannot be written, and so on.
    """
    target = Path(path)
    partial = _partial(target) if inside is None else inside / target.name
    try:
        with explained(target, partial):
            refuse_directory(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _sync(partial)
            partial.replace(target)
            _sync(target.parent)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def atomic_directory(path: str | Path, *, marker: str | None = None, inside: Path | None = None) -> Iterator[Path]:
    """Yield a new empty directory beside `path`, which takes the place of `path` on success.

    Between moving the older directory away and moving the new one in, for an instant, neither is
    there; should the program be killed just then, the older one is beside it, named ``.old-<random>``.

    Parameters
    ----------
    path : str or Path
        The directory to write.
    marker : str, optional
        Name of a file that only directories of this kind contain. An older directory is replaced when it
        contains that file, or nothing that the new one does not contain as well: a mistyped
        path must not cost the user a folder of other things.
    inside : Path, optional
        A folder of the same disk to build it in, for a caller that clears away what a kill left there.

    Raises
    ------
    StarscaleError
        When the disk is full, the folder cannot be written, and so on.
    InputError
        When the older directory holds other things, or a file is in the way.
    """
    target = Path(path)
    partial = _partial(target) if inside is None else inside / target.name
    try:
        with explained(target, partial):
            if target.exists() and not target.is_dir():
                raise InputError(Problem(str(target), "is a file", "the name of a directory to write"))
            partial.mkdir(parents=True)
            yield partial
            for file in partial.rglob("*"):
                _sync(file)
            _sync(partial)
            _swap(target, partial, marker)
            _sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def work_folder(beside: str | Path) -> Iterator[Path]:
    """Yield an empty directory beside an output for what is needed on the way; it is removed in the end.

    Raises
    ------
    StarscaleError
        When the disk is full, the folder cannot be written, and so on.
    """
    target = Path(beside)
    folder = _partial(target)
    try:
        with explained(target, folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_place(path: str | Path) -> None:
    """Find out before long work that a file can be written there; folders that are missing are made.

    Raises
    ------
    InputError
        For a directory where the file is to be.
    StarscaleError
        When the disk refuses.
    """
    refuse_directory(Path(path))
    with work_folder(path):
        pass


def refuse_directory(target: Path) -> None:
    """Refuse to write a file in the place of a directory."""
    if target.is_dir():
        raise InputError(Problem(str(target), "is a directory", "the name of a file to write"))


def atomic_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) in one go."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def atomic_json(path: str | Path, value: Any) -> None:
    """Write plain data as indented JSON in one go; NaN is refused, since JSON has none."""
    atomic_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")


def _swap(target: Path, partial: Path, marker: str | None) -> None:
    """Put `partial` in the place of `target`."""
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
    """Ask the system to put a file or the entries of a folder on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot do this for folders; a full disk must not pass.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


@contextmanager
def explained(target: Path, partial: Path) -> Iterator[None]:
    """Turn an error of the disk about `target` into one the user can act upon; leave all others alone."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not _concerns(error, target, partial):
            raise
        fix = _FIX.get(error.errno, "")
        if not fix and error.errno in _NO_FOLDER and not target.parent.is_dir():
            fix = "The folder cannot be made: choose another one."
        reason = error.strerror or str(error)
        raise StarscaleError(f"{target}: cannot be written: {reason}." + (f" {fix}" if fix else "")) from error


def _concerns(error: OSError, target: Path, partial: Path) -> bool:
    """Whether an error of the disk is about the output, its unfinished form, or a folder above it."""
    about = {str(name) for name in (error.filename, error.filename2) if name is not None}
    return not about or any(
        name.startswith(str(partial)) or name == str(target) or Path(name) in target.parents for name in about
    )
