"""Reading Parquet: one file, a directory of files, or a HATS catalogue."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from starscale.io.hats.catalogue import Files, parquet_files
from starscale.io.parquet.layout import ASTROPY, PANDAS, Layout, astropy_header, frame_of, layout_of, texts
from starscale.io.parquet.pages import PageError, check_pages
from starscale.io.parquet.partitions import folder_columns
from starscale.io.sniff import detect
from starscale.io.table import CHUNK_ROWS, Source, describe, julian_year, picked, without_nan
from starscale.io.widening import common_schema, fitted, same_units
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM, Column
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.paths import matching

#: What reading a damaged file raises beside the exceptions of the libraries.
_REFUSED = (OSError, UnicodeDecodeError, PageError)
#: File-level keys about the storage, not about the table.
_INTERNAL = ("ARROW:schema", PANDAS, ASTROPY)
#: Key of the data-less VOTable of the VOParquet convention (IVOA note "Parquet in the VO").
VOPARQUET = "IVOA.VOTable-Parquet"


@dataclass(frozen=True, slots=True)
class _File:
    """One of the files: where it is, its columns, its rows."""

    path: Path
    layout: Layout
    rows: int


class ParquetSource(Source):
    """One or more Parquet files with the same columns, read as one table.

    Checksums of pages are verified where a file has them.
    """

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self.format = "parquet"
        self._files: list[_File] = []
        stated = _Stated()
        for file, folders in zip(files.paths, folder_columns(path, files.paths), strict=True):
            footer = _footer(file)
            layout = stated.layout(file, _schema(file, footer)).within(folders)
            self._files.append(_File(file, layout, int(footer.num_rows)))
        self._rows = sum(file.rows for file in self._files)
        _compare_rows(files, self._files)
        self.schema = common_schema(path, files.paths, [file.layout.schema for file in self._files])
        same_units(path, files.paths, stated.units)
        self.columns = described(self.schema, stated.first, files.paths[0])
        pairs = texts(stated.first.metadata)
        self.metadata = files.metadata | {
            key: value for key, value in pairs.items() if key not in _INTERNAL and not key.startswith(VOPARQUET)
        }
        self.frame = self.metadata.get(POSITION_SYSTEM, "")
        self.epoch = julian_year(self.metadata.get(POSITION_EPOCH, ""))

    @property
    def n_rows(self) -> int:
        """Number of rows, from the footers."""
        return self._rows

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the table, or the named columns of it, in memory."""
        chosen = self.choose(columns)
        empty = pl.DataFrame(schema={name: self.schema[name] for name in chosen})
        # Joining the chunks into one would need the memory of the table twice.
        return pl.concat([empty, *map(without_nan, self.frames(CHUNK_ROWS, chosen))], rechunk=False)

    def rows_with(self, column: str, values: pl.Series, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the rows whose `column` is one of `values`; row groups that cannot contain them are not read."""
        chosen = self.choose(columns)
        read = self.choose([*chosen, *({column} - set(chosen))])
        wanted = pl.col(column).is_in(values.implode())
        found = [pl.DataFrame(schema={name: self.schema[name] for name in chosen})]
        for file in self._files:
            with _reading(file.path), _opened(file.path, self.verify) as table:
                groups = _groups_with(table.metadata, column, values)
                found += [
                    picked(without_nan(frame).filter(wanted), chosen)
                    for group in groups
                    for frame in self._frames(file, table, [group], CHUNK_ROWS, read)
                ]
        return pl.concat(found)

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the files one after the other, by row groups."""
        return self.frames_after(0, rows, columns)

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the rows after the first `skip`; the row groups before them are not read."""
        for file in self._files:
            if skip >= file.rows:
                skip -= file.rows
                continue
            with _reading(file.path), _opened(file.path, self.verify) as table:
                groups, skip = _groups_after(table.metadata, skip)
                for frame in self._frames(file, table, groups, rows, columns):
                    if skip < frame.height:
                        yield frame.slice(skip)
                    skip = max(skip - frame.height, 0)

    def _frames(
        self, file: _File, table: pq.ParquetFile, groups: list[int], rows: int, columns: Sequence[str]
    ) -> Iterator[pl.DataFrame]:
        """Read successive row groups of a file, in the schema of the whole table."""
        schema = pl.Schema({name: self.schema[name] for name in columns})
        sizes = [table.metadata.row_group(number).num_rows for number in range(table.metadata.num_row_groups)]
        stored = file.layout.stored(columns)
        check_pages(file.path, groups, stored)
        # pyarrow before 19 refuses an empty list of row groups.
        batches = table.iter_batches(rows, groups, stored, use_threads=True) if groups else ()
        row, stop = (sum(sizes[: groups[0]]), sum(sizes[: groups[-1] + 1])) if groups else (0, 0)
        for batch in batches:
            yield fitted(file.layout.meant(frame_of(batch), columns, row, batch.num_rows), schema, file.path)
            row += batch.num_rows
        if row != stop:
            raise InputError(_damaged(file.path, f"{stop - row} rows are missing"))


def described(schema: pl.Schema, stated: pa.Schema, where: Path | None = None) -> dict[str, Column]:
    """Return unit, UCD and description of every column.

    Parameters
    ----------
    schema : polars.Schema
        The columns.
    stated : pyarrow.Schema
        Schema of a file, with metadata of its fields, or with the VOTable of VOParquet or the header of astropy.
    where : Path, optional
        The file, for an error.
    """
    known = {item.name: texts(item.metadata) for item in stated if item.metadata}
    if any({"unit", "ucd", "description"} & set(about) for about in known.values()):
        return describe(schema, known)
    # Parsing XML and YAML needs astropy; files of starscale have metadata of their fields instead.
    metadata = texts(stated.metadata)
    known = _by_astropy(where or Path("table"), metadata)
    if votable := metadata.get(f"{VOPARQUET}.content"):
        known |= importlib.import_module("starscale.io.votable.source").described_fields(votable)
    return describe(schema, known)


def _by_astropy(where: Path, metadata: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return unit, UCD and description of the columns as astropy states them."""
    stated = astropy_header(where, metadata).get("datatype", ())
    if not stated:
        return {}
    unit = importlib.import_module("astropy.units").Unit
    unit_text = importlib.import_module("starscale.io.astropy_tables").unit_text
    return {
        str(about["name"]): {
            "unit": unit_text(unit(str(about.get("unit", "")), parse_strict="silent")),
            "ucd": str((about.get("meta") or {}).get("ucd", "")),
            "description": str(about.get("description", "")),
        }
        for about in stated
    }


class _Stated:
    """What the schemas of the files state; most of them state the same, which is then examined once."""

    def __init__(self) -> None:
        self.first: pa.Schema = pa.schema([])
        #: Units by column, of each file.
        self.units: list[dict[str, str]] = []
        self._last: tuple[pa.Schema, Layout] | None = None

    def layout(self, file: Path, schema: pa.Schema) -> Layout:
        """Return the columns of the next file."""
        if self._last is not None and schema.equals(self._last[0], check_metadata=True):
            self.units.append(self.units[-1])
            return self._last[1]
        layout = layout_of(file, schema)
        self.first = schema if self._last is None else self.first
        self._last = schema, layout
        self.units.append({n: column.unit for n, column in described(layout.schema, schema, file).items()})
        return layout


def open_source(path: Path, part: str | None) -> Source:
    """Open a Parquet file, a directory of them, or the files of a pattern."""
    if part is not None:
        raise InputError(
            Problem(f"{path}#{part}", "a Parquet file holds one table only", fix=f"Leave out '#{part}'.")
        )
    if path.is_dir():
        return ParquetSource(path, parquet_files(path))
    return ParquetSource(path, Files(tuple(matching(path)) or (path,)))


def _groups_after(footer: pq.FileMetaData, skip: int) -> tuple[list[int], int]:
    """Return the row groups with rows after the first `skip`, and how many rows to skip in them."""
    groups: list[int] = []
    for number in range(footer.num_row_groups):
        if groups or skip < (size := footer.row_group(number).num_rows):
            groups.append(number)
        else:
            skip -= size
    return groups, skip


def _groups_with(footer: pq.FileMetaData, column: str, values: pl.Series) -> list[int]:
    """Return the row groups whose smallest and largest value of a column leave room for one of `values`."""
    wanted = values.drop_nulls().unique().sort()
    numbers = range(footer.num_row_groups)
    names = [footer.schema.column(i).path for i in range(footer.num_columns)]
    if column not in names or not wanted.dtype.is_integer():
        return list(numbers)
    place = names.index(column)
    return [number for number in numbers if _may_hold(footer.row_group(number).column(place).statistics, wanted)]


def _may_hold(stated: pq.Statistics | None, wanted: pl.Series) -> bool:
    """Whether one of the sorted values is between the smallest and the largest of a row group."""
    if stated is None or not stated.has_min_max or not isinstance(stated.min, int):
        return True
    return bool(len(wanted)) and wanted.search_sorted(stated.min) < wanted.search_sorted(stated.max, "right")


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Explain errors of a file that is damaged, or that was removed after it was opened."""
    try:
        yield
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, *_REFUSED) as error:
        raise InputError(_damaged(file, error) if file.exists() else _missing(file)) from error


def _missing(file: Path) -> Problem:
    fix = "It is a link to a file that is gone, or the table was not copied whole."
    return Problem(str(file), "is missing", "a part of the table", fix)


def _opened(file: Path, verify: bool) -> pq.ParquetFile:
    # With a buffer, pyarrow streams the pages of a column instead of loading its whole chunk.
    return pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=verify)


def _footer(path: Path) -> pq.FileMetaData:
    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if not path.exists():
            raise InputError(_missing(path)) from None
        # A file of a directory may have another format; detect() then raises a clearer error.
        detect(path)
        raise InputError(_damaged(path, error)) from error
    rows = sum(footer.row_group(number).num_rows for number in range(footer.num_row_groups))
    if rows != footer.num_rows:
        raise InputError(_damaged(path, f"it states {footer.num_rows} rows and holds {rows}"))
    return footer


def _schema(path: Path, footer: pq.FileMetaData) -> pa.Schema:
    """Return the columns; names are checked here, since polars fails on names that are not UTF-8."""
    try:
        schema = footer.schema.to_arrow_schema()
        names = schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(_damaged(path, error)) from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        fix = "Rename or drop one with the program that wrote the file."
        raise InputError(
            Problem(str(path), f"has several columns called {', '.join(twice)}", "names that differ", fix)
        )
    return schema.with_metadata(footer.metadata)


def _compare_rows(files: Files, found: Sequence[_File]) -> None:
    """Refuse a catalogue with another number of rows than it states, as a whole or in a partition."""
    problems = Problems()
    fix = "It was not copied whole, or another program changed it: copy it again."
    rows = {file.path: file.rows for file in found}
    for where, parts, stated in files.stated:
        counted = sum(rows[part] for part in parts)
        if counted != stated:
            problems.add(str(where), f"holds {counted:,} rows", f"{stated:,} as the catalogue states", fix)
    problems.raise_if_any()


def _damaged(path: Path, error: Exception | str) -> Problem:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if reason.startswith("Expected all lists to be of size"):
        found = f"has vectors of one length, some of them missing, which pyarrow {pa.__version__} cannot read"
        return Problem(str(path), found, fix="Install pyarrow 26 or newer.")
    fix = "It was probably cut short: make or download it again."
    return Problem(str(path), f"is a damaged Parquet file ({reason})", fix=fix)
