"""Reading FITS binary tables in chunks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow as pa

from starscale.io.fits.header import BYTES, FitsField, damaged, find_table, metadata_of, refuse_more
from starscale.io.fits.text import from_card
from starscale.io.packed import DAMAGE, open_packed
from starscale.io.table import Source, describe
from starscale.vocabulary.errors import InputError

_NUMPY = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "C": ">f4", "M": ">f8"}
_NATIVE: dict[type[pl.DataType], str] = {pl.Int8: "i1", pl.UInt16: "u2", pl.UInt32: "u4", pl.UInt64: "u8"}


class FitsSource(Source):
    """A binary table of a FITS file, plain or packed with gzip.

    Null is NaN for floats, TNULL for integers, a zero byte for logicals and a blank text for texts; trailing
    blanks are removed. A vector column becomes :class:`polars.Array`, one of varying length :class:`polars.List`;
    complex numbers become pairs. Only the requested rows are read, also from a packed file.
    """

    def __init__(self, path: Path, part: str | None) -> None:
        self.path = path
        self.format = "fits"
        self._table = find_table(path, part)
        self._fields = {item.name: item for item in self._table.fields}
        self.schema = pl.Schema({item.name: item.dtype for item in self._table.fields})
        header = self._table.header
        known = {}
        for i, name in enumerate(self._fields, 1):
            keys = {"unit": f"TUNIT{i}", "ucd": f"TUCD{i}", "description": f"TCOMM{i}"}
            known[name] = {what: from_card(str(header.get(key) or "")) for what, key in keys.items()}
        self.columns = describe(self.schema, known)
        self.metadata = metadata_of(header)

    @property
    def n_rows(self) -> int:
        """Number of rows, from the header."""
        return self._table.rows

    def lazy(self) -> pl.LazyFrame:
        """Return the table, read into memory, as a lazy frame."""
        return self.read().lazy()

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read `rows` records at a time."""
        return self.frames_after(0, rows, columns)

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the records after the first `skip`."""
        table = self._table
        heap = self._heap(columns)
        try:
            with open_packed(self.path) as file:
                file.seek(table.data + skip * table.record)
                for start in range(skip, table.rows, rows):
                    count = min(rows, table.rows - start)
                    records = self._records(file, start, count)
                    yield pl.DataFrame([_series(self._fields[name], records, heap) for name in columns])
                if table.packed:
                    refuse_more(self.path, file, table)
        except (OSError, *DAMAGE, ValueError) as error:
            raise InputError(damaged(self.path, str(error))) from error

    def _records(self, file: IO[bytes], start: int, count: int) -> np.ndarray[Any, Any]:
        size = count * self._table.record
        block = file.read(size)
        if len(block) < size:
            whole = start + len(block) // self._table.record
            found = f"NAXIS2 says {self._table.rows} rows, the file ends after {whole}"
            raise InputError(damaged(self.path, found))
        return np.frombuffer(block, np.uint8).reshape(count, self._table.record)

    def _heap(self, columns: Sequence[str]) -> bytes:
        """Return the contents of cells of varying length; read whole, since rows point anywhere into it."""
        if not any(self._fields[name].code in "PQ" for name in columns):
            return b""
        with open_packed(self.path) as file:
            file.seek(self._table.heap)
            return file.read(self._table.heap_size)


def open_source(path: Path, part: str | None) -> Source:
    """Open a FITS file; `part` is the number or name of an extension."""
    return FitsSource(path, part)


def _series(field: FitsField, records: np.ndarray[Any, Any], heap: bytes) -> pl.Series:
    raw = np.ascontiguousarray(records[:, field.offset : field.offset + field.width])
    count = len(records)
    if field.code in "PQ":
        return _from_heap(field, raw, heap)
    if field.repeat == 0 or count == 0:
        # FITS allows columns of width zero.
        return pl.Series(field.name, [None] * count, dtype=field.dtype)
    flat = _elements(field, raw)
    if not field.shape:
        return flat.alias(field.name)
    return flat.reshape((count, *field.shape)).alias(field.name)


def _elements(field: FitsField, raw: np.ndarray[Any, Any]) -> pl.Series:
    """Decode cells, the rows of `raw` of shape (n, width), into one flat series."""
    if field.base == "A":
        width = raw.shape[1] // int(np.prod(field.shape)) if field.shape else raw.shape[1]
        return texts(raw.reshape(-1, width))
    if field.base == "L":
        flat = raw.reshape(-1)
        known = pl.Series(flat != 0)
        return pl.select(pl.when(known).then(pl.Series(flat == ord("T")))).to_series()
    if field.base == "X":
        return pl.Series(np.unpackbits(raw, axis=1)[:, : field.repeat].reshape(-1).astype(bool))
    return _numbers(field, raw)


def _numbers(field: FitsField, raw: np.ndarray[Any, Any]) -> pl.Series:
    """Decode the bytes of numbers: scaled, shifted, with nulls."""
    values = raw.reshape(-1).view(_NUMPY[field.base])
    values = values.astype(values.dtype.newbyteorder("="))
    # TNULL is a stored number, before TSCAL and TZERO.
    null = pl.Series(values == field.null) if field.null is not None and values.dtype.kind in "iu" else None
    if field.scaled:
        values = values.astype(np.float64) * field.scale + field.zero
    elif field.unsigned is not None:
        unsigned: np.dtype[Any] = np.dtype(_NATIVE[type(field.unsigned)])
        # Adding half the range flips the highest bit.
        bits = np.dtype(f"u{unsigned.itemsize}")
        values = (values.view(bits) ^ bits.type(1 << (8 * bits.itemsize - 1))).view(unsigned)
    series = pl.Series(values)
    if values.dtype.kind == "f":
        series = series.fill_nan(None)
    if null is not None and null.any():
        series = pl.select(pl.when(~null).then(series)).to_series()
    return series


def texts(raw: np.ndarray[Any, Any]) -> pl.Series:
    """Decode texts of fixed width: NUL ends a text, trailing blanks are removed, a blank text is null."""
    count, width = raw.shape
    cells = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), count, [None, pa.py_buffer(raw.tobytes())])
    binary = pl.Series(cells.cast(pa.large_binary()))
    try:
        texts = binary.cast(pl.String)
    except pl.exceptions.PolarsError:
        # FITS allows ASCII only; other bytes that are not UTF-8 are most likely Latin-1.
        texts = pl.Series([cell.decode("latin-1") for cell in binary.to_list()], dtype=pl.String)
    texts = texts.str.replace(r"(?s)\x00.*$", "").str.strip_chars_end(" ")
    return pl.select(pl.when(texts != "").then(texts)).to_series()


def _from_heap(field: FitsField, raw: np.ndarray[Any, Any], heap: bytes) -> pl.Series:
    """Decode cells of varying length: each row holds their number of elements and their place in the heap."""
    pairs = raw.view(">i4" if field.code == "P" else ">i8").reshape(-1, 2)
    cells: list[Any] = []
    for count, offset in pairs.tolist():
        size = -(-count // 8) if field.base == "X" else count * BYTES[field.base]
        block = np.frombuffer(heap, np.uint8, size, offset).reshape(1, size)
        if count == 0:
            cells.append(None if field.base == "A" else [])
        elif field.base == "A":
            cells.append(texts(block)[0])
        else:
            one = FitsField(field.name, field.base, count, 0, size, (count,), field.null, field.scale, field.zero)
            cells.append(_elements(one, block).to_list())
    return pl.Series(field.name, cells, dtype=field.dtype)
