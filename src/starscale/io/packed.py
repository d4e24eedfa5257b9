"""Open files that may be packed with gzip, whatever they are called."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO, Final, cast

from starscale.vocabulary.errors import InputError, Problem

GZIP_MAGIC: Final = b"\x1f\x8b"

#: What reading a damaged gzip file raises.
DAMAGE: Final = (EOFError, zlib.error, gzip.BadGzipFile)


def is_packed(path: Path) -> bool:
    """Whether a file is a gzip file, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def open_packed(path: Path) -> IO[bytes]:
    """Open a file for reading; a gzip file is unpacked on the way."""
    return cast("IO[bytes]", gzip.open(path)) if is_packed(path) else path.open("rb")


def damaged_packing(path: Path, error: Exception) -> InputError:
    """Return the error for a gzip file that cannot be unpacked to its end."""
    fix = "It was probably cut short: download it again."
    return InputError(Problem(str(path), f"is a damaged gzip file ({error})", fix=fix))
