"""Completed parts of a long job, stored next to its output so that an interrupted job can resume.

The folder ``<output>.unfinished`` is a job folder (:mod:`starscale.io.job_folder`) of Arrow files; it also holds
the output while it is written. A part depends only on the job and on its number, so the parts, written to the
output in order, give the same file however often the job was interrupted. The folder is removed when the output is
complete.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from starscale.io.atomic import atomic, explained
from starscale.io.job_folder import FolderLock, JobFolder, Leftover, refuse_foreign
from starscale.vocabulary.errors import InputError, Problem, StarscaleError

SUFFIX = ".unfinished"
_PARTS = f"part-{'[0-9]' * 8}.arrow"
_RESTART = "start again with --restart (in Python: restart=True)."


class Unfinished:
    """The folder of one long job; see :meth:`open`.

    Attributes
    ----------
    path : Path
        The folder.
    """

    def __init__(self, job: JobFolder) -> None:
        self._job, self.path = job, job.path

    @property
    def n_parts(self) -> int:
        """Number of completed parts; they are numbered from 0."""
        return len(self._job.parts)

    @classmethod
    @contextmanager
    def open(cls, output: Path, job: Mapping[str, Any], leftover: Leftover = "refuse") -> Iterator[Unfinished]:
        """Create or open the folder of an output, for one process at a time.

        Parameters
        ----------
        output : Path
            The file or directory to be written.
        job : mapping
            Plain data: everything that the parts depend on. Its keys are named in an error message.
        leftover : {"refuse", "renew", "restart"}
            What to do with parts of an interrupted job. Parts of the same job are used again, except with
            "restart"; parts of another job are refused, or discarded with "renew" and "restart".

        Yields
        ------
        Unfinished
            The folder is removed at the end of the block, after an error in the user's input (which would occur
            again), and after any error before the first part is complete. After other errors it stays, and a
            note is added to the error.

        Raises
        ------
        InputError
            When another process uses the folder, it holds parts of another job, or no job of ours made it.
        StarscaleError
            When the folder cannot be written.
        """
        folder = output.with_name(output.name + SUFFIX)
        refuse_foreign(folder, output)
        with FolderLock(folder, output):
            # The output, and the identifiers of a prediction, are built in this folder.
            names = (_PARTS, f"{_PARTS}.partial-*", glob.escape(output.name), "identifiers", "job.json.partial-*")
            found = JobFolder(folder, names)
            n_found = len(list(folder.glob(_PARTS)))
            if leftover == "refuse" and n_found and found.key is not None and not found.is_of(job):
                raise InputError(_other_job(folder, found.key, job, n_found))
            found.begin(job, again=leftover == "restart")
            kept = cls(found)
            try:
                with explained(output, folder):
                    yield kept
            except BaseException as error:
                if isinstance(error, InputError) or not kept.n_parts:
                    kept.discard()
                else:
                    error.add_note(f"Completed parts are kept in {folder}: the same command resumes there.")
                raise
            kept.discard()

    def load(self, number: int) -> pl.DataFrame:
        """Return a part.

        Raises
        ------
        StarscaleError
            When it is damaged.
        """
        path, reason = self._part(number), "its checksum differs"
        if self._job.intact(self._job.parts[number]):
            try:
                return pl.read_ipc(path)
            except (pl.exceptions.PolarsError, OSError) as error:
                reason = str(error).splitlines()[0]
        raise StarscaleError(f"{path}: is damaged ({reason}). To discard all parts, {_RESTART}")

    def store(self, frame: pl.DataFrame) -> None:
        """Keep the next part.

        Raises
        ------
        StarscaleError
            When the disk is full, or cannot be written.
        """
        # Written by Python and not by polars, whose errors do not say that a disk is full.
        contents = BytesIO()
        frame.write_ipc(contents, compression="lz4")
        path = self._part(self.n_parts)
        # The view is given back even if the disk is full: a stream with a view cannot be closed.
        with atomic(path) as partial, contents.getbuffer() as view:
            partial.write_bytes(view)
        self._job.complete([path.name])

    def discard(self) -> None:
        """Remove the parts, as far as the disk allows."""
        with suppress(OSError):
            self._job.clear()

    def _part(self, number: int) -> Path:
        return self.path / f"part-{number:08d}.arrow"


def _other_job(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], n_parts: int) -> Problem:
    reasons = []
    for key in dict.fromkeys([*before, *now]):
        was, is_now = before.get(key), now.get(key)
        if was != is_now:
            plain = all(isinstance(value, int | float | str) and len(str(value)) < 30 for value in (was, is_now))
            reasons.append(f"{key} was {was} and is {is_now}" if plain else f"{key} changed{_which(was, is_now)}")
    return Problem(
        str(folder),
        f"holds {n_parts} finished parts of another job: {'; '.join(reasons)}",
        "the input, model and settings that the job was started with",
        f"Repeat the command with these, or {_RESTART}",
    )


def _which(was: Any, is_now: Any) -> str:
    """Name the entries that differ, if the values are mappings."""
    if not isinstance(was, dict) or not isinstance(is_now, dict):
        return ""
    names = sorted(name for name in {*was, *is_now} if was.get(name) != is_now.get(name))
    return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
