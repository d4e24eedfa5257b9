"""Detect the format of a file from its first bytes, and refuse a file whose name promises another format."""

from __future__ import annotations

import re
from pathlib import Path

from starscale.io.ascii.recognise import HEAD, byte_by_byte, is_ipac, readme_beside
from starscale.io.csv.beginning import beginning_of
from starscale.io.csv.lines import is_wide
from starscale.io.csv.numbered import numbered_columns
from starscale.io.formats import FORMATS, TEXTS, Format, by_suffix
from starscale.io.packed import DAMAGE, damaged_packing, open_packed
from starscale.vocabulary.errors import InputError, Problem

_HEAD = 4096

#: First bytes of files of other kinds: the kind, and what the user can do.
_FOREIGN = (
    (b"\x89HDF\r\n", "an HDF5 file", "Convert it to Parquet or FITS first."),
    (b"\x93NUMPY", "a NumPy array file", "Convert it to Parquet or FITS first."),
    (b"PK\x03\x04", "a ZIP archive (a spreadsheet, an .npz file, or files packed together)", "Unpack it first."),
    (b"BZh", "a bzip2 file", "Unpack it first."),
    (b"\xfd7zXZ", "an xz file", "Unpack it first."),
    (b"\x28\xb5\x2f\xfd", "a zstandard file", "Unpack it first."),
    (b"\x80\x04", "a Python pickle", "Pickles are never opened: they can run code. Save it as Parquet."),
    (b"%PDF", "a PDF document", ""),
    (b"ARROW1", "an Arrow IPC (Feather) file", "Convert it to Parquet first."),
)
_VOTABLE = re.compile(rb"<([\w.-]+:)?votable[\s>/]", re.IGNORECASE)
_PAGE = (
    "Probably an error or login page that was saved in place of the table: open it in a browser, download again."
)


def read_head(path: Path, size: int = _HEAD) -> bytes:
    """Return the first bytes of a file; those of a gzip file are unpacked.

    Raises
    ------
    InputError
        The file cannot be read, or its gzip data are damaged.
    """
    try:
        with open_packed(path) as file:
            return file.read(size)
    except DAMAGE as error:
        raise damaged_packing(path, error) from None
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read ({error.strerror or error})")) from None


def content_of(head: bytes) -> str | None:
    """Return the format that the first bytes belong to; ``csv`` for any other text, None for other bytes."""
    head = _narrowed(head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"SIMPLE  ="):
        return "fits"
    if is_votable(head):
        return "votable"
    if text.startswith(b"# %ECSV"):
        return "ecsv"
    if b"\0" in head or any(head.startswith(magic) for magic, *_ in _FOREIGN) or text.startswith((b"<", b"{")):
        return None
    return "csv"


def is_votable(head: bytes) -> bool:
    """Whether the first bytes are those of a VOTable, with any namespace prefix, in UTF-8 or UTF-16."""
    # Without its zero bytes and its mark, the beginning of a document in UTF-16 is ASCII.
    text = head.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").replace(b"\0", b"")
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith(b"<") and _VOTABLE.search(text) is not None


def _narrowed(head: bytes) -> bytes:
    """Return UTF-16 as UTF-8, other bytes as they are."""
    return head[: len(head) // 2 * 2].decode("utf-16", "ignore").encode() if is_wide(head) else head


def _text_table(path: Path, expected: Format | None) -> Format:
    """Return which text table a file is; its lines say so, whatever its name is."""
    head = _narrowed(read_head(path, HEAD))
    if byte_by_byte(head) or readme_beside(path):
        return FORMATS["mrt"]
    begin = beginning_of(path)
    content = "ipac" if is_ipac(head) else "ascii" if numbered_columns(begin) else begin.format
    if content is None and expected is FORMATS["csv"]:
        content = "csv"
    if content is None:
        found = "is text without columns separated by commas, tabs or blanks"
        raise InputError(
            Problem(str(path), found, _any_table() if expected is None else f"a {expected.title} table")
        )
    return FORMATS[content]


def _foreign(head: bytes) -> tuple[str, str]:
    """Return what a file that is no table contains, and what the user can do."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")) or (text.startswith(b"<") and b"<html" in text):
        return "is an HTML page, not a table", _PAGE
    if text.startswith(b"<"):
        return "is an XML document without a VOTABLE element", "Ask the archive for VOTable output."
    if text.startswith(b"{"):
        return "is a JSON document, not a table", "It may be an error message of the archive: open it."
    for magic, what, fix in _FOREIGN:
        if head.startswith(magic):
            return f"is {what}, not a table", fix
    return "is binary data of an unknown kind", ""


def detect(path: Path) -> Format:
    """Return the format of an existing file from its content, and check it against the name.

    Raises
    ------
    InputError
        The file is empty, is no table, or its content does not match its suffix.
    """
    expected = by_suffix(path.name)
    head = read_head(path)
    if not head:
        fix = "The download or the program that wrote it was probably interrupted: make it again."
        raise InputError(Problem(str(path), "is empty (0 bytes)", "a table", fix))
    content = content_of(head)
    if content is None:
        raise InputError(_no_table(path, *_foreign(head), expected))
    if content == "csv" and (expected is None or expected.name in TEXTS):
        return _text_table(path, expected)
    if expected is None:
        return FORMATS[content]
    if content == "csv":
        raise InputError(_no_table(path, "is plain text", _text_fix(head), expected))
    # Archives name ECSV files .csv.
    if content != expected.name and (content, expected.name) != ("ecsv", "csv"):
        actual = FORMATS[content]
        found, wanted = f"is a {actual.title} file inside", f"a {expected.title} file, as its name says"
        raise InputError(Problem(str(path), found, wanted, f"Rename it to end in {actual.suffixes[0]}."))
    return FORMATS[content]


def _any_table() -> str:
    return f"a table ({', '.join(item.title for item in FORMATS.values())})"


def _no_table(path: Path, found: str, fix: str, expected: Format | None) -> Problem:
    """Describe a file that does not begin like the table that its name promises."""
    if expected is None:
        return Problem(str(path), found, _any_table(), fix)
    if found.endswith("unknown kind"):
        found = f"does not start like a {expected.title} file"
        fix = "It is damaged or something else: make it again."
    return Problem(str(path), found, f"a {expected.title} file, as its name says", fix)


def _text_fix(head: bytes) -> str:
    first = head.splitlines()[0][:80].decode("utf-8", "replace")
    return f"It begins with {first!r}: rename it to .csv if it is a table, else download it again."
