"""Series from arrays of numpy and of Arrow, and from Python objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

#: Kinds of numpy arrays that a column can hold.
_KINDS = "biufcSUTMmO"
#: Units of numpy times that polars has; others are converted to the next finer one.
_TIMES = {"us", "ns", "ms", "D"}


def from_numpy(name: str, values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any] | None = None) -> pl.Series:
    """Build a series from values of any shape, byte order and kind; true in `mask` means null.

    Raises
    ------
    TypeError, ValueError
        Values that no column can hold (records, objects of different types).
    """
    if values.dtype.kind not in _KINDS:
        raise TypeError(f"it holds values of type {values.dtype}")
    if values.dtype.kind == "c":
        # A complex number becomes a vector of its real and imaginary parts.
        values = np.stack([values.real, values.imag], axis=-1)
        mask = None if mask is None else np.stack([mask, mask], axis=-1)
    shape = values.shape[1:]
    if values.dtype.kind == "O" and not shape:
        return from_objects(name, values, mask)
    one = _flat(name, values.reshape(-1))
    if mask is not None and mask.any():
        one = pl.select(pl.when(~pl.Series(mask.reshape(-1))).then(one)).to_series().alias(name)
    if not shape:
        return one
    if 0 in (len(values), *shape):
        return pl.Series(name, [[]] * len(values), dtype=pl.Array(one.dtype, shape))
    return one.reshape((len(values), *shape)).alias(name)


def _flat(name: str, cells: np.ndarray[Any, Any]) -> pl.Series:
    """Build a series from a flat array of one type."""
    kind = cells.dtype.kind
    if kind in "OT":
        # numpy's texts of any length have an object of the user's choice where they are missing.
        return from_objects(name, cells.astype(object))
    if kind == "S":
        cells = np.char.decode(cells, "utf-8", "replace")
    if kind in "SU":
        return pl.Series(name, cells.tolist(), dtype=pl.String)
    if kind in "Mm":
        return pl.Series(name, np.ascontiguousarray(cells.astype(_time_type(cells.dtype))))
    if cells.dtype == np.float16:
        cells = cells.astype(np.float32)
    elif kind == "f" and cells.dtype.itemsize > 8:
        cells = cells.astype(np.float64)
    return pl.Series(name, np.ascontiguousarray(cells.astype(cells.dtype.newbyteorder("="))))


def _time_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    unit, count = np.datetime_data(dtype)
    kept = unit in _TIMES and count == 1 and (unit != "D" or dtype.kind == "M")
    return np.dtype(f"{dtype.kind}8[{unit if kept else 'ms'}]")


def from_objects(name: str, values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any] | None = None) -> pl.Series:
    """Build a series from Python objects of one type: texts, bytes, numbers, arrays; None and NaN mean null.

    Raises
    ------
    TypeError, ValueError
        Objects of different types, or whole numbers that would be rounded.
    """
    cells = [_cell(value) for value in values]
    if mask is not None:
        cells = [None if hidden else cell for cell, hidden in zip(cells, mask.tolist(), strict=True)]
    try:
        array = pa.array(cells, from_pandas=True)
    except OverflowError:
        array = pa.array(cells, pa.uint64(), from_pandas=True)
    if pa.types.is_null(array.type):
        return pl.Series(name, [None] * len(array), dtype=pl.String)
    return from_arrow(name, array)


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ma.MaskedArray):
        return value.tolist()
    # The elements of an array may be bytes.
    return _cell(value.item()) if isinstance(value, np.generic) else value


def from_arrow(name: str, array: pa.Array | pa.ChunkedArray) -> pl.Series:
    """Build a series from an Arrow array.

    Raises
    ------
    TypeError
        A type that polars has not.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_decimal256(kind):
        raise TypeError(f"it holds values of the Arrow type {kind}")
    if pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    series = pl.from_arrow(array)
    if not isinstance(series, pl.Series):
        raise TypeError(f"it holds values of the Arrow type {kind}")
    return series.alias(name)
