"""Open files that may be packed with gzip, whatever they are called."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path
from typing import IO, Final, cast

from starscale.vocabulary.errors import InputError, Problem

GZIP_MAGIC: Final = b"\x1f\x8b"

#: What reading a damaged gzip file raises.
DAMAGE: Final = (EOFError, zlib.error, gzip.BadGzipFile)

#: Bytes that a file, a stream or a page may always unpack to, and the multiple of its packed bytes above that.
LARGEST, FACTOR = 256 << 20, 200
#: Environment variable: ``any`` lifts this limit.
VARIABLE = "STARSCALE_UNPACK"


def is_bomb(unpacked: int, packed: int, factor: int = FACTOR) -> bool:
    """Whether packed bytes unpack to far more than a table does."""
    return unpacked > max(LARGEST, factor * packed) and os.environ.get(VARIABLE) != "any"


class BoundedGzip(gzip.GzipFile):
    """A gzip file that is read up to a limit of its size (:data:`LARGEST`, :data:`FACTOR`).

    Raises
    ------
    InputError
        More is read than that.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._path, self._packed = path, path.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes."""
        if size is not None and size >= 0:
            data = super().read(size)
            self._check(self._place())
            return data
        return b"".join(iter(lambda: self.read(1 << 24), b""))

    def read1(self, size: int = -1) -> bytes:
        """Read what is unpacked already, or the next piece."""
        data = super().read1(size)
        self._check(self._place())
        return data

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line."""
        line = super().readline(self._most() if size is None or size < 0 else size)
        self._check(self._place())
        return line

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Unpack up to a place."""
        self._check(offset + (self._place() if whence == io.SEEK_CUR else 0))
        return super().seek(offset, whence)

    def _most(self) -> int:
        """Bytes that are more than this file may hold."""
        return max(LARGEST, FACTOR * self._packed) + 1

    def _place(self) -> int:
        return super().seek(0, io.SEEK_CUR)

    def _check(self, place: int) -> None:
        if is_bomb(place, self._packed):
            raise too_much(str(self._path))


def too_much(where: str) -> InputError:
    """Return the error for packed bytes that unpack to far more than a table does."""
    expected = f"{LARGEST >> 20} MiB, or {FACTOR} times its size"
    fix = f"Unpack it yourself, or set {VARIABLE}=any, if you trust it."
    return InputError(Problem(where, "unpacks to far more than a table does", expected, fix))


def is_packed(path: Path) -> bool:
    """Whether a file is a gzip file, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def open_packed(path: Path) -> IO[bytes]:
    """Open a file for reading; a gzip file is unpacked on the way."""
    return cast("IO[bytes]", BoundedGzip(path)) if is_packed(path) else path.open("rb")


def damaged_packing(path: Path, error: Exception) -> InputError:
    """Return the error for a gzip file that cannot be unpacked to its end."""
    fix = "It was probably cut short: download it again."
    return InputError(Problem(str(path), f"is a damaged gzip file ({error})", fix=fix))
