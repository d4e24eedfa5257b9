"""Reading a table of any format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from starscale.io.formats import FORMATS
from starscale.io.objects import from_object
from starscale.io.sniff import detect
from starscale.io.table import Source, require_columns, without_nan
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.paths import must_exist


def open_table(path: str | Path, *, verify: bool = True) -> Source:
    """Open a table; its rows are read later where the format allows it.

    Parameters
    ----------
    path : str or Path
        A Parquet, FITS, VOTable, ECSV or CSV file; a directory of Parquet files; a HATS catalogue or
        collection. ``stars.fits#2`` and ``stars.fits#NAME`` choose an extension of a FITS file; the
        default is the first table.
    verify : bool
        Whether the checksums that a file states are verified when its rows are read.

    Returns
    -------
    Source
        Parquet and FITS state their schema and number of rows in the header. A CSV file is read once, in
        chunks, to find types that hold for every row, a VOTable file to count its rows. ECSV files, and
        VOTables with vectors of varying length, are read whole.

    Raises
    ------
    InputError
        There is no such file, or it is not the table that its name promises.
    """
    target, part = Path(path).expanduser(), None
    if not target.exists() and "#" in target.name:
        name, _, part = target.name.rpartition("#")
        target = target.with_name(name)
    must_exist(Path(path).expanduser() if part is None else target)
    if target.is_dir():
        return FORMATS["parquet"].reader().open_source(target, part)
    if not target.is_file():
        raise InputError(Problem(str(target), "is neither a file nor a directory", "a table"))
    source = detect(target).reader().open_source(target, part)
    source.verify = verify
    return source


def read(source: Any, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a table into memory.

    Parameters
    ----------
    source : path or table
        Any path that :func:`open_table` takes, or a table in memory: polars DataFrame or LazyFrame,
        pyarrow Table, pandas DataFrame, astropy Table or QTable (masked values become null, byte
        strings text, quantities bare numbers in their own unit).
    columns : sequence of str, optional
        Columns to read, in this order; default: all.

    Raises
    ------
    InputError
        It cannot be read, or columns are missing; one error names them all.
    """
    if isinstance(source, (str, Path)):
        return open_table(source).read(columns)
    frame = without_nan(from_object(source))
    if columns is None:
        return frame
    require_columns("the table", columns, frame.columns)
    return frame.select(columns)
