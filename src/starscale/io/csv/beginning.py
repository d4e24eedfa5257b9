"""The first lines of a text table: comments, records, and what divides the fields."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from starscale.io.csv.fields import is_value, split_fields
from starscale.io.csv.lines import NOT_UTF8, text_lines
from starscale.vocabulary.errors import InputError, Problem

_BOM = "\ufeff"
#: Records after the leading comments that are compared with the header; most lines that are looked at.
_LOOK, _LINES = 200, 100_000
_OPENED = re.compile(r'(?:^|[,;|\t ]) *"')
_RULE = re.compile(r"[\s|+,;]*-+(?:[\s|+,;]+-+)*[\s|+,;]*")
#: The line by which spreadsheets state the separator.
_TOLD = re.compile(r'"?sep=(.)"?')
_NAMED = re.compile(r"\.[ct]sv(\.gz)?$", re.IGNORECASE)
_TABS = re.compile(r"\.tsv(\.gz)?$", re.IGNORECASE)
_FOUND_BY_BLANKS = re.compile(r" *-+( +-+)+ *")


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the beginning of a file: its text, and the number of lines up to its end."""

    text: str
    end: int

    @property
    def is_comment(self) -> bool:
        """Whether the line begins with ``#``."""
        return self.text.startswith("#")

    @property
    def is_rule(self) -> bool:
        """Whether the line consists of dashes, as VizieR, psql and astropy draw it below the names."""
        return _RULE.fullmatch(self.text) is not None

    @property
    def names(self) -> str:
        """The text without a leading ``#``; a tab before the first name stands for a name left out, and stays."""
        return self.text.removeprefix("#").strip(" ") if self.is_comment else self.text


@dataclass(frozen=True, slots=True)
class Beginning:
    """The leading comments, the other first records, and the separator."""

    leading: list[Record]
    rest: list[Record]
    separator: str

    @property
    def bars(self) -> bool:
        """Whether the records have a bar before the first and after the last field."""
        texts = [record.text.strip() for record in self.rest if not record.is_rule][:3]
        bars = (text.startswith("|") and text.endswith("|") and text.count("|") > 1 for text in texts)
        return self.separator == "|" and bool(texts) and all(bars)

    @property
    def format(self) -> str | None:
        """Return ``csv``, or ``ascii`` where blanks or bars divide the fields; None without columns."""
        if self.separator == " " or self.bars:
            return "ascii"
        shown = (*self.rest[:1], *self.leading[-1:])
        return "csv" if any(self.separator in record.text for record in shown) else None


def beginning_of(path: Path) -> Beginning:
    """Read the first lines.

    Raises
    ------
    InputError
        They are not UTF-8.
    """
    records = [record for record in _records(path) if record.text.strip()]
    leading = list(itertools.takewhile(lambda record: record.is_comment, records))
    rest = [record for record in records[len(leading) :] if not record.is_comment]
    told = _TOLD.fullmatch(rest[0].text.strip()) if rest else None
    rest = list(itertools.dropwhile(lambda record: record.is_rule, rest[1:] if told else rest))
    return Beginning(leading, rest, told[1] if told else _separator(path.name, leading, rest))


def _records(path: Path) -> list[Record]:
    """Return the first records, without the byte order mark; a quoted text may have several lines."""
    found: list[Record] = []
    held, left = "", _LOOK
    with text_lines(path) as lines:
        for number, line in enumerate(itertools.islice(lines, _LINES), 1):
            held += _decoded(path, number, line)
            held = held.removeprefix(_BOM) if number == 1 else held
            left -= not held.startswith("#")
            if left <= 0 or not _is_open(held):
                found.append(Record(held.rstrip("\r\n"), number))
                held = ""
            if left <= 0:
                break
    return found


def _is_open(text: str) -> bool:
    """Whether a text ends within quotation marks."""
    return not text.startswith("#") and text.count('"') % 2 == 1 and _OPENED.search(text) is not None


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(Problem(f"{path}, line {number}", "is not UTF-8 text", fix=NOT_UTF8)) from None


def _separator(name: str, leading: list[Record], rest: list[Record]) -> str:
    """Return what divides the fields: it gives the first records, and the comment before them, as many fields."""
    shown = (*rest[:1], *leading[-1:], Record("", 0))[0].text
    # Not those within quotation marks.
    there = [mark for mark in "\t,;|" if len(split_fields(shown, mark)) > 1]
    # A file called .csv may have one column, of texts with blanks.
    strict = _NAMED.search(name) is not None
    for lines in ([*leading[-1:], *rest[:20]], rest[:20]):
        found = _exact(there, lines)
        if found or _divided_by_blanks(lines, strict=strict):
            return found or " "
    # Rows may have one field more than the header: a row counter, or an empty field.
    usual = "\t" if _TABS.search(name) else ","
    return next((mark for mark in there if _fits(mark, rest[:20], 1)), (*there, usual)[0])


def _exact(marks: list[str], lines: list[Record]) -> str:
    """Return the first mark that gives all lines as many fields; empty if there is none."""
    return next((mark for mark in marks if len(lines) > 1 and _fits(mark, lines, 0)), "")


def _fits(mark: str, lines: list[Record], most: int) -> bool:
    """Whether the numbers of fields of the lines differ by `most`."""
    widths = [len(split_fields(line.names, mark)) for line in lines]
    return not widths or max(widths) - min(widths) <= most


def _divided_by_blanks(lines: list[Record], *, strict: bool) -> bool:
    """Whether blanks divide lines into as many fields each, with numbers among them (strict: only numbers)."""
    if any(_FOUND_BY_BLANKS.fullmatch(line.text) for line in lines[1:3]):
        return True
    widths = {len(split_fields(line.names, " ")) for line in lines}
    if len(lines) < 2 or len(widths) > 1 or widths == {1}:
        return False
    # A comment is the header of what has numbers.
    checked = (lines[-1], lines[1]) if lines[0].is_comment else lines[-1:]
    enough = all if strict else any
    return all(enough(map(is_value, split_fields(line.text, " "))) for line in checked)
