"""A bundle as one file: an uncompressed tar archive, the same bytes whenever it is made.

It holds the folder ``model`` with the files of a bundle and their checksums, in the form of ``sha256sum``. Every
header is read by itself, and only the known names of regular files are taken: a link, a path that leads out of
the folder, or an extension of the format ends the reading.
"""

from __future__ import annotations

import io as streams
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starscale.io import atomic_directory
from starscale.registry.entries import LARGEST_BUNDLE
from starscale.vocabulary.bundle import CARD, INDEX, STARS, SUMS, WEIGHTS
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.later import Later

bundles, documents = Later("starscale.learn.bundle"), Later("starscale.learn.stored_document")

FOLDER = "model"
#: The files of a bundle, in the order of the archive.
FILES = (CARD, INDEX, WEIGHTS)
#: A file that a bundle may lack.
OPTIONAL = (STARS,)
_BLOCK = tarfile.BLOCKSIZE
_FIX = "Take the file again from its source; `starscale models pack` makes such a file."


def pack(folder: Path) -> bytes:
    """Return a bundle as the contents of one file.

    Every header is that of a file of nobody, written in 1970 and readable by all.

    Raises
    ------
    InputError
        Not a bundle, or an incomplete or altered one.
    """
    bundles.load_bundle(folder)
    kept = [name for name in (*FILES, *OPTIONAL) if name in FILES or (folder / name).exists()]
    files = {name: (folder / name).read_bytes() for name in kept}
    files |= {SUMS: bundles.sums_of(files)}
    archive = streams.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            header = tarfile.TarInfo(f"{FOLDER}/{name}")
            header.size, header.mode = len(files[name]), 0o644
            tar.addfile(header, streams.BytesIO(files[name]))
    return archive.getvalue()


def unpack(data: bytes, output: Path, where: str) -> None:
    """Write the bundle in a packed file to a folder, complete and verified or not at all.

    Parameters
    ----------
    data : bytes
    output : Path
        The folder; an older bundle there is replaced.
    where : str
        Name of the packed file in errors.

    Raises
    ------
    InputError
        Not a packed bundle, a damaged one, or one with anything else in it.
    """
    files = members(data, where)
    with atomic_directory(output, marker=INDEX) as partial:
        for name, held in files.items():
            (partial / name).write_bytes(held)
        try:
            bundles.load_bundle(partial)
        except InputError as error:
            said = "; ".join(str(problem).replace(f"{partial}/", "") for problem in error.problems)
            raise InputError(Problem(where, f"holds no good bundle: {said}", fix=_FIX)) from None


def members(data: bytes, where: str) -> dict[str, bytes]:
    """Return the files in a packed bundle by name.

    Raises
    ------
    InputError
        See :func:`unpack`.
    """
    if len(data) > LARGEST_BUNDLE:
        raise InputError(Problem(where, "is too large", f"{LARGEST_BUNDLE:,} bytes or less"))
    files: dict[str, bytes] = {}
    start = 0
    while data[start : start + _BLOCK].strip(b"\0"):
        name, size = _header(data[start : start + _BLOCK], where)
        start += _BLOCK
        if name in files:
            raise _bad(where, f"holds {name} twice")
        if start + size > len(data):
            raise _bad(where, f"ends within {name}")
        files[name] = data[start : start + size]
        start += -(-size // _BLOCK) * _BLOCK
    if data[start:].strip(b"\0"):
        raise _bad(where, "holds something after its end")
    if missing := sorted({*FILES, SUMS} - set(files)):
        raise _bad(where, f"lacks {', '.join(missing)}")
    if files[SUMS] != bundles.sums_of({name: data for name, data in files.items() if name != SUMS}):
        raise _bad(where, f"has files with other checksums than {SUMS} says")
    return files


def document_of(files: Mapping[str, bytes], where: str) -> Mapping[str, Any]:
    """Return what a bundle says of itself."""
    try:
        document = json.loads(files[INDEX])["document"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _bad(where, f"has no readable {INDEX}") from None
    if not isinstance(document, dict):
        raise _bad(where, f"has no document in {INDEX}")
    documents.check_document(document, f"{where}: {INDEX}: document")
    return document


def _header(block: bytes, where: str) -> tuple[str, int]:
    """Return name and size of the file that a header announces, if it is one of a packed bundle."""
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise _bad(where, f"is not a tar archive, or a damaged one ({error})") from None
    folder, _, name = header.name.partition("/")
    if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise _bad(where, f"holds {header.name!r}, which is not a regular file")
    if folder != FOLDER or name not in (*FILES, *OPTIONAL, SUMS):
        raise _bad(where, f"holds {header.name!r}, which no packed bundle does")
    if header.size < 0:
        raise _bad(where, f"holds {name} with the size {header.size}")
    return name, header.size


def _bad(where: str, found: str) -> InputError:
    return InputError(Problem(where, found, "a bundle as `starscale models pack` writes it", _FIX))
