"""Conversion between astropy and polars tables."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from astropy.table import Column as AstropyColumn
from astropy.table import MaskedColumn, Table

from starscale.io.memory.values import from_numpy
from starscale.io.portable import flat
from starscale.io.table import describe, unique_names
from starscale.io.units import as_generic, unit_text
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.unit_notes import without_converted

#: Columns of coordinates and times, which become columns of numbers.
_MIXINS = frozenset(("SkyCoord", "Time", "TimeDelta"))


def without_mixins(table: Table) -> Table:
    """Return a table with coordinates and times as numbers."""
    if not any(type(table[name]).__name__ in _MIXINS for name in table.colnames):
        return table
    # Coordinates of astropy take half a second to import.
    return importlib.import_module("starscale.io.memory.mixins").plain_columns(table)


def from_astropy(table: Table, where: str) -> tuple[pl.DataFrame, dict[str, Column], dict[str, str]]:
    """Return the rows, the descriptions of the columns and the metadata of an astropy Table or QTable.

    `where` names the table in errors. Masked values become null, byte strings become text, quantities become
    numbers in their unit. Vector columns become :class:`polars.Array` (same length in every row) or
    :class:`polars.List`, coordinates and times become numbers.

    Raises
    ------
    InputError
        A column is neither numbers nor texts.
    """
    problems, table = Problems(), without_mixins(table)
    series = []
    names = dict(zip(table.colnames, unique_names(table.colnames), strict=True))
    for name, alias in names.items():
        with problems.collect():
            try:
                series.append(series_of_column(alias, table[name], f"{where}, "))
            except (TypeError, ValueError) as error:
                found = Problem(f"{where}, column {name!r}", str(error), "numbers, booleans or text")
                raise InputError(found) from error
    problems.raise_if_any()
    frame = pl.DataFrame(series)
    return frame, described(table, frame.schema, names), metadata_of(table)


def described(table: Table, schema: pl.Schema, names: Mapping[str, str] | None = None) -> dict[str, Column]:
    """Return unit, UCD and description of the columns of `schema`; `names` maps the table's names to those."""
    known = {}
    # Of a FITS file, astropy leaves the descriptions of columns in the metadata.
    comments = (text for key, text in metadata_of(table).items() if key.startswith("TCOMM"))
    converted = {without_converted(text)[1]: text for text in comments}
    for name in table.colnames:
        about = getattr(table[name], "info", table[name])
        meta = getattr(about, "meta", None) or {}
        known[(names or {}).get(name, name)] = {
            "unit": unit_text(about.unit),
            "ucd": str(meta.get("ucd", "")),
            "description": str(about.description or converted.get(name, "")),
        }
    return describe(schema, known)


def metadata_of(table: Table) -> dict[str, str]:
    """Return the texts among the metadata of a table."""
    return {str(key): value for key, value in table.meta.items() if isinstance(value, str)}


def series_of_column(name: str, column: Any, where: str = "") -> pl.Series:
    """Return a column or quantity as a series.

    Raises
    ------
    InputError
        An object of several numbers a row.
    TypeError, ValueError
        Values that no column can hold.
    """
    if not hasattr(column, "dtype") or not hasattr(column, "shape") or column.dtype is None:
        kind = type(column).__name__
        fix = "Write its parts as separate columns."
        raise InputError(
            Problem(f"{where}column {name!r}", f"holds {kind} objects", "numbers, booleans or text", fix)
        )
    if hasattr(column, "to_value"):
        column = column.value
    mask = getattr(column, "mask", None)
    bare = getattr(column, "unmasked", column)
    values = np.asarray(getattr(bare, "data", bare) if mask is None else np.ma.getdata(bare))
    return from_numpy(name, values, None if mask is None else np.asarray(mask))


def to_astropy(
    frame: pl.DataFrame,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str],
    *,
    text: type[np.generic] = np.str_,
) -> Table:
    """Return an astropy Table with the units, UCDs and descriptions of `columns`; nulls are masked.

    `text` is the numpy type of text columns: ``numpy.str_`` (all of one width), or ``numpy.object_``, where
    null becomes an empty text.
    """
    table = Table(meta=dict(metadata))
    for series in frame:
        about = as_generic(columns.get(series.name, Column(series.name)))
        table[series.name] = _astropy_column(series, about, text)
    return table


def _astropy_column(series: pl.Series, about: Column, text: type[np.generic]) -> AstropyColumn:
    shape: tuple[int, ...] = (len(series),)
    if isinstance(series.dtype, pl.Array):
        shape = (len(series), *series.dtype.shape)
        series = flat(series)
    hidden = series.is_null().to_numpy()
    if series.dtype == pl.String:
        values = np.array(series.fill_null("").to_list(), dtype=text)
        if text is np.object_:
            # astropy cannot write masked objects; an empty text means null there.
            hidden = np.zeros_like(hidden)
    else:
        values = series.fill_null(False if series.dtype == pl.Boolean else 0).to_numpy()
    return _described(values.reshape(shape), hidden.reshape(shape), about)


def _described(values: np.ndarray[Any, Any], hidden: np.ndarray[Any, Any], about: Column) -> AstropyColumn:
    kind = MaskedColumn if hidden.any() else AstropyColumn
    column = kind(values, mask=hidden) if hidden.any() else kind(values)
    if about.unit:
        column.unit = about.unit
    if about.description:
        column.description = about.description
    if about.ucd:
        column.meta["ucd"] = about.ucd
    return column
