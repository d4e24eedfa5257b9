"""The headers of the pages of a Parquet file, checked before Arrow reads the pages.

A header is a struct of Thrift's compact protocol. Arrow trusts what it finds where the footer says that a page
begins: bytes that are no header can occupy it for minutes. Here every length is compared with the bytes that are
there, and the pages of a column must hold its values.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq

_DATA, _INDEX, _DICTIONARY, _DATA_2 = range(4)
#: Fields of a page header: of every kind, and the structs that hold the number of values.
_KIND, _UNPACKED, _PACKED = 1, 2, 3
_VALUES_IN = {_DATA: 5, _DICTIONARY: 7, _DATA_2: 8}
#: Bytes of a header that are read at first, and at most.
_FIRST, _MOST = 1 << 10, 16 << 20
#: A page is larger only where it is packed by less than this factor.
_LARGEST, _FACTOR = 256 << 20, 1000
_DEEPEST = 16

Struct = dict[int, Any]


class PageError(ValueError):
    """The pages of a column are not as the footer says."""


def check_pages(path: Path, footer: pq.FileMetaData, groups: Iterable[int], columns: Iterable[str]) -> None:
    """Walk over the pages of columns (their first names) in some row groups.

    Raises
    ------
    PageError
        A header is none, a page does not lie in the file, or the pages hold another number of values than stated.
    """
    wanted = set(columns)
    end = path.stat().st_size - 8 - footer.serialized_size
    with path.open("rb") as file:
        for number in groups:
            group = footer.row_group(number)
            for place in range(group.num_columns):
                chunk = group.column(place)
                if chunk.path_in_schema.partition(".")[0] in wanted:
                    _walk(file, chunk, end)


def _walk(file: IO[bytes], chunk: Any, end: int) -> None:
    name, values = chunk.path_in_schema, 0
    start = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None:
        start = min(start, chunk.dictionary_page_offset)
    while values < chunk.num_values:
        if not 4 <= start < end:
            raise PageError(f"column {name!r} ends after {values} of {chunk.num_values} values")
        header, length = _header(file, start, end)
        kind, packed = header.get(_KIND), _number(header, _PACKED)
        start += length + packed
        if kind not in (*_VALUES_IN, _INDEX) or start > end:
            raise PageError(f"a page of column {name!r} has no header that makes sense")
        held = _held(header, packed, name)
        if kind in (_DATA, _DATA_2):
            if held > chunk.num_values - values:
                raise PageError(f"the pages of column {name!r} hold more than its {chunk.num_values} values")
            values += held


def _held(header: Struct, packed: int, name: str) -> int:
    """Return the number of values of a page; refuse one that is far larger than its bytes."""
    unpacked = _number(header, _UNPACKED)
    about = header.get(_VALUES_IN.get(header[_KIND], -1), {})
    held = _number(about, 1) if header[_KIND] != _INDEX and isinstance(about, dict) else 0
    if unpacked > _LARGEST and unpacked > _FACTOR * packed:
        raise PageError(f"a page of column {name!r} would grow from {packed:,} to {unpacked:,} bytes")
    if header[_KIND] == _DICTIONARY and held > 8 * unpacked:
        raise PageError(f"a page of column {name!r} states {held:,} values in {unpacked:,} bytes")
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
        """Return the fields by number: numbers and structs; others are passed over."""
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

    def _list(self, depth: int) -> None:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        if size > len(self._data) - self.place:
            raise IndexError
        for _ in range(size):
            # A truth value in a list takes a byte.
            self._value(head & 15 if head & 15 > 2 else 3, depth)

    def _byte(self) -> int:
        value = self._data[self.place]
        self.place += 1
        return value

    def _take(self, size: int) -> None:
        if size > len(self._data) - self.place:
            raise IndexError
        self.place += size

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
