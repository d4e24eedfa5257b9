"""Random tables, and the same table in every library that the verbs take."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
from astropy import units as u
from astropy.table import Column as AstropyColumn
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from hypothesis import strategies as st

NUMPY = {
    pl.Int16(): "i2",
    pl.Int32(): "i4",
    pl.Int64(): "i8",
    pl.UInt8(): "u1",
    pl.UInt64(): "u8",
    pl.Float32(): "f4",
    pl.Float64(): "f8",
    pl.Boolean(): "?",
}
UNITS = ("", "rad", "mas.yr**-1", "mag", "d", "0.1nm", "km/s")
_TEXT = string.ascii_letters + string.digits + " .-_"


@dataclass(frozen=True)
class Stated:
    """A table with the units of its columns. `order` is the byte order in libraries that have one."""

    frame: pl.DataFrame
    units: dict[str, str]
    order: str = "="


@st.composite
def tables(draw: st.DrawFn, rows: int = 6) -> Stated:
    """A table of any type and unit, with missing values."""
    n = draw(st.integers(0, rows))
    columns, units = [], {}
    for name in draw(st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=3), min_size=1, unique=True)):
        dtype = draw(st.sampled_from([*NUMPY, pl.String()]))
        values = draw(st.lists(st.none() | _value(dtype), min_size=n, max_size=n))
        columns.append(pl.Series(name, values, dtype=dtype))
        units[name] = draw(st.sampled_from(UNITS)) if dtype.is_float() else ""
    return Stated(pl.DataFrame(columns), units, draw(st.sampled_from("<>")))


def _value(dtype: pl.DataType) -> st.SearchStrategy[Any]:
    if dtype == pl.String:
        # An array of numpy loses zero bytes at the end of a text.
        return st.text(_TEXT, max_size=5)
    if dtype == pl.Boolean:
        return st.booleans()
    if dtype.is_float():
        return st.floats(allow_nan=False, width=32)
    limits = np.iinfo(NUMPY[dtype])
    return st.integers(int(limits.min), int(limits.max))


def arrays(table: Stated) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Values and mask of every column, in the byte order of the table; values under the mask are arbitrary."""
    found = {}
    for series in table.frame:
        mask = series.is_null().to_numpy()
        if series.dtype == pl.String:
            width = max(5, *(len(text or "") for text in series), 0)
            values = np.array([text or "" for text in series], dtype=f"{table.order}U{width}")
        else:
            filled = [0 if value is None else value for value in series]
            values = np.array(filled, dtype=np.dtype(NUMPY[series.dtype]).newbyteorder(table.order))
        found[series.name] = values, mask
    return found


def pandas_numpy(table: Stated) -> pd.DataFrame:
    """Columns of numpy in the byte order of the table, nullable where whole numbers are missing."""
    columns: dict[str, Any] = {}
    for name, (values, mask) in arrays(table).items():
        if values.dtype.kind == "f":
            columns[name] = np.where(mask, np.nan, values).astype(values.dtype)
        elif values.dtype.kind == "U":
            columns[name] = np.where(mask, None, values.astype(object))
        else:
            columns[name] = _nullable(values, mask) if mask.any() else values
    return pd.DataFrame(columns)


def pandas_nullable(table: Stated) -> pd.DataFrame:
    """Columns of pandas' own nullable types; the first column is the index."""
    frame = pd.DataFrame({name: _nullable(*column) for name, column in arrays(table).items()})
    return frame.set_index(frame.columns[0])


def _nullable(values: np.ndarray, mask: np.ndarray) -> Any:
    words = {"i": "Int", "u": "UInt", "f": "Float"}
    kind, size = values.dtype.kind, 8 * values.dtype.itemsize
    dtype = {"U": "string", "b": "boolean"}.get(kind) or f"{words[kind]}{size}"
    return pd.array(np.where(mask, None, values.astype(object)), dtype=dtype)


def pandas_arrow(table: Stated) -> pd.DataFrame:
    """Columns of Arrow types, as LSDB has them."""
    plain = table.frame.to_arrow()
    return plain.to_pandas(types_mapper=pd.ArrowDtype)


def astropy_table(table: Stated) -> Table:
    """Masked columns with units."""
    return Table(
        [MaskedColumn(v, name, mask=m, unit=table.units[name] or None) for name, (v, m) in arrays(table).items()],
        names=table.frame.columns,
    )


def quantities(table: Stated) -> QTable:
    """Quantities, masked where needed."""
    found = QTable()
    for name, (values, mask) in arrays(table).items():
        if unit := table.units[name]:
            bare = values * u.Unit(unit)
            found[name] = Masked(bare, mask) if mask.any() else bare
        else:
            found[name] = MaskedColumn(values, mask=mask) if mask.any() else AstropyColumn(values)
    return found


def arrow(table: Stated) -> pa.Table:
    """Fields with units."""
    plain = table.frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [f.with_metadata({"unit": table.units[f.name]} if table.units[f.name] else {}) for f in plain.schema]
    return pa.Table.from_arrays(plain.columns, schema=pa.schema(fields))


def records(table: Stated) -> np.ma.MaskedArray:
    """A structured array with a mask."""
    columns = arrays(table)
    found = np.ma.empty(table.frame.height, dtype=[(name, values.dtype) for name, (values, _) in columns.items()])
    for name, (values, mask) in columns.items():
        found[name] = np.ma.array(values, mask=mask)
    return found


class Capsule:
    """An object of an unknown library that gives its table as a stream of Arrow."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


#: The same table in every library, with whether it keeps units.
KINDS: dict[str, tuple[Callable[[Stated], Any], bool]] = {
    "polars": (lambda table: table.frame, False),
    "lazy": (lambda table: table.frame.lazy(), False),
    "pandas of numpy": (pandas_numpy, False),
    "pandas nullable, with an index": (pandas_nullable, False),
    "pandas of Arrow": (pandas_arrow, False),
    "astropy Table": (astropy_table, True),
    "astropy QTable": (quantities, True),
    "Arrow table": (arrow, True),
    "Arrow batches": (lambda table: arrow(table).to_reader(), True),
    "Arrow dataset": (lambda table: pyarrow.dataset.dataset(arrow(table)), True),
    "Arrow capsule": (lambda table: Capsule(arrow(table)), True),
    "structured array": (records, False),
}
