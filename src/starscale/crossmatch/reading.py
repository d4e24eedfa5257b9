"""A catalogue read for a match in memory, piece by piece: columns that only an array needs are not kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.engine import CatalogueInMemory
from starscale.crossmatch.kernel.inputs import SkyRows, evidence_columns, match_columns, side_of
from starscale.crossmatch.kernel.pieces import Side
from starscale.io.threads import give_back
from starscale.surveys import Survey
from starscale.tables.api import AnyTable, name_of, read
from starscale.tables.identifiers import identifier_problems
from starscale.tables.opening import open_for
from starscale.tables.positions import refuse_without_positions
from starscale.tables.stream import pieces
from starscale.vocabulary.errors import InputError, Problem

#: Rows that are read at a time.
CHUNK = 524_288


def catalogue_in_memory(table: AnyTable, survey: Survey, *, curated: bool) -> CatalogueInMemory:
    """Read a catalogue for a match in memory.

    Parameters
    ----------
    table : path or table
    survey : Survey
    curated : bool
        The columns by which repeated rows are recognised are kept too.

    Raises
    ------
    InputError
        No rows, no positions, or identifiers that are missing, damaged or repeated.
    """
    where = name_of(table, f"table of {survey.name}")
    kept = [survey.id.column, *(evidence_columns(survey) if curated else ())]
    rows, frames = _frames(table, survey)
    sides, tables = Stacked(rows), []
    for frame in frames:
        # Every column of a batch of a file, even alone, holds the memory of all of them: these are copied.
        copied = frame.select(name for name in kept if name in frame.columns)[np.arange(frame.height)]
        sides.append(side_of(frame.with_columns(copied[survey.id.column]), survey, where, whole=False))
        tables.append(copied)
        del frame
    give_back()
    side, stars = sides.result(), pl.concat(tables)
    if not len(side):
        raise InputError(Problem(where, "has no rows", "one or more"))
    if wrong := identifier_problems(side.ids, survey, f"{where}: column {survey.id.column!r}"):
        raise InputError(wrong)
    refuse_without_positions(side.positions, where)
    return CatalogueInMemory(
        SkyRows(Side.of(side.positions, side.ids, brightness=side.brightness), table=stars), survey
    )


def _frames(table: AnyTable, survey: Survey) -> tuple[int, Iterable[pl.DataFrame]]:
    """Number of rows, and the rows."""
    columns = match_columns(survey)
    if isinstance(table, str | Path):
        return open_for(table, survey).n_rows, pieces(Path(table), survey, columns, rows=CHUNK)
    frame = read(table, survey=survey, columns=columns)
    return frame.height, [frame]


class Stacked:
    """Arrays of several objects, one below the other, written into memory that is asked for once.

    Parameters
    ----------
    rows : int
        Of all objects together, as far as it is known.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._kind: Any = None
        self._fields: dict[str, Any] = {}

    def append(self, part: Any) -> None:
        """Add a dataclass, always of one class, of arrays, series, further such objects, or None."""
        self._kind = type(part)
        for name in _columns(part):
            value = getattr(part, name)
            if value is not None:
                self._fields.setdefault(name, self._column(value)).append(value)

    def _column(self, value: Any) -> Any:
        if is_dataclass(value):
            return Stacked(self._rows)
        return [] if isinstance(value, pl.Series) else _Column(self._rows, value)

    def result(self) -> Any:
        """The whole, as an object of the same class."""
        whole = {
            name: pl.concat(column, rechunk=True) if isinstance(column, list) else column.result()
            for name, column in self._fields.items()
        }
        return self._kind(**{name: whole.get(name) for name in _columns(self._kind)})


def _columns(kind: Any) -> list[str]:
    """Fields of a dataclass that hold its rows, not what was found with them."""
    return [field.name for field in fields(kind) if field.compare]


class _Column:
    """An array that grows; as long as all its elements are one number, it is one number."""

    def __init__(self, rows: int, first: NDArray[Any]) -> None:
        self._rows, self._filled = rows, 0
        self._room = first[:1].copy()
        self._repeated = True

    def append(self, part: NDArray[Any]) -> None:
        if self._repeated and not _is_all(part, self._room):
            # Until now it needed no memory.
            room = np.empty(max(self._rows, self._filled + len(part)), self._room.dtype)
            room[: self._filled] = self._room
            self._room, self._repeated = room, False
        end = self._filled + len(part)
        if not self._repeated:
            if end > len(self._room):
                self._room = np.concatenate([self._room[: self._filled], part])
            self._room[self._filled : end] = part
        self._filled = end

    def result(self) -> NDArray[Any]:
        return np.broadcast_to(self._room, self._filled) if self._repeated else self._room[: self._filled]


def _is_all(part: NDArray[Any], one: NDArray[Any]) -> bool:
    """Return whether an array holds nothing but one number, bit for bit (NaN is NaN, and 0 is not -0)."""
    if not len(part):
        return True
    if not len(one):
        return False
    bits = f"u{part.dtype.itemsize}"
    values, wanted = part.view(bits), one.view(bits)
    return bool(values[0] == wanted[0] and values[-1] == wanted[0] and (values == wanted[0]).all())
