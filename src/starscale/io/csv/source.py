"""Reading CSV and TSV files.

A first pass, in chunks, finds a layout and column types that hold for EVERY row. Columns are then parsed as text
and cast to these types: a 64-bit integer never passes through a float, and the type of a column does not depend on
its first rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from starscale.io.csv.layout import NOT_UTF8, find_layout, pieces
from starscale.io.table import CHUNK_ROWS, Source, describe, unique_names
from starscale.vocabulary.errors import InputError, Problem

#: Texts that mean "missing" in a column whose other values are numbers or booleans.
MISSING = ("", "null", "NULL", "Null", "None", "N/A", "n/a", "NA", "--", "<NA>")
_NAN = ("nan", "NaN", "NAN")
# A single T or F may be a spectral type or a flag, and stays text.
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")

#: Candidate types from the narrowest to the widest; a column that fits none is text. Integers of more than 64 bits
#: are recognised so that they stay text: as floats they would lose digits.
_KINDS: tuple[pl.DataType, ...] = (pl.Boolean(), pl.Int64(), pl.UInt64(), pl.Int128(), pl.Float64())


class CsvSource(Source):
    """A CSV or TSV file, plain or packed with gzip.

    The ``#`` before the first name of a header is dropped, repeated names are numbered, a leading
    row counter without a name (as pandas writes it) is called ``index``, an empty field is null. An identifier in
    scientific notation has lost digits; it is read as a float, which the caller refuses. A CSV file has no units.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = "csv"
        self.metadata = {}
        self._layout = find_layout(path)
        self._raw = pl.Schema(dict.fromkeys(unique_names(self._layout.names), pl.String))
        self._rows = 0
        self._blank = False
        self.schema = self._inspect()
        self.columns = describe(self.schema, {})

    @property
    def n_rows(self) -> int:
        """Number of rows, counted when the file was opened."""
        return self._rows

    def lazy(self) -> pl.LazyFrame:
        """Scan the file; one without rows, or with blank lines (which a scan takes for rows), is read instead."""
        # polars before 1.40 refuses to scan a file in which no line follows the skipped ones.
        if self._blank or not self._rows:
            return self.read().lazy()
        frame = pl.scan_csv(
            self.path,
            has_header=False,
            skip_lines=self._layout.skip,
            separator=self._layout.separator,
            schema=self._scanned,
        )
        return frame.select(self._cast(name) for name in self.schema)

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Parse the file in chunks."""
        for _, lines in pieces(self.path, self._layout.skip, rows):
            yield self._parse(lines).select(self._cast(name) for name in columns)

    @cached_property
    def _scanned(self) -> pl.Schema:
        """Schema of the raw fields: the columns, and the empty field after a trailing separator."""
        if not self._layout.trailing:
            return self._raw
        return pl.Schema({**self._raw, "\0trailing": pl.String()})

    def _parse(self, lines: list[bytes]) -> pl.DataFrame:
        if len(self._scanned) > 1:
            lines = _without_blank(lines)
        try:
            return pl.read_csv(
                b"".join(lines), has_header=False, separator=self._layout.separator, schema=self._scanned
            )
        except pl.exceptions.PolarsError as error:
            raise InputError(_unreadable(self.path, error)) from None

    def _cast(self, name: str) -> pl.Expr:
        dtype = self.schema[name]
        return pl.col(name) if dtype == pl.String else _cast_text(pl.col(name), dtype).alias(name)

    def _inspect(self) -> pl.Schema:
        """Read the file once: check the number of fields of every line and find the type of every column."""
        guesses = {name: _Guess() for name in self._raw}
        for first, lines in pieces(self.path, self._layout.skip, CHUNK_ROWS):
            self._check_fields(first, lines)
            frame = self._parse(lines)
            self._rows += frame.height
            self._blank = self._blank or (len(self._scanned) > 1 and len(_without_blank(lines)) < len(lines))
            _narrow(guesses, frame)
        return pl.Schema({name: guess.dtype for name, guess in guesses.items()})

    def _check_fields(self, first: int, lines: list[bytes]) -> None:
        """Refuse a line with more or fewer fields than the others, naming it."""
        try:
            texts = [line.decode("utf-8").rstrip("\r\n") for line in lines]
        except UnicodeDecodeError:
            line = next(i for i, line in enumerate(lines, first) if not _is_utf8(line))
            raise InputError(Problem(f"{self.path}, line {line}", "is not UTF-8 text", fix=NOT_UTF8)) from None
        if any('"' in text for text in texts):
            self._parse_fields(first, texts)
        else:
            self._count_separators(first, texts)

    def _count_separators(self, first: int, texts: list[str]) -> None:
        """Count the fields of lines without quotation marks, which is far quicker than parsing them."""
        width = len(self._scanned)
        column = pl.Series(texts)
        counts = column.str.count_matches(self._layout.separator, literal=True) + 1
        wrong = ((counts != width) & (column != "")).arg_true()
        if len(wrong):
            self._ragged(first + int(wrong[0]), int(counts[int(wrong[0])]), width)

    def _parse_fields(self, first: int, texts: list[str]) -> None:
        """Count the fields of lines in which quotation marks may hide separators."""
        width = len(self._scanned)
        reader = csv.reader((text + "\n" for text in texts), delimiter=self._layout.separator, strict=True)
        line = first
        try:
            for fields in reader:
                if fields and len(fields) != width:
                    self._ragged(line, len(fields), width)
                line = first + reader.line_num
        except csv.Error as error:
            raise InputError(
                Problem(f"{self.path}, line {line}", f"has a misplaced quotation mark ({error})")
            ) from None

    def _ragged(self, line: int, found: int, width: int) -> None:
        extra = "It was probably cut short, or a text holds the separator without quotation marks."
        raise InputError(
            Problem(f"{self.path}, line {line}", f"has {found} fields", f"{width} as in the other lines", extra)
        )


def open_source(path: Path, part: str | None) -> Source:
    """Open a CSV file."""
    if part is not None:
        raise InputError(Problem(f"{path}#{part}", "a CSV file holds one table only", fix=f"Leave out '#{part}'."))
    return CsvSource(path)


@dataclass(slots=True)
class _Guess:
    """Types that fit all values of a column so far."""

    kinds: tuple[pl.DataType, ...] = _KINDS
    #: Whether there was a value; whether there was a value other than NaN.
    filled: bool = False
    counted: bool = False

    @property
    def dtype(self) -> pl.DataType:
        if not self.kinds or not self.filled:
            return pl.String()
        if self.kinds[0].is_integer() and not self.counted:
            return pl.Float64()
        return pl.String() if self.kinds[0] == pl.Int128 else self.kinds[0]


def _narrow(guesses: dict[str, _Guess], frame: pl.DataFrame) -> None:
    """Remove the types that do not fit the values of `frame`."""
    asked = []
    for name, guess in guesses.items():
        bare = pl.col(name).str.strip_chars()
        there = bare.is_in(MISSING).not_()
        asked.append(there.any().alias(f"{name}\0filled"))
        asked.append((there & bare.is_in(_NAN).not_()).any().alias(f"{name}\0counted"))
        for i, dtype in enumerate(guess.kinds):
            missing = bare.is_null() | bare.is_in(MISSING + _NAN if dtype.is_integer() else MISSING)
            asked.append((missing | _cast_text(pl.col(name), dtype).is_not_null()).all().alias(f"{name}\0{i}"))
    answers = frame.select(asked).row(0, named=True)
    for name, guess in guesses.items():
        guess.kinds = tuple(dtype for i, dtype in enumerate(guess.kinds) if answers[f"{name}\0{i}"])
        guess.filled = guess.filled or bool(answers[f"{name}\0filled"])
        guess.counted = guess.counted or bool(answers[f"{name}\0counted"])


def _cast_text(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Cast texts to `dtype`; missing values, and texts that do not fit, become null."""
    bare = text.str.strip_chars()
    if dtype == pl.Boolean:
        return pl.when(bare.is_in(_TRUE)).then(True).when(bare.is_in(_FALSE)).then(False)
    return bare.cast(dtype, strict=False)


def _without_blank(lines: list[bytes]) -> list[bytes]:
    """Remove blank lines, except inside a quoted text."""
    kept, quoted = [], False
    for line in lines:
        if quoted or line.strip(b"\r\n"):
            kept.append(line)
        quoted ^= line.count(b'"') % 2 == 1
    return kept


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unreadable(path: Path, error: Exception) -> Problem:
    return Problem(str(path), f"cannot be parsed as CSV: {str(error).splitlines()[0]}")
