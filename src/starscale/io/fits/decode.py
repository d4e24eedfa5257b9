"""Cells of FITS binary tables as polars columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from starscale.io.fits.field import BYTES, WHOLE, FitsField

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
_NUMPY = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "C": ">f4", "M": ">f8"}
_NATIVE: dict[type[pl.DataType], str] = {pl.Int8: "i1", pl.UInt16: "u2", pl.UInt32: "u4", pl.UInt64: "u8"}
#: Cells may share bytes of the heap; those of a damaged or hostile file could share all of them.
_SHARED = 64 << 20
_TRUE, _FALSE, _UNKNOWN = ord("T"), ord("F"), (0, ord(" "))


def decode(field: FitsField, raw: Bytes, heap: Bytes) -> pl.Series:
    """Decode a column.

    Parameters
    ----------
    field : FitsField
    raw : array of shape (n_rows, field.width)
        The cells.
    heap : array
        The bytes that the cells of columns of varying length point to.

    Raises
    ------
    ValueError
        A cell cannot be decoded.
    """
    count = len(raw)
    if field.code in "PQ" and field.width:
        return _from_heap(field, raw, heap)
    if 0 in (field.width, field.used, count):
        # FITS allows columns of width zero.
        return pl.Series(field.name, [None] * count, dtype=field.dtype)
    flat = _elements(field, np.ascontiguousarray(raw[:, : field.used]))
    return (flat.reshape((count, *field.shape)) if field.shape else flat).alias(field.name)


def _elements(field: FitsField, raw: Bytes) -> pl.Series:
    """Decode cells into one flat series."""
    if field.base == "A":
        return texts(raw.reshape(-1, field.letters))
    if field.base == "L":
        return _logicals(field.name, raw.reshape(-1))
    if field.base == "X":
        bits = np.unpackbits(raw, axis=1)[:, : int(np.prod(field.shape))]
        return pl.Series(bits.reshape(-1).astype(bool))
    return _numbers(field, raw.reshape(-1))


def _logicals(name: str, flat: Bytes) -> pl.Series:
    """Decode T, F, and a zero byte, which means unknown; some programs write a blank."""
    true = flat == _TRUE
    known = true | (flat == _FALSE)
    strange = flat[~known & ~np.isin(flat, _UNKNOWN)]
    if len(strange):
        raise ValueError(f"column {name!r} of logical values holds the byte {int(strange[0])}, expected T, F or 0")
    return pl.select(pl.when(pl.Series(known)).then(pl.Series(true))).to_series()


def _numbers(field: FitsField, raw: Bytes) -> pl.Series:
    """Decode the bytes of numbers: scaled, shifted, with nulls."""
    stored = raw.view(_NUMPY[field.base])
    stored = stored.astype(stored.dtype.newbyteorder("="))
    # TNULL is a stored number, before TSCAL and TZERO.
    null = None if field.null_is_value else _equal(stored, field.null)
    values = _values(field, stored, null)
    if field.null_is_value:
        null = _equal(values, field.null)
    series = pl.Series(values)
    if values.dtype.kind == "f":
        series = series.fill_nan(None)
    if null is not None and null.any():
        series = pl.select(pl.when(pl.Series(~null)).then(series)).to_series()
    return series if field.meant is None else series.cast(field.meant)


def _values(
    field: FitsField, stored: np.ndarray[Any, Any], null: np.ndarray[Any, Any] | None
) -> np.ndarray[Any, Any]:
    """Apply TSCAL and TZERO."""
    if field.scaled:
        values: np.ndarray[Any, Any] = stored.astype(np.float64) * field.scale
        # The offset of a complex number is real.
        values[:: 2 if field.base in "CM" else 1] += field.zero
        return values
    if (unsigned := field.unsigned) is not None:
        kind: np.dtype[Any] = np.dtype(_NATIVE[type(unsigned)])
        # Adding half the range flips the highest bit.
        bits = np.dtype(f"u{kind.itemsize}")
        return np.asarray((stored.view(bits) ^ bits.type(1 << (8 * bits.itemsize - 1))).view(kind))
    if (shifted := field.shifted) is not None:
        known = stored if null is None else np.where(null, stored.dtype.type(0), stored)
        return shift(field.name, known, int(field.scale), int(field.zero), type(shifted))
    return stored


def _equal(values: np.ndarray[Any, Any], null: float | None) -> np.ndarray[Any, Any] | None:
    """Return where `values` are the null; None where none can be."""
    if null is None:
        return None
    if values.dtype.kind == "f":
        return np.asarray(values == values.dtype.type(null))
    ends = np.iinfo(values.dtype)
    return np.asarray(values == values.dtype.type(null)) if ends.min <= null <= ends.max else None


def shift(
    name: str, stored: np.ndarray[Any, Any], scale: int, zero: int, kind: type[pl.DataType]
) -> np.ndarray[Any, Any]:
    """Return zero + scale * stored in whole numbers.

    Raises
    ------
    ValueError
        A number does not fit 64 bits.
    """
    if not len(stored):
        return stored.astype(np.int64)
    low, high = WHOLE[kind]
    ends = [zero + scale * int(end) for end in (stored.min(), stored.max())]
    if min(ends) < low or max(ends) > high:
        raise ValueError(f"column {name!r} with TSCAL {scale} and TZERO {zero} holds a number beyond 64 bits")
    # Exact: the sum fits, and overflow on the way is undone modulo 2**64.
    bits = stored.astype(np.int64).view(np.uint64) * np.uint64(scale % 2**64) + np.uint64(zero % 2**64)
    return bits.view(np.int64 if kind is pl.Int64 else np.uint64)


def texts(raw: Bytes) -> pl.Series:
    """Decode texts of fixed width: NUL ends a text, trailing blanks are removed, a blank text is null."""
    count, width = raw.shape
    cells = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), count, [None, pa.py_buffer(raw.tobytes())])
    return _as_text(pl.Series(cells.cast(pa.large_binary())), has_nul=bool((raw == 0).any()))


def _as_text(cells: pl.Series, *, has_nul: bool) -> pl.Series:
    try:
        found = cells.cast(pl.String)
    except pl.exceptions.PolarsError:
        found = pl.Series([_text(cell) for cell in cells.to_list()], dtype=pl.String)
    if has_nul:
        found = found.str.replace(r"(?s)\x00.*$", "")
    found = found.str.strip_chars_end(" ")
    return pl.select(pl.when(found != "").then(found)).to_series()


def _text(cell: bytes) -> str:
    """Decode a text; FITS allows ASCII only, other bytes that are not UTF-8 are most likely Latin-1."""
    cell = cell.partition(b"\0")[0]
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError:
        return cell.decode("latin-1")


def _from_heap(field: FitsField, raw: Bytes, heap: Bytes) -> pl.Series:
    """Decode cells of varying length: each row holds their number of elements and their place in the heap."""
    pairs = np.ascontiguousarray(raw).view(">i4" if field.code == "P" else ">i8").reshape(-1, 2).astype(np.int64)
    counts, starts = pairs[:, 0], pairs[:, 1]
    sizes = -(-counts // 8) if field.base == "X" else counts * BYTES[field.base]
    filled = counts != 0
    if (counts < 0).any() or (filled & ((starts < 0) | (starts > len(heap) - sizes))).any():
        raise ValueError(f"column {field.name!r} of varying length points beyond the end of the heap")
    flat = _gathered(field.name, heap, starts, sizes)
    ends = np.concatenate([[0], np.cumsum(counts)])
    if field.base == "A":
        buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(flat.tobytes())]
        cells = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(counts), buffers)
        return _as_text(pl.Series(cells), has_nul=bool((flat == 0).any())).alias(field.name)
    if field.base == "X":
        places = np.cumsum(sizes) - sizes
        values = pl.Series(_gathered(field.name, np.unpackbits(flat), places * 8, counts).astype(bool))
    else:
        values = _elements(field, flat) if len(flat) else pl.Series([], dtype=field.element_dtype)
    if field.base in "CM":
        values = values.reshape((-1, 2)) if len(values) else pl.Series([], dtype=pl.Array(field.element_dtype, 2))
    lists = pa.LargeListArray.from_arrays(pa.array(ends), values.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return pl.Series(field.name, lists, dtype=field.dtype)


def _gathered(name: str, heap: Bytes, starts: np.ndarray[Any, Any], sizes: np.ndarray[Any, Any]) -> Bytes:
    """Return pieces of `heap` one after the other."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    if total > _SHARED + 4 * len(heap):
        raise ValueError(f"the cells of column {name!r} take many times the bytes of the heap")
    if not total:
        return np.empty(0, np.uint8)
    first = int(starts[sizes > 0][0])
    if (starts - first == ends - sizes)[sizes > 0].all():
        # Usually the cells follow one another.
        return np.ascontiguousarray(heap[first : first + total])
    return np.asarray(heap[np.repeat(starts - (ends - sizes), sizes) + np.arange(total)])
