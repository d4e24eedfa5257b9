"""The pieces of a download on disk, with checksums, so that an interrupted download can resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from starscale.archives.tap.plan import DownloadPiece
from starscale.archives.tap.query import Range
from starscale.io.job_folder import FolderLock, JobFolder, refuse_foreign
from starscale.io.reading import open_table
from starscale.io.table import Source
from starscale.io.writing import write
from starscale.vocabulary.columns import Column
from starscale.vocabulary.documents import parse_json

#: Record of a download by version 1.0 and earlier builds; its pieces are used.
_OLD_RECORD = "manifest.json"
_NAMES = ("piece-*.parquet", "piece-*.parquet.partial-*", "piece-*.vot", "answer-*.vot", _OLD_RECORD)


def now() -> str:
    """The time, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored table: a piece, or a part of a piece that had to be divided."""

    file: str
    rows: int
    seconds: float
    attempts: int
    fetched: str
    range: Range | None
    part: int


@dataclass
class Manifest:
    """The planned pieces of a download, and those that are stored.

    :meth:`open` locks the folder until :meth:`close` (or the end of a ``with`` block).

    Attributes
    ----------
    folder : Path
    key : str
        Fingerprint of the request; pieces of another request are discarded.
    about : dict
        The request as plain data, for readers of the folder.
    pieces : list of DownloadPiece
    stored : dict of int to list of Stored
        Completed pieces, by number.
    planned : bool
        Whether the pieces are known.
    """

    folder: Path
    key: str
    about: Mapping[str, Any]
    pieces: list[DownloadPiece] = field(default_factory=list)
    stored: dict[int, list[Stored]] = field(default_factory=dict)
    planned: bool = False
    _lock: FolderLock | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._job = JobFolder(self.folder, _NAMES)

    @classmethod
    def open(cls, folder: Path, key: str, about: Mapping[str, Any]) -> Manifest:
        """Resume an earlier download of the same request, or begin a new one.

        Raises
        ------
        InputError
            When another process downloads to this folder, or no download of ours made it.
        """
        refuse_foreign(folder, folder.with_suffix(""), _OLD_RECORD)
        lock = FolderLock(folder, folder.with_suffix(""))
        manifest = cls(folder, key, about, _lock=lock)
        try:
            manifest._resume()
        except BaseException:
            lock.release()
            raise
        return manifest

    def _resume(self) -> None:
        job, key = self._job, {"request": self.key}
        if job.key is None and (parts := _old_parts(self.folder / _OLD_RECORD, self.key)):
            job.key, job.parts = key, parts
        if not job.begin(key):
            return
        for entry in job.parts:
            if "pieces" in entry:
                self.pieces, self.planned = [_piece(item) for item in entry["pieces"]], True
                # The request holds counts that were made before the pieces were planned.
                self.about = {**entry["request"], **self.about}
            elif job.intact(entry):
                self.stored[entry["piece"]] = [_stored(item) for item in entry["stored"]]

    def plan(self, pieces: Sequence[DownloadPiece]) -> None:
        """Record the planned pieces."""
        self.pieces, self.planned = list(pieces), True
        self._job.complete([], request=dict(self.about), pieces=[asdict(piece) for piece in pieces])

    def missing(self) -> list[int]:
        """Numbers of the pieces that are not stored."""
        return [number for number in range(len(self.pieces)) if number not in self.stored]

    def store(self, name: str, source: Source, piece: DownloadPiece, *, seconds: float, attempts: int) -> Stored:
        """Write a table; :meth:`complete` records it."""
        file = f"{name}.parquet"
        write(source.read(), self.folder / file, columns=source.columns)
        return Stored(file, source.n_rows, round(seconds, 2), attempts, now(), piece.range, piece.part)

    def complete(self, number: int, stored: Sequence[Stored]) -> None:
        """Record a piece whose tables are stored."""
        self.stored[number] = list(stored)
        self._job.complete([s.file for s in stored], piece=number, stored=[asdict(item) for item in stored])

    def all_stored(self) -> list[Stored]:
        """Return all stored tables, in the order of the plan."""
        return [item for number in sorted(self.stored) for item in self.stored[number]]

    def tables(self) -> list[tuple[Stored, Path]]:
        """Return all stored tables with their files, in the order of the plan."""
        return [(item, self.folder / item.file) for item in self.all_stored()]

    def read(self, path: Path) -> tuple[pl.DataFrame, dict[str, Column]]:
        """Return a stored table, and the archive's description of its columns."""
        source = open_table(path)
        return source.read(), source.columns

    def remove(self) -> None:
        """Remove the pieces and the folder: everything is in the final table, or nothing can be used."""
        with suppress(OSError):
            self._job.clear()
        self.close()

    def close(self) -> None:
        """Release the folder for other processes."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _old_parts(record: Path, key: str) -> list[dict[str, Any]]:
    """Return the parts that an earlier build recorded for the same request, if there are any."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = parse_json(record.read_text(encoding="utf-8"))
        if document["key"] == key:
            plan = {"files": {}, "request": document["request"], "pieces": document["pieces"]}
            return [
                plan,
                *(
                    {
                        "files": {Path(s["file"]).name: s["sha256"] for s in items},
                        "piece": int(number),
                        "stored": items,
                    }
                    for number, items in document["stored"].items()
                ),
            ]
    return []


def _piece(item: Mapping[str, Any]) -> DownloadPiece:
    return DownloadPiece(int(item["rows"]), _range(item["range"]), int(item["part"]))


def _stored(item: Mapping[str, Any]) -> Stored:
    return Stored(**{k: v for k, v in item.items() if k not in ("sha256", "range")}, range=_range(item["range"]))


def _range(item: Mapping[str, Any] | None) -> Range | None:
    return None if item is None else Range(item["column"], item["low"], item["high"], item["nulls"])
