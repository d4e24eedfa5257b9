"""Layout of a CSV file: header line, separator and names of the columns."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starscale.io.packed import DAMAGE, damaged_packing, open_packed
from starscale.io.table import CHUNK_ROWS
from starscale.vocabulary.errors import InputError, Problem

_BOM = b"\xef\xbb\xbf"
#: Lines that are searched for the header and the first row.
_LOOK = 200
NOT_UTF8 = "Convert it: iconv -f latin1 -t utf-8 OLD > NEW."


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """Names of the columns, lines to skip, separator; `trailing`: whether rows end with an extra separator."""

    names: tuple[str, ...]
    skip: int
    separator: str
    trailing: bool = False


def pieces(path: Path, skip: int, rows: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield ``(number of the first line, lines)`` in chunks of about `rows` lines; quoted texts are kept whole.

    Raises
    ------
    InputError
        The gzip data are damaged.
    """
    try:
        with open_packed(path) as file:
            number = 1 + sum(1 for _ in itertools.islice(file, skip))
            while lines := list(itertools.islice(file, rows)):
                while sum(line.count(b'"') for line in lines) % 2 and (more := file.readline()):
                    lines.append(more)
                yield number, lines
                number += len(lines)
    except DAMAGE as error:
        raise damaged_packing(path, error) from None


def find_layout(path: Path) -> CsvLayout:
    """Read the header and compare it with the rows.

    Raises
    ------
    InputError
        There is no header, or the rows have more fields than the header without a row counter that explains it.
    """
    low = path.name.lower().removesuffix(".gz")
    lines = _first_lines(path)
    header = _header_line(lines, low)
    if header is None:
        raise InputError(Problem(str(path), "has no header line", "names of columns in the first line"))
    separator = "\t" if low.endswith(".tsv") else _separator(lines[header])
    names = next(csv.reader([lines[header].removeprefix("#").lstrip()], delimiter=separator))
    if names and not names[0].strip():
        names[0] = "index"
    layout = CsvLayout(tuple(names), header + 1, separator)
    fields = next((len(row) for row in csv.reader(lines[header + 1 :], delimiter=separator) if row), len(names))
    if fields == len(names) + 1:
        return _one_more(path, layout)
    return layout


def _first_lines(path: Path) -> list[str]:
    """Return the first lines as texts, without the byte order mark."""
    lines: list[str] = []
    for first, chunk in itertools.islice(pieces(path, 0, _LOOK), 1):
        for number, line in enumerate(chunk, first):
            try:
                lines.append(line.decode("utf-8").rstrip("\r\n"))
            except UnicodeDecodeError:
                where = f"{path}, line {number}"
                raise InputError(Problem(where, "is not UTF-8 text", fix=NOT_UTF8)) from None
    if lines:
        lines[0] = lines[0].removeprefix(_BOM.decode())
    return lines


def _header_line(lines: list[str], name: str) -> int | None:
    """Return the index of the header: the last leading ``#`` line if its fields match the rows, else the next."""
    plain = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    marked = [i for i, line in enumerate(lines[:plain]) if line.strip()]
    if not marked:
        return plain
    last = lines[marked[-1]]
    separator = "\t" if name.endswith((".tsv", ".tsv.gz")) else _separator(last)
    if plain is None or last.count(separator) == lines[plain].count(separator) > 0:
        return marked[-1]
    return plain


def _separator(header: str) -> str:
    return next((mark for mark in (",", "\t", ";", "|") if mark in header), ",")


def _one_more(path: Path, layout: CsvLayout) -> CsvLayout:
    """Explain rows with one field more than the header.

    pandas and R write a row counter without a name before the first column; other programs end every row with a
    separator. In any other case it is unknown which name belongs to which value, and the file is refused.
    """
    counter, trailing = True, True
    before = -1
    for row in _rows(path, layout):
        trailing = trailing and not row[-1].strip()
        value = int(row[0]) if row[0].strip().isdecimal() else -1
        counter = counter and value > before
        before = value
        if not (counter or trailing):
            break
    if counter != trailing:
        names = layout.names if trailing else ("index", *layout.names)
        return CsvLayout(names, layout.skip, layout.separator, trailing=trailing)
    n = len(layout.names)
    raise InputError(
        Problem(
            f"{path}, line {layout.skip + 1}",
            f"has {n + 1} fields where the header has {n} names",
            "as many fields as names (or a leading row counter as pandas writes it)",
            "Write a name for every column into the header.",
        )
    )


def _rows(path: Path, layout: CsvLayout) -> Iterator[list[str]]:
    """Yield the fields of every row that is not empty."""
    for _, chunk in pieces(path, layout.skip, CHUNK_ROWS):
        texts = (line.decode("utf-8", "replace") for line in chunk)
        yield from filter(None, csv.reader(texts, delimiter=layout.separator))
