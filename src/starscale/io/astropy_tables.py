"""Conversion between astropy and polars tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from astropy.table import Column as AstropyColumn
from astropy.table import MaskedColumn, Table

from starscale.io.portable import flat
from starscale.io.table import describe, unique_names
from starscale.io.units import as_generic, unit_text
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import Problems


def from_astropy(table: Table) -> tuple[pl.DataFrame, dict[str, Column], dict[str, str]]:
    """Return the rows, the descriptions of the columns and the metadata of an astropy Table or QTable.

    Masked values become null, byte strings become text, quantities become numbers in their unit. Vector
    columns become :class:`polars.Array` (same length in every row) or :class:`polars.List`.

    Raises
    ------
    InputError
        A column is neither numbers nor texts (sky coordinates, times).
    """
    problems = Problems()
    series = []
    known: dict[str, dict[str, str]] = {}
    for name, alias in zip(table.colnames, unique_names(table.colnames), strict=True):
        column = table[name]
        values, mask = _plain(column)
        if values is None:
            problems.add(
                f"column {name!r}",
                f"holds {type(column).__name__} objects",
                "numbers, booleans or text",
                "Write its parts as separate columns (ra, dec, ...).",
            )
            continue
        series.append(series_of(alias, values, mask))
        about = getattr(column, "info", column)
        meta = getattr(about, "meta", None) or {}
        known[alias] = {
            "unit": unit_text(about.unit),
            "ucd": str(meta.get("ucd", "")),
            "description": str(about.description or ""),
        }
    problems.raise_if_any()
    frame = pl.DataFrame(series)
    metadata = {str(key): value for key, value in table.meta.items() if isinstance(value, str)}
    return frame, describe(frame.schema, known), metadata


def _plain(column: Any) -> tuple[np.ndarray[Any, Any] | None, np.ndarray[Any, Any] | None]:
    """Return values and mask of a column or quantity; None, None for any other object."""
    if not hasattr(column, "dtype") or not hasattr(column, "shape"):
        return None, None
    if hasattr(column, "to_value"):
        column = column.value
    mask = getattr(column, "mask", None)
    bare = getattr(column, "unmasked", column)
    values = np.asarray(getattr(bare, "data", bare) if mask is None else np.ma.getdata(bare))
    return values, None if mask is None else np.asarray(mask)


def series_of(name: str, values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any] | None) -> pl.Series:
    """Build a series from values of any shape, byte order and kind; true in `mask` means null."""
    shape = values.shape[1:]
    if values.dtype.kind == "O":
        return _objects(name, values, mask)
    cells = values.reshape(-1)
    if cells.dtype.kind == "c":
        # A complex number becomes a vector of its real and imaginary parts.
        shape = (*shape, 2)
        cells = np.ascontiguousarray(cells).view(cells.real.dtype)
        mask = None if mask is None else np.repeat(mask.reshape(-1), 2)
    one = _flat_series(name, cells)
    if mask is not None and mask.any():
        one = pl.select(pl.when(~pl.Series(mask.reshape(-1))).then(one)).to_series().alias(name)
    if not shape:
        return one
    if 0 in (len(values), *shape):
        return pl.Series(name, [], dtype=pl.Array(one.dtype, shape))
    return one.reshape((len(values), *shape)).alias(name)


def _flat_series(name: str, cells: np.ndarray[Any, Any]) -> pl.Series:
    """Build a series from a flat array of texts or real numbers."""
    if cells.dtype.kind == "S":
        cells = np.char.decode(cells, "utf-8", "replace")
    if cells.dtype.kind == "U":
        return pl.Series(name, cells.tolist(), dtype=pl.String)
    if cells.dtype == np.float16:
        cells = cells.astype(np.float32)
    return pl.Series(name, np.ascontiguousarray(cells.astype(cells.dtype.newbyteorder("="))))


def _objects(name: str, values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any] | None) -> pl.Series:
    """Build a series from Python objects: texts, or arrays of differing length."""
    hidden: np.ndarray[Any, Any] = np.zeros(len(values), bool)
    if mask is not None and len(values):
        hidden = np.asarray(mask.reshape(len(values), -1).all(axis=1))
    cells = [None if skip else _cell(value) for value, skip in zip(values, hidden, strict=True)]
    if all(cell is None for cell in cells):
        return pl.Series(name, cells, dtype=pl.String)
    return pl.Series(name, cells, strict=True)


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ma.MaskedArray):
        return value.tolist()
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


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
