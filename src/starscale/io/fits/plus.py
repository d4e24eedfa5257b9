"""Tables of TOPCAT (``fits-plus``) whose primary data are a VOTable that describes the tables after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from starscale.io.fits.cards import HeaderUnit
from starscale.io.packed import open_packed
from starscale.io.table import describe
from starscale.io.votable.document import DamagedError, scan_text
from starscale.io.votable.position import position_system
from starscale.vocabulary.errors import InputError

_LONGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class Described:
    """Unit, UCD and description by column, and the attributes of the COOSYS of the positions."""

    known: dict[str, dict[str, str]] = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)


def described(path: Path, primary: HeaderUnit, number: int, schema: pl.Schema) -> Described:
    """Return what the VOTable of a file says about extension `number`; nothing if there is none."""
    if primary.cards.get("VOTMETA") is not True or not 0 < primary.size <= _LONGEST:
        return Described()
    with open_packed(path) as file:
        file.seek(primary.data)
        text = file.read(primary.size).decode("utf-8", "replace")
    try:
        document = scan_text(text)
    except (DamagedError, InputError):
        # The extension describes itself, with shorter texts.
        return Described()
    # The tables follow in the order of the document.
    table = document.tables[number - 1] if 0 < number <= len(document.tables) else None
    if table is None or len(table.fields) != len(schema):
        return Described()
    known = {
        name: {
            "unit": item.attributes.get("unit", ""),
            "ucd": item.attributes.get("ucd", ""),
            "description": item.description,
        }
        for name, item in zip(schema, table.fields, strict=True)
    }
    return Described(known, position_system(document, table, list(schema), describe(schema, known), schema))
