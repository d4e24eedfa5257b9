"""Writing FITS binary tables.

The header states the number of rows, the width of text columns, the number that marks a null in an integer
column (TNULL) and the sum of all bytes; all are known only after the last row. Rows are therefore kept in an
unnamed temporary file (in memory while they are few).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np
import polars as pl
from astropy.io import fits

from starscale.io.fits.cards import BLOCK
from starscale.io.fits.field import BYTES
from starscale.io.fits.sums import ByteSum, encoded
from starscale.io.fits.text import to_card
from starscale.io.portable import flat, int_range, plain_schema
from starscale.io.table import Sink, WritePlan
from starscale.io.units import as_fits
from starscale.io.waiting import Seen, Waiting
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems

_MOST_COLUMNS = 999

#: Code, offset (TZERO) and number type of the stored values.
_CODES: dict[pl.DataType, tuple[str, int]] = {
    pl.Boolean(): ("L", 0),
    pl.UInt8(): ("B", 0),
    pl.Int8(): ("B", -(2**7)),
    pl.Int16(): ("I", 0),
    pl.UInt16(): ("I", 2**15),
    pl.Int32(): ("J", 0),
    pl.UInt32(): ("J", 2**31),
    pl.Int64(): ("K", 0),
    pl.UInt64(): ("K", 2**63),
    pl.Float32(): ("E", 0),
    pl.Float64(): ("D", 0),
    pl.String(): ("A", 0),
}
#: The next larger type of each integer type.
_WIDER: dict[pl.DataType, pl.DataType] = {
    pl.Int8(): pl.Int16(),
    pl.UInt8(): pl.Int16(),
    pl.Int16(): pl.Int32(),
    pl.UInt16(): pl.Int32(),
    pl.Int32(): pl.Int64(),
    pl.UInt32(): pl.Int64(),
}
_STORED = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


@dataclass(frozen=True, slots=True)
class _FitsField:
    """Storage of a column.

    `dtype` is the type of the stored elements, `meant` that of the table. `null` is the number that marks a null,
    before the offset TZERO is subtracted.
    """

    name: str
    dtype: pl.DataType
    meant: pl.DataType
    shape: tuple[int, ...]
    width: int
    null: int | None

    @property
    def code(self) -> str:
        return _CODES[self.dtype][0]

    @property
    def zero(self) -> int:
        return _CODES[self.dtype][1]

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes of one cell."""
        return self.count * (self.width if self.code == "A" else BYTES[self.code])


class FitsSink(Sink):
    """Keeps rows in a temporary file and writes the table when it is closed."""

    def __init__(self, plan: WritePlan) -> None:
        self._plan = plan
        self._schema = plain_schema(plan.schema, str(plan.target))
        if len(self._schema) > _MOST_COLUMNS:
            found = f"cannot hold {len(self._schema)} columns"
            raise InputError(
                Problem(str(plan.target), found, f"at most {_MOST_COLUMNS} (FITS 4.0)", "Write Parquet.")
            )
        self._waiting = Waiting(self._schema, plan.path.parent)

    def append(self, frame: pl.DataFrame) -> None:
        """Append rows to the temporary file."""
        self._waiting.append(frame)

    def close(self, metadata: Mapping[str, str]) -> None:
        """Write header and records."""
        self._waiting.finish()
        fields = self._fields()
        # gzip without name and time: the same table gives the same file. Not gzip.GzipFile, which would write
        # again when it is collected after a failed write.
        packer = zlib.compressobj(6, wbits=31) if self._plan.target.name.lower().endswith(".gz") else None
        with self._plan.path.open("wb") as file:
            if packer is None:
                self._write_plain(file, fields, metadata)
            else:
                self._write_packed(file, packer.compress, fields, metadata)
                file.write(packer.flush())
        self._waiting.close()

    def abort(self) -> None:
        """Delete the temporary file."""
        self._waiting.close()

    def _write_plain(self, file: IO[bytes], fields: list[_FitsField], metadata: Mapping[str, str]) -> None:
        """Write the file; the header is written again when the sum of the data is known."""
        primary = _primary()
        file.write(primary + self._header(fields, metadata, 0))
        data_sum = ByteSum()
        for block in self._blocks(fields):
            data_sum.add(block)
            file.write(block)
        file.seek(len(primary))
        file.write(self._header(fields, metadata, data_sum.value))

    def _write_packed(
        self,
        file: IO[bytes],
        pack: Callable[[bytes], bytes],
        fields: list[_FitsField],
        metadata: Mapping[str, str],
    ) -> None:
        """Write the file in order; the rows are encoded twice, which takes little of the time of packing."""
        data_sum = ByteSum()
        for block in self._blocks(fields):
            data_sum.add(block)
        file.write(pack(_primary() + self._header(fields, metadata, data_sum.value)))
        for block in self._blocks(fields):
            file.write(pack(block))

    def _header(self, fields: list[_FitsField], metadata: Mapping[str, str], data_sum: int) -> bytes:
        return _header(fields, self._waiting.rows, self._plan.columns, metadata, data_sum)

    def _blocks(self, fields: list[_FitsField]) -> Iterator[bytes]:
        """Yield the bytes of the data."""
        size = 0
        for frame in self._waiting.frames():
            block = _records(frame, fields)
            size += len(block)
            yield block
        yield b"\0" * (-size % BLOCK)

    def _fields(self) -> list[_FitsField]:
        problems = Problems()
        fields = []
        for name, kind in self._schema.items():
            seen = self._waiting.seen[name]
            shape = kind.shape if isinstance(kind, pl.Array) else ()
            dtype = meant = _element(kind)
            null = None
            if seen.nulls and dtype.is_integer():
                dtype, null = _spare(dtype, seen)
                if null is None:
                    found = f"no 64-bit number is left to mark nulls in column {name!r}"
                    problems.add(str(self._plan.target), found, fix="Write Parquet, which needs none.")
            fields.append(_FitsField(name, dtype, meant, shape, seen.width, null))
        problems.raise_if_any()
        return fields


def open_sink(plan: WritePlan) -> Sink:
    """Open a FITS file for writing."""
    return FitsSink(plan)


def _element(dtype: pl.DataType) -> pl.DataType:
    while isinstance(dtype, pl.Array):
        dtype = cast("pl.DataType", dtype.inner)
    return dtype


def _spare(dtype: pl.DataType, seen: Seen) -> tuple[pl.DataType, int | None]:
    """Find an end of the type's range that is no value of the column, in a larger type if necessary.

    Integers that FITS stores with an offset take a larger type without one where there is one: astropy (up to 8.0)
    reads their TNULL wrongly, or fails.
    """
    if dtype == pl.UInt64() and (seen.highest or 0) < 2**63:
        return pl.Int64(), -1
    kind: pl.DataType | None = _WIDER.get(dtype, dtype) if _CODES[dtype][1] else dtype
    while kind is not None:
        if free := _free_ends(kind, seen):
            # The largest unsigned number is stored as a positive one: astropy fails on others.
            return kind, free[-1] if kind == pl.UInt64() else free[0]
        kind = _WIDER.get(kind)
    return dtype, None


def _free_ends(kind: pl.DataType, seen: Seen) -> list[int]:
    """Return the ends of a type's range that are no value of the column."""
    lowest, highest = int_range(kind)
    low = [lowest] if seen.lowest is None or seen.lowest > lowest else []
    high = [highest] if seen.highest is None or seen.highest < highest else []
    return low + high


def _primary() -> bytes:
    return _with_sums(fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]), 0)


def _header(
    fields: list[_FitsField],
    rows: int,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str],
    data_sum: int,
) -> bytes:
    header = fits.Header(
        [
            ("XTENSION", "BINTABLE"),
            ("BITPIX", 8),
            ("NAXIS", 2),
            ("NAXIS1", sum(field.size for field in fields)),
            ("NAXIS2", rows),
            ("PCOUNT", 0),
            ("GCOUNT", 1),
            ("TFIELDS", len(fields)),
        ]
    )
    if rows == 1 and all(field.shape for field in fields):
        # TOPCAT takes one row of vectors for a column-oriented table.
        header["COLFITS"] = False
    for i, field in enumerate(fields, 1):
        for key, value in _cards(field, columns):
            header[f"{key}{i}"] = value
    for i, (key, text) in enumerate(metadata.items(), 1):
        header[f"MKEY{i}"] = to_card(key)
        header[f"MVAL{i}"] = to_card(text)
    return _with_sums(header, data_sum)


def _with_sums(header: fits.Header, data_sum: int) -> bytes:
    """Return a header with the sum of its data, and the text that makes the sum of all bytes zero."""
    # The comments tell sums of this file from those that a program copied from another one.
    header["DATASUM"] = (str(data_sum), "sum of the data")
    header["CHECKSUM"] = ("0" * 16, "sum of header and data")
    total = ByteSum()
    total.add(header.tostring().encode("ascii"))
    header["CHECKSUM"] = encoded(total.value + data_sum)
    return bytes(header.tostring().encode("ascii"))


def _cards(field: _FitsField, columns: Mapping[str, Column]) -> Iterator[tuple[str, Any]]:
    """Yield the keywords of a column, without its number, and their values."""
    is_text = field.code == "A"
    yield "TTYPE", to_card(field.name)
    yield "TFORM", f"{field.count * field.width if is_text else field.count}{field.code}"
    axes = [field.width] * is_text + [*reversed(field.shape)]
    if field.shape and (len(axes) > 1 or field.count == 1):
        yield "TDIM", f"({','.join(map(str, axes))})"
    if field.zero:
        yield "TSCAL", 1
        yield "TZERO", field.zero
    if field.null is not None:
        yield "TNULL", field.null - field.zero
    if field.dtype != field.meant:
        yield "TDTYP", str(field.meant).lower()
    about = as_fits(columns.get(field.name, Column(field.name)))
    for key, text in (("TUNIT", about.unit), ("TUCD", about.ucd), ("TCOMM", about.description)):
        if text:
            yield key, to_card(text)


def _records(frame: pl.DataFrame, fields: list[_FitsField]) -> bytes:
    """Pack rows into big-endian records."""
    block = np.zeros((frame.height, sum(field.size for field in fields)), np.uint8)
    offset = 0
    for field in fields:
        if frame.height and field.size:
            stored = _stored(field, flat(frame[field.name]))
            block[:, offset : offset + field.size] = stored.view(np.uint8).reshape(frame.height, field.size)
        offset += field.size
    return block.tobytes()


def _stored(field: _FitsField, values: pl.Series) -> np.ndarray[Any, Any]:
    """Return the elements of a column as stored in the file."""
    if field.code == "A":
        return np.array([text.encode() for text in values.fill_null("").to_list()], dtype=f"S{field.width}")
    if field.code == "L":
        # T, F, or a zero byte for an unknown value (FITS 4.0, section 7.3.3.2).
        known = values.is_not_null().to_numpy()
        return np.where(known, np.where(values.fill_null(False).to_numpy(), ord("T"), ord("F")), 0).astype(
            np.uint8
        )
    if field.code in "ED":
        return np.ascontiguousarray(values.fill_null(math.nan).to_numpy().astype(_STORED[field.code]))
    values = values.cast(field.dtype)
    numbers = values.to_numpy() if field.null is None else _filled(values, field)
    if field.zero:
        # Subtracting half the range flips the highest bit.
        unsigned = np.dtype(f"u{numbers.dtype.itemsize}")
        numbers = numbers.view(unsigned) ^ unsigned.type(1 << (8 * unsigned.itemsize - 1))
        numbers = numbers.view("u1" if field.code == "B" else f"i{unsigned.itemsize}")
    return np.ascontiguousarray(numbers.astype(_STORED[field.code]))


def _filled(values: pl.Series, field: _FitsField) -> np.ndarray[Any, Any]:
    """Return the numbers, with the number that marks a null in place of nulls."""
    return pl.select(values.fill_null(pl.Series([field.null], dtype=field.dtype))).to_series().to_numpy()
