"""Tables of fixed width with a byte-by-byte description, as CDS and the AAS journals publish them.

Standard: "Standards for Astronomical Catalogues" (CDS, version 2.0). A first pass over the rows finds how
wide each column must be, a second one writes them; both see some rows at a time.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from starscale.io.portable import plain_frame, plain_schema
from starscale.io.units import cds_unit
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import Problems

RULE = "-" * 80
_WIDE = 80
#: Largest and smallest absolute value that is written without an exponent, and decimals that give one that is
#: written with it back to the last bit.
_LARGE, _SMALL = 1e5, 1e-6
_EXPONENT_DECIMALS: dict[pl.DataType, int] = {pl.Float32(): 8, pl.Float64(): 16}
#: Digits of a number without an exponent, and its decimals at least and at most.
_DIGITS: dict[pl.DataType, int] = {pl.Float32(): 6, pl.Float64(): 10}
_FEWEST, _MOST = 4, 12
#: Integers up to here are exact as floating-point numbers.
_EXACT = 2.0**53


#: How numbers become text: with an exponent, or with decimals, of numbers that are exact integers in units of the
#: last decimal, or of any.
Notation = Literal["exponent", "whole", "any"]


@dataclass(slots=True)
class Extent:
    """What the rows of a column need: nulls, smallest and largest value, widest text."""

    nulls: bool = False
    low: float | int | None = None
    high: float | int | None = None
    width: int = 1

    def look(self, series: pl.Series) -> None:
        """Take note of some rows; anything that is no finite number counts as null."""
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
    """A column of the file: its kind (A, I, F or E), width and decimals, and what is said about it."""

    about: Column
    kind: str
    width: int
    decimals: int
    nulls: bool
    limits: tuple[str, str] | None
    notation: Notation = "whole"

    @property
    def format(self) -> str:
        """The format as FORTRAN has it."""
        return f"{self.kind}{self.width}" + (f".{self.decimals}" if self.kind in "FE" else "")

    @property
    def explanation(self) -> str:
        """Limits, null rule and description, in the notation of CDS."""
        limits = f"[{self.limits[0]}/{self.limits[1]}]" if self.limits else ""
        marks = limits + ("?" if self.nulls else "")
        text = ascii_text(self.about.description) or self.about.name
        return f"{marks} {text}" if marks else text

    def texts(self, series: pl.Series) -> pl.Series:
        """Cells of some rows, all of the width of the column; null is blank."""
        if self.kind == "A":
            return series.fill_null("").str.pad_end(self.width, " ")
        if self.kind == "I":
            found = series.cast(pl.Int8 if series.dtype == pl.Boolean else series.dtype).cast(pl.String)
        else:
            found = _numbers(series, self.decimals, self.notation)
        return found.fill_null("").str.pad_start(self.width, " ")


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn what has no place in such a file into what has: NaN and infinity into null, text into ASCII."""
    floats, texts = pl.col(pl.Float32, pl.Float64), pl.col(pl.String)
    frame = plain_frame(frame).with_columns(pl.when(floats.is_finite()).then(floats).name.keep())
    wide = [s.name for s in frame if s.dtype == pl.String and (s.str.len_bytes() != s.str.len_chars()).any()]
    frame = frame.with_columns(
        pl.Series(name, [None if text is None else ascii_text(text) for text in frame[name].to_list()], pl.String)
        for name in wide
    )
    return frame.with_columns(texts.str.replace_all(r"[\x00-\x1f\x7f]", " "))


def ascii_text(text: str) -> str:
    """Return a text in ASCII: letters without their accents, others as a question mark."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2013", "-").replace("\u2014", "-"))
    kept = "".join(char for char in plain if not unicodedata.combining(char))
    return " ".join(kept.encode("ascii", "replace").decode("ascii").split())


def checked(schema: pl.Schema, where: str) -> pl.Schema:
    """Return the types of the columns as they are written.

    Raises
    ------
    InputError
        For vectors, lists and structures, all of them at once, and for names with blanks.
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
    """Choose format and width of every column; `decimals` holds those that are wanted, by column."""
    return [
        _layout(columns.get(name, Column(name)), dtype, extents[name], decimals.get(name))
        for name, dtype in schema.items()
    ]


def _layout(about: Column, dtype: pl.DataType, extent: Extent, wanted: int | None) -> CdsLayout:
    if dtype == pl.String:
        return CdsLayout(about, "A", extent.width, 0, extent.nulls, None)
    if extent.low is None or extent.high is None:
        kind = "F" if dtype.is_float() else "I"
        return CdsLayout(about, kind, (wanted or 0) + 2, wanted or 0, extent.nulls, None)
    if not dtype.is_float():
        ends = str(int(extent.low)), str(int(extent.high))
        # An identifier has no limits that mean anything.
        limits = None if about.ucd.startswith("meta.id") else ends
        return CdsLayout(about, "I", max(map(len, ends)), 0, extent.nulls, limits)
    largest = max(abs(extent.low), abs(extent.high))
    if wanted is None and largest and not _SMALL <= largest < _LARGE:
        places = _EXPONENT_DECIMALS[dtype]
        low, high = (f"{end:.{places}E}" for end in (extent.low, extent.high))
        # A number in between may be the only one with a sign, or with three digits of the exponent.
        width = places + (7 if dtype == pl.Float32() else 8)
        return CdsLayout(about, "E", width, places, extent.nulls, (low, high), "exponent")
    exponent = math.floor(math.log10(largest)) if largest else 0
    places = wanted if wanted is not None else min(_MOST, max(_FEWEST, _DIGITS[dtype] - 1 - exponent))
    notation: Notation = "whole" if largest * 10.0**places <= _EXACT else "any"
    low, high = _numbers(pl.Series([float(extent.low), float(extent.high)]), places, notation).to_list()
    return CdsLayout(about, "F", max(len(low), len(high)), places, extent.nulls, (low, high), notation)


def _numbers(series: pl.Series, decimals: int, notation: Notation) -> pl.Series:
    """Numbers as text; null stays null."""
    if notation == "whole":
        return _fixed(series, decimals)
    code = f".{decimals}{'E' if notation == 'exponent' else 'f'}"
    cells = [None if value is None else format(value, code) for value in series.to_list()]
    return pl.Series(series.name, cells, dtype=pl.String)


def _fixed(series: pl.Series, decimals: int) -> pl.Series:
    """Numbers with so many decimals, as text: whole and broken part apart, which is fast for many rows."""
    scaled = (series.cast(pl.Float64) * 10.0**decimals).round(0, mode="half_away_from_zero").cast(pl.Int64)
    sign = pl.when(scaled < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    size = scaled.abs()
    whole = (size // 10**decimals).cast(pl.String)
    part = (size % 10**decimals).cast(pl.String).str.zfill(decimals)
    pieces = [sign, whole, pl.lit("."), part if decimals else pl.lit("")]
    found = pl.select(pl.when(scaled.is_not_null()).then(pl.concat_str(pieces))).to_series()
    return found.alias(series.name)


def data_lines(frame: pl.DataFrame, layouts: Sequence[CdsLayout]) -> bytes:
    """Rows as lines, a blank between columns."""
    cells = [item.texts(frame[item.about.name]).alias(str(i)) for i, item in enumerate(layouts)]
    lines = pl.select(pl.concat_str(cells, separator=" ")).to_series()
    return ("\n".join(lines.to_list()) + "\n").encode("ascii") if len(lines) else b""


def record_length(layouts: Sequence[CdsLayout]) -> int:
    """Characters of a line without its end."""
    return sum(item.width + 1 for item in layouts) - 1


def byte_by_byte(layouts: Sequence[CdsLayout], file: str, notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines of the description; `notes` are texts about columns, which are numbered and follow it."""
    last = record_length(layouts)
    digits = len(str(last))
    units = [cds_unit(item.about.unit) for item in layouts]
    numbers = {name: i for i, name in enumerate(notes, 1)}
    shown = [[item.format for item in layouts], units, [item.about.name for item in layouts]]
    wide = [max(map(len, texts), default=0) for texts in shown]
    wide = [max(pair) for pair in zip(wide, (6, 6, 5), strict=True)]
    lines = [
        f"Byte-by-byte Description of file: {file}",
        RULE,
        " ".join([f"{'Bytes':>{2 * digits + 1}}", *_padded(("Format", "Units", "Label"), wide), "Explanations"]),
        RULE,
    ]
    start = 1
    for item, unit in zip(layouts, units, strict=True):
        end = start + item.width - 1
        first = f"{start:>{digits}}-" if item.width > 1 else " " * (digits + 1)
        cells = _padded((item.format, unit, item.about.name), wide)
        head = " ".join([f"{first}{end:>{digits}}", *cells, ""])
        number = numbers.get(item.about.name)
        text = item.explanation + (f" ({number})" if number else "")
        room = max(20, _WIDE - len(head) - 1)
        first_line, *others = textwrap.wrap(text, room, break_long_words=False) or [""]
        lines.append(head + first_line)
        lines += [" " * (len(head) + 1) + line for line in others]
        start = end + 2
    lines.append(RULE)
    for name, number in numbers.items():
        lines += [
            f"Note ({number}):",
            *(f"    {line}" for text in notes[name] for line in wrapped(text, 76)),
            RULE,
        ]
    return lines


def _padded(texts: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [text.ljust(width) for text, width in zip(texts, widths, strict=True)]


def wrapped(text: str, width: int = _WIDE) -> list[str]:
    """Cut a text into lines, in ASCII."""
    return textwrap.wrap(ascii_text(text), width, break_long_words=False, break_on_hyphens=False) or [""]


def widest(extents: Mapping[str, Extent], frame: pl.DataFrame) -> None:
    """Take note of some rows in every extent."""
    for name, extent in extents.items():
        extent.look(frame[name])
