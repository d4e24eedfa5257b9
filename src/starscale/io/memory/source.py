"""A table in memory, of any library, as a :class:`~starscale.io.table.Source`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from starscale.io.memory.contents import REFUSED, Contents
from starscale.io.table import describe, julian_year, picked
from starscale.io.whole import WholeSource
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM
from starscale.vocabulary.errors import InputError, Problem

#: Chooses columns of a table, given all their names.
Choose = Callable[[Sequence[str]], Iterable[str]]

_EXPECTED = "a path, or a table of polars, pandas, astropy, Arrow or numpy"
#: Libraries whose tables are computed later.
_LAZY = {"dask", "lsdb"}


def open_object(table: Any, *, choose: Choose | None = None, name: str = "table") -> WholeSource:
    """Return a table object of any library as a table in memory, with the units that the object states.

    The library is recognised by the module of the object's class, so that pandas and astropy are imported only
    where they are used. Masked values become null, byte strings text, quantities numbers in their unit. NaN is the
    missing value of these libraries and becomes null, except in polars, which has null.

    Parameters
    ----------
    table : table
        Of polars (DataFrame, LazyFrame), pandas, astropy (Table, QTable, FITS records or a table of an open FITS
        file), pyarrow (Table, RecordBatch, Dataset), a structured array of numpy, or any object with the method
        ``__arrow_c_stream__`` or ``__dataframe__``.
    choose : callable, optional
        Chooses the columns to convert, given all names; default: all.
    name : str
        Name of the table in error messages.

    Raises
    ------
    InputError
        The object is no table, names are repeated, or a chosen column holds what no column can hold; all problems
        in one error.
    """
    if isinstance(table, pl.DataFrame | pl.LazyFrame):
        return _of_polars(table, choose, name)
    where = f"{name} ({type(table).__module__.partition('.')[0]} {type(table).__name__})"
    try:
        found = _contents(table, where)
    except REFUSED as error:
        raise InputError(Problem(where, f"is not a table ({error})", _EXPECTED, _advice(table))) from error
    if found is None:
        raise InputError(Problem(where, "is not a table", _EXPECTED, _advice(table)))
    frame = found.frame(found.names if choose is None else choose(found.names), where)
    # Units are known for columns that are not converted, too.
    # polars makes a schema anew whenever it is asked for it.
    schema = frame.schema
    columns = found.described(pl.Schema({column: schema.get(column, pl.Null()) for column in found.names}))
    source = WholeSource(Path(name), "memory", frame, columns, dict(found.metadata))
    source.frame = source.metadata.get(POSITION_SYSTEM, "")
    source.epoch = julian_year(source.metadata.get(POSITION_EPOCH, ""))
    return source


def _of_polars(table: pl.DataFrame | pl.LazyFrame, choose: Choose | None, where: str) -> WholeSource:
    try:
        names = table.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise InputError(Problem(where, f"cannot be computed: {error}")) from error
    columns = names if choose is None else list(choose(names))
    try:
        frame = table if isinstance(table, pl.DataFrame) else table.select(cs.by_name(*columns)).collect()
    except pl.exceptions.PolarsError as error:
        raise InputError(Problem(where, f"cannot be computed: {error}")) from error
    frame = frame if columns == frame.columns else picked(frame, columns)
    if objects := {series.name: series.to_list() for series in frame if series.dtype == pl.Object}:
        from_objects = importlib.import_module("starscale.io.memory.values").from_objects
        contents = Contents(list(objects), lambda name: from_objects(name, objects[name]))
        frame = frame.with_columns(contents.frame(objects, where))
    schema = frame.schema
    described = describe(pl.Schema({name: schema.get(name, pl.Null()) for name in names}), {})
    return WholeSource(Path(where), "memory", frame, described, {})


def _contents(table: Any, where: str) -> Contents | None:
    """Find the reader of an object; None if it is no table."""
    homes = {cls.__module__ for cls in type(table).__mro__}
    roots = {home.partition(".")[0] for home in homes}
    if roots & _LAZY:
        return None
    if "pandas" in roots and hasattr(table, "columns"):
        module = "pandas_tables"
    elif "numpy" in roots or any(home.startswith(("astropy.table", "astropy.io.fits")) for home in homes):
        module = "astropy_objects"
    else:
        module = "arrow"
    found: Contents | None = importlib.import_module(f"starscale.io.memory.{module}").contents(table, where)
    return found


def _advice(table: Any) -> str:
    """Say how an object becomes a table: one of a library that computes later, or a single column."""
    if {cls.__module__.partition(".")[0] for cls in type(table).__mro__} & _LAZY:
        return "Call its method compute() first."
    return "Call its method to_frame() first." if type(table).__name__ == "Series" else ""
