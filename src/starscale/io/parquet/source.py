"""Reading Parquet: one file, a directory of files, or a HATS catalogue."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from starscale.io.hats.catalogue import Files, parquet_files
from starscale.io.sniff import detect
from starscale.io.table import Source, describe
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems

#: File-level keys about the storage, not about the table.
_INTERNAL = ("ARROW:schema", "pandas")
#: Key of the data-less VOTable of the VOParquet convention (IVOA note "Parquet in the VO").
VOPARQUET = "IVOA.VOTable-Parquet"


class ParquetSource(Source):
    """One or more Parquet files with the same columns, read as one table."""

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self.format = "parquet"
        self._files = files.paths
        footers = [_footer(file) for file in self._files]
        self._rows = sum(int(footer.num_rows) for footer in footers)
        schemas = [_schema(file, footer) for file, footer in zip(self._files, footers, strict=True)]
        _same_columns(path, self._files, schemas)
        try:
            self.schema = self.lazy().collect_schema()
        except pl.exceptions.PolarsError as error:
            raise InputError(_damaged(path, error)) from error
        pairs = _texts(footers[0].metadata)
        self.columns = described(self.schema, schemas[0].with_metadata(footers[0].metadata))
        self.metadata = files.metadata | {
            key: value for key, value in pairs.items() if key not in _INTERNAL and not key.startswith(VOPARQUET)
        }

    @property
    def n_rows(self) -> int:
        """Number of rows, from the footers."""
        return self._rows

    def lazy(self) -> pl.LazyFrame:
        """Scan the files; a query reads only the columns and row groups that it needs."""
        return pl.scan_parquet(list(self._files), hive_partitioning=False, glob=False)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the table, or the named columns of it, in memory; polars reads it in several threads."""
        try:
            return self.lazy().select(self.choose(columns)).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            # polars panics on some damaged pages; PanicException is no subclass of PolarsError.
            raise InputError(_damaged(self.path, error)) from error

    def rows_with(self, column: str, values: pl.Series, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the rows whose `column` is one of `values`; row groups that cannot contain them are not read."""
        chosen = self.choose(columns)
        self.choose([column])
        try:
            found = self.lazy().filter(pl.col(column).is_in(values.implode())).select(chosen)
            return found.collect(engine="streaming")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise InputError(_damaged(self.path, error)) from error

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the files one after the other, by row groups."""
        return self.frames_after(0, rows, columns)

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the rows after the first `skip`; the row groups before them are not read."""
        schema = pl.Schema({name: self.schema[name] for name in columns})
        for file in self._files:
            try:
                # With a buffer, pyarrow streams the pages of a column instead of loading its whole chunk.
                with pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False) as table:
                    groups, skip = _groups_after(table.metadata, skip)
                    if not groups:
                        # pyarrow before 19 refuses an empty list of row groups.
                        continue
                    for batch in table.iter_batches(rows, groups, list(columns), use_threads=True):
                        plain = pa.RecordBatch.from_arrays(batch.columns, schema=_bare(batch.schema))
                        frame = pl.DataFrame(plain).select(columns)
                        if skip < frame.height:
                            yield (frame if frame.schema == schema else frame.cast(schema)).slice(skip)
                        skip = max(skip - frame.height, 0)
            except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
                raise InputError(_damaged(file, error)) from error


def described(schema: pl.Schema, stated: pa.Schema) -> dict[str, Column]:
    """Return unit, UCD and description of every column.

    Parameters
    ----------
    schema : polars.Schema
        The columns.
    stated : pyarrow.Schema
        Schema of a file, with the metadata of its fields, or with the VOTable of VOParquet in its metadata.
    """
    known = {
        item.name: {
            key.decode("utf-8", "replace"): value.decode("utf-8", "replace")
            for key, value in item.metadata.items()
        }
        for item in stated
        if item.metadata
    }
    votable = (stated.metadata or {}).get(f"{VOPARQUET}.content".encode())
    if votable and not any({"unit", "ucd", "description"} & set(about) for about in known.values()):
        # Parsing the XML needs astropy; files of starscale have metadata of their fields instead.
        known = importlib.import_module("starscale.io.votable.source").described_fields(
            votable.decode("utf-8", "replace")
        )
    return describe(schema, known)


def _texts(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {
        key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in (metadata or {}).items()
    }


def open_source(path: Path, part: str | None) -> Source:
    """Open a Parquet file or a directory of them."""
    if part is not None:
        raise InputError(
            Problem(f"{path}#{part}", "a Parquet file holds one table only", fix=f"Leave out '#{part}'.")
        )
    return ParquetSource(path, parquet_files(path) if path.is_dir() else Files((path,)))


def _groups_after(footer: pq.FileMetaData, skip: int) -> tuple[list[int], int]:
    """Return the row groups with rows after the first `skip`, and how many rows to skip in them."""
    groups: list[int] = []
    for number in range(footer.num_row_groups):
        if groups or skip < (size := footer.row_group(number).num_rows):
            groups.append(number)
        else:
            skip -= size
    return groups, skip


def _footer(path: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # A file of a directory may have another format; detect() then raises a clearer error.
        detect(path)
        raise InputError(_damaged(path, error)) from error


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
    return schema


def _damaged(path: Path, error: Exception) -> Problem:
    reason = str(error).splitlines()[0]
    fix = "It was probably cut short: make or download it again."
    return Problem(str(path), f"is a damaged Parquet file ({reason})", fix=fix)


def _same_columns(path: Path, files: Sequence[Path], schemas: Sequence[pa.Schema]) -> None:
    """Refuse a directory whose files have different columns; the error lists the differences."""
    problems = Problems()
    first = _types(schemas[0])
    fix = f"Are several tables in {path}? Name one file, or move the others away."
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        if len(problems.items) == 5:
            break
        if schema.equals(schemas[0]) or (other := _types(schema)) == first:
            continue
        found = f"differs from {files[0].name}: {'; '.join(_differences(first, other))}"
        problems.add(str(file), found, "the same columns in every file", fix)
    problems.raise_if_any()


def _differences(first: pl.Schema, other: pl.Schema) -> list[str]:
    """Say in what the columns of a file differ from those of the first."""
    lacking, added = list(first.keys() - other.keys()), list(other.keys() - first.keys())
    lacking.sort(key=list(first).index)
    added.sort(key=list(other).index)
    changed = [f"{n} is {other[n]}, not {kind}" for n, kind in first.items() if other.get(n, kind) != kind]
    said = [f"{verb} {', '.join(names[:5])}" for verb, names in (("lacks", lacking), ("adds", added)) if names]
    return said + (changed[:5] or ([] if said else ["has its columns in another order"]))


def _types(schema: pa.Schema) -> pl.Schema:
    return pl.DataFrame(_bare(schema).empty_table()).schema


def _bare(schema: pa.Schema) -> pa.Schema:
    """Remove the metadata of the fields: polars fails on metadata that are not UTF-8."""
    return pa.schema([pa.field(item.name, item.type) for item in schema])
