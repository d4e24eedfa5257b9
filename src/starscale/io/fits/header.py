"""What the header of a FITS binary table says: where its records are and how each column is stored.

FITS 4.0, section 7.3: a record of NAXIS1 bytes holds the columns one after the other, big-endian.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
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
_FORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?)")
#: Bytes of one element; a bit array is counted apart.
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
#: Integers that FITS cannot store as such are stored with an offset.
OFFSETS: dict[tuple[str, int], pl.DataType] = {
    ("B", -(2**7)): pl.Int8(),
    ("I", 2**15): pl.UInt16(),
    ("J", 2**31): pl.UInt32(),
    ("K", 2**63): pl.UInt64(),
}
_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|TFIELDS|THEAP|CHECKSUM|DATASUM|LONGSTRN|CONTINUE"
    r"|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM|COMM|UCD|UTYP|BCOL)\d+|MKEY\d+|MVAL\d+|"
)


@dataclass(frozen=True, slots=True)
class FitsField:
    """One column as it is stored: code and count of TFORM, place in the record, shape of one cell."""

    name: str
    code: str
    repeat: int
    offset: int
    width: int
    shape: tuple[int, ...]
    null: int | None
    scale: float
    zero: float
    #: For a column whose cells lie in the heap (P, Q): the code of their elements.
    element: str = ""

    @property
    def base(self) -> str:
        """Code of the elements."""
        return self.element or self.code

    @property
    def scaled(self) -> bool:
        """True when values are floats computed from stored numbers."""
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
    """A binary table extension: places of its rows, its heap and its end in the file, which may be a gzip file."""

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
    """Find a binary table: the first, or that with the number or name `part`.

    Raises
    ------
    InputError
        When there is none, or the file ends before it should.
    """
    names = []
    try:
        with open_packed(path) as file:
            number = 0
            while (header := _next_header(file, path, number)) is not None:
                name = str(header.get("EXTNAME", "")).strip()
                kind = str(header.get("XTENSION", "PRIMARY")).strip()
                names.append(f"{number} {name or kind}")
                is_table = kind in ("BINTABLE", "A3DTABLE") and not header.get("ZIMAGE", False)
                size = _data_size(header)
                if _is_wanted(part, number, name, is_table):
                    if not is_table:
                        raise InputError(
                            Problem(
                                f"{path}#{part}", f"is an extension of kind {kind}", "a binary table (BINTABLE)"
                            )
                        )
                    return _table(path, header, file.tell(), size)
                file.seek(_padded(size), 1)
                number += 1
    except (OSError, *DAMAGE, ValueError, TypeError, KeyError) as error:
        raise InputError(damaged(path, str(error))) from error
    shown = "; ".join(names)
    if part is not None:
        fix = did_you_mean(part, [name.split(" ", 1)[1] for name in names])
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
    """Refuse a file in which something follows a table that is neither padding nor the next extension.

    Some programs fill the last block carelessly: room for a whole row is needed for one to be missed.

    Raises
    ------
    InputError
        When rows follow that the header does not count.
    """
    file.seek(table.end)
    rest = file.read(_padded(table.end - table.data) - (table.end - table.data))
    following = file.read(BLOCK)
    rows = len(rest) >= table.record and rest.strip(b"\0 ") != b""
    if rows or not (following.startswith(b"XTENSION") or following.strip(b"\0 \r\n") == b""):
        found = f"NAXIS2 says {table.rows} rows, and more data follow them"
        fix = "The program that wrote it was interrupted, or is at fault: make it again."
        raise InputError(damaged(path, found, fix))


def _is_wanted(part: str | None, number: int, name: str, is_table: bool) -> bool:
    if part is None:
        return is_table
    return part == str(number) or (name != "" and part.lower() == name.lower())


def _next_header(file: IO[bytes], path: Path, number: int) -> fits.Header | None:
    """Read the header that begins here; None at the end of the file (some archives pad it with zeros)."""
    start = file.tell()
    first = file.read(BLOCK)
    if number and not first.strip(b"\0 "):
        return None
    file.seek(start)
    with warnings.catch_warnings():
        # Blemishes of other cards are no concern of ours.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            header = fits.Header.fromfile(file)
            header.tostring()
        except (OSError, EOFError, ValueError) as error:
            raise InputError(damaged(path, f"header {number}: {error}")) from error
    return header


def _data_size(header: fits.Header) -> int:
    axes = [int(header.get(f"NAXIS{i}", 0)) for i in range(1, int(header.get("NAXIS", 0)) + 1)]
    pixels = math.prod(axes) if axes else 0
    bits = abs(int(header.get("BITPIX", 8)))
    return bits // 8 * int(header.get("GCOUNT", 1)) * (int(header.get("PCOUNT", 0)) + pixels)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _table(path: Path, header: fits.Header, start: int, size: int) -> FitsTable:
    if header.get("ZTABLE", False):
        fix = "Unpack it with funpack first."
        raise InputError(Problem(str(path), "holds a tile-compressed table", "a plain binary table", fix))
    fields = _fields(path, header)
    record, rows = int(header["NAXIS1"]), int(header["NAXIS2"])
    used = sum(item.width for item in fields)
    if used != record:
        raise InputError(damaged(path, f"its columns take {used} bytes of a row, NAXIS1 says {record}"))
    packed = is_packed(path)
    there = path.stat().st_size - start
    if not packed and there < size:
        whole = there // record if record else 0
        found = f"NAXIS2 says {rows} rows, the file ends after {whole}"
        raise InputError(damaged(path, found))
    heap = int(header.get("THEAP", record * rows))
    heap_size = record * rows + int(header.get("PCOUNT", 0)) - heap
    table = FitsTable(header, start, record, rows, start + heap, heap_size, start + size, packed, fields)
    if not packed:
        # Of a packed file the end is known when it has been read.
        with path.open("rb") as file:
            refuse_more(path, file, table)
    return table


def _fields(path: Path, header: fits.Header) -> tuple[FitsField, ...]:
    count = int(header.get("TFIELDS", 0))
    names = unique_names(from_card(str(header.get(f"TTYPE{i}", ""))) for i in range(1, count + 1))
    fields: list[FitsField] = []
    problems = Problems()
    offset = 0
    for i, name in enumerate(names, 1):
        form = str(header.get(f"TFORM{i}", ""))
        match = _FORM.match(form)
        if match is None:
            problems.add(f"{path}, column {name!r}", f"TFORM{i} = {form!r}", "a format of FITS binary tables")
            continue
        repeat, code = int(match[1] or 1), match[2]
        width = -(-repeat // 8) if code == "X" else repeat * BYTES[code]
        null = header.get(f"TNULL{i}")
        fields.append(
            FitsField(
                name,
                code,
                repeat,
                offset,
                width,
                _shape(code, repeat, str(header.get(f"TDIM{i}", ""))),
                int(null) if isinstance(null, (int, float)) else None,
                float(header.get(f"TSCAL{i}", 1.0)),
                float(header.get(f"TZERO{i}", 0.0)),
                match[3] if code in "PQ" else "",
            )
        )
        offset += width
    problems.raise_if_any()
    return tuple(fields)


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
    """Return what a header says besides the layout of the table, as text."""
    found: dict[str, str] = {}
    for card in header.cards:
        key = str(card.keyword)
        if (
            _STRUCTURE.fullmatch(key)
            or key in ("COMMENT", "HISTORY")
            or isinstance(card.value, fits.card.Undefined)
        ):
            continue
        found[key] = from_card(str(card.value))
    for key in ("COMMENT", "HISTORY"):
        if key in header:
            found[key] = "\n".join(str(line) for line in header[key])
    number = 1
    while f"MKEY{number}" in header:
        found[from_card(str(header[f"MKEY{number}"]))] = from_card(str(header.get(f"MVAL{number}", "")))
        number += 1
    return found
