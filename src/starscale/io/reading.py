"""Reading a table of any format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from starscale.io.folder import FolderSource, files_of_folder
from starscale.io.formats import FORMATS, Format
from starscale.io.hats.catalogue import holds_parquet
from starscale.io.memory.source import Choose, open_object
from starscale.io.parts.row_matched import PLUS, RowMatchedSource
from starscale.io.sniff import detect
from starscale.io.table import Source, require_columns
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.paths import divided, matching, must_exist

#: Numbers of a vector.
_LONGEST = 2**31 - 1


def open_table(
    table: Any,
    *,
    verify: bool = True,
    choose: Choose | None = None,
    name: str = "table",
    tables: Sequence[str] = (),
) -> Source:
    """Open a table; its rows are read later where the format allows it.

    Parameters
    ----------
    table : path or table
        The path of a Parquet, FITS, VOTable, ECSV or CSV file; a HATS catalogue or collection; a directory of
        files of one format, or a pattern (``gaia/GaiaSource_*.csv.gz``): one table in the order of the file names.
        ``stars.fits#2`` and ``stars.fits#NAME`` choose an extension of a FITS file (default: the first table),
        ``stars.vot#2`` and ``stars.vot#NAME`` a table of a VOTable (default: the first of the results that has
        data); ``desi.fits#RVTAB+SPTAB`` reads tables whose rows belong together as one, with columns named
        ``RVTAB.TEFF``. Or a table in memory of any library (:func:`~starscale.io.memory.source.open_object`).
    verify : bool
        Whether the checksums that a file states are verified when its rows are read.
    choose : callable, optional
        Chooses the columns of a table in memory that are converted, given all names; default: all.
    name : str
        Name of a table in memory in error messages.
    tables : sequence of str, optional
        Names or numbers of the tables to read where the path names none and the file holds several.

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
    target, part = divided(Path(table).expanduser())
    must_exist(target)
    source = _opened(target, part, tables)
    source.verify = verify
    return source


def _opened(target: Path, part: str | None, tables: Sequence[str]) -> Source:
    """Open one file, a directory, or the files of a pattern."""
    if target.is_file():
        return _of_file(target, part, tables)
    if target.is_dir() and holds_parquet(target):
        return FORMATS["parquet"].reader().open_source(target, part)
    files = files_of_folder(target) if target.is_dir() else matching(target)
    if len(files) == 1:
        return _opened(files[0], part, tables)
    if not files:
        raise InputError(Problem(str(target), "is neither a file nor a directory", "a table"))
    if files[0].is_file() and detect(files[0]).name == "parquet":
        # Parquet states its columns in a footer, so that files need not be opened one by one.
        return FORMATS["parquet"].reader().open_source(target, part)
    return FolderSource(target, files, lambda file: _opened(file, part, tables))


def _of_file(path: Path, part: str | None, tables: Sequence[str]) -> Source:
    """Open one table of a file, or several as one."""
    form = detect(path)
    reader = form.reader()
    parts = _parts(path, form, part, tables)
    if len(parts) > 1:
        return RowMatchedSource(path, parts, lambda one: reader.open_source(path, one))
    source = reader.open_source(path, parts[0] if parts else None)
    _refuse_long_vectors(source)
    return source


def _refuse_long_vectors(source: Source) -> None:
    """Refuse vectors that are longer than Arrow, in which tables are held and passed on, can count."""
    problems = Problems()
    for name, dtype in source.schema.items():
        if isinstance(dtype, pl.Array) and (numbers := math.prod(dtype.shape)) > _LONGEST:
            problems.add(
                f"{source.path}: column {name!r}", f"has vectors of {numbers:,} numbers", f"at most {_LONGEST:,}"
            )
    problems.raise_if_any()


def _parts(path: Path, form: Format, part: str | None, tables: Sequence[str]) -> Sequence[str]:
    """Return the tables of a file that a path names, or by default `tables`."""
    if not form.several:
        return () if part is None else (part,)
    if part is not None:
        named = PLUS not in part or part in {name for _, name in form.reader().tables(path)}
        return (part,) if named else part.split(PLUS)
    return tables if tables and _holds_several(form.reader().tables(path), tables) else ()


def _holds_several(found: Iterable[tuple[str, str]], tables: Sequence[str]) -> bool:
    """Whether a file holds several tables, or only one of those that belong together.

    Any other file of one table was made from the original; it has all columns, under other names.
    """
    names = [name.lower() for _, name in islice(found, 2)]
    return len(names) > 1 or (len(tables) > 1 and names[:1] in [[name.lower()] for name in tables])


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
