"""What is done of a long piece of work, kept beside its output, so that it goes on after any stop.

The folder ``<output>.unfinished`` holds the finished parts (Arrow files, each of which appears whole or not at
all), what they were made from (``job.json``), and the output itself while it grows. A part depends on nothing
but the job and its number; whoever puts all of them into the output, in order, gets the same file however often
the work was stopped. The folder goes when the output is in its place.
"""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import polars as pl

from starscale.io.atomic import atomic, atomic_json, explained
from starscale.vocabulary.errors import InputError, Problem, StarscaleError

SUFFIX = ".unfinished"
JOB, LOCK = "job.json", "lock"
#: Where parts of another job lie: refuse; begin anew; and begin anew even if they are of this job.
Leftover = Literal["refuse", "renew", "restart"]

_PART = "part-{:08d}.arrow"


class Unfinished:
    """The folder of one piece of work; see :meth:`open`.

    Attributes
    ----------
    path : Path
        The folder.
    n_parts : int
        Parts that are done, numbers 0 to ``n_parts - 1``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_parts = 0
        while self._part(self.n_parts).exists():
            self.n_parts += 1

    @classmethod
    @contextmanager
    def open(cls, output: Path, job: Mapping[str, Any], leftover: Leftover = "refuse") -> Iterator[Unfinished]:
        """Make or find the folder of an output, for one process at a time.

        Parameters
        ----------
        output : Path
            The file or directory that is to be made.
        job : mapping
            Plain data that say what the parts are made from and how; the keys name it in an error.
        leftover : {"refuse", "renew", "restart"}
            What to do about parts that an earlier process left.

        Yields
        ------
        Unfinished
            When the block ends the folder is removed; so it is by an error of the user's input, which would come
            again, and by any error before the first part is done. After any other it stays, and a note of
            the error says so.

        Raises
        ------
        InputError
            When another process works on it, or it holds parts of another job.
        StarscaleError
            When it cannot be written.
        """
        folder = output.with_name(output.name + SUFFIX)
        with explained(output, folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / LOCK).open("a")
        with lock:
            _take(lock.fileno(), output, folder)
            with explained(output, folder):
                _prepare(folder, job, leftover)
            kept = cls(folder)
            try:
                with explained(output, folder):
                    yield kept
            except BaseException as error:
                if isinstance(error, InputError) or not kept.n_parts:
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    error.add_note(f"What was done is kept in {folder}: the same command goes on from there.")
                raise
            shutil.rmtree(folder, ignore_errors=True)

    def load(self, number: int) -> pl.DataFrame:
        """Return a part.

        Raises
        ------
        StarscaleError
            When it is damaged.
        """
        path = self._part(number)
        try:
            return pl.read_ipc(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise StarscaleError(
                f"{path}: is damaged ({reason}). Begin anew with --restart (in Python: restart=True)."
            ) from error

    def store(self, frame: pl.DataFrame) -> None:
        """Keep the next part.

        Raises
        ------
        StarscaleError
            When the disk refuses.
        """
        # Not straight to the file: Python's own errors say what is wrong with a disk.
        contents = BytesIO()
        frame.write_ipc(contents, compression="lz4")
        with atomic(self._part(self.n_parts)) as partial:
            partial.write_bytes(contents.getbuffer())
        self.n_parts += 1

    def _part(self, number: int) -> Path:
        return self.path / _PART.format(number)


def _take(file: int, output: Path, folder: Path) -> None:
    """Lock the folder; the lock is let go when the file is closed, also by a kill."""
    taken = True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems know no locks; there the user must see to it.
        taken = error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    # Another process may have finished, and removed the folder, between opening and locking.
    if not taken or not (folder / LOCK).exists():
        fix = "Wait for it, or write to another file."
        raise InputError(Problem(str(output), f"is being written by another process (in {folder})", fix=fix))


def _prepare(folder: Path, job: Mapping[str, Any], leftover: Leftover) -> None:
    """Remove what an interrupted process left half-written; keep the parts if they are those of the job."""
    now = json.loads(json.dumps(job))
    try:
        before = json.loads((folder / JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = None
    done = sorted(folder.glob("part-*.arrow"))
    if leftover == "refuse" and done and before is not None and before != now:
        raise InputError(_other_job(folder, before, now, len(done)))
    same = before == now and leftover != "restart"
    _clear(folder, {folder / LOCK, *([folder / JOB, *done] if same else [])})
    if not same:
        atomic_json(folder / JOB, now)


def _clear(folder: Path, kept: set[Path]) -> None:
    """Remove everything of a folder but what is kept."""
    for item in folder.iterdir():
        if item in kept:
            continue
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()


def _other_job(folder: Path, before: Any, now: Mapping[str, Any], n_parts: int) -> Problem:
    reasons = []
    for key in dict.fromkeys([*before, *now]):
        was, is_now = before.get(key), now.get(key)
        if was != is_now:
            plain = all(isinstance(value, int | float | str) and len(str(value)) < 30 for value in (was, is_now))
            reasons.append(f"{key} was {was} and is {is_now}" if plain else f"{key} changed{_which(was, is_now)}")
    return Problem(
        str(folder),
        f"holds {n_parts} finished parts of another job: {'; '.join(reasons)}",
        "the same input, model and settings as when the work was begun",
        "Give it what it was begun with, or begin anew with --restart (in Python: restart=True).",
    )


def _which(was: Any, is_now: Any) -> str:
    """Name the entries that differ, where there are some."""
    if not isinstance(was, dict) or not isinstance(is_now, dict):
        return ""
    names = sorted(name for name in {*was, *is_now} if was.get(name) != is_now.get(name))
    return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
