"""The pieces of a download on disk, with checksums, so that an interrupted one goes on where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from starscale.archives.tap.plan import DownloadPiece
from starscale.archives.tap.query import Range
from starscale.io.atomic import atomic_json
from starscale.io.checksum import checksum
from starscale.io.reading import open_table
from starscale.io.table import Source
from starscale.io.writing import write
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import StarscaleError

FILE = "manifest.json"
FORMAT = 1


def now() -> str:
    """The time, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Stored:
    """A table that came: a piece, or a part of one that had to be cut further."""

    file: str
    sha256: str
    rows: int
    seconds: float
    attempts: int
    fetched: str
    range: Range | None
    part: int


@dataclass
class Manifest:
    """What was planned and what has come.

    Attributes
    ----------
    folder : Path
    key : str
        Of the request; pieces of another request are of no use.
    about : dict
        The request in words, for whoever looks into the folder.
    pieces : list of DownloadPiece
    stored : dict of int to list of Stored
        By number of the piece; a piece that is there is complete.
    """

    folder: Path
    key: str
    about: Mapping[str, Any]
    pieces: list[DownloadPiece] = field(default_factory=list)
    stored: dict[int, list[Stored]] = field(default_factory=dict)
    planned: bool = False

    @classmethod
    def open(cls, folder: Path, key: str, about: Mapping[str, Any]) -> Manifest:
        """Go on with the pieces of an earlier attempt at the same request, or start afresh."""
        fresh = cls(folder, key, about)
        try:
            document = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if document["format"] != FORMAT or document["key"] != key:
                raise ValueError("another request")
            fresh.pieces = [_piece(item) for item in document["pieces"]]
            for number, items in document["stored"].items():
                found = [Stored(**{**item, "range": _range(item["range"])}) for item in items]
                if all(fresh._intact(item) for item in found):
                    fresh.stored[int(number)] = found
            # What was counted before the pieces were planned.
            fresh.about = {**document["request"], **about}
            fresh.planned = True
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError):
            # Another request, or a record that cannot be read: nothing in the folder can be used.
            fresh = cls(folder, key, about)
            _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return fresh

    def _intact(self, item: Stored) -> bool:
        path = self.folder / item.file
        return path.is_file() and checksum(path) == item.sha256

    def plan(self, pieces: Sequence[DownloadPiece]) -> None:
        """Remember the pieces."""
        self.pieces, self.planned = list(pieces), True
        self.save()

    def missing(self) -> list[int]:
        """Numbers of the pieces that have not come."""
        return [number for number in range(len(self.pieces)) if number not in self.stored]

    def store(self, name: str, source: Source, piece: DownloadPiece, *, seconds: float, attempts: int) -> Stored:
        """Write a table that came; :meth:`complete` makes it count."""
        file = f"{name}.parquet"
        write(source.read(), self.folder / file, columns=source.columns)
        digest = checksum(self.folder / file)
        return Stored(file, digest, source.n_rows, round(seconds, 2), attempts, now(), piece.range, piece.part)

    def complete(self, number: int, stored: Sequence[Stored]) -> None:
        """Note that a piece is there."""
        self.stored[number] = list(stored)
        self.save()

    def save(self) -> None:
        """Write the record."""
        document = {
            "format": FORMAT,
            "key": self.key,
            "request": dict(self.about),
            "pieces": [asdict(piece) for piece in self.pieces],
            "stored": {str(n): [asdict(item) for item in items] for n, items in sorted(self.stored.items())},
        }
        atomic_json(self.folder / FILE, document)

    def all_stored(self) -> list[Stored]:
        """Everything that came, in the order of the plan."""
        return [item for number in sorted(self.stored) for item in self.stored[number]]

    def tables(self) -> list[tuple[Stored, Path]]:
        """Files of what came, in the order of the plan."""
        return [(item, self.folder / item.file) for item in self.all_stored()]

    def read(self, path: Path) -> tuple[pl.DataFrame, dict[str, Column]]:
        """A piece, and what the archive says about its columns."""
        source = open_table(path)
        return source.read(), source.columns

    def remove(self) -> None:
        """Delete the folder: everything is in the final table."""
        _clear(self.folder)


def _clear(folder: Path) -> None:
    """Delete the files of a download, and the folder if nothing else is in it."""
    if not folder.is_dir():
        return
    others = [p for p in folder.iterdir() if not (p.name.startswith(("piece-", "answer-", FILE)))]
    if others:
        raise StarscaleError(f"{folder}: holds other things ({others[0].name}) and is not used for a download")
    shutil.rmtree(folder)


def _piece(item: Mapping[str, Any]) -> DownloadPiece:
    return DownloadPiece(int(item["rows"]), _range(item["range"]), int(item["part"]))


def _range(item: Mapping[str, Any] | None) -> Range | None:
    return None if item is None else Range(item["column"], item["low"], item["high"], item["nulls"])
