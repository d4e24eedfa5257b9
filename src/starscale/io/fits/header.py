"""Tables of FITS files: the place of their records, and the format of each column.

FITS 4.0, section 7.3: a record of NAXIS1 bytes holds the columns one after the other, big-endian. Lines of ASCII
tables (section 7.2) have a place for every column. A column-oriented table of TOPCAT has one record, which holds
all cells of the first column, then those of the second.

astropy parses the cards; columns and extensions are read from them here. ``BinTableHDU.columns`` gives the same on
sound files, but it is slower (by an order of magnitude for a packed file); on damaged headers it raises errors of
many kinds (IndexError, AttributeError, ...) and accepts some files that contradict themselves.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import polars as pl
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from starscale.io.fits.cards import BLOCK, HeaderUnit, damaged, headers, whole
from starscale.io.fits.characters import CharacterField, character_field_of
from starscale.io.fits.field import FitsField, field_of
from starscale.io.fits.text import from_card
from starscale.io.packed import DAMAGE, is_packed, open_packed
from starscale.io.table import unique_names
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean

_MOST_FIELDS = 999
#: Number of columns where there are more.
_EXTENDED = "XT_NCOL"
_MOST_EXTENDED = 32_767
#: Most cells that take no byte of the file, and beyond these for each byte of the rows; the header of a damaged or
#: hostile file could state any number of them.
_MOST_EMPTY, _EMPTY_PER_BYTE = 10_000_000, 100
#: Most tables of a file that are listed.
_MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class FitsTable:
    """A table extension.

    `record` is the number of bytes of a row, `heap` the place of the cells of varying length in the data. `names`
    are the names of the columns as the header states them. Where the table is `columnar`, the first cell of each
    column is at the offset of its field, and the others follow it.
    """

    unit: HeaderUnit
    record: int
    rows: int
    heap: int
    heap_size: int
    packed: bool
    columnar: bool
    names: tuple[str, ...]
    fields: tuple[FitsField | CharacterField, ...]

    @property
    def header(self) -> fits.Header:
        """The cards."""
        return self.unit.cards

    @property
    def data(self) -> int:
        """Byte offset of the first row."""
        return self.unit.data

    @property
    def alike(self) -> int:
        """Length of the columns where all are vectors of one length in one row; else 0."""
        shapes = {field.shape[:1] for field in self.fields if isinstance(field, FitsField)}
        return shapes.pop()[0] if self.rows == 1 and len(shapes) == 1 and () not in shapes else 0

    @property
    def end(self) -> int:
        """Byte offset of the first byte after the data."""
        return self.unit.data + self.unit.size


def find_table(path: Path, part: str | None) -> tuple[FitsTable, HeaderUnit]:
    """Find a table: the first, or the one with the number or name `part`. Return it with the primary header.

    Raises
    ------
    InputError
        There is no such table, or the file ends too early or contradicts itself.
    """
    seen: list[HeaderUnit] = []
    try:
        with open_packed(path) as file:
            for unit in headers(path, file):
                seen.append(unit)
                if not _is_wanted(part, unit):
                    continue
                if unit.is_table:
                    return _table(path, unit, seen[0].cards), seen[0]
                found = f"is an extension of kind {unit.kind}"
                raise InputError(Problem(f"{path}#{part}", found, "a table (BINTABLE or TABLE)"))
    except (OSError, *DAMAGE, ValueError, TypeError, KeyError) as error:
        raise InputError(damaged(path, str(error))) from error
    shown = "; ".join(f"{unit.number} {unit.name or unit.kind}" for unit in seen)
    if part is not None:
        fix = did_you_mean(part, [unit.name or unit.kind for unit in seen])
        raise InputError(Problem(f"{path}#{part}", "no such extension", f"one of: {shown}", fix))
    raise InputError(
        Problem(str(path), f"has no table (it holds: {shown})", "a BINTABLE or TABLE extension", "Is it an image?")
    )


def other_tables(path: Path, number: int) -> Iterator[str]:
    """Yield number, name and rows of every table but the one with `number`, as far as the file is sound."""
    try:
        with open_packed(path) as file:
            for count, unit in enumerate(headers(path, file)):
                if count == _MOST_LISTED:
                    yield "..."
                    return
                if unit.is_table and unit.number != number:
                    name = f" {unit.name}" if unit.name else ""
                    yield f"#{unit.number}{name} ({whole(unit.cards, 'NAXIS2', 0)} rows)"
    except (InputError, OSError, *DAMAGE, ValueError, TypeError, KeyError):
        yield "... (what follows is damaged)"


def tables(path: Path) -> Iterator[tuple[str, str]]:
    """Yield number and name of every table of a file.

    Raises
    ------
    InputError
        The file is damaged.
    """
    try:
        with open_packed(path) as file:
            for unit in headers(path, file):
                if unit.is_table:
                    yield str(unit.number), unit.name
    except (OSError, *DAMAGE, ValueError, TypeError, KeyError) as error:
        raise InputError(damaged(path, str(error))) from error


def refuse_more(path: Path, file: IO[bytes], table: FitsTable) -> bytes:
    """Refuse a file in which a table is followed by anything but padding or the next extension.

    Returns
    -------
    bytes
        The padding.

    Raises
    ------
    InputError
        More rows follow than the header states.
    """
    file.seek(table.end)
    rest = file.read((table.data - table.end) % BLOCK)
    following = file.read(BLOCK)
    # Some programs fill the last block with arbitrary bytes: only room for a whole row can hide a row.
    rows = len(rest) >= table.record and rest.strip(b"\0 ") != b""
    if rows or not (following.startswith(b"XTENSION") or following.strip(b"\0 \r\n") == b""):
        found = f"NAXIS2 says {table.rows} rows, and more data follow them"
        fix = "The program that wrote it was interrupted, or is at fault: make it again."
        raise InputError(damaged(path, found, fix))
    return rest


def _is_wanted(part: str | None, unit: HeaderUnit) -> bool:
    if part is None:
        return unit.is_table
    return part == str(unit.number) or (unit.name != "" and part.lower() == unit.name.lower())


def _table(path: Path, unit: HeaderUnit, primary: fits.Header) -> FitsTable:
    unit = replace(unit, cards=_extended(unit.cards))
    header = unit.cards
    if header.get("ZTABLE", False):
        fix = "Unpack it with funpack first."
        raise InputError(Problem(str(path), "holds a tile-compressed table", "a plain binary table", fix))
    if (axes := whole(header, "NAXIS")) != 2:
        raise ValueError(f"NAXIS = {axes}, expected 2 for a table")
    record, rows = whole(header, "NAXIS1"), whole(header, "NAXIS2")
    names, fields = _fields(path, header, record)
    empty = sum(not field.width for field in fields)
    if rows * empty > _MOST_EMPTY + _EMPTY_PER_BYTE * rows * record:
        raise ValueError(f"{rows:,} rows of {empty} columns without a byte")
    heap = whole(header, "THEAP", record * rows)
    heap_size = record * rows + whole(header, "PCOUNT", 0) - heap
    packed = is_packed(path)
    table = FitsTable(unit, record, rows if fields else 0, heap, heap_size, packed, False, names, fields)
    # The end of a packed file is known only after it has been read.
    if not packed:
        _check_end(path, table)
    return _columnar(table, primary) or table


def _columnar(table: FitsTable, primary: fits.Header) -> FitsTable | None:
    """Return a table of one row as the rows that its columns hold; None if it is not column-oriented."""
    rows = table.alike
    if not rows or not _is_columnar(table, primary):
        return None
    fields = [field.divided(rows) for field in table.fields if isinstance(field, FitsField)]
    found = tuple(field for field in fields if field is not None)
    return replace(table, rows=rows, fields=found, columnar=True) if len(found) == len(fields) else None


def _is_columnar(table: FitsTable, primary: fits.Header) -> bool:
    """Whether a table of one row of vectors of one length is column-oriented.

    TOPCAT marks such tables (``colfits``). Without the mark they are recognised by the dimensions (1,rows) of
    a column of numbers, and (..., rows) of all: other programs have no reason to state these.
    """
    header = table.header
    if header.get("COLFITS") is False:
        return False
    if primary.get("COLFITS") is True or "ColFits" in str(header.get("STILCLAS", "")):
        return True
    one_number = any(field.shape == (table.alike, 1) for field in table.fields if isinstance(field, FitsField))
    every_tdim = all(f"TDIM{i}" in header for i in range(1, len(table.fields) + 1))
    return one_number and every_tdim and len(table.fields) > 1 and table.alike > 1


def _extended(header: fits.Header) -> fits.Header:
    """Return a header with the columns beyond 999, which TOPCAT keeps in the last one.

    It describes them with keywords ``XT TTYPE1000`` and the like, from the number of the last column on (XT_ICOL).
    """
    if _EXTENDED not in header:
        return header
    extended = header.copy()
    for card in header.cards:
        if re.fullmatch(rf"T[A-Z]+{whole(header, 'XT_ICOL')}", str(card.keyword)):
            del extended[card.keyword]
    with warnings.catch_warnings():
        # These keywords are longer than the standard allows.
        warnings.simplefilter("ignore", AstropyWarning)
        for card in header.cards:
            keyword = str(card.keyword)
            if keyword.startswith("XT T"):
                extended[keyword.removeprefix("XT ")] = card.value
                del extended[keyword]
    extended["TFIELDS"] = header[_EXTENDED]
    return extended


def _check_end(path: Path, table: FitsTable) -> None:
    length = path.stat().st_size
    if length < table.end:
        rows = (length - table.data) // table.record if table.record else 0
        raise InputError(damaged(path, f"NAXIS2 says {table.rows} rows, the file ends after {rows}"))
    with path.open("rb") as file:
        refuse_more(path, file, table)


def _fields(
    path: Path, header: fits.Header, record: int
) -> tuple[tuple[str, ...], tuple[FitsField | CharacterField, ...]]:
    """Return the names that the header states, and the columns."""
    count = whole(header, "TFIELDS", 0)
    most = _MOST_EXTENDED if _EXTENDED in header else _MOST_FIELDS
    if count > most:
        raise ValueError(f"TFIELDS = {count}, expected at most {most}")
    given = tuple(from_card(str(header.get(f"TTYPE{i}", ""))).strip() for i in range(1, count + 1))
    names = unique_names(given)
    if str(header.get("XTENSION")).strip() == "TABLE":
        return given, _character_fields(path, header, names, record)
    fields: list[FitsField] = []
    problems = Problems()
    offset = 0
    for i, name in enumerate(names, 1):
        field = field_of(header, i, name, offset)
        if field is None:
            form = str(header.get(f"TFORM{i}", ""))
            problems.add(f"{path}, column {name!r}", f"TFORM{i} = {form!r}", "a format of FITS binary tables")
            continue
        fields.append(field)
        offset += field.width
    problems.raise_if_any()
    if offset != record:
        raise InputError(damaged(path, f"its columns take {offset} bytes of a row, NAXIS1 says {record}"))
    return given, tuple(fields)


def _character_fields(
    path: Path, header: fits.Header, names: list[str], record: int
) -> tuple[CharacterField, ...]:
    fields: list[CharacterField] = []
    problems = Problems()
    for i, name in enumerate(names, 1):
        field = character_field_of(header, i, name)
        if field is None:
            found = f"TFORM{i} = {header.get(f'TFORM{i}')!r}, TBCOL{i} = {header.get(f'TBCOL{i}')!r}"
            problems.add(f"{path}, column {name!r}", found, "a format and a place of FITS ASCII tables")
        elif field.offset + field.width > record:
            found = f"ends at character {field.offset + field.width} of a row, NAXIS1 says {record}"
            problems.add(f"{path}, column {name!r}", found)
        else:
            fields.append(field)
    problems.raise_if_any()
    return tuple(fields)


def schema_of(table: FitsTable) -> pl.Schema:
    """Return names and types of the columns."""
    return pl.Schema({field.name: field.dtype for field in table.fields})
