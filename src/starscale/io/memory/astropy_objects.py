"""Tables of astropy, tables of an open FITS file, and structured arrays of numpy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl
from astropy.io import fits
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from starscale.io.astropy_tables import described, metadata_of, series_of_column, without_mixins
from starscale.io.fits.about import system_of
from starscale.io.memory.contents import Contents, names_of
from starscale.io.votable.position import frame_of
from starscale.vocabulary.columns import POSITION_SYSTEM

_FITS = (fits.FITS_rec, fits.BinTableHDU, fits.TableHDU)


def contents(table: Any, where: str) -> Contents | None:
    """Return the columns of a table, with units and masks; None for an array without named columns, or a row.

    Raises
    ------
    InputError
        Names that are repeated.
    """
    found = _table(table)
    if found is None:
        return None

    def series(name: str) -> pl.Series:
        values = series_of_column(name, found[name], f"{where}: ")
        # A blank text in FITS is a missing one; astropy masks only missing numbers.
        blank = values.dtype == pl.String and isinstance(table, _FITS)
        return values.replace("", None) if blank else values

    names = names_of(found.colnames, where)
    return Contents(names, series, lambda schema: described(found, schema), _metadata(found))


def _metadata(table: Table) -> dict[str, str]:
    """Return the texts about a table, with the frame of its positions where a FITS header stated it."""
    texts = metadata_of(table)
    numbers = {key: str(value) for key, value in table.meta.items() if isinstance(value, int | float)}
    frame = frame_of(system_of(numbers | texts))
    return texts | ({POSITION_SYSTEM: frame} if frame else {})


def _table(table: Any) -> Table | None:
    if isinstance(table, Table):
        return without_mixins(table)
    if isinstance(table, fits.FITS_rec):
        # A table extension knows the units, scales and missing values of its records.
        table = fits.BinTableHDU(table)
    if isinstance(table, fits.BinTableHDU | fits.TableHDU):
        with warnings.catch_warnings():
            # Units that astropy does not know are kept as text.
            warnings.simplefilter("ignore", AstropyWarning)
            return Table.read(table)
    if isinstance(table, np.ndarray) and table.dtype.names and table.ndim == 1:
        return Table(table, copy=False)
    return None
