"""Writing VOTable in chunks: one table as BINARY2, which keeps nulls of every type.

All rows have the same size: a null bit for each column, then the values, big-endian; texts have the width of the
longest one (VOTable 1.4, section 5.4).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from starscale.io.portable import flat, int_range, plain_schema
from starscale.io.table import Sink, WritePlan, nearest_dtype
from starscale.io.votable.header import CLOSING, OPENING, about_table, element, field, placed_columns
from starscale.io.waiting import Seen, Waiting
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems

#: VOTable has no signed byte and no unsigned integers of more than one byte.
_STORED: dict[pl.DataType, pl.DataType] = {
    pl.Int8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    pl.UInt64(): pl.Int64(),
}
#: VOTable type, and numpy type of the stored values.
_TYPES: dict[pl.DataType, tuple[str, str]] = {
    pl.Boolean(): ("boolean", "u1"),
    pl.UInt8(): ("unsignedByte", "u1"),
    pl.Int16(): ("short", ">i2"),
    pl.Int32(): ("int", ">i4"),
    pl.Int64(): ("long", ">i8"),
    pl.Float32(): ("float", ">f4"),
    pl.Float64(): ("double", ">f8"),
}
_LARGEST = 2**63 - 1
#: Bytes of a line of base64: 76 characters.
_LINE = 57


@dataclass(frozen=True, slots=True)
class _VotableField:
    """Storage of a column: elements of a cell (`count`, None for a single value), width of texts in units."""

    name: str
    dtype: pl.DataType
    count: int | None
    width: int
    ascii: bool
    null: int | None

    @property
    def kind(self) -> dict[str, str]:
        if self.dtype == pl.String:
            return {"datatype": "char" if self.ascii else "unicodeChar", "arraysize": str(self.width)}
        size = {} if self.count is None else {"arraysize": str(self.count)}
        return {"datatype": _TYPES[self.dtype][0], **size}

    def bytes_of(self, series: pl.Series) -> np.ndarray[Any, Any]:
        """Return the cells of a column as stored in the file. Shape (n, bytes)."""
        values = flat(series)
        if self.dtype == pl.String:
            code = "ascii" if self.ascii else "utf-16-be"
            size = self.width * (1 if self.ascii else 2)
            texts = [text.encode(code) for text in values.fill_null("").to_list()]
            stored: np.ndarray[Any, Any] = np.array(texts, dtype=f"S{size}")
        elif self.dtype == pl.Boolean:
            known = values.is_not_null().to_numpy()
            sure = np.where(values.fill_null(False).to_numpy(), ord("T"), ord("F"))
            stored = np.where(known, sure, ord("?")).astype(np.uint8)
        else:
            missing = math.nan if self.dtype.is_float() else self.null or 0
            filled = values.cast(self.dtype).fill_null(missing)
            stored = np.ascontiguousarray(filled.to_numpy().astype(_TYPES[self.dtype][1]))
        return stored.view(np.uint8).reshape(len(series), -1)


class VotableSink(Sink):
    """Keeps rows in a temporary file and writes the document when it is closed."""

    def __init__(self, plan: WritePlan) -> None:
        self._plan = plan
        self._schema = plain_schema(plan.schema, str(plan.target))
        problems = Problems()
        for name, dtype in self._schema.items():
            # Matrices are refused, since astropy would read them back with their axes exchanged.
            if isinstance(dtype, pl.Array) and (nearest_dtype(dtype) == "string" or len(dtype.shape) > 1):
                found = f"a VOTable cannot hold the column {name!r}, a matrix or a vector of texts"
                problems.add(str(plan.target), found, fix="Write Parquet, or a column for each element.")
        problems.raise_if_any()
        self._waiting = Waiting(self._schema, plan.path.parent)

    def append(self, frame: pl.DataFrame) -> None:
        """Append rows to the temporary file."""
        self._waiting.append(frame)
        for name, seen in self._waiting.seen.items():
            if seen.highest is not None and seen.highest > _LARGEST:
                found = f"column {name!r} holds unsigned numbers above {_LARGEST}, which VOTable lacks"
                raise InputError(Problem(str(self._plan.target), found, fix="Write Parquet or FITS."))

    def close(self, metadata: Mapping[str, str]) -> None:
        """Write the document."""
        self._waiting.finish()
        fields = [self._field(name, dtype) for name, dtype in self._schema.items()]
        placed = placed_columns(self._schema, self._plan.columns, metadata)
        head = [
            OPENING,
            '<RESOURCE type="results">',
            *about_table(metadata),
            element("TABLE", {"nrows": str(self._waiting.rows)}).replace("/>", ">"),
        ]
        for item in fields:
            about = self._plan.columns.get(item.name, Column(item.name))
            head.append(field(about, item.kind, placed=item.name in placed, null=item.null))
        head.append('<DATA><BINARY2><STREAM encoding="base64">')
        tail = ["</STREAM></BINARY2></DATA>", "</TABLE>", "</RESOURCE>", CLOSING]
        with self._plan.path.open("wb") as file:
            file.write("\n".join([*head, ""]).encode())
            for block in _base64(_records(frame, fields) for frame in self._waiting.frames()):
                file.write(block)
            file.write("\n".join([*tail, ""]).encode())
        self._waiting.close()

    def abort(self) -> None:
        """Delete the temporary file."""
        self._waiting.close()

    def _field(self, name: str, dtype: pl.DataType) -> _VotableField:
        seen = self._waiting.seen[name]
        count = dtype.shape[0] if isinstance(dtype, pl.Array) else None
        inner = flat(pl.Series([], dtype=dtype)).dtype
        stored = _STORED.get(inner, inner)
        null = None
        if count is not None and stored.is_integer() and seen.nulls:
            # BINARY2 has one null bit for each cell; inside a vector a number marks a null.
            null = self._free(name, stored, seen)
        # One more than the longest: a NUL after a text keeps its last blanks from being taken for padding.
        width = 1 + (seen.width if seen.ascii else seen.units)
        return _VotableField(name, stored, count, width, seen.ascii, null)

    def _free(self, name: str, dtype: pl.DataType, seen: Seen) -> int:
        low, high = int_range(dtype)
        if seen.lowest is None or seen.lowest > low:
            return low
        if seen.highest is not None and seen.highest < high:
            return high
        found = f"no number is left to mark nulls in column {name!r}"
        raise InputError(Problem(str(self._plan.target), found, fix="Write Parquet, which needs none."))


def open_sink(plan: WritePlan) -> Sink:
    """Open a VOTable file for writing."""
    return VotableSink(plan)


def _records(frame: pl.DataFrame, fields: list[_VotableField]) -> bytes:
    """Return rows of BINARY2: null bits, that of the first column highest, then the values."""
    if not frame.height or not fields:
        return b""
    nulls = np.stack([frame[item.name].is_null().to_numpy() for item in fields], axis=1)
    cells = [item.bytes_of(frame[item.name]) for item in fields]
    return np.concatenate([np.packbits(nulls, axis=1), *cells], axis=1).tobytes()


def _base64(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Encode a stream of bytes as lines of 76 characters."""
    held = b""
    for block in blocks:
        held += block
        whole = len(held) - len(held) % _LINE
        yield base64.encodebytes(held[:whole])
        held = held[whole:]
    if held:
        yield base64.encodebytes(held)
