"""pandas DataFrames (and the subclasses of LSDB and GeoPandas)."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from starscale.io.memory.contents import Contents, names_of
from starscale.io.memory.values import from_arrow, from_numpy
from starscale.vocabulary.errors import InputError, Problem


def contents(table: Any, where: str) -> Contents:
    """Return the columns of a pandas DataFrame, preceded by the levels of its index that have a name.

    An index level that repeats a column of the same name and values is ignored.

    Raises
    ------
    InputError
        Names that are repeated, or that are no texts.
    """
    parts: dict[str, Any] = {}
    columns = names_of(list(table.columns), where)
    for level, label in enumerate(table.index.names):
        if label is None:
            continue
        values, name = table.index.get_level_values(level), str(label)
        if name in columns:
            _same(table.iloc[:, columns.index(name)], values, name, where)
        else:
            parts[name] = values
    parts |= {name: table.iloc[:, i] for i, name in enumerate(columns)}
    names = names_of([*parts], where)
    return Contents(names, lambda name: _series(name, parts[name]))


def _same(column: Any, index: Any, name: str, where: str) -> None:
    """Refuse an index that has the name of a column and other values."""
    if not column.reset_index(drop=True).equals(index.to_series().reset_index(drop=True)):
        found, fix = f"has an index and a column called {name!r}", "Rename or drop one."
        raise InputError(Problem(where, found, "names that differ", fix))


def _series(name: str, values: Any) -> pl.Series:
    """Convert a pandas Series or Index."""
    dtype = values.dtype
    if hasattr(dtype, "categories"):
        # The codes of a categorical are positions among its categories; -1 means missing.
        codes = pl.Series(np.asarray(getattr(values, "cat", values).codes), dtype=pl.Int64)
        return _series(name, dtype.categories).gather(codes.replace(-1, None)).alias(name)
    if isinstance(dtype, np.dtype):
        return from_numpy(name, values.to_numpy())
    if hasattr(values, "sparse"):
        return from_numpy(name, np.asarray(values))
    return from_arrow(name, pa.array(values.array, from_pandas=True))
