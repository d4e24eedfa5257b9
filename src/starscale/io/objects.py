"""Tables in memory, of other libraries."""

from __future__ import annotations

import importlib
from typing import Any, cast

import polars as pl

from starscale.vocabulary.errors import InputError, Problem


def from_object(table: Any) -> pl.DataFrame:
    """Return a table object of another library as a polars DataFrame.

    The library is recognised by the module of the object's class, so that pandas and astropy are imported only
    where they are used.

    Raises
    ------
    InputError
        The object is no table, or holds values that no column can hold.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    what = f"{type(table).__module__.split('.')[0]} {type(table).__name__}"
    try:
        frame = _converted(table)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        # pyarrow's own errors derive from ValueError and TypeError.
        fix = "Every column needs a unique name and values of one type."
        raise InputError(Problem(what, f"cannot be turned into a table: {error}", fix=fix)) from error
    if frame is None:
        raise InputError(Problem(what, "is not a table", "a path, or a polars, pandas, Arrow or astropy table"))
    return frame


def _converted(table: Any) -> pl.DataFrame | None:
    """Convert a table of astropy, pandas or Arrow; None for anything else."""
    homes = {cls.__module__ for cls in type(table).__mro__}
    if any(home.startswith("astropy.table") for home in homes) and hasattr(table, "colnames"):
        from_astropy = importlib.import_module("starscale.io.astropy_tables").from_astropy
        return cast("pl.DataFrame", from_astropy(table)[0])
    if any(home.split(".")[0] == "pandas" for home in homes) and hasattr(table, "columns"):
        # The index is not a column; NaN is how pandas says "missing".
        return pl.from_pandas(table, nan_to_null=True)
    frame = pl.from_arrow(table) if hasattr(table, "__arrow_c_stream__") else None
    return frame if isinstance(frame, pl.DataFrame) else None
