"""The cells of a FITS table as bytes, some rows at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import copyfileobj
from typing import IO, cast

import numpy as np

from starscale.io.fits.cards import BLOCK, damaged
from starscale.io.fits.characters import CharacterField
from starscale.io.fits.decode import Bytes
from starscale.io.fits.field import FitsField
from starscale.io.fits.header import FitsTable, refuse_more
from starscale.io.fits.sums import ByteSum
from starscale.io.fits.verify import Verification
from starscale.io.packed import open_packed
from starscale.vocabulary.errors import InputError

Fields = Sequence[FitsField | CharacterField]
#: Most bytes that are read at a time.
_MOST_BYTES = 64 << 20


class RecordReader:
    """Reads a table; where `verification` is given, all its bytes are read and compared with the stated sums."""

    def __init__(self, path: Path, table: FitsTable, verification: Verification | None) -> None:
        self._path = path
        self._table = table
        self._verification = verification

    def cells(self, skip: int, rows: int, fields: Fields) -> Iterator[list[Bytes]]:
        """Yield the cells of `fields`, arrays of shape (n, width), of about `rows` rows after the first `skip`.

        Raises
        ------
        InputError
            The file ends too early, holds more than it states, or fails its checksum.
        """
        check = self._verification.begin() if self._verification else None
        if self._verification and check and not self._table.packed:
            self._verification.refuse_header()
        columnar = self._table.columnar
        width = sum(field.width for field in fields) if columnar else self._table.record
        step = max(1, min(rows, _MOST_BYTES // max(width, 1)))
        read = self._from_columns if columnar else self._from_records
        with open_packed(self._path) as file:
            yield from read(file, skip, step, fields, check)

    def heap(self, fields: Fields) -> Bytes:
        """Return the cells of varying length; not read from the disk before they are used."""
        table = self._table
        if table.heap_size <= 0 or not any(
            isinstance(field, FitsField) and field.code in "PQ" for field in fields
        ):
            return np.empty(0, np.uint8)
        if not table.packed:
            return np.memmap(self._path, np.uint8, "r", table.data + table.heap, (table.heap_size,))
        with open_packed(self._path) as file:
            file.seek(table.data + table.heap)
            return np.frombuffer(file.read(table.heap_size), np.uint8)

    def _from_records(
        self, file: IO[bytes], skip: int, step: int, fields: Fields, check: ByteSum | None
    ) -> Iterator[list[Bytes]]:
        table = self._table
        if check is None:
            file.seek(table.data + skip * table.record)
        else:
            file.seek(table.data)
            _pass_over(file, min(skip, table.rows) * table.record, check)
        for start in range(skip, table.rows, step):
            count = min(step, table.rows - start)
            block = file.read(count * table.record)
            if len(block) < count * table.record:
                whole = start + len(block) // table.record
                found = f"NAXIS2 says {table.rows} rows, the file ends after {whole}"
                raise InputError(damaged(self._path, found))
            if check is not None:
                check.add(block)
            records = np.frombuffer(block, np.uint8).reshape(count, table.record)
            yield [records[:, field.offset : field.offset + field.width] for field in fields]
        self._end(file, table.rows * table.record, check)

    def _from_columns(
        self, file: IO[bytes], skip: int, step: int, fields: Fields, check: ByteSum | None
    ) -> Iterator[list[Bytes]]:
        table = self._table
        with _seekable(file, packed=table.packed) as plain:
            plain.seek(table.data)
            self._end(plain, 0, check)
            for start in range(skip, table.rows, step):
                count = min(step, table.rows - start)
                found = []
                for field in fields:
                    plain.seek(table.data + field.offset + start * field.width)
                    block = plain.read(count * field.width)
                    found.append(np.frombuffer(block, np.uint8).reshape(count, field.width))
                yield found

    def _end(self, file: IO[bytes], read: int, check: ByteSum | None) -> None:
        """Read what follows the first `read` bytes of data, and verify the sums."""
        if check is not None:
            _pass_over(file, self._table.unit.size - read, check)
        padding = refuse_more(self._path, file, self._table)
        if check is not None and self._verification is not None:
            check.add(padding)
            self._verification.finish(check)


def _pass_over(file: IO[bytes], size: int, check: ByteSum) -> None:
    """Add the next `size` bytes to a sum."""
    while size > 0 and (block := file.read(min(size, 256 * BLOCK))):
        check.add(block)
        size -= len(block)


def _seekable(file: IO[bytes], *, packed: bool) -> IO[bytes]:
    """Unpack a packed file, to read it in any order."""
    if not packed:
        return file
    unpacked = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115
    copyfileobj(file, unpacked)
    return unpacked
