"""Layout of a text table: names and units of the columns, the line of the first row, and what divides fields."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from starscale.io.csv.beginning import Beginning, Record, beginning_of
from starscale.io.csv.fields import FIELD_END, as_fields, at_places, is_missing, is_value, split_fields
from starscale.vocabulary.errors import InputError, Problem

_UCD = re.compile(r"\[ucd=([^\]]*)\]")
#: What a line of types below the names holds: words of MAST, codes of RDB (``8N``, ``S``).
_TYPE = re.compile(
    r"byte|short|u?int(8|16|32|64)?|integer|long|bigint|float(32|64)?|real|double|char|varchar|str(ing)?|bool(ean)?"
)
_RDB_TYPE = re.compile(r"[0-9]*[NSM]")


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """How to read the lines of a text table.

    Attributes
    ----------
    names, units : tuple of str
        Of the columns; `units` is empty where the file has no line of units.
    skip : int
        Lines before the first row.
    separator : str
        Between fields; a blank stands for any number of blanks.
    known : dict
        Further information on columns, by name: `description`, `ucd`; ``text`` for a column of texts.
    title : bytes
        The line of the names, without its line end: files that were concatenated repeat it among the rows.
    header : frozenset of bytes
        Other lines of the header, such as the units.
    comments : bool
        Whether lines that begin with ``#`` are comments, also among the rows.
    bars : bool
        Whether a bar is also before the first and after the last field.
    places : tuple of (int, int)
        First and last byte of every field, where a line of dashes shows them.
    ruled : bool
        Whether there is a line of dashes; texts are then padded with blanks, and quotation marks are ordinary.
    extra : bool
        Rows have one field more than the header has names.
    trailing : bool
        That field is empty: every row ends with a separator.
    """

    names: tuple[str, ...]
    skip: int
    separator: str
    units: tuple[str, ...] = ()
    known: dict[str, dict[str, str]] = field(default_factory=dict)
    title: bytes = b""
    header: frozenset[bytes] = frozenset()
    comments: bool = False
    bars: bool = False
    places: tuple[tuple[int, int], ...] = ()
    ruled: bool = False
    extra: bool = False
    trailing: bool = False

    @property
    def mark(self) -> str:
        """What divides fields after :meth:`divided`."""
        return FIELD_END if self.separator == " " or self.bars else self.separator

    @property
    def quoting(self) -> str | None:
        """The separator, if a quotation mark after it begins a quoted text."""
        return None if self.ruled else self.separator

    @property
    def drawn(self) -> bool:
        """Whether dashes or bars surround the fields, which are padded with blanks."""
        return self.ruled or self.bars

    def divided(self, lines: Sequence[bytes]) -> bytes:
        """Return lines with their fields divided by one character, :attr:`mark`."""
        if self.places:
            return at_places(lines, self.places)
        content = b"".join(lines)
        if self.bars:
            return as_fields(content).replace(b"|", FIELD_END.encode())
        return as_fields(content, blanks=True) if self.separator == " " else content

    def split(self, record: str) -> list[str]:
        """Return the fields of a record."""
        if self.places or self.bars:
            fields = self.divided([record.encode()]).decode().rstrip("\n").split(FIELD_END)
            return [text.strip() for text in fields]
        return split_fields(record, self.separator)


def find_layout(path: Path) -> CsvLayout:
    """Read the header and compare it with the rows.

    Raises
    ------
    InputError
        There is no header, or the header and the rows cannot be those of one table.
    """
    begin = beginning_of(path)
    plain = CsvLayout((), 0, begin.separator, comments=bool(begin.leading), bars=begin.bars)
    if units := _comment_units(plain, begin.leading):
        names = replace(begin.leading[-2], end=begin.leading[-1].end)
        plain, begin = replace(plain, units=units), replace(begin, leading=[*begin.leading[:-2], names])
    header, rows = _header(path, plain, begin)
    layout = _with_rule(plain, header, rows) or _with_units(plain, header, rows)
    rows = [row for row in rows if row.end > layout.skip]
    shown = {row.text for row in begin.rest if row.end <= layout.skip and not row.is_rule} - {header.text}
    layout = replace(
        layout,
        names=tuple(layout.split(header.names)),
        known=_vizier_columns(begin.leading),
        title=header.text.encode(),
        # A line without a letter may also be a row without values.
        header=frozenset(text.encode() for text in shown if re.search(r"\w", text)),
    )
    return _compared(layout, rows)


def _header(path: Path, layout: CsvLayout, begin: Beginning) -> tuple[Record, list[Record]]:
    """Return the header and the records after it: the first line without ``#``, or the comment before the rows."""
    leading, rest = begin.leading, begin.rest
    if not rest:
        return _last(path, leading), []
    numbers = [text.strip() for text in layout.split(rest[0].text) if is_value(text)]
    fits = bool(leading) and _may_be_header(layout, leading[-1], rest[0], numbers=bool(numbers))
    if fits and (numbers or _is_row(layout, leading[-1], rest)):
        return leading[-1], rest
    if numbers:
        raise InputError(
            Problem(
                f"{path}, line {rest[0].end}",
                f"has no header line: its first line contains the number {numbers[0]!r}",
                "names of columns in the first line",
                "Write the names into a first line; a name that is a number needs a letter (2016 -> y2016).",
            )
        )
    return rest[0], rest[1:]


def _comment_units(layout: CsvLayout, leading: list[Record]) -> tuple[str, ...]:
    """Return the units of a last comment below that of the names; a unit is repeated, or a dash: no names are."""
    if len(leading) < 2:
        return ()
    names, texts = ([text.strip() for text in layout.split(record.names)] for record in leading[-2:])
    units = [text if text.strip("-") else "" for text in texts]
    found = set(filter(None, units))
    if not (any(texts) and len(found) < len(texts) == len(names) == len(set(names)) and _are_words(names)):
        return ()
    return tuple(units) if all(map(_is_unit, found)) else ()


def _last(path: Path, leading: list[Record]) -> Record:
    if not leading:
        raise InputError(Problem(str(path), "has no header line", "names of columns in the first line"))
    return leading[-1]


def _may_be_header(layout: CsvLayout, comment: Record, first: Record, *, numbers: bool) -> bool:
    """Whether a comment can name the columns of the line after it, which may begin with a row counter."""
    names, width = layout.split(comment.names), len(layout.split(first.text))
    if len(names) not in ({width, width - 1} if numbers else {width}):
        return False
    return (len(names) > 1 or _are_words(names)) and not any(map(is_value, names))


def _is_row(layout: CsvLayout, comment: Record, rest: list[Record]) -> bool:
    """Whether the first line without ``#`` is a row, though it has no numbers, and the comment the header.

    It is none if numbers, or a line of dashes, are below it, or if a field of the comment has several words.
    """
    if any(row.is_rule for row in rest[1:3]) or not _are_words(layout.split(comment.names)):
        return False
    texts = layout.split(rest[0].text)
    numbers = _numbers(layout, rest[1:], len(texts))
    return not any(number and not is_missing(text) for text, number in zip(texts, numbers, strict=True))


def _numbers(layout: CsvLayout, rows: list[Record], width: int) -> list[bool]:
    """Return for every column whether it has numbers and nothing else."""
    fields = [row for row in (layout.split(row.text) for row in rows) if len(row) == width]
    columns = [[text for text in column if not is_missing(text)] for column in zip(*fields, strict=True)]
    return [bool(column) and all(map(is_value, column)) for column in columns] or [False] * width


def _are_words(names: list[str]) -> bool:
    return bool(names) and all(re.fullmatch(r"\s*\S+\s*", name) for name in names)


def _with_rule(layout: CsvLayout, header: Record, rows: list[Record]) -> CsvLayout | None:
    """Take account of a line of dashes below the names, or below the line of units that follows them."""
    rule = next((row for row in rows[:2] if row.is_rule), Record("", 0))
    spans = [match.span() for match in re.finditer("-+", rule.text)]
    if len(spans) != len(layout.split(header.names)):
        return None
    if layout.separator == " ":
        layout = replace(layout, places=(*spans[:-1], (spans[-1][0], sys.maxsize)))
    units = _stripped(layout, rows[0]) if rule is not rows[0] else ()
    # A row of numbers before a row of dashes: these mean "missing".
    return None if any(map(is_value, units)) else replace(layout, units=units, ruled=True, skip=rule.end)


def _stripped(layout: CsvLayout, record: Record) -> tuple[str, ...]:
    return tuple(text.strip() for text in layout.split(record.text))


def _with_units(layout: CsvLayout, header: Record, rows: list[Record]) -> CsvLayout:
    """Take account of a line of units below the names: each is above numbers, and a unit that is known."""
    layout = replace(layout, skip=header.end)
    if len(rows) < 2 or any(map(is_value, texts := _stripped(layout, rows[0]))):
        return layout
    numbers = _numbers(layout, rows[1:], len(texts))
    if any(numbers) and _are_types(layout, texts):
        return replace(layout, skip=rows[0].end)
    return replace(layout, units=texts, skip=rows[0].end) if _are_units(texts, numbers) else layout


def _are_types(layout: CsvLayout, texts: Sequence[str]) -> bool:
    """Whether a line says the types of the columns: ``long,double,string``, or ``8N``, ``S`` of RDB."""
    rdb = layout.separator == "\t" and all(map(_RDB_TYPE.fullmatch, texts))
    return rdb or all(_TYPE.fullmatch(text.lower()) for text in texts)


def _are_units(texts: Sequence[str], numbers: Sequence[bool]) -> bool:
    """Whether there are units above numbers, and nothing above texts."""
    units = {text for text, number in zip(texts, numbers, strict=True) if number and text}
    others = {text.strip("-") for text, number in zip(texts, numbers, strict=True) if not number}
    return bool(units) and all(map(_is_unit, units)) and others <= {""}


def _is_unit(text: str) -> bool:
    # Units need astropy, which takes half a second to import.
    parse = importlib.import_module("starscale.io.units").parse_unit
    return not is_missing(text) and parse(text) is not None


def _vizier_columns(leading: list[Record]) -> dict[str, dict[str, str]]:
    """Return what the comments of VizieR say: ``#Column NAME (FORMAT) DESCRIPTION [ucd=...]``, divided by tabs."""
    known = {}
    for record in leading:
        word, *about = record.text.split("\t")
        if word == "#Column" and len(about) > 2:
            ucd = _UCD.search(record.text)
            known[about[0].strip()] = {
                "description": about[2].strip(),
                "ucd": ucd[1] if ucd else "",
                "text": "text" if about[1].strip().lower().startswith("(a") else "",
            }
    return known


def _compared(layout: CsvLayout, rows: list[Record]) -> CsvLayout:
    """Compare the number of names with that of the fields of the first row."""
    names = layout.names
    fields = len(layout.split(rows[0].text)) if rows else len(names)
    if len(names) == fields + 1 > 1 and not names[-1].strip():
        return replace(layout, names=names[:-1])
    if fields == len(names) + 1:
        return replace(layout, extra=True)
    if names and not names[0].strip():
        return replace(layout, names=("index", *names[1:]))
    return layout
