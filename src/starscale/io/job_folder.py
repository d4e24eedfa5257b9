"""A folder that keeps the completed parts of a long job, so that an interrupted job can resume.

The folder holds ``job.json`` (the key: everything that the parts depend on), ``parts.jsonl`` (one line for each
completed part, with the SHA-256 of its files), the parts themselves, and ``lock``. A part is recorded when its
files are complete and on the disk. Only the files of the job are ever removed: a folder may hold other files.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from starscale.io.atomic import atomic_json, atomic_text, explained
from starscale.io.checksum import checksum
from starscale.vocabulary.errors import InputError, Problem

JOB, PARTS, LOCK = "job.json", "parts.jsonl", "lock"

#: Parts of another job: refuse them, or discard them; ``restart`` also discards those of the same job.
Leftover = Literal["refuse", "renew", "restart"]


class FolderLock:
    """Holds the lock of a folder until :meth:`release` or the end of the process.

    The lock is that of the operating system on the file ``lock``, so it ends with its process, however that ends.
    The file names the process and its machine. On a file system without locks, these decide: the lock is taken
    over if the process was one of this machine and has ended.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    output : Path
        What is being written, and
    fix : str
        what to do, in the message to a second process.
    temporary : bool
        Whether :meth:`release` also removes the folder, if it is empty.

    Raises
    ------
    InputError
        When another process holds the lock.
    """

    def __init__(
        self,
        folder: Path,
        output: Path,
        fix: str = "Wait for it, or write to another file.",
        *,
        temporary: bool = True,
    ) -> None:
        self._path, self._temporary = folder / LOCK, temporary
        with explained(output, folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+")
            taken = self._taken()
            if taken:
                self._file.truncate(0)
                self._file.write(f"{os.getpid()} {platform.node()}\n")
                self._file.flush()
        if not taken:
            owner = _owner(self._file)
            self._file.close()
            who = f"number {owner[0]} on {owner[1]}, " if owner else ""
            if owner and owner[1] != platform.node():
                fix += f" If that process has ended, remove {self._path}."
            raise InputError(
                Problem(str(output), f"is being written by another process ({who}in {folder})", fix=fix)
            )

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            # Some network file systems have no locks.
            owner = _owner(self._file)
            if owner and (owner[1] != platform.node() or _runs(owner[0])):
                return False
        # Another process may have finished, and removed the lock, between opening and locking.
        with suppress(OSError):
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        return False

    def release(self) -> None:
        """Remove the lock; calling it again has no effect."""
        if not self._file.closed:
            with suppress(OSError):
                self._path.unlink()
                if self._temporary:
                    self._path.parent.rmdir()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _owner(file: IO[str]) -> tuple[int, str] | None:
    """Return the process and the machine that a lock names."""
    with suppress(OSError, ValueError):
        file.seek(0)
        number, _, machine = file.read(300).strip().partition(" ")
        return int(number), machine
    return None


def _runs(number: int) -> bool:
    """Whether this machine has a process of this number."""
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def refuse_foreign(folder: Path, output: Path, record: str = JOB) -> None:
    """Refuse to work in a folder that no job of ours made, before anything is written to it or removed from it.

    Parameters
    ----------
    folder : Path
        May not exist, or be empty.
    output : Path
        What is to be written.
    record : str
        Another file by which the folder of a job is known.

    Raises
    ------
    InputError
        The folder is a link, or holds files without the record of a job.
    """
    if folder.is_symlink():
        fix = f"Remove the link. To keep the parts on another disk, write {output.name} there."
        raise InputError(Problem(str(folder), "is a link", "a folder that starscale makes itself", fix))
    if not folder.is_dir():
        return
    foreign = sorted(
        item.name for item in folder.iterdir() if item.name != LOCK and not item.name.startswith(f"{JOB}.partial-")
    )
    if foreign and not any(_document(folder / name) for name in (JOB, record)):
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        found = f"holds {shown}, and no readable record ({JOB}) of an interrupted job"
        fix = "Move it away, or write to another output. If it is left from an interrupted job, remove it."
        raise InputError(Problem(str(folder), found, "the folder of an interrupted job, or none", fix))


def _document(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None if there is none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict):
            return document
    return None


def unchanged(folder: Path, files: Mapping[str, str]) -> bool:
    """Return whether all `files` (names with checksums) of a folder are present and unaltered."""
    return all((folder / name).exists() and checksum(folder / name) == digest for name, digest in files.items())


class JobFolder:
    """The records of one job; whoever writes to the folder holds its :class:`FolderLock`.

    Parameters
    ----------
    path : Path
    names : sequence of str
        Patterns of the names of files that the job makes, completed or not (``part-*.arrow``).

    Attributes
    ----------
    key : dict or None
        What the parts were made from; None: no job was recorded.
    parts : list of dict
        One entry for each completed part, in order: ``files`` (names with checksums), and the owner's notes.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        self.key = _document(path / JOB)
        self.parts: list[dict[str, Any]] = [] if self.key is None else list(_entries(path / PARTS))

    def file(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return self.path / name

    def is_of(self, key: Mapping[str, Any]) -> bool:
        """Return whether the recorded job has this key."""
        return self.key == _plain(key)

    def begin(self, key: Mapping[str, Any], *, again: bool = False) -> bool:
        """Continue the recorded job if its key is `key`; otherwise, or with `again`, discard it and begin anew.

        Returns
        -------
        bool
            Whether the recorded job continues.
        """
        with explained(self.path, self.path):
            same = self.is_of(key) and not again
            if same:
                self._remove_except({name for part in self.parts for name in part["files"]})
            else:
                self.clear()
            self.path.mkdir(parents=True, exist_ok=True)
            atomic_json(self.path / JOB, key)
            # Written again without a line that a kill left incomplete.
            atomic_text(self.path / PARTS, "".join(map(_line, self.parts)))
        self.key = _plain(key)
        return same

    def complete(self, files: Sequence[str], **notes: Any) -> None:
        """Record a part whose files are on the disk, with notes (plain data) of the owner."""
        part = {"files": {name: checksum(self.path / name) for name in files}, **notes}
        with explained(self.path, self.path), (self.path / PARTS).open("a", encoding="utf-8") as record:
            record.write(_line(part))
            record.flush()
            os.fsync(record.fileno())
        self.parts.append(part)

    def intact(self, part: Mapping[str, Any]) -> bool:
        """Return whether the files of a part are as they were when it was completed."""
        return unchanged(self.path, part["files"])

    def clear(self) -> None:
        """Remove the parts and the records of the job, and nothing else."""
        # The record of the parts first, the key last: after a kill in between, no record names a lost part,
        # and the folder is still known as that of a job.
        for name in (PARTS, *(name for part in self.parts for name in part["files"])):
            self.file(name).unlink(missing_ok=True)
        self._remove_except(set())
        self.file(JOB).unlink(missing_ok=True)
        self.key, self.parts = None, []

    def _remove_except(self, kept: set[str]) -> None:
        """Remove the files that match the patterns of the job, except `kept`: a kill left them incomplete."""
        found = {item for pattern in self.names for item in self.path.glob(pattern)}
        for item in found:
            if item.name in kept:
                continue
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()


def _plain(key: Mapping[str, Any]) -> dict[str, Any]:
    """Return the key as it is read from JSON: tuples become lists."""
    return dict(json.loads(json.dumps(key)))


def _line(part: Mapping[str, Any]) -> str:
    return json.dumps(part) + "\n"


def _entries(record: Path) -> Iterator[dict[str, Any]]:
    """Yield the recorded parts; a line that a kill left incomplete ends them."""
    with suppress(OSError, ValueError, RecursionError):
        for line in record.read_text(encoding="utf-8").splitlines():
            part = json.loads(line)
            if not _is_part(part):
                return
            yield part


def _is_part(part: Any) -> bool:
    """Whether a line of the record names files of the folder, with their checksums."""
    files = part.get("files") if isinstance(part, dict) else None
    return isinstance(files, dict) and all(
        isinstance(digest, str) and Path(name).name == name and not name.startswith(".")
        for name, digest in files.items()
    )
