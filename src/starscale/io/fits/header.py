"""Headers of FITS binary tables: the place of the records, and the format of each column.

FITS 4.0, section 7.3: a record of NAXIS1 bytes holds the columns one after the other, big-endian.

astropy parses the cards; columns and extensions are read from them here. ``BinTableHDU.columns`` gives the same on
sound files, but it is slower (by an order of magnitude for a packed file); on damaged headers it raises errors of
many kinds (IndexError, AttributeError, ...) and accepts some files that contradict themselves.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import IO

import polars as pl
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from starscale.io.fits.text import from_card
from starscale.io.packed import DAMAGE, is_packed, open_packed
from starscale.io.table import unique_names
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean

BLOCK = 2880
_MOST_AXES = 999
_FORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?)")
#: Bytes of one element; bits (X) are packed, eight in a byte.
BYTES = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_TYPES: dict[str, pl.DataType] = {
    "L": pl.Boolean(),
    "X": pl.Boolean(),
    "B": pl.UInt8(),
    "I": pl.Int16(),
    "J": pl.Int32(),
    "K": pl.Int64(),
    "E": pl.Float32(),
    "D": pl.Float64(),
    "C": pl.Float32(),
    "M": pl.Float64(),
}
#: Types of integers that FITS stores with an offset (TZERO).
OFFSETS: dict[tuple[str, int], pl.DataType] = {
    ("B", -(2**7)): pl.Int8(),
    ("I", 2**15): pl.UInt16(),
    ("J", 2**31): pl.UInt32(),
    ("K", 2**63): pl.UInt64(),
}
_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|TFIELDS|THEAP|CHECKSUM|DATASUM|LONGSTRN|CONTINUE"
    r"|COMMENT|HISTORY|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM|COMM|UCD|UTYP|BCOL)\d+|MKEY\d+|MVAL\d+|"
)


@dataclass(frozen=True, slots=True)
class FitsField:
    """Storage of one column: code and repeat count (TFORM), offset and width in the record (bytes), cell shape."""

    name: str
    code: str
    repeat: int
    offset: int
    width: int
    shape: tuple[int, ...]
    null: int | None
    scale: float
    zero: float
    #: Code of the elements of a column of varying length (P, Q), whose cells lie in the heap.
    element: str = ""

    @property
    def base(self) -> str:
        """Code of the elements."""
        return self.element or self.code

    @property
    def scaled(self) -> bool:
        """Whether values are floats: zero + scale * stored number."""
        return (self.scale, self.zero) != (1.0, 0.0) and self.unsigned is None and self.base not in "LXA"

    @property
    def unsigned(self) -> pl.DataType | None:
        """Type of an integer column that is stored with an offset."""
        if self.scale != 1.0 or self.zero != int(self.zero):
            return None
        return OFFSETS.get((self.base, int(self.zero)))

    @property
    def element_dtype(self) -> pl.DataType:
        """Type of one element."""
        if self.base == "A":
            return pl.String()
        if self.scaled:
            return pl.Float64()
        return self.unsigned or _TYPES[self.base]

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column."""
        if self.code in "PQ":
            return pl.String() if self.base == "A" else pl.List(self.element_dtype)
        return pl.Array(self.element_dtype, self.shape) if self.shape else self.element_dtype


@dataclass(frozen=True, slots=True)
class FitsTable:
    """A binary table extension.

    `data`, `heap` and `end` are byte offsets in the file, or in the unpacked file when it is `packed` with gzip;
    `record` is the number of bytes of a row.
    """

    header: fits.Header
    data: int
    record: int
    rows: int
    heap: int
    heap_size: int
    end: int
    packed: bool
    fields: tuple[FitsField, ...]


def find_table(path: Path, part: str | None) -> FitsTable:
    """Find a binary table: the first, or the one with the number or name `part`.

    Raises
    ------
    InputError
        There is no such table, or the file ends too early or contradicts itself.
    """
    names = []
    try:
        with open_packed(path) as file:
            for number, header in _headers(path, file):
                name = str(header.get("EXTNAME", "")).strip()
                kind = str(header.get("XTENSION", "PRIMARY")).strip()
                names.append(name or kind)
                is_table = kind in ("BINTABLE", "A3DTABLE") and not header.get("ZIMAGE", False)
                if not _is_wanted(part, number, name, is_table):
                    continue
                if is_table:
                    return _table(path, header, file.tell())
                found = f"is an extension of kind {kind}"
                raise InputError(Problem(f"{path}#{part}", found, "a binary table (BINTABLE)"))
    except (OSError, *DAMAGE, ValueError, TypeError, KeyError) as error:
        raise InputError(damaged(path, str(error))) from error
    shown = "; ".join(f"{number} {name}" for number, name in enumerate(names))
    if part is not None:
        fix = did_you_mean(part, names)
        raise InputError(Problem(f"{path}#{part}", "no such extension", f"one of: {shown}", fix))
    raise InputError(
        Problem(str(path), f"has no binary table (it holds: {shown})", "a BINTABLE extension", "Is it an image?")
    )


def damaged(
    path: Path, reason: str, fix: str = "It was probably cut short: make or download it again."
) -> Problem:
    """Describe a file that ends too early or contradicts itself."""
    return Problem(str(path), f"is a damaged FITS file ({reason})", fix=fix)


def refuse_more(path: Path, file: IO[bytes], table: FitsTable) -> None:
    """Refuse a file in which a table is followed by anything but padding or the next extension.

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


def _is_wanted(part: str | None, number: int, name: str, is_table: bool) -> bool:
    if part is None:
        return is_table
    return part == str(number) or (name != "" and part.lower() == name.lower())


def _headers(path: Path, file: IO[bytes]) -> Iterator[tuple[int, fits.Header]]:
    """Yield the number and the header of every extension, with the file at the first byte of its data."""
    for number in count():
        start = file.tell()
        first = file.read(BLOCK)
        # Some archives pad the end of a file with zeros.
        if number and not first.strip(b"\0 "):
            return
        file.seek(start)
        header = _header(path, file, number)
        data = file.tell()
        yield number, header
        size = _data_size(header)
        file.seek(data + size + -size % BLOCK)


def _header(path: Path, file: IO[bytes], number: int) -> fits.Header:
    with warnings.catch_warnings():
        # Cards that break the standard in other ways do not matter here.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            header = fits.Header.fromfile(file)
            # Raises an error for cards that cannot be parsed.
            header.tostring()
        except (OSError, EOFError, ValueError) as error:
            raise InputError(damaged(path, f"header {number}: {error}")) from error
    return header


def _data_size(header: fits.Header) -> int:
    """Return the bytes of data after a header: BITPIX / 8 * GCOUNT * (PCOUNT + NAXIS1 * NAXIS2 * ...)."""
    axes = [_whole(header, f"NAXIS{i}", 0) for i in range(1, min(_whole(header, "NAXIS", 0), _MOST_AXES) + 1)]
    pixels = math.prod(axes) if axes else 0
    bits = abs(int(header.get("BITPIX", 8)))
    return bits // 8 * _whole(header, "GCOUNT", 1) * (_whole(header, "PCOUNT", 0) + pixels)


def _whole(header: fits.Header, key: str, default: int | None = None) -> int:
    """Return a number of things from a header.

    Raises
    ------
    KeyError
        The keyword is missing and there is no default.
    ValueError
        It is no such number.
    """
    value = header[key] if default is None else header.get(key, default)
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0:
        raise ValueError(f"{key} = {value!r}, expected a whole number, 0 or larger")
    return number


def _table(path: Path, header: fits.Header, start: int) -> FitsTable:
    if header.get("ZTABLE", False):
        fix = "Unpack it with funpack first."
        raise InputError(Problem(str(path), "holds a tile-compressed table", "a plain binary table", fix))
    fields = _fields(path, header)
    record, rows, size = _whole(header, "NAXIS1"), _whole(header, "NAXIS2"), _data_size(header)
    used = sum(item.width for item in fields)
    if used != record:
        raise InputError(damaged(path, f"its columns take {used} bytes of a row, NAXIS1 says {record}"))
    heap = _whole(header, "THEAP", record * rows)
    heap_size = record * rows + _whole(header, "PCOUNT", 0) - heap
    packed = is_packed(path)
    table = FitsTable(header, start, record, rows, start + heap, heap_size, start + size, packed, fields)
    # The end of a packed file is known only after it has been read.
    if not packed:
        _check_end(path, table)
    return table


def _check_end(path: Path, table: FitsTable) -> None:
    length = path.stat().st_size
    if length < table.end:
        whole = (length - table.data) // table.record if table.record else 0
        raise InputError(damaged(path, f"NAXIS2 says {table.rows} rows, the file ends after {whole}"))
    with path.open("rb") as file:
        refuse_more(path, file, table)


def _fields(path: Path, header: fits.Header) -> tuple[FitsField, ...]:
    numbers = range(1, _whole(header, "TFIELDS", 0) + 1)
    names = unique_names(from_card(str(header.get(f"TTYPE{i}", ""))) for i in numbers)
    fields: list[FitsField] = []
    problems = Problems()
    offset = 0
    for i, name in zip(numbers, names, strict=True):
        form = str(header.get(f"TFORM{i}", ""))
        match = _FORM.match(form)
        if match is None:
            problems.add(f"{path}, column {name!r}", f"TFORM{i} = {form!r}", "a format of FITS binary tables")
            continue
        fields.append(_field(header, i, name, match, offset))
        offset += fields[-1].width
    problems.raise_if_any()
    return tuple(fields)


def _field(header: fits.Header, i: int, name: str, form: re.Match[str], offset: int) -> FitsField:
    """Describe column number `i` from its parsed TFORM."""
    repeat, code = int(form[1] or 1), form[2]
    null = header.get(f"TNULL{i}")
    return FitsField(
        name,
        code,
        repeat,
        offset,
        width=-(-repeat // 8) if code == "X" else repeat * BYTES[code],
        shape=_shape(code, repeat, str(header.get(f"TDIM{i}", ""))),
        null=int(null) if isinstance(null, (int, float)) else None,
        scale=float(header.get(f"TSCAL{i}", 1.0)),
        zero=float(header.get(f"TZERO{i}", 0.0)),
        element=form[3] if code in "PQ" else "",
    )


def _shape(code: str, repeat: int, dim: str) -> tuple[int, ...]:
    """Shape of a cell, the slowest axis first as in numpy (TDIM has the fastest first); empty for one value."""
    if code in "PQ":
        return ()
    if code in "CM":
        return (2,) if repeat == 1 else (repeat, 2)
    axes = tuple(int(n) for n in re.findall(r"\d+", dim))[::-1]
    if len(axes) > 1 and math.prod(axes) == repeat:
        # The fastest axis of a text counts its characters.
        return axes[:-1] if code == "A" else axes
    return () if code == "A" or repeat == 1 else (repeat,)


def metadata_of(header: fits.Header) -> dict[str, str]:
    """Return the cards of a header that do not describe the layout of the table, as texts."""
    found = {
        str(card.keyword): from_card(str(card.value))
        for card in header.cards
        if not _STRUCTURE.fullmatch(str(card.keyword)) and not isinstance(card.value, fits.card.Undefined)
    }
    for key in ("COMMENT", "HISTORY"):
        if key in header:
            found[key] = "\n".join(str(line) for line in header[key])
    for i in takewhile(lambda i: f"MKEY{i}" in header, count(1)):
        found[from_card(str(header[f"MKEY{i}"]))] = from_card(str(header.get(f"MVAL{i}", "")))
    return found
