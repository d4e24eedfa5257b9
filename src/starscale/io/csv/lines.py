"""Lines of a text file, whatever its packing, encoding and line ends are."""

from __future__ import annotations

import codecs
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from starscale.io.csv.fields import has_quotes
from starscale.io.packed import DAMAGE, damaged_packing, open_packed
from starscale.vocabulary.errors import InputError, Problem

#: Bytes that are searched for the kind of line ends.
_HEAD: Final = 65_536
#: Most lines of one quoted text; a longer one is a quotation mark that is never closed.
_QUOTED_LINES: Final = 10_000
#: Byte order marks of encodings other than UTF-8.
_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
NOT_UTF8: Final = "Convert it: iconv -f latin1 -t utf-8 OLD > NEW."


def is_wide(head: bytes) -> bool:
    """Whether a text begins with the byte order mark of UTF-16."""
    return head.startswith(_WIDE)


def only_carriage_returns(head: bytes) -> bool:
    """Whether lines end with a carriage return alone, as on old Macintosh systems."""
    return b"\r" in head[:-1] and b"\n" not in head


def is_plain(path: Path) -> bool:
    """Whether a file is unpacked UTF-8 with line feeds, so that other programs may read it as it is."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not (head.startswith(b"\x1f\x8b") or is_wide(head) or only_carriage_returns(head))


@contextmanager
def text_lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Give the lines of a file in UTF-8, each with its line feed.

    Raises
    ------
    InputError
        The gzip data are damaged, or UTF-16 that is no text.
    """
    try:
        with open_packed(path) as file:
            head = file.read(_HEAD)
            file.seek(0)
            wide = is_wide(head)
            if not (wide or only_carriage_returns(head)):
                yield iter(file)
                return
            # Latin-1 keeps every byte, so that UTF-8 comes through unchanged.
            coding = ("utf-16", "utf-8") if wide else ("latin-1", "latin-1")
            text = io.TextIOWrapper(cast("io.BufferedReader", file), encoding=coding[0], newline=None)
            try:
                yield (line.encode(coding[1]) for line in text)
            finally:
                text.detach()
    except DAMAGE as error:
        raise damaged_packing(path, error) from None
    except UnicodeDecodeError as error:
        raise InputError(Problem(str(path), f"is damaged UTF-16 text ({error.reason})")) from None


def pieces(path: Path, skip: int, rows: int, separator: str | None) -> Iterator[tuple[int, list[bytes]]]:
    """Yield ``(number of the first line, lines)`` in chunks of about `rows` lines; quoted texts are kept whole.

    Without `separator`, quotation marks have no meaning.

    Raises
    ------
    InputError
        The gzip data are damaged, or a quotation mark is never closed.
    """
    with text_lines(path) as file:
        number = 1 + sum(1 for _ in itertools.islice(file, skip))
        while lines := list(itertools.islice(file, rows)):
            if separator is not None:
                _complete(path, number, lines, separator, file)
            yield number, lines
            number += len(lines)


def _complete(path: Path, number: int, lines: list[bytes], separator: str, file: Iterator[bytes]) -> None:
    """Add the lines up to the end of the quoted text in which `lines` end."""
    content = b"".join(lines)
    if content.count(b'"') % 2 == 0 or not has_quotes(content, separator):
        return
    last = number + len(lines) - 1
    for more in itertools.islice(file, _QUOTED_LINES):
        lines.append(more)
        if more.count(b'"') % 2:
            return
    found = "has a quotation mark that is never closed"
    raise InputError(Problem(f"{path}, line {last} or before", found, "two around a text"))
