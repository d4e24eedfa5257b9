"""A table that consists of many files of a format other than Parquet: a folder of them, or a pattern of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

import polars as pl

from starscale.io.formats import by_suffix
from starscale.io.hats.catalogue import is_data
from starscale.io.table import CHUNK_ROWS, Doubt, Source, nearest_dtype
from starscale.io.whole import WholeSource
from starscale.io.widening import common_schema, fitted, same_units
from starscale.vocabulary.errors import InputError, Problem, Problems

#: Problems of files that are listed one by one.
_LISTED = 10
_EXPECTED = "Parquet files, a HATS catalogue, or files of one format"


class FolderSource(Source):
    """Files with the same columns, read one after the other in the order of their names.

    One file at a time is open. A file that can only be read as a whole is read when it is opened, to learn its
    columns, and again when its rows are read.

    Parameters
    ----------
    path : Path
        The folder or the pattern.
    files : sequence of Path
        At least one, in order.
    opener : callable
        Opens one file.

    Raises
    ------
    InputError
        Files that cannot be read, or have other columns; one error names all of them.
    """

    def __init__(self, path: Path, files: Sequence[Path], opener: Callable[[Path], Source]) -> None:
        self.path = path
        self._files, self._open = list(files), opener
        self._sources: list[Source | None] = []
        self._heights: list[int] = []
        schemas, units = [], []
        notes: list[str] = []
        problems = Problems()
        for file in self._files:
            with problems.collect():
                source = opener(file)
                if not self._heights:
                    self._begin(source)
                _same_frame(file, self, source, problems)
                schemas.append(_without_empty_texts(source))
                units.append({name: column.unit for name, column in source.columns.items()})
                notes += [type(note)(f"{file.name}: {note}") for note in source.notes]
                self._heights.append(source.n_rows)
                self._sources.append(None if isinstance(source, WholeSource) else source)
        _raise(problems, path)
        same_units(path, self._files, units)
        self._texts: set[str] = set()
        self._set_schema(common_schema(path, self._files, schemas, texts=self.format == "csv"))
        if named := sorted({file.parent.name for file in self._files if "=" in file.parent.name}):
            left = f"values that only names of folders hold ({', '.join(named[:3])}, ...) are left out"
            notes.append(Doubt(left))
        self.notes = tuple(notes)

    def _begin(self, first: Source) -> None:
        """Take over what the first file states about the table."""
        self.format, self.columns, self.metadata = first.format, first.columns, first.metadata
        self.frame, self.epoch = first.frame, first.epoch

    def _set_schema(self, schema: Mapping[str, pl.DataType]) -> None:
        """Set the types of the columns; one without any value in any file is text."""
        self.schema = pl.Schema({name: pl.String() if kind == pl.Null else kind for name, kind in schema.items()})
        self.columns = {
            name: replace(self.columns[name], dtype=nearest_dtype(kind)) for name, kind in self.schema.items()
        }
        self._texts = {name for name, kind in self.schema.items() if kind == pl.String}

    @property
    def n_rows(self) -> int:
        """Number of rows of all files."""
        return sum(self._heights)

    def with_texts(self, names: Collection[str]) -> Source:
        """Return the table with these columns as texts, as they are written; itself where files have types."""
        if self.format != "csv":
            return self
        other = copy(self)
        other._set_schema({name: pl.String() if name in names else kind for name, kind in self.schema.items()})
        return other

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the files one after the other."""
        return self.frames_after(0, rows, columns)

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the rows after the first `skip`; files before them are not opened."""
        schema = pl.Schema({name: self.schema[name] for name in columns})
        for file, source, height in zip(self._files, self._sources, self._heights, strict=True):
            if skip >= height:
                skip -= height
                continue
            opened = (source or self._open(file)).with_texts(self._texts)
            opened.verify = self.verify
            for frame in opened.frames_after(skip, rows, columns):
                yield fitted(frame, schema, file)
            skip = 0


def files_of_folder(path: Path) -> list[Path]:
    """Return the tables of a folder without Parquet files, in the order of their names.

    Raises
    ------
    InputError
        There are none, or they are of several formats.
    """
    found = sorted(item for item in path.rglob("*") if is_data(item, path))
    formats = {item: form.title for item in found if (form := by_suffix(item.name)) is not None}
    if len(set(formats.values())) == 1:
        return list(formats)
    raise InputError(_several(path, Counter(formats.values())) if formats else _no_tables(path, found))


def _several(path: Path, titles: Counter[str]) -> Problem:
    counts = ", ".join(f"{n} {title}" for title, n in sorted(titles.items()))
    fix = f"Name those of one table by a pattern in quotation marks: '{path}/*.csv'."
    return Problem(str(path), f"holds files of several formats ({counts})", _EXPECTED, fix)


def _no_tables(path: Path, found: Sequence[Path]) -> Problem:
    what = "is a directory without tables" if any(path.iterdir()) else "is an empty directory"
    shown = ", ".join(item.name for item in found[:5]) + (", ..." if len(found) > 5 else "")
    return Problem(str(path), what, _EXPECTED, f"It holds {shown}: name one file of it." if found else "")


def _without_empty_texts(source: Source) -> pl.Schema:
    """Return the schema of a text file, in which a column without any value has the type null."""
    if source.format != "csv":
        return source.schema
    texts = [name for name, kind in source.schema.items() if kind == pl.String]
    for frame in source.frames(CHUNK_ROWS, texts) if texts else ():
        texts = [name for name in texts if frame[name].null_count() == frame.height]
        if not texts:
            break
    return pl.Schema({**source.schema, **dict.fromkeys(texts, pl.Null())})


def _same_frame(file: Path, first: Source, other: Source, problems: Problems) -> None:
    """Note a file whose positions have another reference frame or epoch than those of the first."""
    if (other.frame, other.epoch) != (first.frame, first.epoch):
        found = f"states the frame {other.frame or 'nothing'} and the epoch {other.epoch or 'nothing'}"
        problems.add(
            str(file), found, f"{first.frame or 'nothing'} and {first.epoch or 'nothing'} as the first file"
        )


def _raise(problems: Problems, path: Path) -> None:
    """Raise the problems of files; beyond the first ones, only the files are named."""
    more = problems.items[_LISTED:]
    if more:
        names = ", ".join(sorted({Path(problem.where).name for problem in more}))
        problems.items[_LISTED:] = [Problem(str(path), f"{len(more)} more problems, of {names}")]
    problems.raise_if_any()
