"""ECSV files: text with a header of names, types, units and descriptions.

Tables of numbers, texts and vectors of one length are read in chunks, with the types that the header states.
Tables with other vectors, complex numbers or objects are read whole by astropy, which also writes all.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
from astropy.io.ascii import Ecsv, get_writer
from astropy.table import Table
from astropy.table.meta import YamlParseError, get_header_from_yaml
from astropy.units import Unit
from astropy.utils.exceptions import AstropyWarning

from starscale.io.astropy_tables import from_astropy, to_astropy
from starscale.io.csv.fields import split_fields
from starscale.io.csv.kinds import Kind, plain_text
from starscale.io.csv.layout import CsvLayout
from starscale.io.csv.lines import text_lines
from starscale.io.csv.source import CsvSource
from starscale.io.table import (
    Sink,
    Source,
    WritePlan,
    column_of,
    describe,
    julian_year,
    refuse_many_columns,
    unique_names,
)
from starscale.io.units import unit_text
from starscale.io.whole import WholeSink, WholeSource
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem

_TYPES: Final[dict[str, pl.DataType]] = {
    "bool": pl.Boolean(),
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "uint8": pl.UInt8(),
    "uint16": pl.UInt16(),
    "uint32": pl.UInt32(),
    "uint64": pl.UInt64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "string": pl.String(),
}
_NUMBERS = tuple(dtype for dtype in _TYPES.values() if dtype != pl.String)
_TEXT = Kind((), filled=True)
#: A vector or matrix, whose cells are JSON: ``float64[2,3]``.
_VECTOR = re.compile(r"(\w+)\[(\d+(?:,\d+)*)\]")
#: Fields that need quotation marks.
_UNCLEAR = re.compile(r"""^$|^#|[\s"'\x00-\x1f\ufeff]""")


class EcsvSource(CsvSource):
    """An ECSV table of plain columns."""

    def __init__(self, path: Path, layout: CsvLayout, header: Mapping[str, Any]) -> None:
        super().__init__(path, layout)
        self.format = "ecsv"
        about = header["datatype"]
        names = unique_names(str(column["name"]) for column in about)
        self.schema = pl.Schema(
            {name: _type_of(column) or pl.String() for name, column in zip(names, about, strict=True)}
        )
        self.columns = describe(self.schema, {n: _known(column) for n, column in zip(names, about, strict=True)})
        self.metadata = _texts_of(header.get("meta"))
        _place(self)
        numbers = {name: dtype for name, dtype in self.schema.items() if dtype in _NUMBERS}
        # The bulk files of the Gaia archive have "null" for missing values, in texts too.
        self._missing = set().union(*(self._kinds[name].missing for name in numbers))
        for name, dtype in numbers.items():
            if not _holds(self._kinds[name], dtype):
                found = f"has values that are not of type {dtype}"
                raise InputError(Problem(f"{path}, column {name!r}", found))

    def with_texts(self, names: Collection[str]) -> Source:  # noqa: ARG002
        """Return the table: its columns have the types that the file states."""
        return self

    def lazy(self) -> pl.LazyFrame:
        """Return the whole table as a lazy frame."""
        return self.read().lazy()

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Parse the file in chunks."""
        try:
            yield from super().frames(rows, columns)
        except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
            raise _damaged(self.path, str(error).splitlines()[0]) from None

    def _cast(self, name: str) -> pl.Expr:
        dtype = self.schema[name]
        if dtype == pl.String:
            text = plain_text(column_of(name), _TEXT, self._missing, marked=self._reader.marked)
            return text.replace("", None).alias(name)
        if isinstance(dtype, pl.Array):
            return column_of(name).map_batches(lambda cells: _vectors(cells, dtype), dtype).alias(name)
        wide: pl.DataType = pl.UInt64() if dtype == pl.UInt64 else pl.Int64() if dtype.is_integer() else dtype
        # A number beyond a narrow type is an error, not a missing value.
        return self._number(name, wide).cast(dtype, strict=True).alias(name)


def _holds(kind: Kind, dtype: pl.DataType) -> bool:
    """Whether the values of a column are of the type that the header states."""
    if not kind.filled:
        return True
    if dtype.is_float():
        return pl.Float64() in kind.kinds
    wide = pl.Boolean() if dtype == pl.Boolean else pl.UInt64() if dtype == pl.UInt64 else pl.Int64()
    return wide in kind.kinds


def _vectors(cells: pl.Series, dtype: pl.Array) -> pl.Series:
    """Return the vectors that cells hold as JSON, which may have NaN and Infinity here."""
    rows = [None if text is None else parse_json(text) for text in cells]
    return pl.Series(cells.name, rows, dtype=dtype, strict=True)


def _known(column: Mapping[str, Any]) -> dict[str, str]:
    meta = column.get("meta") or {}
    return {
        "unit": unit_text(Unit(str(column.get("unit") or ""), parse_strict="silent")),
        "description": str(column.get("description") or ""),
        "ucd": str(meta.get("ucd", "")) if isinstance(meta, Mapping) else "",
    }


def open_source(path: Path, part: str | None) -> Source:
    """Open an ECSV file.

    Raises
    ------
    InputError
        Header and rows do not agree.
    """
    if part is not None:
        raise InputError(
            Problem(f"{path}#{part}", "an ECSV file holds one table only", fix=f"Leave out '#{part}'.")
        )
    found = _plain_header(path)
    if found is None:
        return _whole(path)
    try:
        return EcsvSource(path, *found)
    except InputError as error:
        problem = error.problems[0]
        raise _damaged(path, f"{problem.where.removeprefix(f'{path}, ')} {problem.found}") from None


def _plain_header(path: Path) -> tuple[CsvLayout, dict[str, Any]] | None:
    """Return layout and header of a table of plain columns; None for any other, and where it is not understood."""
    marked, names = _first_lines(path)
    # Counted before they are parsed.
    refuse_many_columns(path, max(sum(b"name:" in line for line in marked), *map(names.count, (b" ", b","))))
    try:
        header = get_header_from_yaml([line.decode()[2:].rstrip("\r\n") for line in marked[1:]])
        separator = str(header.get("delimiter", " "))
        columns = [str(column["name"]) for column in header["datatype"] if _type_of(column)]
        plain = len(columns) == len(header["datatype"]) and "__serialized_columns__" not in (
            header.get("meta") or {}
        )
        agrees = split_fields(names.decode(), separator) == columns
    except (YamlParseError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return None
    layout = CsvLayout(tuple(columns), len(marked) + 1, separator, comments=True)
    return (layout, header) if plain and agrees else None


def _first_lines(path: Path) -> tuple[list[bytes], bytes]:
    """Return the lines of the header, and the line of the names."""
    marked: list[bytes] = []
    with text_lines(path) as lines:
        for line in lines:
            if not line.startswith(b"#"):
                return marked, line
            marked.append(line)
    return marked, b""


def _texts_of(meta: object) -> dict[str, str]:
    """Return the metadata of a table, as far as they are texts."""
    pairs = meta.items() if isinstance(meta, Mapping) else ()
    return {str(key): value for key, value in pairs if isinstance(value, str)}


def _place(source: Source) -> Source:
    """Take frame and epoch of the positions from the metadata."""
    source.frame = source.metadata.get(POSITION_SYSTEM, "")
    source.epoch = julian_year(source.metadata.get(POSITION_EPOCH, ""))
    return source


def _type_of(column: Mapping[str, Any]) -> pl.DataType | None:
    """Return the type of a column; None where its cells are read by astropy only."""
    if "subtype" not in column:
        return _TYPES.get(column["datatype"])
    vector = _VECTOR.fullmatch(str(column["subtype"]))
    if vector is None or vector[1] not in _TYPES:
        return None
    shape = tuple(int(number) for number in vector[2].split(","))
    return pl.Array(_TYPES[vector[1]], shape) if all(shape) else None


def _whole(path: Path) -> Source:
    """Read a file of any columns into memory."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            table = Table.read(path, format="ascii.ecsv")
    except (ValueError, TypeError, OSError, EOFError, IndexError, KeyError) as error:
        reason = str(error).strip().splitlines()
        raise _damaged(path, reason[0] if reason else type(error).__name__) from error
    frame, columns, metadata = from_astropy(table, str(path))
    return _place(WholeSource(path, "ecsv", frame, columns, metadata))


def _damaged(path: Path, reason: str) -> InputError:
    fix = "It was probably cut short: make it again."
    return InputError(Problem(str(path), f"is a damaged ECSV file ({reason})", fix=fix))


class EcsvSink(WholeSink):
    """Writes one ECSV table."""

    def write(self, frame: pl.DataFrame, metadata: Mapping[str, str]) -> None:
        """Write header and rows."""
        writer = get_writer(Ecsv, fast_writer=False)
        writer.header.splitter = writer.data.splitter = _Fields()
        lines = writer.write(to_astropy(frame, self.plan.columns, metadata))
        self.plan.path.write_bytes("".join(f"{line}\n" for line in lines).encode())


class _Fields:
    """Joins the fields of a row; astropy's own class strips blanks and leaves ``#``, which begins a comment."""

    delimiter: Final = " "

    def join(self, values: Sequence[str]) -> str:
        """Return a line; in quotation marks whatever a reader could take for something else."""
        return self.delimiter.join(_quoted(value) if _UNCLEAR.search(value) else value for value in values)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def open_sink(plan: WritePlan) -> Sink:
    """Open an ECSV file for writing."""
    return EcsvSink(plan)
