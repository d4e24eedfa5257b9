"""Tables of Arrow, and of every library that gives its tables in the Arrow or the DataFrame interchange format."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from starscale.io.memory.contents import REFUSED, Contents, names_of
from starscale.io.memory.values import from_arrow
from starscale.io.parquet.layout import ASTROPY, PANDAS, layout_of, texts, unheld
from starscale.io.parquet.source import VOPARQUET, described


def contents(table: Any, where: str) -> Contents | None:
    """Return the columns of an Arrow table, with units as a Parquet file states them; None for anything else.

    Raises
    ------
    InputError
        Names that are repeated.
    TypeError, ValueError
        The object does not hold what its interface promises.
    """
    found = _table(table)
    if found is None:
        return None
    names_of(found.column_names, where)
    plain = pa.schema([field for field in found.schema if _is_plain(field)], metadata=found.schema.metadata)
    # What astropy and pandas note in files stays with the tables that are read from them.
    layout = layout_of(Path(where), plain)
    hidden = {*plain.names} - {*layout.schema}
    names = [*layout.ranges, *(name for name in found.column_names if name not in hidden)]
    metadata = {
        key: text
        for key, text in texts(found.schema.metadata).items()
        if not key.startswith((VOPARQUET, ASTROPY, PANDAS, "ARROW:"))
    }

    def series(name: str) -> pl.Series:
        parts = [from_arrow(part, found.column(part)) for part in layout.stored([name])]
        return layout.meant(pl.DataFrame(parts), [name], 0, found.num_rows)[name]

    return Contents(names, series, partial(described, stated=plain), metadata)


def _is_plain(field: pa.Field) -> bool:
    if unheld(field.type):
        return False
    try:
        from_arrow(field.name, pa.array([], field.type))
    except REFUSED:
        return False
    return True


def _table(table: Any) -> Any:
    if isinstance(table, pa.Table):
        return table
    if hasattr(table, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(table).read_all()
    if hasattr(table, "__arrow_c_array__"):
        return pa.Table.from_batches([pa.record_batch(table)])
    if hasattr(table, "to_table") and isinstance(getattr(table, "schema", None), pa.Schema):
        # A dataset: files that pyarrow has not read yet.
        return table.to_table()
    if hasattr(table, "__dataframe__"):
        return importlib.import_module("pyarrow.interchange").from_dataframe(table)
    return None
