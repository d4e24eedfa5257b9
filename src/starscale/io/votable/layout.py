"""Layout of a VOTable file: the document before and after the rows of its first table, and the number of rows.

A file is read once when it is opened; its rows are only counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.parsers import expat

from starscale.io.packed import DAMAGE, open_packed

_BLOCK = 1 << 20
#: Longer than any tag that ends the rows, including blanks.
_OVERLAP = 64
#: Longest beginning of a document, before its first row.
_LONGEST_HEAD = 64 << 20
_BLANKS = b" \t\r\n"
_SERIALISATIONS = ("TABLEDATA", "BINARY", "BINARY2", "FITS", "PARQUET")


class DamagedError(ValueError):
    """The document ends too early, or is not XML."""


@dataclass(frozen=True, slots=True)
class VotableLayout:
    """A document that can be read in chunks.

    Attributes
    ----------
    kind : str
        TABLEDATA, BINARY or BINARY2 (in base64).
    head, tail : bytes
        The document before and after the rows.
    end, close_row : re.Pattern
        The tag that ends the rows, and the tag that ends one row of TABLEDATA.
    rows, size : int
        Number of rows (TABLEDATA); number of decoded bytes (BINARY, BINARY2).
    """

    kind: str
    head: bytes
    tail: bytes
    end: re.Pattern[bytes]
    close_row: re.Pattern[bytes]
    rows: int
    size: int

    def blocks(self, path: Path) -> Iterator[bytes]:
        """Yield the text between head and tail, in blocks."""
        with open_packed(path) as file:
            file.read(len(self.head))
            yield from _until(file, self.end)


def layout_of(path: Path) -> VotableLayout | None:
    """Find the rows of the first table; None if the document can only be read whole.

    Raises
    ------
    DamagedError
        The XML is damaged, or ends within the rows.
    """
    try:
        with open_packed(path) as file:
            found = _head(file)
        if found is None:
            return None
        kind, head, prefix = found
        tag = re.escape(prefix) + (b"TABLEDATA" if kind == "TABLEDATA" else b"STREAM")
        end, close_row = re.compile(rb"</" + tag + rb"\s*>"), re.compile(rb"</" + re.escape(prefix) + rb"TR\s*>")
        rest: list[bytes] = []
        with open_packed(path) as file:
            file.read(len(head))
            blocks = _until(file, end, rest)
            rows, size = (_rows(blocks, close_row), 0) if kind == "TABLEDATA" else (0, _size(blocks))
            tail = b"".join(rest) + file.read()
    except (OSError, *DAMAGE) as error:
        raise DamagedError(str(error)) from error
    return VotableLayout(kind, head, tail, end, close_row, rows, size)


def _rows(blocks: Iterator[bytes], close_row: re.Pattern[bytes]) -> int:
    """Count the rows of TABLEDATA."""
    rows = 0
    held = b""
    for block in blocks:
        held += block
        ends = list(close_row.finditer(held))
        rows += len(ends)
        held = held[ends[-1].end() :] if ends else held
    return rows


def _size(blocks: Iterator[bytes]) -> int:
    """Count the bytes that a base64 text encodes."""
    signs = 0
    last = b""
    for block in blocks:
        plain = block.translate(None, _BLANKS)
        signs += len(plain)
        last = (last + plain)[-2:]
    return signs // 4 * 3 - last.count(b"=")


class _Walk:
    """Handlers of expat that stop at the tag before the rows."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.XmlDeclHandler = self._declaration
        self.encoding = "utf-8"
        self.kind = ""
        self.prefix = ""
        self.stream: dict[str, str] = {}
        self.place = -1
        self.hopeless = False

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self.encoding = (encoding or "utf-8").lower()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.place >= 0:
            return
        prefix, _, name = tag.rpartition(":")
        if name in _SERIALISATIONS:
            self.kind, self.prefix = name, f"{prefix}:" if prefix else ""
            self.hopeless = name in ("FITS", "PARQUET")
        if name == "TABLEDATA" or (name == "STREAM" and self.kind.startswith("BINARY")):
            self.stream = dict(attributes)
            self.place = self.parser.CurrentByteIndex


def _head(file: IO[bytes]) -> tuple[str, bytes, bytes] | None:
    """Read up to the first row: the kind of the rows, the document before them, the prefix of its tags."""
    walk = _Walk()
    text = b""
    end = -1
    while end < 0:
        block = file.read(_BLOCK)
        text += block
        _parse_on(walk, block)
        if walk.hopeless or len(text) > _LONGEST_HEAD or (not block and walk.place < 0):
            return None
        if walk.place >= 0:
            end = _end_of_tag(text, walk.place)
        if end < 0 and not block:
            raise DamagedError("it ends within a tag")
    return (walk.kind, text[:end], walk.prefix.encode()) if _streamable(walk, text[:end]) else None


def _parse_on(walk: _Walk, block: bytes) -> None:
    """Parse one more block, up to the first row: damage behind it is left to the reader of the rows."""
    if walk.place >= 0:
        return
    try:
        walk.parser.Parse(block, not block)
    except expat.ExpatError as error:
        if walk.place < 0:
            raise DamagedError(str(error)) from error


def _streamable(walk: _Walk, head: bytes) -> bool:
    """Whether the rows can be read from the file itself, in pieces."""
    plain = walk.encoding in ("utf-8", "us-ascii", "ascii", "iso-8859-1", "latin-1")
    encoded = walk.kind == "TABLEDATA" or walk.stream.get("encoding") == "base64"
    closed = head.endswith(b"/>")
    return plain and encoded and "href" not in walk.stream and not closed and head[:2] not in _UTF16


_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_TAG = re.compile(rb"""<(?:[^>"']|"[^"]*"|'[^']*')*>""")


def _end_of_tag(text: bytes, place: int) -> int:
    found = _TAG.match(text, place)
    return found.end() if found else -1


def _until(file: IO[bytes], end: re.Pattern[bytes], rest: list[bytes] | None = None) -> Iterator[bytes]:
    """Yield blocks up to a tag; the tag and the bytes read after it are appended to `rest`.

    Raises
    ------
    DamagedError
        The file ends before the tag.
    """
    held = b""
    while block := file.read(_BLOCK):
        held += block
        if found := end.search(held):
            yield held[: found.start()]
            if rest is not None:
                rest.append(held[found.start() :])
            return
        if len(held) > _OVERLAP:
            yield held[:-_OVERLAP]
            held = held[-_OVERLAP:]
    raise DamagedError("it ends within its rows")
