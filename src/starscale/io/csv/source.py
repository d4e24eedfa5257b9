"""Reading CSV and TSV files, and tables whose columns are divided by blanks, bars or position.

A first pass, in chunks, finds a layout and column types that hold for EVERY row. Columns are then parsed as text
and cast to these types: a 64-bit integer never passes through a float, and the type of a column does not depend on
its first rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl

from starscale.io.csv.beginning import beginning_of
from starscale.io.csv.fields import FIELD_END, QUOTED_MARK, is_sexagesimal
from starscale.io.csv.kinds import Kind, cast_text, narrow, plain_text
from starscale.io.csv.layout import CsvLayout, find_layout
from starscale.io.csv.lines import is_plain, pieces
from starscale.io.csv.numbered import numbered_columns
from starscale.io.csv.rows import LeftOut, TextRows
from starscale.io.csv.spelled import SpelledNumbers, as_usual
from starscale.io.table import (
    CHUNK_ROWS,
    Source,
    column_of,
    describe,
    refuse_many_columns,
    repeated_names,
    unique_names,
)
from starscale.vocabulary.errors import InputError, Problem

_EXTRA = "\0extra"


class CsvSource(Source):
    """A table in a text file, plain or packed with gzip.

    The ``#`` before the first name of a header is dropped, repeated names are numbered, a leading
    row counter without a name (as pandas writes it) is called ``index``, an empty field is null. An identifier in
    scientific notation has lost digits; it is read as a float, which the caller refuses.
    """

    def __init__(self, path: Path, layout: CsvLayout | None = None) -> None:
        self.path = path
        self.metadata = {}
        layout = layout or numbered_columns(beginning_of(path)) or find_layout(path)
        refuse_many_columns(path, len(layout.names))
        self._layout = _one_more(path, layout) if layout.extra else layout
        self.format = "ascii" if self._layout.mark == FIELD_END else "csv"
        names = unique_names(self._layout.names)
        self._reader = TextRows(path, self._layout, [*names, *([_EXTRA] if self._layout.trailing else [])])
        self._rows = 0
        self._kinds = {name: Kind() for name in names}
        #: Columns of numbers with commas or exponents of Fortran.
        self._spelled: set[str] = set()
        self.notes = (*_about_header(self._layout, names), *self._inspect())
        self._drop_nameless(names[-1])
        self.schema = pl.Schema({name: self._type(name) for name in self._kinds})
        units = dict(zip(names, self._layout.units, strict=False))
        known = {name: {**self._layout.known.get(name, {}), "unit": units.get(name, "")} for name in names}
        self.columns = describe(self.schema, known)
        # Words for "missing" stand in the numbers of the file: there they mean the same in its texts.
        self._missing = set().union(*(kind.missing for kind in self._kinds.values()))

    def _drop_nameless(self, last: str) -> None:
        """Drop a last column without name and values: the header, and every row, ends with a separator."""
        kind = self._kinds[last]
        if not (self._layout.names[-1].strip() or kind.filled or kind.words or len(self._kinds) == 1):
            del self._kinds[last]

    @property
    def n_rows(self) -> int:
        """Number of rows, counted when the file was opened."""
        return self._rows

    def with_texts(self, names: Collection[str]) -> Source:
        """Return the same table with the named columns as texts, as they are written in the file."""
        other = copy(self)
        texts = {name: pl.String() if name in names else dtype for name, dtype in self.schema.items()}
        other.schema = pl.Schema(texts)
        other.columns = {
            name: replace(column, dtype="string") if name in names else column
            for name, column in self.columns.items()
        }
        return other

    def lazy(self) -> pl.LazyFrame:
        """Scan the file; where a scan would see other rows or another encoding, it is read instead."""
        # polars before 1.40 refuses to scan a file in which no line follows the skipped ones.
        plain = self._layout.mark == self._layout.separator and self._reader.plain and is_plain(self.path)
        if not plain or not self._rows or self._reader.others:
            return self.read().lazy()
        frame = pl.scan_csv(
            self.path,
            has_header=False,
            skip_lines=self._layout.skip,
            separator=self._layout.separator,
            schema=dict.fromkeys(self._reader.names, pl.String),
        )
        return frame.select(self._cast(name) for name in self.schema).fill_nan(None)

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Parse the file in chunks."""
        for first, lines in pieces(self.path, self._layout.skip, rows, self._layout.quoting):
            yield self._reader.frame(first, lines).select(self._cast(name) for name in columns)

    def _type(self, name: str) -> pl.DataType:
        if self._layout.known.get(name, {}).get("text"):
            return pl.String()
        return pl.Float64() if name in self._spelled else self._kinds[name].dtype

    def _cast(self, name: str) -> pl.Expr:
        dtype, kind = self.schema[name], self._kinds[name]
        if dtype == pl.String:
            return plain_text(column_of(name), kind, self._missing, marked=self._reader.marked).alias(name)
        return self._number(name, dtype).alias(name)

    def _number(self, name: str, dtype: pl.DataType) -> pl.Expr:
        """Return a column as numbers or truth values; what is none is missing."""
        text = column_of(name).str.strip_chars() if self._reader.padded else column_of(name)
        if name in self._spelled:
            text = as_usual(text)
        return cast_text(text.str.strip_prefix(QUOTED_MARK) if self._reader.marked else text, dtype)

    def _inspect(self) -> list[str]:
        """Read the file once: check every line, count the rows, find the types; return what a user must know."""
        left_out, angles, spelled = LeftOut(), set[str](), SpelledNumbers()
        for first, lines in pieces(self.path, self._layout.skip, CHUNK_ROWS, self._layout.quoting):
            frame = self._reader.frame(first, lines, left_out)
            self._refuse_other_header(frame)
            self._rows += frame.height
            before = {name: kind.kinds for name, kind in self._kinds.items()}
            narrow(self._kinds, frame, padded=self._reader.padded)
            spelled.add(frame, self._kinds, before)
            texts = [name for name, kind in self._kinds.items() if not kind.kinds]
            angles |= {name for name in texts if is_sexagesimal(_first_text(frame[name]))}
        about = "has angles such as 12:30:45, which are texts unless a survey describes the positions"
        self._spelled = spelled.numbers(self._kinds, self._layout.separator)
        notes = [*left_out.sentences(), *spelled.notes(self._spelled)]
        return [*notes, *(f"column {name!r} {about}" for name in sorted(angles))]

    def _refuse_other_header(self, frame: pl.DataFrame) -> None:
        """Refuse a row that consists of the names in another order: files with other columns were concatenated."""
        names = list(self._kinds)
        if len(names) < 2 or not frame[names[0]].is_in(names).any():
            return
        rows = frame.with_row_index("\0row", self._rows + 1).filter(column_of(names[0]).is_in(names))
        for row in rows.select("\0row", *names).iter_rows():
            if sorted(str(text).strip() for text in row[1:]) == sorted(names):
                found = f"row {row[0]} is a header with the columns in another order"
                fix = "Files that were joined into this one have other columns: read each by itself."
                raise InputError(Problem(str(self.path), found, "rows of one table", fix))


def open_source(path: Path, part: str | None) -> Source:
    """Open a text table."""
    if part is not None:
        raise InputError(Problem(f"{path}#{part}", "a CSV file holds one table only", fix=f"Leave out '#{part}'."))
    return CsvSource(path)


def _first_text(values: pl.Series) -> str:
    there = values.is_not_null().arg_max() if len(values) else None
    return "" if there is None else str(values[there] or "")


def _about_header(layout: CsvLayout, names: Sequence[str]) -> list[str]:
    """Tell which names of the header are repeated, and that a line without mark was read as one of units."""
    notes = repeated_names([name.strip() for name in layout.names], names)
    if any(layout.units) and layout.title and not layout.ruled:
        units = ", ".join(filter(None, layout.units[:3]))
        notes.append(f"the line below the names ({units}, ...) was read as units")
    return notes


def _one_more(path: Path, layout: CsvLayout) -> CsvLayout:
    """Explain rows with one field more than the header.

    pandas and R write a row counter without a name before the first column; other programs end every row with a
    separator. In any other case it is unknown which name belongs to which value, and the file is refused.
    """
    n = len(layout.names)
    reader = TextRows(path, layout, [str(i) for i in range(n + 1)])
    counter, trailing, before = True, True, -1
    for first, lines in pieces(path, layout.skip, CHUNK_ROWS, layout.quoting):
        frame = reader.frame(first, lines, LeftOut())
        trailing = trailing and bool((frame[str(n)].fill_null("").str.strip_chars() == "").all())
        counts = [before, *_counts(frame["0"])]
        counter = counter and all(a < b for a, b in pairwise(counts))
        before = counts[-1]
    if counter != trailing:
        names = layout.names if trailing else ("index", *layout.names)
        return replace(layout, names=names, trailing=trailing, extra=False)
    raise InputError(
        Problem(
            f"{path}, line {layout.skip + 1}",
            f"has {n + 1} fields where the header has {n} names",
            "as many fields as names (or a leading row counter as pandas writes it)",
            "Write a name for every column into the header.",
        )
    )


def _counts(texts: pl.Series) -> list[int]:
    """Return whole numbers; -1 for any other text."""
    return texts.str.strip_chars().str.extract(r"^(\d+)$").cast(pl.Int64, strict=False).fill_null(-1).to_list()
