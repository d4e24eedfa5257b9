"""Writing a table, at once or in chunks; the file appears when it is complete."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from starscale.io.atomic import atomic, atomic_directory, check_place, work_folder
from starscale.io.formats import to_write
from starscale.io.portable import flat
from starscale.io.reading import open_table
from starscale.io.table import Sink, WritePlan
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import Problems
from starscale.vocabulary.unit_notes import with_converted


class Writer:
    """Writes a table in chunks of rows; use it in a ``with`` block.

    Attributes
    ----------
    metadata : dict of str to str
        Texts about the table; may be changed until the block ends.
    n_rows : int
        Rows appended so far.

    Notes
    -----
    One chunk is held in memory at a time, except for ECSV, which needs all rows. HATS, FITS and VOTable keep the
    rows in a temporary file and are written when the block ends. An exception in the block leaves an older file
    unchanged.
    """

    def __init__(
        self,
        path: Path,
        schema: pl.Schema,
        columns: Mapping[str, Column],
        metadata: Mapping[str, str],
        n_rows: int | None,
        inside: Path | None = None,
    ) -> None:
        _refuse_nul(path, schema)
        self.path = path
        self.schema = schema
        self.metadata = dict(metadata)
        self.n_rows = 0
        self._columns = {name: _noted(name, about) for name, about in columns.items()}
        self._expected = n_rows
        self._inside = inside
        self._format = to_write(path)
        self._module = self._format.writer()
        self._file: AbstractContextManager[Path] | None = None
        self._sink: Sink | None = None

    def append(self, frame: pl.DataFrame) -> None:
        """Append rows.

        Raises
        ------
        ValueError
            The columns are not those of the schema.
        InputError
            A value that the format cannot hold.
        """
        if self._sink is None:
            raise ValueError("rows can be added inside the 'with' block only")
        if frame.schema != self.schema:
            wrong = {
                name: f"{frame.schema.get(name)} instead of {self.schema.get(name)}"
                for name in {**self.schema, **frame.schema}
                if frame.schema.get(name) != self.schema.get(name)
            }
            raise ValueError(f"rows for {self.path} have other columns than announced: {wrong or 'another order'}")
        if not self._format.any_text:
            self._refuse_nul(frame)
        self._sink.append(frame)
        self.n_rows += frame.height

    def _refuse_nul(self, frame: pl.DataFrame) -> None:
        """Refuse texts with NUL: other programs, and this one, would read back only what is before it."""
        problems = Problems()
        for series in frame:
            values = flat(series)
            if values.dtype == pl.String and values.str.contains("\0", literal=True).any():
                where, found = f"{self.path}: column {series.name!r}", "holds texts with NUL characters"
                fix = 'Write Parquet, or remove them: polars.col(...).str.replace_all("\\0", "", literal=True).'
                problems.add(where, found, "texts without them", fix)
        problems.raise_if_any()

    def __enter__(self) -> Self:
        if marker := self._format.marker:
            self._file = atomic_directory(self.path, marker=marker, inside=self._inside)
        else:
            self._file = atomic(self.path, inside=self._inside)
        partial = self._file.__enter__()
        try:
            self._sink = self._module.open_sink(WritePlan(partial, self.path, self.schema, self._columns))
        except BaseException as error:
            # atomic() removes the partial file, and explains an error of the disk.
            self._file.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, sink = self._file, self._sink
        if file is None or sink is None:
            raise ValueError("a writer is left once, after it was entered")
        self._sink = None
        if error is None:
            try:
                self._check_rows()
                sink.close(self.metadata)
            except BaseException as late:
                _abort(sink)
                file.__exit__(type(late), late, late.__traceback__)
                raise
        else:
            _abort(sink)
        file.__exit__(kind, error, trace)

    def _check_rows(self) -> None:
        if self._expected is not None and self._expected != self.n_rows:
            raise ValueError(f"{self.path}: {self._expected} rows were announced and {self.n_rows} came")


def _noted(name: str, about: Column) -> Column:
    """Return a column whose description says that it was converted, if it was."""
    return replace(about, description=with_converted(about.description, name)) if about.converted else about


def _abort(sink: Sink) -> None:
    """Close a failed file; ignore a second error from a full disk."""
    with suppress(OSError):
        sink.abort()


def _refuse_nul(path: Path, schema: pl.Schema) -> None:
    """Refuse names that end early in every library of Arrow."""
    problems = Problems()
    for name in schema:
        if "\0" in name:
            problems.add(f"{path}: column {name!r}", "has a NUL in its name", "a name of visible characters")
    problems.raise_if_any()


def open_writer(
    path: str | Path,
    schema: pl.Schema,
    *,
    columns: Mapping[str, Column] | None = None,
    metadata: Mapping[str, str] | None = None,
    n_rows: int | None = None,
    inside: Path | None = None,
) -> Writer:
    """Open a file for writing in chunks of rows.

    Parameters
    ----------
    path : str or Path
        The suffix selects the format, as in :func:`write`.
    schema : polars.Schema
        Columns of every chunk, in order.
    columns : mapping of str to Column, optional
        Units, UCDs and descriptions; columns that are not in the schema are ignored.
    metadata : mapping of str to str, optional
        Texts about the whole table; the writer accepts more until its block ends.
    n_rows : int, optional
        Number of rows; any other number of appended rows is an error, and no file is written.
    inside : Path, optional
        Folder for the partial file, on the same disk; default: the folder of the file.

    Raises
    ------
    InputError
        The suffix cannot be written, or the format cannot hold a column.
    """
    return Writer(Path(path).expanduser(), schema, columns or {}, metadata or {}, n_rows, inside)


def check_target(path: str | Path) -> None:
    """Check, before a long computation, that its result can be written; missing folders are created.

    Raises
    ------
    InputError
        The suffix cannot be written, or a directory has the name of the file.
    StarscaleError
        The disk is full, or the folder cannot be written.
    """
    target = Path(path)
    # A HATS catalogue is a directory and replaces an older one.
    if to_write(target).marker:
        with work_folder(target):
            pass
    else:
        check_place(target)


def write(
    table: Any,
    path: str | Path,
    *,
    columns: Mapping[str, Column] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a table; the file appears when it is complete, and an older one stays until then.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.io.read` takes.
    path : str or Path
        Ends in ``.parquet``, ``.hats`` (a directory), ``.fits``, ``.fits.gz``, ``.vot`` or ``.xml`` (VOTable,
        BINARY2), ``.ecsv``, ``.csv`` or ``.tsv``.
    columns : mapping of str to Column, optional
        Units, UCDs and descriptions; other columns keep those that `table` states. A CSV file cannot hold them.
    metadata : mapping of str to str, optional
        Texts about the whole table (provenance as JSON, ...). A CSV file cannot hold them.

    Raises
    ------
    InputError
        The suffix cannot be written, or the format cannot hold a column.
    StarscaleError
        The disk is full, or the folder cannot be written.

    Notes
    -----
    Missing values: Parquet, VOTable and ECSV keep nulls of every type. FITS stores a null as NaN, as an integer
    that the column does not contain (TNULL), as the undefined logical value, or as a blank text. CSV stores an
    empty field.
    """
    source = open_table(table)
    known = {**source.columns, **(columns or {})}
    with open_writer(path, source.schema, columns=known, metadata=metadata, n_rows=source.n_rows) as writer:
        # Not read(): NaN is written as it is.
        for frame in source.frames(max(source.n_rows, 1), list(source.schema)):
            writer.append(frame)
