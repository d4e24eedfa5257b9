"""The headers of the pages of a Parquet file, checked before Arrow reads the pages.

A header is a struct of Thrift's compact protocol. Arrow trusts what it finds where the footer says that a page
begins: bytes that are no header can occupy it for minutes. Here every length is compared with the bytes that are
there, and the pages of a column must hold its values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import IO, Any

from starscale.io.packed import is_bomb

_DATA, _INDEX, _DICTIONARY, _DATA_2 = range(4)
#: Fields of a page header: of every kind, and the structs that hold the number of values.
_KIND, _UNPACKED, _PACKED = 1, 2, 3
_VALUES_IN = {_DATA: 5, _DICTIONARY: 7, _DATA_2: 8}
#: Bytes of a header that are read at first, and at most.
_FIRST, _MOST = 1 << 10, 16 << 20
#: A page is larger than others may be only where it is packed by less than this factor.
_FACTOR = 1000
_DEEPEST = 16
#: Longest footer that is parsed here.
LONGEST = 256 << 10
#: Fields of the footer, and of the metadata of a column.
_ROW_GROUPS, _ABOUT_COLUMN = 4, 3
_PATH, _VALUES, _DATA_AT, _DICTIONARY_AT = 3, 5, 9, 11

Struct = dict[int, Any]


class PageError(ValueError):
    """The pages of a column are not as the footer says."""


def check_pages(path: Path, groups: Iterable[int], columns: Iterable[str]) -> None:
    """Walk over the pages of columns (their first names) in some row groups.

    The footer is parsed here: asked for a column whose statistics contradict themselves, pyarrow ends the process.
    A footer that is longer than :data:`LONGEST` is trusted; parsing it would take longer than reading.

    Raises
    ------
    PageError
        A header is none, a page does not lie in the file, or the pages hold another number of values than stated.
    """
    wanted = {name.encode("utf-8", "surrogateescape") for name in columns}
    with path.open("rb") as file:
        end = file.seek(-8, SEEK_END) - (size := int.from_bytes(file.read(4), "little"))
        if size > LONGEST or end < 4:
            return
        file.seek(end)
        chunks = _chunks(file.read(size))
        for number in groups:
            for chunk in chunks[number] if number < len(chunks) else ():
                if chunk.name in wanted:
                    _walk(file, chunk, end)


def _chunks(footer: bytes) -> list[list[_Chunk]]:
    """Return the columns of every row group."""
    try:
        groups = _Compact(footer).struct(0)[_ROW_GROUPS]
        return [[_Chunk.of(column[_ABOUT_COLUMN]) for column in group[1]] for group in groups]
    except (LookupError, TypeError, AttributeError) as error:
        raise PageError(f"its footer makes no sense ({error})") from None


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A column of a row group: its first name, the number of its values, the place of its first page."""

    name: bytes
    values: int
    start: int

    @classmethod
    def of(cls, about: Struct) -> _Chunk:
        """Read the metadata of a column."""
        places = [_number(about, key) for key in (_DATA_AT, _DICTIONARY_AT) if key in about]
        # Some writers state 0 where there is no dictionary.
        return cls(about[_PATH][0], _number(about, _VALUES), min(place for place in places if place))

    @property
    def label(self) -> str:
        """The name for a message."""
        return repr(self.name.decode("utf-8", "replace"))


def _walk(file: IO[bytes], chunk: _Chunk, end: int) -> None:
    start, values = chunk.start, 0
    while values < chunk.values:
        if not 4 <= start < end:
            raise PageError(f"column {chunk.label} ends after {values} of {chunk.values} values")
        header, length = _header(file, start, end)
        kind, packed = header.get(_KIND), _number(header, _PACKED)
        start += length + packed
        if kind not in (*_VALUES_IN, _INDEX) or start > end:
            raise PageError(f"a page of column {chunk.label} has no header that makes sense")
        held = _held(header, packed, chunk.label)
        if kind in (_DATA, _DATA_2):
            if held > chunk.values - values:
                raise PageError(f"the pages of column {chunk.label} hold more than its {chunk.values} values")
            values += held


def _held(header: Struct, packed: int, name: str) -> int:
    """Return the number of values of a page; refuse one that is far larger than its bytes."""
    unpacked = _number(header, _UNPACKED)
    about = header.get(_VALUES_IN.get(header[_KIND], -1), {})
    held = _number(about, 1) if header[_KIND] != _INDEX and isinstance(about, dict) else 0
    if is_bomb(unpacked, packed, _FACTOR):
        raise PageError(f"a page of column {name} would grow from {packed:,} to {unpacked:,} bytes")
    if header[_KIND] == _DICTIONARY and held > 8 * unpacked:
        raise PageError(f"a page of column {name} states {held:,} values in {unpacked:,} bytes")
    return held


def _number(fields: Struct, key: int) -> int:
    value = fields.get(key)
    if not isinstance(value, int) or value < 0:
        raise PageError("the header of a page lacks a number")
    return value


def _header(file: IO[bytes], start: int, end: int) -> tuple[Struct, int]:
    """Return the header of a page, and its length."""
    for size in (_FIRST, _MOST):
        file.seek(start)
        compact = _Compact(file.read(min(size, end - start)))
        try:
            return compact.struct(0), compact.place
        except IndexError:
            # It is longer, because smallest and largest values are long; or it is no header.
            continue
    raise PageError("the header of a page does not end")


class _Compact:
    """Reads a struct of Thrift's compact protocol; IndexError where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data, self.place = data, 0
        self._read = {
            1: lambda _: True,
            2: lambda _: False,
            3: lambda _: self._take(1),
            4: lambda _: self._signed(),
            5: lambda _: self._signed(),
            6: lambda _: self._signed(),
            7: lambda _: self._take(8),
            8: lambda _: self._take(self._varint()),
            9: self._list,
            10: self._list,
            12: self.struct,
        }

    def struct(self, depth: int) -> Struct:
        """Return the fields by number."""
        fields: Struct = {}
        number = 0
        if depth > _DEEPEST:
            raise PageError("the header of a page is nested too deeply")
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            fields[number] = self._value(kind & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind not in self._read:
            raise PageError("the header of a page holds something that no header does")
        return self._read[kind](depth + 1)

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        if size > len(self._data) - self.place:
            raise IndexError
        # A truth value in a list takes a byte.
        kind = head & 15 if head & 15 > 2 else 3
        return [self._value(kind, depth) for _ in range(size)]

    def _byte(self) -> int:
        value = self._data[self.place]
        self.place += 1
        return value

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self.place:
            raise IndexError
        self.place += size
        return self._data[self.place - size : self.place]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise PageError("the header of a page holds a number of over 64 bits")

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
