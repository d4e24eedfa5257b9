"""The ReadMe of a catalogue at CDS, and the head of a machine-readable table of the AAS journals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from starscale.publication.cds import RULE, CdsLayout, ascii_text, byte_by_byte, record_length, wrapped

_BAR = "=" * 80
#: Stands for what only the author can say; nothing else in a ReadMe looks like it.
TO_FILL = "[TO BE FILLED IN: {}]"


@dataclass(frozen=True, slots=True)
class Publication:
    """What only the author can say about a catalogue; what is missing is marked in the ReadMe."""

    title: str = ""
    authors: tuple[str, ...] = ()
    bibcode: str = ""
    keywords: tuple[str, ...] = ()
    abstract: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of what is not given."""
        return tuple(item.name for item in fields(self) if not getattr(self, item.name))


@dataclass(frozen=True, slots=True)
class DataFile:
    """The table that is described: name, rows, columns, and notes on some of them."""

    name: str
    rows: int
    layouts: Sequence[CdsLayout]
    notes: Mapping[str, Sequence[str]]


def readme(publication: Publication, data: DataFile, description: Sequence[str]) -> str:
    """Return the ReadMe; `description` are paragraphs on what the catalogue is and how it was made."""
    title = _or_mark(publication.title, "title")
    authors = ", ".join(publication.authors) or TO_FILL.format("authors")
    first = publication.authors[0].split(",")[0].split()[0] if publication.authors else "Author"
    year = publication.bibcode[:4] if publication.bibcode[:4].isdigit() else "year"
    head = f"J/?/?/?  {ascii_text(publication.title or 'catalogue')[:40]}"
    lines = [
        f"{head:<55} {f'({ascii_text(first)}+, {year})':>24}",
        _BAR,
        *wrapped(title),
        *(f"    {line}" for line in wrapped(authors, 76)),
        f"   ={publication.bibcode or TO_FILL.format('bibcode')}",
        _BAR,
        *_hanging("ADC_Keywords: ", "; ".join(publication.keywords) or TO_FILL.format("keywords")),
        "",
        "Abstract:",
        *(f"    {line}" for line in wrapped(_or_mark(publication.abstract, "abstract"), 76)),
        "",
        "Description:",
    ]
    for paragraph in description:
        lines += [f"    {line}" for line in wrapped(paragraph, 76)]
    names = max(len(data.name), 8)
    short = ascii_text(publication.title)[:35] or "Catalogue"
    width = record_length(data.layouts)
    lines += [
        "",
        "File Summary:",
        RULE,
        f" {'FileName':<{names}}  {'Lrecl':>6}  {'Records':>10}   Explanations",
        RULE,
        f" {'ReadMe':<{names}}  {80:>6}  {'.':>10}   This file",
        f" {data.name:<{names}}  {width:>6}  {data.rows:>10}   {short}",
        RULE,
        "",
        *byte_by_byte(data.layouts, data.name, data.notes),
        "",
        _BAR,
        f"(End){ascii_text(first)[:30]:>75}",
    ]
    return "\n".join(lines) + "\n"


def mrt_head(publication: Publication, data: DataFile, description: Sequence[str]) -> str:
    """Return what precedes the rows of a machine-readable table."""
    notes = dict(data.notes)
    lines = [
        *_hanging("Title: ", _or_mark(publication.title, "title")),
        *_hanging("Authors: ", ", ".join(publication.authors) or TO_FILL.format("authors")),
        *_hanging("Table: ", " ".join(description)),
        _BAR,
        *byte_by_byte(data.layouts, data.name, notes),
    ]
    return "\n".join(lines) + "\n"


def _hanging(name: str, text: str) -> list[str]:
    first, *others = wrapped(text, 80 - len(name))
    return [name + first, *(" " * len(name) + line for line in others)]


def _or_mark(text: str, name: str) -> str:
    return text or TO_FILL.format(name)
