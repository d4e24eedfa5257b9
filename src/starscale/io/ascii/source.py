"""Reading MRT, CDS and IPAC tables, whole, by astropy.

A machine-readable table (MRT) of the AAS journals, and a table of the CDS with its ReadMe in the same file or
folder, have a byte-by-byte description; an IPAC table has names, types, units and nulls between bars.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from starscale.io.ascii.recognise import HEAD, byte_by_byte, is_ipac, readme_beside
from starscale.io.astropy_tables import from_astropy
from starscale.io.csv.lines import NOT_UTF8, text_lines
from starscale.io.table import Source, refuse_many_columns
from starscale.io.whole import WholeSource
from starscale.vocabulary.errors import InputError, Problem


def open_source(path: Path, part: str | None) -> Source:
    """Read a table that describes its columns.

    Raises
    ------
    InputError
        Description and rows do not agree.
    """
    if part is not None:
        found = "a text file holds one table only"
        raise InputError(Problem(f"{path}#{part}", found, fix=f"Leave out '#{part}'."))
    text = _text(path)
    head = text[:HEAD].encode()
    fixed = byte_by_byte(head) or not is_ipac(head)
    if fixed:
        text = _without_blank_rows(text if byte_by_byte(head) else f"{readme_beside(path)}\n{text}")
    else:
        _refuse_wide_values(path, text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            table = Table.read(text.splitlines(), format="ascii.mrt" if fixed else "ascii.ipac")
    # Errors of astropy's readers are of many kinds.
    except Exception as error:
        about = (str(error).strip().splitlines() or [type(error).__name__])[0]
        found = f"does not agree with the description of its columns ({about})"
        fix = "It was probably cut short or edited: get it again."
        raise InputError(Problem(str(path), found, fix=fix)) from error
    table.meta = {}
    return WholeSource(path, "mrt" if fixed else "ipac", *from_astropy(table, str(path)))


def _refuse_wide_values(path: Path, text: str) -> None:
    """Refuse very many columns, and rows that cross bars of the header: astropy would cut their values there."""
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("|"))
    refuse_many_columns(path, header.count("|") - 1)
    bars = [place for place, character in enumerate(header) if character == "|"]
    for number, line in enumerate(lines, 1):
        if not line.startswith(("|", "\\")) and any(line[place : place + 1].strip() for place in bars):
            found, fix = "has a value that crosses a bar of the header", "It was edited: get it again."
            raise InputError(Problem(f"{path}, line {number}", found, "values between the bars", fix))


def _text(path: Path) -> str:
    with text_lines(path) as lines:
        content = b"".join(lines)
    try:
        return content.decode()
    except UnicodeDecodeError:
        # Names of authors in the ReadMe; in texts of the table it would be a guess.
        raise InputError(Problem(str(path), "is not UTF-8 text", fix=NOT_UTF8)) from None


def _without_blank_rows(text: str) -> str:
    """Remove blank lines below the description: astropy would take them for rows without values."""
    head, rule, rows = text.rpartition("-" * 20)
    return head + rule + "\n" + "\n".join(line for line in rows.splitlines() if line.strip()) + "\n"
