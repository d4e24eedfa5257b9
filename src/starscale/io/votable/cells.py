"""What a FIELD says about its cells: type, shape, and the value that marks a missing one."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from starscale.io.table import unique_names
from starscale.io.votable.document import TableElement
from starscale.vocabulary.errors import Problems

#: Type of the elements, and numpy type of the numbers stored in BINARY.
NUMBERS: dict[str, tuple[pl.DataType, str]] = {
    "unsignedByte": (pl.UInt8(), "u1"),
    "short": (pl.Int16(), ">i2"),
    "int": (pl.Int32(), ">i4"),
    "long": (pl.Int64(), ">i8"),
    "float": (pl.Float32(), ">f4"),
    "double": (pl.Float64(), ">f8"),
    "floatComplex": (pl.Float32(), ">f4"),
    "doubleComplex": (pl.Float64(), ">f8"),
}
TEXTS = ("char", "unicodeChar")
_MARKS = ("boolean", "bit")
#: Some services write the names of types in other cases, or those of other languages, which astropy reads as well.
_KINDS = {kind.lower(): kind for kind in (*NUMBERS, *TEXTS, *_MARKS)} | {
    "string": "char",
    "unicodestring": "unicodeChar",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "unsignedshort": "int",
    "unsignedint": "long",
}
_ARRAYSIZE = re.compile(r"([1-9]\d*x)*([1-9]\d*|\d*\*)")


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of a column.

    Attributes
    ----------
    name, datatype : str
    shape : tuple of int
        Axes of fixed length, the slowest first; the two parts of complex numbers are the last axis.
    varying : bool
        Whether one more axis, slower than these, differs from cell to cell.
    width : int or None
        Characters of each text; None if it ends with the cell, and for numbers.
    null : str or None
        Text of the value that marks a missing one.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    varying: bool
    width: int | None
    null: str | None

    @property
    def is_text(self) -> bool:
        """Whether its elements are texts."""
        return self.datatype in TEXTS

    @property
    def inner(self) -> pl.DataType:
        """Type of one element."""
        if self.datatype in NUMBERS:
            return NUMBERS[self.datatype][0]
        return pl.String() if self.is_text else pl.Boolean()

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column."""
        fixed = pl.Array(self.inner, self.shape) if self.shape else self.inner
        return pl.List(fixed) if self.varying else fixed

    @property
    def elements(self) -> int:
        """Elements of a cell, or of each item of a cell of varying length."""
        return math.prod(self.shape)

    def column(
        self, flat: pl.Series, counts: Sequence[int] = (), gone: NDArray[np.bool_] | None = None
    ) -> pl.Series:
        """Build the column from its elements.

        Parameters
        ----------
        flat : polars.Series
            The elements of all cells.
        counts : sequence of int, optional
            Items of every cell, for cells of varying length.
        gone : array of bool, optional
            Which cells of varying length are missing.
        """
        if self.shape:
            items = len(flat) // self.elements
            inner = pl.Array(self.inner, self.shape)
            flat = flat.reshape((items, *self.shape)) if items else pl.Series([], dtype=inner)
        if not self.varying:
            return flat.alias(self.name)
        ends = np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))])
        values = flat.to_arrow(compat_level=pl.CompatLevel.oldest())
        mask = None if gone is None or not gone.any() else pa.array(gone)
        lists = pa.LargeListArray.from_arrays(pa.array(ends), values, mask=mask)
        return pl.Series(self.name, lists).cast(self.dtype)


def cells_of(path: Path, table: TableElement) -> list[Cells]:
    """Describe the columns of a table; repeated names are made unique.

    Raises
    ------
    InputError
        Types or sizes are not those of the standard.
    """
    names = unique_names(item.name for item in table.fields)
    problems = Problems()
    found = []
    for name, item in zip(names, table.fields, strict=True):
        stated = item.attributes.get("datatype", "char").strip()
        datatype = _KINDS.get(stated.lower(), "")
        size = "".join(item.attributes.get("arraysize", "").split())
        if datatype and _is_size(size, datatype):
            cells = _texts if datatype in TEXTS else _others
            found.append(cells(name, datatype, size, (item.null or "").strip() or None))
        else:
            expected = f"one of {', '.join(sorted(set(_KINDS.values())))}, and a size such as 3, 8x3 or *"
            problems.add(f"{path}, column {name!r}", f"has datatype {stated!r} and arraysize {size!r}", expected)
    problems.raise_if_any()
    return found


def _is_size(size: str, datatype: str) -> bool:
    # TOPCAT gives texts that are all empty no width.
    return not size or _ARRAYSIZE.fullmatch(size) is not None or (datatype in TEXTS and size == "0")


def _texts(name: str, datatype: str, size: str, null: str | None) -> Cells:
    """The first axis of texts is that of their characters."""
    first, _, others = (size or "1").partition("x")
    fixed, varying = _axes(others)
    return Cells(name, datatype, fixed, varying, None if first.endswith("*") else int(first), null)


def _others(name: str, datatype: str, size: str, null: str | None) -> Cells:
    # As in astropy, a vector of one element is a number.
    fixed, varying = _axes("" if size == "1" else size)
    parts = (2,) if datatype.endswith("Complex") else ()
    return Cells(name, datatype, fixed + parts, varying, None, null)


def _axes(size: str) -> tuple[tuple[int, ...], bool]:
    """Return the axes of fixed length, the slowest first, and whether there is one more of varying length."""
    axes = size.split("x") if size else []
    varying = size.endswith("*")
    return tuple(int(axis) for axis in reversed(axes[:-1] if varying else axes)), varying


def masked(values: pl.Series, hidden: NDArray[np.bool_]) -> pl.Series:
    """Return values with null where `hidden` is true."""
    if not hidden.any():
        return values
    return pl.select(pl.when(~pl.Series(hidden)).then(values)).to_series().alias(values.name)


def tidy_texts(texts: pl.Series, *, padded: bool) -> pl.Series:
    """Cut texts at their first NUL, remove blanks that fill a fixed width (`padded`); a blank text is null."""
    if padded:
        ends = texts.str.contains("\0", literal=True)
        texts = pl.select(pl.when(ends).then(texts).otherwise(texts.str.strip_chars_end(" "))).to_series()
    texts = texts.str.replace(r"(?s)\x00.*$", "")
    return pl.select(pl.when(texts.str.strip_chars(" ") != "").then(texts)).to_series()


def nulls_of(item: Cells, value: Any) -> NDArray[np.bool_]:
    """Return which of an array of stored numbers mark a missing value."""
    hidden = np.isnan(value) if value.dtype.kind == "f" else np.zeros(len(value), bool)
    mark = null_number(item)
    if mark is None:
        return hidden
    if value.dtype.kind == "f":
        with np.errstate(over="ignore"):
            stored = value.dtype.type(mark)
        if np.isinf(stored) and not np.isinf(mark):
            return hidden
        mark = stored
    marked: NDArray[np.bool_] = value == mark
    return hidden | marked


def null_number(item: Cells) -> int | float | None:
    """Return the number that marks a missing value; some services write that of integers with a point."""
    number = number_of(item.null, item.datatype)
    if number is None:
        number = number_of(item.null, "double")
        return int(number) if isinstance(number, float) and number.is_integer() else None
    return number


def number_of(text: str | None, datatype: str) -> int | float | None:
    """Return the number that a text is, decimal or hexadecimal; None if it is none."""
    if text is None or "_" in text:
        return None
    try:
        if NUMBERS[datatype][0].is_float():
            return float(text)
        low = text.lower()
        return int(low, 16) if "0x" in low else int(low)
    except ValueError:
        return None
