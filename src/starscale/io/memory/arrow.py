"""Tables of Arrow, and of every library that gives its tables in the Arrow or the DataFrame interchange format."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import polars as pl
import pyarrow as pa

from starscale.io.memory.contents import Contents, names_of
from starscale.io.memory.values import from_arrow
from starscale.io.parquet.source import VOPARQUET, described


def contents(table: Any, where: str) -> Contents | None:
    """Return the columns of an Arrow table, with the units in the metadata of its fields; None for anything else.

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
    names = names_of(found.column_names, where)
    texts = {
        key.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for key, value in (found.schema.metadata or {}).items()
    }
    metadata = {key: text for key, text in texts.items() if not key.startswith((VOPARQUET, "pandas", "ARROW:"))}

    def series(name: str) -> pl.Series:
        return from_arrow(name, found.column(names.index(name)))

    return Contents(names, series, partial(described, stated=found.schema), metadata)


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
