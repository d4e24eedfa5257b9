"""Tables of fixed width with a byte-by-byte description, as CDS and the AAS journals publish them.

Standard: "Standards for Astronomical Catalogues" (CDS, version 2.0). A first pass over the rows finds the
width of each column, a second one writes them; both read the rows in chunks.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from starscale.io.portable import plain_frame, plain_schema
from starscale.io.units import as_cds
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import Problems

RULE = "-" * 80
_WIDE = 80
#: Columns whose largest absolute value lies outside these limits are written with an exponent, and with the
#: decimals that restore every bit of the number.
_LARGE, _SMALL = 1e5, 1e-6
_EXPONENT_DECIMALS: dict[pl.DataType, int] = {pl.Float32(): 8, pl.Float64(): 16}
#: Significant digits of a number without an exponent; its fewest and most decimals.
_DIGITS: dict[pl.DataType, int] = {pl.Float32(): 6, pl.Float64(): 10}
_FEWEST, _MOST = 4, 12
#: Integers up to here are exact as floating-point numbers.
_EXACT = 2.0**53


#: How numbers become text: with an exponent; with decimals through integers in units of the last decimal ("whole",
#: fast, exact up to 2**53); or with decimals one by one ("any").
Notation = Literal["exponent", "whole", "any"]


@dataclass(slots=True)
class Extent:
    """Range of the values of a column: nulls, smallest and largest number, widest text (bytes)."""

    nulls: bool = False
    low: float | int | None = None
    high: float | int | None = None
    width: int = 1

    def look(self, series: pl.Series) -> None:
        """Update the extent with a batch of rows; nulls are noted and skipped."""
        present = series.drop_nulls()
        self.nulls = self.nulls or len(present) < len(series)
        if not len(present):
            return
        if series.dtype == pl.String:
            self.width = max(self.width, int(str(present.str.len_bytes().max())))
            return
        low, high = _number(present.min()), _number(present.max())
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)


def _number(value: object) -> float | int:
    return value if isinstance(value, int) else float(str(value))


@dataclass(frozen=True, slots=True)
class CdsLayout:
    """A column of the file: its kind (A, I, F or E), width (characters), decimals and description."""

    about: Column
    kind: str
    width: int
    decimals: int
    nulls: bool
    limits: tuple[str, str] | None
    notation: Notation = "whole"

    @property
    def format(self) -> str:
        """FORTRAN format."""
        return f"{self.kind}{self.width}" + (f".{self.decimals}" if self.kind in "FE" else "")

    @property
    def explanation(self) -> str:
        """Limits, null rule and description in the notation of CDS."""
        limits = f"[{self.limits[0]}/{self.limits[1]}]" if self.limits else ""
        marks = limits + ("?" if self.nulls else "")
        text = ascii_text(self.about.description) or self.about.name
        return f"{marks} {text}" if marks else text

    def texts(self, series: pl.Series) -> pl.Series:
        """Return cells as texts of the width of the column; null is blank."""
        if self.kind == "A":
            return series.fill_null("").str.pad_end(self.width, " ")
        if self.kind == "I":
            found = series.cast(pl.Int8 if series.dtype == pl.Boolean else series.dtype).cast(pl.String)
        else:
            found = _numbers(series, self.decimals, self.notation)
        return found.fill_null("").str.pad_start(self.width, " ")


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace values that the file cannot hold: NaN and infinity become null, text becomes ASCII."""
    floats, texts = pl.col(pl.Float32, pl.Float64), pl.col(pl.String)
    frame = plain_frame(frame).with_columns(pl.when(floats.is_finite()).then(floats).name.keep())
    wide = [s.name for s in frame if s.dtype == pl.String and (s.str.len_bytes() != s.str.len_chars()).any()]
    frame = frame.with_columns(
        pl.Series(name, [None if text is None else ascii_text(text) for text in frame[name].to_list()], pl.String)
        for name in wide
    )
    return frame.with_columns(texts.str.replace_all(r"[\x00-\x1f\x7f]", " "))


def ascii_text(text: str) -> str:
    """Return a text in ASCII: letters lose their accents, other characters become a question mark."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2013", "-").replace("\u2014", "-"))
    kept = "".join(char for char in plain if not unicodedata.combining(char))
    return " ".join(kept.encode("ascii", "replace").decode("ascii").split())


def checked(schema: pl.Schema, where: str) -> pl.Schema:
    """Return the types of the columns as they are written.

    Raises
    ------
    InputError
        Vectors, lists and structures, and names with blanks; one error names them all.
    """
    plain = plain_schema(schema, where)
    problems = Problems()
    for name, dtype in plain.items():
        if isinstance(dtype, pl.Array):
            problems.add(where, f"cannot hold the vector column {name!r}", fix="Make a column of each element.")
        if not name.isascii() or any(char.isspace() for char in name) or not name:
            problems.add(where, f"column {name!r} cannot be a label", "ASCII, no blanks", "Rename it.")
    problems.raise_if_any()
    return plain


def layout(
    schema: pl.Schema, extents: Mapping[str, Extent], columns: Mapping[str, Column], decimals: Mapping[str, int]
) -> list[CdsLayout]:
    """Choose format and width of every column; `decimals` holds requested decimals by column."""
    return [
        _layout(columns.get(name, Column(name)), dtype, extents[name], decimals.get(name))
        for name, dtype in schema.items()
    ]


def _layout(about: Column, dtype: pl.DataType, extent: Extent, wanted: int | None) -> CdsLayout:
    if dtype == pl.String:
        return CdsLayout(about, "A", extent.width, 0, extent.nulls, None)
    if extent.low is None or extent.high is None:
        return _without_values(about, dtype, wanted or 0, extent.nulls)
    if not dtype.is_float():
        return _of_integers(about, int(extent.low), int(extent.high), extent.nulls)
    largest = max(abs(extent.low), abs(extent.high))
    if wanted is not None:
        return _with_decimals(about, extent, wanted, largest)
    if largest == 0 or _SMALL <= largest < _LARGE:
        return _with_decimals(about, extent, _places(dtype, largest), largest)
    return _with_exponent(about, dtype, extent.low, extent.high, extent.nulls)


def _without_values(about: Column, dtype: pl.DataType, places: int, nulls: bool) -> CdsLayout:
    return CdsLayout(about, "F" if dtype.is_float() else "I", places + 2, places, nulls, None)


def _of_integers(about: Column, low: int, high: int, nulls: bool) -> CdsLayout:
    ends = str(low), str(high)
    # The limits of an identifier carry no information.
    limits = None if about.ucd.startswith("meta.id") else ends
    return CdsLayout(about, "I", max(map(len, ends)), 0, nulls, limits)


def _with_exponent(about: Column, dtype: pl.DataType, low: float, high: float, nulls: bool) -> CdsLayout:
    places = _EXPONENT_DECIMALS[dtype]
    ends = f"{low:.{places}E}", f"{high:.{places}E}"
    # Any value between the limits may have a sign, or three digits in its exponent.
    width = places + (7 if dtype == pl.Float32() else 8)
    return CdsLayout(about, "E", width, places, nulls, ends, "exponent")


def _with_decimals(about: Column, extent: Extent, places: int, largest: float) -> CdsLayout:
    notation: Notation = "whole" if largest * 10.0**places <= _EXACT else "any"
    ends = pl.Series([extent.low, extent.high], dtype=pl.Float64)
    low, high = _numbers(ends, places, notation).to_list()
    return CdsLayout(about, "F", max(len(low), len(high)), places, extent.nulls, (low, high), notation)


def _places(dtype: pl.DataType, largest: float) -> int:
    """Return the decimals that give the largest value of a column the digits of its type."""
    exponent = math.floor(math.log10(largest)) if largest else 0
    return min(_MOST, max(_FEWEST, _DIGITS[dtype] - 1 - exponent))


def _numbers(series: pl.Series, decimals: int, notation: Notation) -> pl.Series:
    """Format numbers; null stays null."""
    if notation == "whole":
        return _fixed(series, decimals)
    code = f".{decimals}{'E' if notation == 'exponent' else 'f'}"
    cells = [None if value is None else format(value, code) for value in series.to_list()]
    return pl.Series(series.name, cells, dtype=pl.String)


def _fixed(series: pl.Series, decimals: int) -> pl.Series:
    """Format numbers with `decimals` decimals.

    With s = round(x * 10**decimals), the text is ``s // 10**decimals . s % 10**decimals``: vectorised, unlike
    :func:`format`.
    """
    scaled = (series.cast(pl.Float64) * 10.0**decimals).round(0, mode="half_away_from_zero").cast(pl.Int64)
    sign = pl.when(scaled < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    size = scaled.abs()
    whole = (size // 10**decimals).cast(pl.String)
    part = (size % 10**decimals).cast(pl.String).str.zfill(decimals)
    pieces = [sign, whole, pl.lit("."), part if decimals else pl.lit("")]
    found = pl.select(pl.when(scaled.is_not_null()).then(pl.concat_str(pieces))).to_series()
    return found.alias(series.name)


def data_lines(frame: pl.DataFrame, layouts: Sequence[CdsLayout]) -> bytes:
    """Return rows as lines, with a blank between columns."""
    cells = [item.texts(frame[item.about.name]).alias(str(i)) for i, item in enumerate(layouts)]
    lines = pl.select(pl.concat_str(cells, separator=" ")).to_series()
    return ("\n".join(lines.to_list()) + "\n").encode("ascii") if len(lines) else b""


def record_length(layouts: Sequence[CdsLayout]) -> int:
    """Characters of a line without the line break."""
    return sum(item.width + 1 for item in layouts) - 1


def byte_by_byte(layouts: Sequence[CdsLayout], file: str, notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the lines of the byte-by-byte description.

    Parameters
    ----------
    layouts : sequence of CdsLayout
    file : str
        Name of the table.
    notes : mapping of str to sequence of str
        Notes on columns; they are numbered and follow the description.
    """
    layouts = [replace(item, about=as_cds(item.about)) for item in layouts]
    numbers = {name: i for i, name in enumerate(notes, 1)}
    rows = [(item.format, item.about.unit, item.about.name) for item in layouts]
    titles = ("Format", "Units", "Label")
    # A width at least that of the words "Format", "Units" (padded) and "Label".
    widths = [max([least, *(len(row[i]) for row in rows)]) for i, least in enumerate((6, 6, 5))]
    digits = len(str(record_length(layouts)))
    lines = [
        f"Byte-by-byte Description of file: {file}",
        RULE,
        " ".join([f"{'Bytes':>{2 * digits + 1}}", *_padded(titles, widths), "Explanations"]),
        RULE,
    ]
    start = 1
    for item, row in zip(layouts, rows, strict=True):
        head = " ".join([_bytes(start, item.width, digits), *_padded(row, widths), ""])
        number = numbers.get(item.about.name)
        lines += _explained(head, item.explanation + (f" ({number})" if number else ""))
        start += item.width + 1
    return [*lines, RULE, *_note_lines(notes)]


def _bytes(start: int, width: int, digits: int) -> str:
    """Return the first and the last byte of a column, or the only one, as ``1-12``."""
    first = f"{start:>{digits}}-" if width > 1 else " " * (digits + 1)
    return f"{first}{start + width - 1:>{digits}}"


def _explained(head: str, text: str) -> list[str]:
    """Return `head` and `text`, of which further lines are indented below its first."""
    room = max(20, _WIDE - len(head) - 1)
    first, *others = textwrap.wrap(text, room, break_long_words=False) or [""]
    return [head + first, *(" " * (len(head) + 1) + line for line in others)]


def _note_lines(notes: Mapping[str, Sequence[str]]) -> list[str]:
    lines: list[str] = []
    for number, texts in enumerate(notes.values(), 1):
        lines += [f"Note ({number}):", *(f"    {line}" for text in texts for line in wrapped(text, 76)), RULE]
    return lines


def _padded(texts: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [text.ljust(width) for text, width in zip(texts, widths, strict=True)]


def wrapped(text: str, width: int = _WIDE) -> list[str]:
    """Break a text into ASCII lines."""
    return textwrap.wrap(ascii_text(text), width, break_long_words=False, break_on_hyphens=False) or [""]


def widest(extents: Mapping[str, Extent], frame: pl.DataFrame) -> None:
    """Update the extent of every column with a batch of rows."""
    for name, extent in extents.items():
        extent.look(frame[name])
