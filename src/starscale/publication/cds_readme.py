"""The ReadMe of a catalogue at CDS, and the head of a machine-readable table of the AAS journals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from starscale.publication.cds import RULE, CdsLayout, ascii_text, byte_by_byte, record_length, wrapped

_BAR = "=" * 80
#: Marks information that only the author has.
TO_FILL = "[TO BE FILLED IN: {}]"


@dataclass(frozen=True, slots=True)
class Publication:
    """Information that only the author has; what is missing is marked in the ReadMe."""

    title: str = ""
    authors: tuple[str, ...] = ()
    bibcode: str = ""
    keywords: tuple[str, ...] = ()
    abstract: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the fields that are not given."""
        return tuple(item.name for item in fields(self) if not getattr(self, item.name))

    @property
    def missing_in_mrt(self) -> tuple[str, ...]:
        """Those of them that the head of a machine-readable table holds."""
        return tuple(name for name in self.missing if name in ("title", "authors"))

    @property
    def first_author(self) -> str:
        """Family name of the first author; ``Author`` where none is given."""
        return self.authors[0].split(",")[0].split()[0] if self.authors else "Author"


@dataclass(frozen=True, slots=True)
class DataFile:
    """The table described: file name, number of rows, columns, and notes by column."""

    name: str
    rows: int
    layouts: Sequence[CdsLayout]
    notes: Mapping[str, Sequence[str]]


def readme(publication: Publication, data: DataFile, description: Sequence[str]) -> str:
    """Return the ReadMe; `description` are paragraphs on the contents and the origin of the catalogue."""
    lines = [
        *_reference(publication),
        *_hanging("ADC_Keywords: ", _or_mark("; ".join(publication.keywords), "keywords")),
        "",
        "Abstract:",
        *_indented(_or_mark(publication.abstract, "abstract")),
        "",
        "Description:",
        *(line for paragraph in description for line in _indented(paragraph)),
        "",
        *_file_summary(data, ascii_text(publication.title)[:35] or "Catalogue"),
        "",
        *byte_by_byte(data.layouts, data.name, data.notes),
        "",
        _BAR,
        f"(End){ascii_text(publication.first_author)[:30]:>75}",
    ]
    return "\n".join(lines) + "\n"


def _reference(publication: Publication) -> list[str]:
    """Return the first lines of a ReadMe: designation, title, authors and bibcode."""
    bibcode = publication.bibcode
    year = bibcode[:4] if bibcode[:4].isdigit() else "year"
    head = f"J/?/?/?  {ascii_text(publication.title or 'catalogue')[:40]}"
    return [
        f"{head:<55} {f'({ascii_text(publication.first_author)}+, {year})':>24}",
        _BAR,
        *wrapped(_or_mark(publication.title, "title")),
        *_indented(_or_mark(", ".join(publication.authors), "authors")),
        f"   ={_or_mark(bibcode, 'bibcode')}",
        _BAR,
    ]


def _file_summary(data: DataFile, title: str) -> list[str]:
    width = max(len(data.name), 8)
    length = record_length(data.layouts)
    return [
        "File Summary:",
        RULE,
        f" {'FileName':<{width}}  {'Lrecl':>6}  {'Records':>10}   Explanations",
        RULE,
        f" {'ReadMe':<{width}}  {80:>6}  {'.':>10}   This file",
        f" {data.name:<{width}}  {length:>6}  {data.rows:>10}   {title}",
        RULE,
    ]


def mrt_head(publication: Publication, data: DataFile, description: Sequence[str]) -> str:
    """Return the lines before the rows of a machine-readable table."""
    lines = [
        *_hanging("Title: ", _or_mark(publication.title, "title")),
        *_hanging("Authors: ", _or_mark(", ".join(publication.authors), "authors")),
        *_hanging("Table: ", " ".join(description)),
        _BAR,
        *byte_by_byte(data.layouts, data.name, data.notes),
    ]
    return "\n".join(lines) + "\n"


def _hanging(name: str, text: str) -> list[str]:
    first, *others = wrapped(text, 80 - len(name))
    return [name + first, *(" " * len(name) + line for line in others)]


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in wrapped(text, 76)]


def _or_mark(text: str, name: str) -> str:
    return text or TO_FILL.format(name)
