"""Columns of FITS binary tables: how their cells are stored (FITS 4.0, section 7.3)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from astropy.io import fits

_FORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?)(\d*)")
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
#: Integer types by name (TDTYP).
_NAMED: dict[str, pl.DataType] = {
    str(kind).lower(): kind
    for kind in (pl.Int8(), pl.UInt8(), pl.Int16(), pl.UInt16(), pl.Int32(), pl.UInt32(), pl.UInt64())
}
#: Smallest and largest stored integer.
_STORED = {
    "B": (0, 2**8 - 1),
    "I": (-(2**15), 2**15 - 1),
    "J": (-(2**31), 2**31 - 1),
    "K": (-(2**63), 2**63 - 1),
}
#: Types of whole numbers with an offset or a factor, and their ranges.
WHOLE: dict[type[pl.DataType], tuple[int, int]] = {
    pl.Int64: (-(2**63), 2**63 - 1),
    pl.UInt64: (0, 2**64 - 1),
}
#: How astropy.io.fits comments on NAXIS1.
_ASTROPY = "length of dimension 1"
#: Axes of a cell, and elements of a cell whose axes hold none, that a table may have.
_AXES, _MOST_EMPTY = 8, 10_000


@dataclass(frozen=True, slots=True)
class FitsField:
    """Storage of one column: code and repeat count (TFORM), offset and width in the record (bytes), cell shape.

    `scale` and `zero` are integers where the header states whole numbers. `null` is TNULL; where `null_is_value`,
    it is a number of the column, else a stored number, before scale and offset. A text has `letters` bytes.
    """

    name: str
    code: str
    repeat: int
    offset: int
    width: int
    shape: tuple[int, ...]
    null: float | None = None
    null_is_value: bool = False
    scale: float = 1
    zero: float = 0
    letters: int = 0
    #: Code of the elements of a column of varying length (P, Q), whose cells lie in the heap.
    element: str = ""
    #: Type of integers that starscale stored in a larger one, to have a number for null.
    meant: pl.DataType | None = None

    @property
    def base(self) -> str:
        """Code of the elements."""
        return self.element or self.code

    @property
    def used(self) -> int:
        """Bytes of a cell that belong to its elements; TDIM may leave the last ones unused."""
        if self.base == "X":
            return self.width
        pairs = 2 if self.base in "CM" else 1
        count = math.prod(self.shape) // pairs
        return count * (self.letters if self.base == "A" else BYTES[self.base])

    @property
    def unsigned(self) -> pl.DataType | None:
        """Type of an integer column that is stored with half its range as offset."""
        return OFFSETS.get((self.base, int(self.zero))) if self.scale == 1 and isinstance(self.zero, int) else None

    @property
    def shifted(self) -> pl.DataType | None:
        """Type of whole numbers that are stored with another offset or factor."""
        if (self.scale, self.zero) == (1, 0) or self.unsigned is not None:
            return None
        return whole_type(self.base, self.scale, self.zero)

    @property
    def scaled(self) -> bool:
        """Whether values are floats: zero + scale * stored number."""
        plain = (self.scale, self.zero) == (1, 0) or self.unsigned is not None or self.shifted is not None
        return not plain and self.base not in "LXA"

    @property
    def element_dtype(self) -> pl.DataType:
        """Type of one element."""
        if self.base == "A":
            return pl.String()
        if self.scaled:
            return pl.Float64()
        if self.meant is not None:
            return self.meant
        return self.unsigned or self.shifted or _TYPES[self.base]

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column."""
        if self.code in "PQ":
            inner = pl.Array(self.element_dtype, 2) if self.base in "CM" else self.element_dtype
            return pl.String() if self.base == "A" else pl.List(inner)
        return pl.Array(self.element_dtype, self.shape) if self.shape else self.element_dtype

    def divided(self, rows: int) -> FitsField | None:
        """Return the column whose `rows` cells are the slowest axis of this one; None if it has no such axis."""
        if self.code in "PQX" or self.shape[:1] != (rows,):
            return None
        shape = self.shape[1:]
        # One number in a row has the dimensions (1,rows), a text those of its letters.
        if shape == (1,) and self.code not in "ACM":
            shape = ()
        return replace(self, shape=shape, repeat=self.repeat // rows, width=self.width // rows)


def whole_type(code: str, scale: float, zero: float) -> pl.DataType | None:
    """Return a type that holds zero + scale * every stored integer, None where floats are needed.

    64-bit integers are promised 64 bits, although the end of their range may not fit then.
    """
    if code not in _STORED or not (isinstance(scale, int) and isinstance(zero, int)):
        return None
    ends = sorted(zero + scale * stored for stored in ((0, 0) if code == "K" else _STORED[code]))
    for kind, (low, high) in WHOLE.items():
        if low <= ends[0] and ends[1] <= high:
            return kind()
    return None


def field_of(header: fits.Header, i: int, name: str, offset: int) -> FitsField | None:
    """Describe column number `i`, whose cells begin at `offset` of the record; None if TFORM makes no sense."""
    form = _FORM.match(str(header.get(f"TFORM{i}", "")))
    if form is None:
        return None
    repeat, code = int(form[1] or 1), form[2]
    element = form[3] if code in "PQ" else ""
    shape, letters = _cell(code, repeat, int(form[4] or 0), str(header.get(f"TDIM{i}", "")))
    scale, zero = number_of(header.get(f"TSCAL{i}", 1)), number_of(header.get(f"TZERO{i}", 0))
    null = _null(header.get(f"TNULL{i}"), element or code)
    return FitsField(
        name,
        code,
        repeat,
        offset,
        width=-(-repeat // 8) if code == "X" else repeat * BYTES[code],
        shape=shape,
        null=null,
        null_is_value=null is not None and _null_is_value(header, element or code, null, scale, zero),
        scale=scale,
        zero=zero,
        letters=letters,
        element=element,
        meant=_NAMED.get(str(header.get(f"TDTYP{i}", "")).strip()) if code in "IJK" else None,
    )


def number_of(value: Any) -> float:
    """Return TSCAL or TZERO, as an integer where it is one."""
    if isinstance(value, int):
        return value
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"TSCAL or TZERO is {value!r}, expected a finite number")
    return int(number) if number.is_integer() else number


def _null(value: Any, code: str) -> float | None:
    """Return TNULL as a number; the standard allows it for integers only, some programs state it for floats."""
    if value is None or isinstance(value, bool) or code not in "BIJKED":
        return None
    try:
        number = float(value) if code in "ED" else int(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return None if isinstance(value, float) and number != value else number


def _null_is_value(header: fits.Header, code: str, null: float, scale: float, zero: float) -> bool:
    """Whether TNULL of an unsigned column is a number of the column.

    The standard means the stored number. astropy (up to 8.0) writes the number before the offset is taken off, and
    reads it so.
    """
    if scale != 1 or (code, int(zero)) not in OFFSETS:
        return False
    low, high = _STORED[code]
    if not low <= null <= high:
        return True
    return low + zero <= null <= high + zero and header.comments["NAXIS1"] == _ASTROPY


def _cell(code: str, repeat: int, letters: int, dim: str) -> tuple[tuple[int, ...], int]:
    """Shape of a cell, the slowest axis first as in numpy (TDIM has the fastest first), and letters of a text.

    The shape is empty for one value.
    """
    if code in "PQ":
        return (), 0
    axes = _axes(dim, repeat)
    if code == "A":
        return _text_cell(repeat, letters, axes)
    shape = axes or (() if repeat == 1 else (repeat,))
    return ((*shape, 2) if code in "CM" else shape), 0


def _axes(dim: str, repeat: int) -> tuple[int, ...]:
    """Return the axes that a TDIM names, the slowest first; none where `repeat` elements cannot have them."""
    axes = tuple(int(n) for n in re.findall(r"\d+", dim))[::-1]
    # TDIM may name fewer elements than there are: the others are undefined. An axis of no element must not hide
    # axes that no cell has.
    possible = math.prod(axes) <= repeat and math.prod(n or 1 for n in axes) <= max(repeat, _MOST_EMPTY)
    return axes if possible and len(axes) <= _AXES else ()


def _text_cell(repeat: int, letters: int, axes: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the shape of a cell of `repeat` characters, and the letters of each text."""
    if axes:
        return axes[:-1], axes[-1]
    # The older way to store several texts: 60A12.
    return ((repeat // letters,), letters) if 0 < letters < repeat else ((), repeat)
