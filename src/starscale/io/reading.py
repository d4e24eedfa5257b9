"""Reading a table of any format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from starscale.io.folder import FolderSource, files_of_folder
from starscale.io.formats import FORMATS
from starscale.io.hats.catalogue import holds_parquet
from starscale.io.memory.source import Choose, open_object
from starscale.io.sniff import detect
from starscale.io.table import Source, require_columns
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.paths import matching, must_exist


def open_table(table: Any, *, verify: bool = True, choose: Choose | None = None, name: str = "table") -> Source:
    """Open a table; its rows are read later where the format allows it.

    Parameters
    ----------
    table : path or table
        The path of a Parquet, FITS, VOTable, ECSV or CSV file; a HATS catalogue or collection; a directory of
        files of one format, or a pattern (``gaia/GaiaSource_*.csv.gz``): one table in the order of the file names.
        ``stars.fits#2`` and ``stars.fits#NAME`` choose an extension of a FITS file (default: the first table),
        ``stars.vot#2`` and ``stars.vot#NAME`` a table of a VOTable (default: the first of the results that has
        data). Or a table in memory of any library (:func:`~starscale.io.memory.source.open_object`).
    verify : bool
        Whether the checksums that a file states are verified when its rows are read.
    choose : callable, optional
        Chooses the columns of a table in memory that are converted, given all names; default: all.
    name : str
        Name of a table in memory in error messages.

    Returns
    -------
    Source
        Parquet and FITS state their schema and number of rows in the header. A CSV file is read once, in
        chunks, to find types that hold for every row, a VOTable file to count its rows. MRT, CDS and
        IPAC tables, and FITS files inside a VOTable, are read whole.

    Raises
    ------
    InputError
        There is no such file, or it is not the table that its name promises.
    """
    if not isinstance(table, str | Path):
        return open_object(table, choose=choose, name=name)
    path = Path(table).expanduser()
    target, part = path, None
    if not target.exists() and "#" in target.name:
        file, _, part = target.name.rpartition("#")
        target = target.with_name(file)
    must_exist(path if part is None else target)
    source = _opened(target, part)
    source.verify = verify
    return source


def _opened(target: Path, part: str | None) -> Source:
    """Open one file, a directory, or the files of a pattern."""
    if target.is_file():
        return detect(target).reader().open_source(target, part)
    if target.is_dir() and holds_parquet(target):
        return FORMATS["parquet"].reader().open_source(target, part)
    files = files_of_folder(target) if target.is_dir() else matching(target)
    if len(files) == 1:
        return _opened(files[0], part)
    if not files:
        raise InputError(Problem(str(target), "is neither a file nor a directory", "a table"))
    if files[0].is_file() and detect(files[0]).name == "parquet":
        # Parquet states its columns in a footer, so that files need not be opened one by one.
        return FORMATS["parquet"].reader().open_source(target, part)
    return FolderSource(target, files, lambda file: _opened(file, part))


def read(table: Any, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a table into memory.

    Parameters
    ----------
    table : path or table
        Anything that :func:`open_table` takes.
    columns : sequence of str, optional
        Columns to read, in this order; default: all.

    Raises
    ------
    InputError
        It cannot be read, or columns are missing; one error names them all.
    """

    def choose(names: Sequence[str]) -> Sequence[str]:
        if columns is None:
            return names
        require_columns("the table", columns, names)
        return columns

    return open_table(table, choose=choose).read(columns)
