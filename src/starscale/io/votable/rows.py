"""Decoding the rows of BINARY and BINARY2: numbers, vectors of fixed length, texts of any length.

The rules are those of astropy: NaN and the null number of VALUES are null; a text ends at its first NUL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.io.fits.decode import texts

_NUMBERS = {
    "unsignedByte": (pl.UInt8(), "u1"),
    "short": (pl.Int16(), ">i2"),
    "int": (pl.Int32(), ">i4"),
    "long": (pl.Int64(), ">i8"),
    "float": (pl.Float32(), ">f4"),
    "double": (pl.Float64(), ">f8"),
}
_TEXTS = ("char", "unicodeChar")
_NONE = np.empty((0, 0), np.int64)
_TRUE, _FALSE = np.frombuffer(b"Tt1", np.uint8), np.frombuffer(b"Ff0", np.uint8)


@dataclass(frozen=True, slots=True)
class Cells:
    """Storage of the cells of a column.

    `count` is the number of elements of a vector, or None for a single value. For a text it is the width in units,
    or 0 for texts of varying length, which are preceded by their number of units in four bytes.
    """

    name: str
    datatype: str
    count: int | None
    null: int | None

    @property
    def varying(self) -> bool:
        """Whether the cells have different widths."""
        return self.count == 0

    @property
    def unit(self) -> int:
        """Bytes of one unit of a text."""
        return 2 if self.datatype == "unicodeChar" else 1

    @property
    def size(self) -> int:
        """Bytes of a cell; 0 for cells of varying width."""
        number = 1 if self.count is None else self.count
        if self.datatype in _NUMBERS:
            return number * np.dtype(_NUMBERS[self.datatype][1]).itemsize
        return number * self.unit

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column."""
        if self.datatype in _TEXTS:
            return pl.String()
        inner = _NUMBERS[self.datatype][0] if self.datatype in _NUMBERS else pl.Boolean()
        return inner if self.count is None else pl.Array(inner, self.count)

    def series(self, raw: NDArray[np.uint8], missing: NDArray[np.bool_]) -> pl.Series:
        """Decode cells from `raw`, shape (n, size); `missing` are the null bits, shape (n,)."""
        raw = np.ascontiguousarray(raw)
        if self.datatype == "char":
            return texts(raw).alias(self.name)
        if self.datatype == "unicodeChar":
            return self.texts([row.tobytes() for row in raw])
        values, null = self._values(raw)
        null |= np.repeat(missing, self.count or 1)
        flat = pl.Series(self.name, values)
        if null.any():
            flat = pl.select(pl.when(~pl.Series(null)).then(flat)).to_series().alias(self.name)
        return flat if self.count is None else flat.reshape((len(raw), self.count)).alias(self.name)

    def texts(self, cells: Sequence[bytes]) -> pl.Series:
        """Decode texts; an empty one is null."""
        code = "utf-16-be" if self.datatype == "unicodeChar" else "utf-8"
        found = [cell.decode(code, "replace").partition("\0")[0] or None for cell in cells]
        return pl.Series(self.name, found, dtype=pl.String)

    def _values(self, raw: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        if self.datatype == "boolean":
            marks = raw.reshape(-1)
            return np.isin(marks, _TRUE), ~np.isin(marks, np.r_[_TRUE, _FALSE])
        if self.datatype == "bit":
            # One bit takes one byte: the standard uses its highest bit, astropy another.
            return raw.reshape(-1) != 0, np.zeros(raw.size, bool)
        stored = raw.view(_NUMBERS[self.datatype][1]).reshape(-1)
        values: NDArray[Any] = stored.astype(stored.dtype.newbyteorder("="))
        if values.dtype.kind == "f":
            return values, np.isnan(values)
        return values, np.zeros(len(values), bool) if self.null is None else values == self.null


def cells_of(name: str, datatype: str, arraysize: str | None, null: object) -> Cells | None:
    """Describe a FIELD; None for rare kinds (vectors of varying length, matrices, complex numbers, bit arrays)."""
    if datatype not in _NUMBERS and datatype not in ("boolean", "bit", *_TEXTS):
        return None
    count = _text_count(arraysize) if datatype in _TEXTS else _number_count(arraysize, datatype)
    if count == _RARE:
        return None
    return Cells(name, datatype, count, int(null) if isinstance(null, (int, np.integer)) else None)


#: Stands for an arraysize that is rarely seen.
_RARE = -1


def _text_count(arraysize: str | None) -> int:
    """Characters of a text; 0 where they vary."""
    if arraysize is None:
        return 1
    if re.fullmatch(r"[1-9]\d*", arraysize):
        return int(arraysize)
    return 0 if re.fullmatch(r"\d*\*", arraysize) else _RARE


def _number_count(arraysize: str | None, datatype: str) -> int | None:
    """Elements of a vector of fixed length, None for a single number."""
    if arraysize is None or arraysize == "1":
        # As in astropy, a vector of one element is a number.
        return None
    return int(arraysize) if datatype != "bit" and re.fullmatch(r"[1-9]\d*", arraysize) else _RARE


@dataclass(frozen=True, slots=True)
class VotableRows:
    """Complete rows at the beginning of a block of bytes: their number, and the offset of their end.

    `anchors`, shape (n_rows, 1 + varying columns), are the offsets at which a row begins and at which each of its
    texts of varying length ends; empty where all rows have the same size. `lengths` are the bytes of these texts.
    """

    number: int
    end: int
    anchors: NDArray[np.int64]
    lengths: NDArray[np.int64]


class Decoder:
    """Finds and decodes rows.

    Parameters
    ----------
    fields : sequence of Cells
    bits : bool
        Whether null bits precede each row (BINARY2).
    """

    def __init__(self, fields: Sequence[Cells], *, bits: bool) -> None:
        self.fields = tuple(fields)
        self._flags = -(-len(self.fields) // 8) if bits else 0
        #: Bytes before the first text of varying length, between two of them, and after the last.
        self._gaps = [self._flags]
        self._units = []
        for item in self.fields:
            if item.varying:
                self._units.append(item.unit)
                self._gaps.append(0)
            else:
                self._gaps[-1] += item.size

    @property
    def record(self) -> int:
        """Bytes of a row; 0 if rows have different sizes."""
        return 0 if self._units else self._gaps[0]

    def find(self, block: bytes, most: int) -> VotableRows:
        """Find at most `most` complete rows in a block."""
        if self.record or not self.fields:
            number = min(len(block) // self.record, most) if self.record else 0
            return VotableRows(number, number * self.record, _NONE, _NONE)
        anchors: list[list[int]] = []
        lengths: list[list[int]] = []
        end = place = 0
        while len(anchors) < most:
            row, sizes = [place], []
            for gap, unit in zip(self._gaps, self._units, strict=False):
                place += gap + 4
                size = int.from_bytes(block[place - 4 : place], "big") * unit
                place += size
                row.append(place)
                sizes.append(size)
            place += self._gaps[-1]
            if place > len(block):
                break
            anchors.append(row)
            lengths.append(sizes)
            end = place
        width = len(self._units)
        return VotableRows(
            len(anchors),
            end,
            np.array(anchors, np.int64).reshape(-1, width + 1),
            np.array(lengths, np.int64).reshape(-1, width),
        )

    def decode(self, block: bytes, rows: VotableRows, columns: Sequence[str]) -> pl.DataFrame:
        """Decode the rows that :meth:`find` found."""
        every = np.frombuffer(block, np.uint8)
        missing = None
        if self._flags:
            missing = np.unpackbits(self._cells(every, rows, 0, 0, self._flags), axis=1).astype(bool)
        found = {}
        anchor, offset = 0, self._flags
        for i, item in enumerate(self.fields):
            if item.varying:
                if item.name in columns:
                    pairs = zip(
                        rows.anchors[:, anchor + 1].tolist(), rows.lengths[:, anchor].tolist(), strict=True
                    )
                    found[item.name] = item.texts([block[end - size : end] for end, size in pairs])
                anchor, offset = anchor + 1, 0
                continue
            if item.name in columns:
                absent = np.zeros(rows.number, bool) if missing is None else missing[:, i]
                found[item.name] = item.series(self._cells(every, rows, anchor, offset, item.size), absent)
            offset += item.size
        return pl.DataFrame([found[name] for name in columns])

    def _cells(
        self, every: NDArray[np.uint8], rows: VotableRows, anchor: int, offset: int, size: int
    ) -> NDArray[np.uint8]:
        """Return the bytes of one column. Shape (n_rows, size)."""
        if self.record:
            return every[: rows.end].reshape(rows.number, self.record)[:, offset : offset + size]
        places = rows.anchors[:, anchor, None] + offset + np.arange(size)
        return np.asarray(every[places])
