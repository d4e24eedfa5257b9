"""The elements of a VOTable document: tables with their columns, texts and coordinate systems, and where rows lie.

One pass of expat over the whole file finds damage at any place; rows are only counted. Nothing outside the file is
ever opened: a document type, with its entities, is refused, and the address of a STREAM is only recorded.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.parsers import expat

from starscale.io.packed import DAMAGE, open_packed
from starscale.vocabulary.errors import InputError, Problem

_BLOCK = 1 << 20
_DATA = ("TABLEDATA", "BINARY", "BINARY2", "FITS", "PARQUET")
#: Elements whose text is kept.
_SPOKEN = ("DESCRIPTION", "INFO")
_AS_UTF8 = ("utf-8", "us-ascii")
_LATIN = "iso-8859-1"
_DECLARED = re.compile(rb"""\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)["']""")
_TAG = re.compile(rb"""<(?:[^>"']|"[^"]*"|'[^']*')*>""")
_LONGEST_TAG = 1 << 16
#: Documents of archives have a tenth of this depth, and single tables.
_DEEPEST, _MOST_TABLES = 200, 2000

Attributes = dict[str, str]


class DamagedError(ValueError):
    """The document ends too early, is not XML, or contradicts itself."""


@dataclass(slots=True)
class InfoElement:
    """An INFO (or PARAM): name, value and text."""

    name: str
    value: str
    content: str = ""


@dataclass(slots=True)
class Scope:
    """VOTABLE, a RESOURCE or a TABLE: its attributes, and the texts that it states about its contents."""

    kind: str
    attributes: Attributes
    infos: list[InfoElement] = field(default_factory=list)
    params: list[InfoElement] = field(default_factory=list)


@dataclass(slots=True)
class FieldElement:
    """A FIELD; `null` is the text that marks a missing value (VALUES)."""

    attributes: Attributes
    description: str = ""
    null: str | None = None

    @property
    def name(self) -> str:
        """Name of the column, as far as it has one."""
        return self.attributes.get("name", "").strip() or self.attributes.get("ID", "").strip()


@dataclass(slots=True)
class TableElement:
    """A TABLE.

    Attributes
    ----------
    scopes : tuple of Scope
        VOTABLE, the resources around the table from the outermost inwards, and the table.
    fields : list of FieldElement
    systems : dict of str to str
        Coordinate system of a column by the ID of the column, as a GROUP states it.
    kind : str
        TABLEDATA, BINARY, BINARY2, FITS or PARQUET; empty without data.
    data, stream : dict of str to str
        Attributes of the element of that kind, and of its STREAM.
    start, end : int
        Bytes at which the first and the last tag around the rows begin; the same for an empty element.
    rows : int
        Rows of TABLEDATA.
    """

    scopes: tuple[Scope, ...]
    fields: list[FieldElement] = field(default_factory=list)
    systems: dict[str, str] = field(default_factory=dict)
    kind: str = ""
    data: Attributes = field(default_factory=dict)
    stream: Attributes = field(default_factory=dict)
    start: int = 0
    end: int = 0
    rows: int = 0

    @property
    def attributes(self) -> Attributes:
        """Attributes of the TABLE."""
        return self.scopes[-1].attributes

    @property
    def names(self) -> tuple[str, ...]:
        """Name and ID, as far as there are any."""
        found = (self.attributes.get(key, "").strip() for key in ("name", "ID"))
        return tuple(name for name in found if name)

    @property
    def stated_rows(self) -> int | None:
        """Number of rows that the document states."""
        stated = self.attributes.get("nrows", "").strip()
        return int(stated) if stated.isdecimal() else None

    @property
    def resource(self) -> str:
        """``meta`` if any resource around the table is of that type, else ``results`` likewise, else empty."""
        types = {scope.attributes.get("type", "").strip().lower() for scope in self.scopes[:-1]}
        return next((kind for kind in ("meta", "results") if kind in types), "")


@dataclass(slots=True)
class VotableDocument:
    """All tables of a document, and its coordinate systems (COOSYS) and time systems (TIMESYS) by ID."""

    path: Path
    encoding: str
    tables: list[TableElement]
    scopes: list[Scope]
    positions: dict[str, Attributes]
    times: dict[str, Attributes]

    def blocks(self, table: TableElement) -> Iterator[bytes]:
        """Yield the text between the tags around the rows of a table."""
        if not table.start:
            raise DamagedError(f"its {table.kind} has no STREAM")
        if table.start == table.end:
            return
        with _opened(self.path)[0] as file:
            file.seek(table.start)
            head = file.read(min(_LONGEST_TAG, table.end - table.start))
            tag = _TAG.match(head)
            if tag is None:
                raise DamagedError("a tag around its rows is too long")
            yield head[tag.end() :]
            left = table.end - table.start - len(head)
            while left > 0:
                block = file.read(min(_BLOCK, left))
                if not block:
                    raise DamagedError("it ends within its rows")
                left -= len(block)
                yield block


def scan(path: Path) -> VotableDocument:
    """Read the elements of a document.

    Raises
    ------
    DamagedError
        It is not well-formed XML, or ends too early.
    InputError
        It has a document type, or an encoding that is not known.
    """
    try:
        file, encoding = _opened(path)
        walk = _Walk(path, encoding)
        with file:
            while block := file.read(_BLOCK):
                walk.parser.Parse(block, False)
            walk.parser.Parse(b"", True)
    except (OSError, *DAMAGE, UnicodeError, expat.ExpatError) as error:
        raise DamagedError(str(error)) from error
    return walk.document


def scan_text(text: str) -> VotableDocument:
    """Read the elements of a document in memory that has no rows."""
    path = Path("a VOTable without rows")
    walk = _Walk(path, "utf-8")
    try:
        walk.parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise DamagedError(str(error)) from error
    return walk.document


def local(tag: str) -> str:
    """Return the name of an element without the prefix of its namespace."""
    return tag.rpartition(":")[2]


def _opened(path: Path) -> tuple[IO[bytes], str]:
    """Open a document as expat reads it, and return its encoding; a rare encoding becomes UTF-8 in memory."""
    file = open_packed(path)
    head = file.read(1024)
    file.seek(0)
    found = _DECLARED.match(head)
    encoding = found.group(1).decode().lower() if found else "utf-8"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"):
        encoding = "utf-16-be" if head[:2] == b"\0<" else "utf-16-le" if head[:2] == b"<\0" else "utf-16"
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)
    except (LookupError, UnicodeError):
        # Other codecs turn bytes to bytes.
        file.close()
        said = f"is in the encoding {encoding!r}, which is not known"
        raise InputError(Problem(str(path), said, fix="Convert it to UTF-8.")) from None
    name = {"ascii": "us-ascii", "iso8859-1": _LATIN}.get(name, name)
    if name in _AS_UTF8:
        return file, "utf-8"
    if name == _LATIN:
        return file, _LATIN
    with file:
        return io.BytesIO(file.read().decode(name).encode()), "utf-8"


class _Walk:
    """Handlers of expat that build the document; those of rows do as little as possible."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.document = VotableDocument(path, encoding, [], [], {}, {})
        self.parser = expat.ParserCreate(encoding)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._scopes: list[Scope] = []
        self._stack: list[str] = []
        self._said: list[str] = []
        self._table: TableElement | None = None
        self._named: dict[str, TableElement] = {}
        self._field: FieldElement | None = None
        self._group = ""
        self._starts: dict[str, Callable[[Attributes], None]] = {
            "VOTABLE": self._votable,
            "RESOURCE": self._resource,
            "TABLE": self._start_table,
            "FIELD": self._start_field,
            "VALUES": self._values,
            "INFO": self._info,
            "PARAM": self._param,
            "GROUP": self._start_group,
            "FIELDref": self._field_ref,
            "COOSYS": lambda about: self._system(self.document.positions, about),
            "TIMESYS": lambda about: self._system(self.document.times, about),
            "STREAM": self._stream,
        }
        self._elements()

    def _elements(self) -> None:
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._said.append

    def _doctype(self, *_about: object) -> None:
        found = "has a document type (DOCTYPE), which can define entities and name other files"
        fix = "VOTables since version 1.1 need none: remove the DOCTYPE from the document."
        raise InputError(Problem(str(self.document.path), found, "a VOTable without it", fix))

    def _start(self, tag: str, attributes: Attributes) -> None:
        name = local(tag)
        if not self._stack and name != "VOTABLE":
            raise DamagedError(f"its first element is {name}, not VOTABLE")
        if len(self._stack) >= _DEEPEST:
            raise DamagedError(f"its elements are nested more than {_DEEPEST} deep")
        self._said.clear()
        if name in self._starts:
            self._starts[name](attributes)
        elif name in _DATA and self._table is not None:
            self._data(self._table, name, attributes)
        self._stack.append(name)

    def _end(self, tag: str) -> None:
        name = self._stack.pop() if self._stack else ""
        if name != local(tag):
            raise DamagedError("its rows hold other elements")
        if name in _SPOKEN:
            self._speak(name, " ".join("".join(self._said).split()))
        elif name in ("VOTABLE", "RESOURCE", "TABLE"):
            self._scopes.pop()
            self._table = None
        elif name == "FIELD":
            self._field = None
        elif name == "GROUP":
            self._group = ""
        elif name == "STREAM" and self._table is not None:
            self._table.end = self.parser.CurrentByteIndex
            self.parser.CharacterDataHandler = self._said.append
        self._said.clear()

    def _speak(self, name: str, said: str) -> None:
        if name == "INFO" and self._scopes[-1].infos:
            self._scopes[-1].infos[-1].content = said
        elif name == "DESCRIPTION" and self._field is not None:
            self._field.description = said

    def _scope(self, kind: str, attributes: Attributes) -> None:
        scope = Scope(kind, attributes)
        self._scopes.append(scope)
        self.document.scopes.append(scope)

    def _votable(self, attributes: Attributes) -> None:
        self._scope("VOTABLE", attributes)

    def _resource(self, attributes: Attributes) -> None:
        self._scope("RESOURCE", attributes)

    def _start_table(self, attributes: Attributes) -> None:
        self._scope("TABLE", attributes)
        self._table = TableElement(tuple(self._scopes))
        if (same := self._named.get(attributes.get("ref", ""))) is not None:
            # A table may have the columns of another.
            self._table.fields = list(same.fields)
        self.document.tables.append(self._table)
        if len(self.document.tables) > _MOST_TABLES:
            raise DamagedError(f"it has more than {_MOST_TABLES:,} tables")
        for known in self._table.names:
            self._named.setdefault(known, self._table)

    def _start_field(self, attributes: Attributes) -> None:
        self._field = FieldElement(attributes)
        if self._table is not None:
            self._table.fields.append(self._field)

    def _values(self, attributes: Attributes) -> None:
        if self._field is not None and self._stack[-1] == "FIELD" and self._field.null is None:
            self._field.null = attributes.get("null")

    def _info(self, attributes: Attributes) -> None:
        self._scopes[-1].infos.append(_named(attributes))

    def _param(self, attributes: Attributes) -> None:
        self._scopes[-1].params.append(_named(attributes))

    def _start_group(self, attributes: Attributes) -> None:
        self._group = attributes.get("ref", "")

    def _field_ref(self, attributes: Attributes) -> None:
        if self._group and self._table is not None:
            self._table.systems[attributes.get("ref", "")] = self._group

    def _system(self, systems: dict[str, Attributes], attributes: Attributes) -> None:
        # One without an ID is kept, under a key that no column refers to.
        systems.setdefault(attributes.get("ID") or f" {len(systems)}", attributes)

    def _data(self, table: TableElement, name: str, attributes: Attributes) -> None:
        table.kind, table.data = name, attributes
        if name == "TABLEDATA":
            table.start = self.parser.CurrentByteIndex
            self.parser.StartElementHandler = self.parser.CharacterDataHandler = None
            self.parser.EndElementHandler = self._end_in_rows

    def _end_in_rows(self, tag: str) -> None:
        # Most tags end a cell: they come first.
        table = self._table
        if tag.endswith("TD") or table is None:
            return
        if tag.endswith("TR"):
            table.rows += 1
        elif tag.endswith("TABLEDATA"):
            table.end = self.parser.CurrentByteIndex
            self._elements()
            self._end(tag)

    def _stream(self, attributes: Attributes) -> None:
        if self._table is not None:
            self._table.stream = attributes
            self._table.start = self.parser.CurrentByteIndex
            self.parser.CharacterDataHandler = None


def _named(attributes: Attributes) -> InfoElement:
    return InfoElement(attributes.get("name", "") or attributes.get("ID", ""), attributes.get("value", ""))
