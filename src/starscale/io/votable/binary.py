"""Decoding the rows of BINARY and BINARY2, a block of whole rows at a time.

NaN, the number of VALUES null, and the null bits of BINARY2 are null; a text ends at its first NUL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from starscale.io.votable.cells import NUMBERS, Cells, masked, nulls_of, tidy_texts
from starscale.io.votable.document import DamagedError

_NONE = np.empty((0, 0), np.int64)
_TRUE, _FALSE = np.frombuffer(b"Tt1", np.uint8), np.frombuffer(b"Ff0", np.uint8)
#: Most bytes that are decoded at a time.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class BinaryCells:
    """Storage of a column in BINARY.

    A cell of varying length is preceded by four bytes: the number of its elements (characters, for texts), or of
    its items if `by_item`. The standard can be read in both ways for arrays of more than one axis: TOPCAT counts
    elements, astropy items.
    """

    cells: Cells
    by_item: bool

    @property
    def varying(self) -> bool:
        """Whether the cells have different sizes."""
        return self.cells.varying or (self.cells.is_text and self.cells.width is None)

    @property
    def step(self) -> int:
        """Bytes of one element; 0 for bits, eight of which share a byte."""
        kind = self.cells.datatype
        if kind in NUMBERS:
            return np.dtype(NUMBERS[kind][1]).itemsize * (2 if kind.endswith("Complex") else 1)
        return {"unicodeChar": 2, "bit": 0}.get(kind, 1)

    @property
    def item(self) -> int:
        """Elements (numbers, complex numbers, characters) of a cell of fixed length, or of an item of another."""
        pairs = 2 if self.cells.datatype.endswith("Complex") else 1
        return self.cells.elements // pairs * (1 if self.cells.width is None else self.cells.width)

    @property
    def size(self) -> int:
        """Bytes of a cell of fixed length."""
        return self._bytes(self.item)

    def counted(self, count: int) -> int:
        """Bytes of a cell of varying length from the number that precedes it."""
        return self._bytes(count * self.item if self.by_item else count)

    def _bytes(self, elements: int) -> int:
        return elements * self.step if self.step else -(-elements // 8)

    def fixed(self, raw: NDArray[np.uint8], gone: NDArray[np.bool_]) -> pl.Series:
        """Decode cells of fixed length from `raw`, shape (n, size); `gone`, shape (n,), are the null bits."""
        if self.cells.datatype == "bit":
            # A single bit takes one byte: the standard uses its highest bit, astropy another.
            bits = np.unpackbits(raw, axis=1)[:, : self.item] if self.cells.shape else raw
            flat = pl.Series(bits.reshape(-1) != 0)
        elif not self.item:
            # Texts of no width.
            flat = pl.Series([None] * (len(raw) * self.cells.elements), dtype=pl.String)
        else:
            flat = self._elements(np.ascontiguousarray(raw).reshape(-1))
        return self.cells.column(masked(flat, np.repeat(gone, self.cells.elements)))

    def lists(self, parts: list[bytes], counts: list[int], gone: NDArray[np.bool_]) -> pl.Series:
        """Decode cells of varying length, with the numbers that precede them."""
        if not self.cells.varying:
            texts = pl.Series(parts, dtype=pl.Binary)
            return self.cells.column(masked(self._texts(texts, padded=False), gone))
        if self.cells.datatype == "bit":
            every = [np.unpackbits(np.frombuffer(part, np.uint8)) for part in parts]
            cut = [bits[: n * self.item if self.by_item else n] for bits, n in zip(every, counts, strict=True)]
            flat = pl.Series(np.concatenate([np.empty(0, np.uint8), *cut]) != 0)
        else:
            flat = self._elements(np.frombuffer(b"".join(parts), np.uint8))
        per_item = 1 if self.by_item else max(1, self.item)
        if any(count % per_item for count in counts):
            raise DamagedError(f"a cell of column {self.cells.name!r} holds no whole number of items")
        return self.cells.column(flat, [count // per_item for count in counts], gone)

    def _elements(self, raw: NDArray[np.uint8]) -> pl.Series:
        """Decode the elements of cells that follow one another."""
        kind = self.cells.datatype
        if self.cells.is_text:
            width = (self.cells.width or 0) * self.step
            return self._texts(_cut(raw, width), padded=True)
        if kind == "boolean":
            return masked(pl.Series(np.isin(raw, _TRUE)), ~np.isin(raw, np.r_[_TRUE, _FALSE]))
        stored = raw.view(NUMBERS[kind][1])
        values: NDArray[Any] = stored.astype(stored.dtype.newbyteorder("="))
        return masked(pl.Series(values), nulls_of(self.cells, values))

    def _texts(self, binary: pl.Series, *, padded: bool) -> pl.Series:
        texts = tidy_texts(_decoded(binary, self.cells.datatype), padded=padded)
        null = self.cells.null
        return texts if null is None else pl.select(pl.when(texts != null).then(texts)).to_series()


def _cut(raw: NDArray[np.uint8], width: int) -> pl.Series:
    """Cut bytes into binary values of one width."""
    cells = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(raw) // width, [None, pa.py_buffer(raw)])
    return pl.Series(cells.cast(pa.large_binary()))


def _decoded(binary: pl.Series, datatype: str) -> pl.Series:
    if datatype == "unicodeChar":
        return pl.Series([cell.decode("utf-16-be", "replace") for cell in binary.to_list()], dtype=pl.String)
    try:
        return binary.cast(pl.String)
    except pl.exceptions.PolarsError:
        # Other bytes are most likely Latin-1.
        return pl.Series([cell.decode("latin-1") for cell in binary.to_list()], dtype=pl.String)


@dataclass(frozen=True, slots=True)
class BinaryRows:
    """Complete rows at the beginning of a block of bytes: their number, and the offset of their end.

    `anchors`, shape (n_rows, 1 + varying columns), are the offsets at which a row begins and at which each of its
    cells of varying length ends; empty where all rows have the same size. `counts` are the numbers that precede
    these cells, and `sizes` their bytes.
    """

    number: int
    end: int
    anchors: NDArray[np.int64]
    counts: NDArray[np.int64]
    sizes: NDArray[np.int64]


class Decoder:
    """Finds and decodes rows.

    Parameters
    ----------
    columns : sequence of Cells
    bits : bool
        Whether null bits precede each row (BINARY2).
    by_item : bool
        How arrays of varying length are counted, see `BinaryCells`.
    """

    def __init__(self, columns: Sequence[Cells], *, bits: bool, by_item: bool = False) -> None:
        self.columns = tuple(BinaryCells(item, by_item) for item in columns)
        self._flags = -(-len(self.columns) // 8) if bits else 0
        #: NDArray[np.uint8] before the first cell of varying length, between two of them, and after the last.
        self._gaps = [self._flags]
        self._varying = []
        for item in self.columns:
            if item.varying:
                self._varying.append(item)
                self._gaps.append(0)
            else:
                self._gaps[-1] += item.size

    @property
    def record(self) -> int:
        """Bytes of a row; 0 if rows have different sizes."""
        return 0 if self._varying else self._gaps[0]

    @property
    def ambiguous(self) -> bool:
        """Whether cells of varying length may be counted in two ways."""
        return any(item.cells.varying and item.item != 1 for item in self.columns)

    def split(self, blocks: Iterator[bytes], most: int) -> Iterator[tuple[bytes, BinaryRows]]:
        """Find rows in a stream, about `most` at a time; yield them with the bytes that begin with them.

        Raises
        ------
        DamagedError
            The stream ends within a row.
        """
        held = b""
        parts: list[bytes] = []
        size = wanted = 0
        for block in chain(blocks, [b""]):
            parts.append(block)
            size += len(block)
            # Wait until there are enough bytes for a chunk, or the stream ends.
            if block and size < max(wanted, min(most * self.record, _MOST_BYTES)):
                continue
            held = b"".join(parts)
            while (rows := self._find(held, most)).number:
                yield held, rows
                held = held[rows.end :]
            parts, size = [held], len(held)
            # A row that is longer is not looked for again with every block.
            wanted = 2 * size
        if held:
            raise DamagedError("its last row is incomplete")

    def _find(self, block: bytes, most: int) -> BinaryRows:
        """Find at most `most` complete rows in a block."""
        if not self._varying:
            number = min(len(block) // self.record, most) if self.record else 0
            return BinaryRows(number, number * self.record, _NONE, _NONE, _NONE)
        anchors: list[list[int]] = []
        counts: list[list[int]] = []
        sizes: list[list[int]] = []
        end = place = 0
        while len(anchors) < most:
            row, numbers, lengths = [place], [], []
            for gap, item in zip(self._gaps, self._varying, strict=False):
                place += gap + 4
                number = int.from_bytes(block[place - 4 : place], "big")
                length = item.counted(number)
                place += length
                row.append(place)
                numbers.append(number)
                lengths.append(length)
            place += self._gaps[-1]
            if place > len(block):
                break
            anchors.append(row)
            counts.append(numbers)
            sizes.append(lengths)
            end = place
        width = len(self._varying)
        tables = (
            np.array(found, np.int64).reshape(-1, n)
            for found, n in ((anchors, width + 1), (counts, width), (sizes, width))
        )
        return BinaryRows(len(anchors), end, *tables)

    def decode(self, block: bytes, rows: BinaryRows, names: Sequence[str]) -> pl.DataFrame:
        """Decode the rows that were found."""
        every = np.frombuffer(block, np.uint8)
        gone = np.zeros((rows.number, len(self.columns)), bool)
        if self._flags:
            bits = np.unpackbits(self._cells(every, rows, 0, 0, self._flags), axis=1)
            gone = bits[:, : len(self.columns)].astype(bool)
        found, wanted = {}, set(names)
        anchor, offset = 0, self._flags
        for i, item in enumerate(self.columns):
            if item.varying:
                if item.cells.name in wanted:
                    ends, sizes = rows.anchors[:, anchor + 1].tolist(), rows.sizes[:, anchor].tolist()
                    parts = [block[end - size : end] for end, size in zip(ends, sizes, strict=True)]
                    found[item.cells.name] = item.lists(parts, rows.counts[:, anchor].tolist(), gone[:, i])
                anchor, offset = anchor + 1, 0
                continue
            if item.cells.name in wanted:
                raw = self._cells(every, rows, anchor, offset, item.size)
                found[item.cells.name] = item.fixed(raw, gone[:, i])
            offset += item.size
        return pl.DataFrame([found[name] for name in names])

    def _cells(
        self, every: NDArray[np.uint8], rows: BinaryRows, anchor: int, offset: int, size: int
    ) -> NDArray[np.uint8]:
        """Return the bytes of one column. Shape (n_rows, size)."""
        if not self._varying:
            return every[: rows.end].reshape(rows.number, self.record)[:, offset : offset + size]
        places = rows.anchors[:, anchor, None] + offset + np.arange(size)
        return np.asarray(every[places])
