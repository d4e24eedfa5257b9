"""Reading VOTable files of every serialisation.

TABLEDATA, and BINARY and BINARY2 in base64, are read in chunks: astropy parses the document with some rows at a
time, or the rows are decoded here. A table with vectors of varying length, or with its data in FITS, is read whole
by astropy.
"""

from __future__ import annotations

import binascii
import io
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import polars as pl
from astropy.io import votable
from astropy.io.votable.exceptions import VOTableSpecError
from astropy.io.votable.tree import Field, TableElement, VOTableFile
from astropy.utils.exceptions import AstropyWarning

from starscale.io.astropy_tables import from_astropy
from starscale.io.fits.text import from_card
from starscale.io.table import CHUNK_ROWS, Source, describe, unique_names
from starscale.io.units import unit_text
from starscale.io.votable.layout import DamagedError, VotableLayout, layout_of
from starscale.io.votable.rows import Cells, Decoder, VotableRows, cells_of
from starscale.io.whole import WholeSource
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM, Column
from starscale.vocabulary.errors import InputError, Problem

_REFUSED = (VOTableSpecError, OSError, EOFError, ValueError, TypeError, IndexError)
_TEXTS = ("char", "unicodeChar")
#: Most bytes that are decoded at a time.
_MOST_BYTES = 64 << 20


class VotableSource(Source):
    """A table whose rows are read on demand."""

    def __init__(
        self, path: Path, layout: VotableLayout, document: VOTableFile, fields: Sequence[Cells] | None
    ) -> None:
        self.path = path
        self.format = "votable"
        self._layout = layout
        self._decoder = None if fields is None else Decoder(fields, bits=layout.kind == "BINARY2")
        table = document.get_first_table()
        if fields is None:
            self.schema = _frame(table).schema
        else:
            self.schema = pl.Schema({item.name: item.dtype for item in fields})
        self.columns, self.metadata = _described(document, table, self.schema)
        self._rows = layout.rows
        if self._decoder is not None and (record := self._decoder.record):
            self._rows = layout.size // record
            if layout.size % record:
                raise DamagedError(f"its rows take {record} bytes each, and there are {layout.size}")
        elif self._decoder is not None:
            self._rows = sum(rows.number for _, rows in _found(self._decoder, layout.blocks(path), CHUNK_ROWS))

    @property
    def n_rows(self) -> int:
        """Number of rows, counted when the file was opened."""
        return self._rows

    def lazy(self) -> pl.LazyFrame:
        """Return the table, read into memory, as a lazy frame."""
        return self.read().lazy()

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read about `rows` rows at a time."""
        try:
            if self._decoder is None:
                yield from self._parsed(rows, columns)
                return
            for block, found in _found(self._decoder, self._layout.blocks(self.path), rows):
                yield self._decoder.decode(block, found, columns)
        except (*_REFUSED, pl.exceptions.PolarsError) as error:
            raise _damaged(self.path, error) from error

    def _parsed(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Parse rows of TABLEDATA in small documents, each with the head and the tail of the whole document."""
        layout = self._layout
        held: list[bytes] = []
        count = 0
        rest = b""
        for block in layout.blocks(self.path):
            rest += block
            start = 0
            for end in layout.close_row.finditer(rest):
                held.append(rest[start : end.end()])
                start, count = end.end(), count + 1
                if count == rows:
                    yield self._piece(b"".join(held), columns)
                    held, count = [], 0
            rest = rest[start:]
        if rest.strip() or count:
            yield self._piece(b"".join([*held, rest]), columns)

    def _piece(self, rows: bytes, columns: Sequence[str]) -> pl.DataFrame:
        document = _parse(self._layout.head + rows + self._layout.tail)
        frame = _frame(document.get_first_table()).select(columns)
        return frame.cast({name: self.schema[name] for name in columns})


def open_source(path: Path, part: str | None) -> Source:
    """Read the first table of a VOTable file.

    Raises
    ------
    InputError
        The XML is damaged, the document is an error message of a service, or it has no table.
    """
    if part is not None:
        raise InputError(
            Problem(f"{path}#{part}", "only the first table of a VOTable is read", fix=f"Leave out '#{part}'.")
        )
    try:
        layout = layout_of(path)
        # Without its rows if they can be read in chunks, else whole.
        document = _parse(path if layout is None else layout.head + layout.tail)
        _refuse_error(path, document)
        table = _first_table(path, document)
        if layout is not None:
            in_pieces, fields = _in_pieces(layout, table)
            if in_pieces:
                return VotableSource(path, layout, document, fields)
            document = _parse(path)
            table = _first_table(path, document)
        frame = _frame(table)
    except _REFUSED as error:
        raise _damaged(path, error) from error
    return WholeSource(path, "votable", frame, *_described(document, table, frame.schema))


def _first_table(path: Path, document: VOTableFile) -> TableElement:
    tables = (table for table in document.iter_tables() if not table.is_empty() or table.fields)
    first = next(tables, None)
    if first is None:
        raise InputError(Problem(str(path), "is a VOTable document without a table", "a TABLE element"))
    return first


def _in_pieces(layout: VotableLayout, table: TableElement) -> tuple[bool, list[Cells] | None]:
    """Whether rows can be decoded in pieces, and the decoders of the columns of binary rows."""
    if layout.kind == "TABLEDATA":
        return _even(table.fields), None
    fields = _decodable(table.fields)
    return fields is not None, fields


def _parse(source: Path | bytes) -> VOTableFile:
    with warnings.catch_warnings():
        # Most archives deviate from the standard in small ways.
        warnings.simplefilter("ignore", AstropyWarning)
        return votable.parse(io.BytesIO(source) if isinstance(source, bytes) else str(source), verify="ignore")


def _frame(table: TableElement) -> pl.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        frame, _, _ = from_astropy(table.to_table(use_names_over_ids=True))
    return frame.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)).name.keep())


def _described(
    document: VOTableFile, table: TableElement, schema: pl.Schema
) -> tuple[dict[str, Column], dict[str, str]]:
    metadata = {
        str(info.name): from_card(str(info.value))
        for home in (document, *document.resources, table)
        for info in home.infos
        if info.name
    }
    return describe(schema, _known(table)), metadata | _position_system(document, table)


def _position_system(document: VOTableFile, table: TableElement) -> dict[str, str]:
    """System and epoch of the positions, from the COOSYS that a column refers to."""
    wanted = {str(item.ref) for item in table.fields if item.ref}
    systems = (system for home in (document, *document.resources) for system in home.coordinate_systems)
    chosen = next((system for system in systems if system.ID in wanted), None)
    if chosen is None or not chosen.system:
        return {}
    about = {POSITION_SYSTEM: str(chosen.system)}
    if chosen.epoch:
        about[POSITION_EPOCH] = str(chosen.epoch)
    return about


def _decodable(fields: Sequence[Field]) -> list[Cells] | None:
    """Describe columns that can be decoded here; None if there are others."""
    names = unique_names(str(field.name or field.ID or "") for field in fields)
    found = [
        cells_of(name, str(field.datatype), field.arraysize, field.values.null)
        for name, field in zip(names, fields, strict=True)
    ]
    return None if None in found else [item for item in found if item is not None]


def _even(fields: Sequence[Field]) -> bool:
    """Return whether the type of every column is known without reading the rows."""
    return all(
        "*" not in str(field.arraysize or "") or (field.datatype in _TEXTS and "x" not in str(field.arraysize))
        for field in fields
    )


def _found(decoder: Decoder, blocks: Iterator[bytes], most: int) -> Iterator[tuple[bytes, VotableRows]]:
    """Find rows in a base64 text, about `most` at a time; yield them with the bytes that begin with them."""
    held = b""
    for block in chain(_bytes(blocks), [b""]):
        held += block
        # Wait until there are enough bytes for a chunk, or the text ends.
        if block and len(held) < min(most * decoder.record, _MOST_BYTES):
            continue
        while (rows := decoder.find(held, most)).number:
            yield held, rows
            held = held[rows.end :]
    if held:
        raise DamagedError("its last row is incomplete")


def _bytes(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode base64 in chunks."""
    held = b""
    for block in blocks:
        held += block.translate(None, b" \t\r\n")
        whole = len(held) - len(held) % 4
        if whole:
            yield binascii.a2b_base64(held[:whole], strict_mode=True)
        held = held[whole:]
    if held:
        raise DamagedError("its base64 text is cut short")


def _damaged(path: Path, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()
    fix = "It was probably cut short: download it again."
    found = f"is a damaged VOTable ({reason[0] if reason else type(error).__name__})"
    return InputError(Problem(str(path), found, fix=fix))


def described_fields(document: str) -> dict[str, dict[str, str]]:
    """Return unit, UCD and description by column from a VOTable without data; an empty dict if it is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            return _known(votable.parse(io.BytesIO(document.encode()), verify="ignore").get_first_table())
    except (VOTableSpecError, AstropyWarning, ValueError, TypeError, IndexError):
        return {}


def _known(table: TableElement) -> dict[str, dict[str, str]]:
    names = unique_names(str(field.name or field.ID or "") for field in table.fields)
    return {
        name: {
            "unit": unit_text(field.unit),
            "ucd": str(field.ucd or ""),
            "description": " ".join(str(field.description or "").split()),
        }
        for name, field in zip(names, table.fields, strict=True)
    }


def _refuse_error(path: Path, document: votable.tree.VOTableFile) -> None:
    """Services report failures as a VOTable with QUERY_STATUS = ERROR (DALI 1.1, section 4.4)."""
    for resource in document.resources:
        for info in resource.infos:
            if info.name == "QUERY_STATUS" and str(info.value).upper() == "ERROR":
                said = " ".join(str(info.content or "no reason given").split())
                fix = "Correct the query and send it again."
                raise InputError(Problem(str(path), f"is an error message of the archive: {said}", "a table", fix))
