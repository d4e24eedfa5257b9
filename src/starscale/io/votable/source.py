"""Reading VOTable files of every version and serialisation.

One pass over the document finds damage and counts rows (`document`); the rows of one table are then decoded in
chunks (`tabledata`, `binary`). A FITS file within a document is read whole by the reader of FITS.
"""

from __future__ import annotations

import binascii
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.parsers import expat

import polars as pl

from starscale.io.fits.source import open_source as open_fits
from starscale.io.fits.text import from_card
from starscale.io.packed import is_packed
from starscale.io.table import (
    CHUNK_ROWS,
    Doubt,
    OtherTables,
    Source,
    describe,
    refuse_many_columns,
    repeated_names,
    unique_names,
)
from starscale.io.votable.binary import Decoder
from starscale.io.votable.cells import Cells, cells_of
from starscale.io.votable.choice import chosen_table, cut_off, listed
from starscale.io.votable.document import Attributes, DamagedError, TableElement, VotableDocument, scan, scan_text
from starscale.io.votable.position import epoch_of, frame_of, notes_on_times, position_system
from starscale.io.votable.stream import encodings, stream_bytes, stream_size
from starscale.io.votable.tabledata import CellError, RowReader
from starscale.io.whole import WholeSource
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM
from starscale.vocabulary.errors import InputError, Problem

_REFUSED = (OSError, EOFError, ValueError, binascii.Error, zlib.error, expat.ExpatError, pl.exceptions.PolarsError)
#: Elements of vectors in a small file, and beyond these for each byte of a file, plain and packed.
_MOST_ELEMENTS, _PER_BYTE, _PER_PACKED_BYTE = 1 << 25, 64, 160
#: Rows are not decoded in smaller pieces.
_LEAST_ROWS = 1024


class VotableSource(Source):
    """A table whose rows are read on demand."""

    def __init__(self, document: VotableDocument, table: TableElement) -> None:
        self.path = document.path
        self.format = "votable"
        self._document = document
        self._table = table
        refuse_many_columns(self.path, len(table.fields))
        self._cells = cells_of(self.path, table)
        if not self._cells:
            raise InputError(Problem(str(self.path), "has a table without columns", "a TABLE with FIELD elements"))
        self.schema = pl.Schema({item.name: item.dtype for item in self._cells})
        self._decoder: Decoder | None = None
        self._rows = table.rows
        if table.kind.startswith("BINARY"):
            self._decoder, self._rows = _binary(document, table)
        else:
            _check_vectors(self.path, self._cells, self._rows)
        _check_rows(table, self._rows)
        _describe(self, document, table)

    @property
    def n_rows(self) -> int:
        """Number of rows, counted when the file was opened."""
        return self._rows

    def lazy(self) -> pl.LazyFrame:
        """Return the table, read into memory, as a lazy frame."""
        return self.read().lazy()

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read about `rows` rows at a time."""
        rows = max(rows, _LEAST_ROWS)
        try:
            if self._decoder is not None:
                for block, found in self._decoder.split(stream_bytes(self._document, self._table), rows):
                    yield self._decoder.decode(block, found, columns)
            elif self._table.kind:
                reader = RowReader(self._cells, self._document.encoding)
                yield from reader.frames(self._document.blocks(self._table), rows, columns)
        except _REFUSED as error:
            raise _damaged(self.path, error) from error


def open_source(path: Path, part: str | None) -> Source:
    """Open a table of a VOTable: `part` is its name, ID or number; default: the first of the results with data.

    Raises
    ------
    InputError
        The document is damaged, is an error message of a service, has no such table, or keeps its rows elsewhere.
    """
    try:
        document = scan(path)
        table = chosen_table(document, part)
        _refuse_elsewhere(path, table)
        return _fits_inside(document, table) if table.kind == "FITS" else VotableSource(document, table)
    except _REFUSED as error:
        raise _damaged(path, error) from error


def tables(path: Path) -> Iterator[tuple[str, str]]:
    """Yield number and name of every table of results in a document; see :func:`open_source` for errors."""
    try:
        document = scan(path)
    except _REFUSED as error:
        raise _damaged(path, error) from error
    for number, name, table in listed(document):
        # Services describe further services in tables of their own.
        if table.kind and table.resource != "meta":
            yield str(number), name


def described_fields(text: str) -> dict[str, dict[str, str]]:
    """Return unit, UCD and description by column from a VOTable without rows; an empty dict if it is damaged."""
    try:
        tables = scan_text(text).tables
    except (DamagedError, InputError):
        return {}
    return _known(tables[0]) if tables else {}


def _refuse_elsewhere(path: Path, table: TableElement) -> None:
    """Rows in another file are never fetched: a document could name any file of this machine, or any address."""
    where = table.stream.get("href")
    if table.kind == "PARQUET":
        fix = "Read the Parquet file itself."
        found = f"has its rows in a Parquet file{f', {where}' if where else ''}"
        raise InputError(Problem(str(path), found, "a VOTable that holds its rows", fix))
    if where is not None:
        fix = "Files and addresses that a document names are never opened: ask for the rows within the document."
        raise InputError(
            Problem(str(path), f"has its rows elsewhere ({where})", "a VOTable that holds its rows", fix)
        )
    unknown = set(encodings(table)) - {"base64", "gzip", "none"}
    if table.stream and unknown:
        found = f"has its rows in the encoding {table.stream['encoding']!r}"
        raise InputError(Problem(str(path), found, "base64 or gzip", "Ask the archive for another serialisation."))


def _binary(document: VotableDocument, table: TableElement) -> tuple[Decoder, int]:
    """Return the decoder of binary rows, and their number."""
    cells = cells_of(document.path, table)
    bits = table.kind == "BINARY2"
    decoder = Decoder(cells, bits=bits)
    try:
        rows = _count(decoder, document, table)
        if not decoder.ambiguous or table.stated_rows in (None, rows):
            return decoder, rows
    except DamagedError:
        if not decoder.ambiguous:
            raise
    decoder = Decoder(cells, bits=bits, by_item=True)
    return decoder, _count(decoder, document, table)


def _count(decoder: Decoder, document: VotableDocument, table: TableElement) -> int:
    if record := decoder.record:
        size = stream_size(document, table)
        if size % record:
            raise DamagedError(f"its rows take {record} bytes each, and there are {size}")
        return size // record
    return sum(rows.number for _, rows in decoder.split(stream_bytes(document, table), CHUNK_ROWS))


def _check_rows(table: TableElement, rows: int) -> None:
    if table.stated_rows not in (None, rows):
        raise DamagedError(f"nrows says {table.stated_rows:,} rows, and there are {rows:,}")


def _check_vectors(path: Path, cells: Sequence[Cells], rows: int) -> None:
    """Refuse vectors that are far larger than the file: their cells are empty, and each stands for many nulls."""
    elements = sum(item.elements for item in cells if item.shape)
    per_byte = _PER_PACKED_BYTE if is_packed(path) else _PER_BYTE
    if elements * max(rows, 1) > _MOST_ELEMENTS + per_byte * path.stat().st_size:
        raise DamagedError(f"its vectors have {elements:,} elements in a row, far more than the file holds")


def _counted(rows: int) -> str:
    """Return a number of rows in words."""
    return f"{rows:,} row{'s' * (rows != 1)}"


def _describe(source: Source, document: VotableDocument, table: TableElement) -> None:
    """Set descriptions, metadata, notes, frame and epoch of a source whose schema and rows are known."""
    if table.fields:
        source.columns = describe(source.schema, _known(table))
    system = position_system(document, table, list(source.schema), source.columns, source.schema)
    source.frame, source.epoch = frame_of(system), epoch_of(system)
    source.metadata = _metadata(document, table) | _stated(system)
    source.part = next(iter(table.names), "")
    source.notes = tuple(_notes(source, document, table))


def _metadata(document: VotableDocument, table: TableElement) -> dict[str, str]:
    outside = (info for scope in document.scopes if scope.kind != "TABLE" for info in scope.infos)
    infos = (*outside, *table.scopes[-1].infos)
    found = {info.name: from_card(info.value) for info in infos if info.name}
    if cut_off(table).startswith("QUERY_STATUS"):
        # The same element before the table says OK.
        found["QUERY_STATUS"] = "OVERFLOW"
    return found


def _stated(system: Attributes) -> dict[str, str]:
    pairs = {POSITION_SYSTEM: frame_of(system), POSITION_EPOCH: system.get("epoch", "")}
    return {key: text for key, text in pairs.items() if text} if pairs[POSITION_SYSTEM] else {}


def _known(table: TableElement) -> dict[str, dict[str, str]]:
    names = unique_names(item.name for item in table.fields)
    return {
        name: {
            "unit": item.attributes.get("unit", ""),
            "ucd": item.attributes.get("ucd", ""),
            "description": item.description,
        }
        for name, item in zip(names, table.fields, strict=True)
    }


def _notes(source: Source, document: VotableDocument, table: TableElement) -> list[str]:
    names = list(source.schema)
    notes = [*repeated_names([item.name for item in table.fields], names), *notes_on_times(document, table, names)]
    notes.append(_note_on_others(document, table))
    if said := cut_off(table):
        whole = f"the service cut the table off after {_counted(source.n_rows)} ({said}): it is not whole"
        notes.insert(0, Doubt(whole))
    return [note for note in notes if note]


def _note_on_others(document: VotableDocument, table: TableElement) -> str:
    others = [
        f"{f'#{number} {name}'.strip()} ({_rows_in(document, other)})"
        for number, name, other in listed(document)
        if other is not table and other.kind
    ]
    how = "choose one with FILE#NAME or FILE#NUMBER"
    said = f"the file has other tables, which are not read: {', '.join(others)}; {how}" if others else ""
    return OtherTables(said)


def _rows_in(document: VotableDocument, table: TableElement) -> str:
    if "href" in table.stream:
        return "rows in another file"
    rows = table.stated_rows
    if table.kind == "TABLEDATA":
        rows = table.rows
    elif rows is None and table.kind.startswith("BINARY"):
        try:
            rows = _binary(document, table)[1]
        except _REFUSED:
            rows = None
    return "rows not counted" if rows is None else _counted(rows)


def _fits_inside(document: VotableDocument, table: TableElement) -> Source:
    """Read a FITS file within the document; columns are named and described by the FIELDs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inside.fits"
        with path.open("wb") as file:
            for block in stream_bytes(document, table):
                file.write(block)
        try:
            inside = open_fits(path, table.data.get("extnum"))
            frame, about = inside.read(), inside.columns
        except InputError as error:
            reasons = "; ".join(problem.found for problem in error.problems)
            raise InputError(Problem(str(document.path), f"holds a FITS file that {reasons}")) from None
    fields = [item.name for item in cells_of(document.path, table)]
    if fields and len(fields) != frame.width:
        raise DamagedError(f"it describes {len(fields)} columns, and the FITS file in it has {frame.width}")
    if fields:
        frame.columns = fields
    _check_rows(table, frame.height)
    source = WholeSource(document.path, "votable", frame, about, {})
    _describe(source, document, table)
    if not source.frame:
        source.frame, source.epoch = inside.frame, inside.epoch
    return source


def _damaged(path: Path, error: Exception) -> InputError:
    if isinstance(error, CellError):
        fix = "The file contradicts itself: correct it, or ask the archive for it again."
        return InputError(Problem(str(path), f"has {error.text!r} in {error.where}", error.expected, fix))
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    fix = "It was probably cut short, or the program that wrote it is at fault: make or download it again."
    return InputError(Problem(str(path), f"is a damaged VOTable ({reason})", fix=fix))
