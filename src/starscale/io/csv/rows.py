"""Rows of a text table: lines that are no rows are left out, the others are checked and divided into fields."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from starscale.io.csv.fields import has_padding, has_quotes, quoted_fields, tidy_quotes
from starscale.io.csv.layout import CsvLayout
from starscale.io.csv.lines import NOT_UTF8
from starscale.vocabulary.errors import InputError, Problem

_BOM = b"\xef\xbb\xbf"
_FOOTER = re.compile(rb"\(\d+ rows?\)\s*")
_COMMENT, _HEADER = "line of comment among the rows", "line of a repeated header"


@dataclass(slots=True)
class LeftOut:
    """Lines among the rows that are no rows: how many of each kind, and the number of the first one."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, line: int) -> None:
        """Count a line."""
        self.counts[kind] += 1
        self.first.setdefault(kind, line)

    def sentences(self) -> tuple[str, ...]:
        """Return what a user must know."""
        return tuple(
            f"{n} {kind.replace('line', 'lines', n > 1)} left out (the first is line {self.first[kind]})"
            for kind, n in self.counts.items()
            if kind
        )


@dataclass(slots=True)
class TextRows:
    """Turns lines of a file into frames of texts.

    Attributes
    ----------
    path : Path
    layout : CsvLayout
    names : list of str
        Of the fields of a line.
    """

    path: Path
    layout: CsvLayout
    names: list[str]
    #: Whether a scan of polars sees the same fields: no quotation mark was removed or has another meaning.
    plain: bool = True
    #: Whether the first pass found lines that are no rows.
    others: bool = False
    #: Whether a missing word had quotation marks.
    marked: bool = False
    #: Whether a field began or ended with blanks.
    padded: bool = False

    def frame(self, first: int, lines: list[bytes], left_out: LeftOut | None = None) -> pl.DataFrame:
        """Return the fields of lines as texts; an empty field is null.

        Parameters
        ----------
        first : int
            Number of the first line.
        lines : list of bytes
            Whole records.
        left_out : LeftOut, optional
            Given on the first pass: counts lines that are no rows, and lines are checked.

        Raises
        ------
        InputError
            A line is not UTF-8, has too many or too few fields, or a misplaced quotation mark.
        """
        inspected = left_out is not None
        self.others = self.others or (inspected and self._has_others(lines))
        kept = [row for _, row in self._records(first, lines, left_out)] if self.others else lines
        content, quotes = self._tidied(self.layout.divided(kept))
        if inspected and not self._is_regular(content, quotes=quotes):
            self._refuse(first, lines)
        self.padded = self.padded or (inspected and has_padding(content, self.layout.mark))
        return self._parsed(content, quotes=quotes)

    def _tidied(self, content: bytes) -> tuple[bytes, bool]:
        """Return lines with tidy quotation marks, and whether there are quoted fields."""
        mark = self.layout.mark
        if self.layout.quoting is None or not has_quotes(content, mark):
            # Quotation marks within fields would stop a scan.
            self.plain = self.plain and b'"' not in content
            return content, False
        tidied, marked = tidy_quotes(content, mark)
        self.marked = self.marked or marked
        self.plain = self.plain and tidied is content
        return tidied, True

    def _parsed(self, content: bytes, *, quotes: bool) -> pl.DataFrame:
        schema = dict.fromkeys(self.names, pl.String)
        if not content.strip(b"\r\n") and len(schema) > 1:
            return pl.DataFrame(schema=schema)
        mark = '"' if quotes else None
        try:
            found = pl.read_csv(
                content, has_header=False, separator=self.layout.mark, schema=schema, quote_char=mark
            )
        except pl.exceptions.PolarsError as error:
            what = f"cannot be parsed as CSV: {str(error).splitlines()[0]}"
            raise InputError(Problem(str(self.path), what)) from None
        if self.layout.drawn:
            found = found.with_columns(pl.all().str.strip_chars().replace("", None))
        return found

    def _has_others(self, lines: list[bytes]) -> bool:
        """Whether some lines may be no rows; quick, since it is asked of every chunk."""
        content = b"\n" + b"".join(lines)
        others = [_BOM, *(b"\n" + line for line in (self.layout.title, *self.layout.header))]
        if self.layout.comments:
            others.append(b"\n#")
        if len(self.names) > 1:
            others += [b"\n\n", b"\n\r\n"]
        if self.layout.separator == " ":
            others += [b"\n ", b"\n\t"]
        return self.layout.drawn or any(mark in content for mark in others)

    def _records(self, first: int, lines: list[bytes], left_out: LeftOut | None) -> Iterator[tuple[int, bytes]]:
        """Yield every row with the number of its line; other lines are counted."""
        quoting, held, start = self.layout.quoting, b"", first
        for number, line in enumerate(lines, first):
            if not held:
                line, start = line.removeprefix(_BOM), number
                if (kind := self._kind(line.rstrip(b"\r\n"), left_out, number)) is not None:
                    if left_out is not None:
                        left_out.add(kind, number)
                    continue
            held += line
            if quoting is None or held.count(b'"') % 2 == 0 or not has_quotes(held, quoting):
                yield start, held
                held = b""
        if held:
            yield start, held

    def _kind(self, line: bytes, left_out: LeftOut | None, number: int) -> str | None:
        """Return what a line is that is no row, with an empty name for what needs no mention; None for a row."""
        if not line or (self.layout.separator == " " and line.isspace()):
            return "" if len(self.names) > 1 else None
        if line == self.layout.title:
            return _HEADER
        if line in self.layout.header:
            return ""
        if self.layout.comments and line.startswith(b"#"):
            return _COMMENT
        return self._ornament(line, left_out, number) if self.layout.drawn else None

    def _ornament(self, line: bytes, left_out: LeftOut | None, number: int) -> str | None:
        """Return an empty name for a line of dashes, and for psql's number of rows; None for a row."""
        if b"-" in line and not line.strip(b"-+|;,\t "):
            if left_out is not None and not self.layout.bars and _HEADER not in left_out.counts:
                found = "has a line of dashes among the rows: another table begins"
                fix = "Divide the file, so that each table has its own."
                raise InputError(Problem(f"{self.path}, line {number}", found, "one table", fix))
            return ""
        return "" if _FOOTER.fullmatch(line) else None

    def _is_regular(self, content: bytes, *, quotes: bool) -> bool:
        """Whether every record has as many fields as the header; quick: it does not say which one has not."""
        mark = self.layout.mark
        if quotes:
            content = quoted_fields(mark).sub(b"q", content)
            if has_quotes(content, mark):
                return False
        try:
            records = content.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            return False
        column = pl.Series(records).str.strip_suffix("\r")
        fields = column.str.count_matches(mark, literal=True) + 1
        return bool(((fields == len(self.names)) | (column == "")).all())

    def _refuse(self, first: int, lines: list[bytes]) -> None:
        """Refuse the first bad line, naming it."""
        mark, width = self.layout.mark, len(self.names)
        for number, record in self._records(first, lines, None):
            where = f"{self.path}, line {number}"
            try:
                record.decode()
            except UnicodeDecodeError:
                raise InputError(Problem(where, "is not UTF-8 text", fix=NOT_UTF8)) from None
            content = self.layout.divided([record])
            if self.layout.quoting is not None and has_quotes(content, mark):
                content = quoted_fields(mark).sub(b"q", tidy_quotes(content, mark)[0])
                if has_quotes(content, mark):
                    raise InputError(Problem(where, "has a misplaced quotation mark"))
            found = content.rstrip(b"\r\n").count(mark.encode()) + 1
            if found != width and content.strip(b"\r\n"):
                fix = "It was probably cut short, or a text holds the separator without quotation marks."
                raise InputError(Problem(where, f"has {found} fields", f"{width} as in the other lines", fix))
