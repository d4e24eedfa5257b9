"""The elements of VOTable documents that describe a table, without its rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

import polars as pl

from starscale.io.fits.text import to_card
from starscale.io.sky_columns import position_columns
from starscale.io.units import as_vounit
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM, Column

OPENING = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
)
CLOSING = "</VOTABLE>"
_SYSTEM_ID = "position_system"
#: Names of frames in COOSYS, with the usual equinox.
_FRAMES = {"FK4": ("eq_FK4", "B1950"), "FK5": ("eq_FK5", "J2000"), "GALACTIC": ("galactic", "")}
#: Characters that XML 1.0 cannot hold, and line breaks, which become blanks in attributes.
_NOT_IN_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")


def attribute(text: str) -> str:
    """Escape a text for an XML attribute; an unescaped line break would be read back as a blank."""
    return escape(text).replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")


def element(name: str, attributes: Mapping[str, str], content: str = "") -> str:
    """Return an element with the attributes that are not empty; `content` is XML."""
    pairs = "".join(f' {key}="{attribute(value)}"' for key, value in attributes.items() if value)
    return f"<{name}{pairs}>{content}</{name}>" if content else f"<{name}{pairs}/>"


def about_table(metadata: Mapping[str, str]) -> list[str]:
    """Return the metadata as elements: an INFO for every text, and the system of the positions (COOSYS)."""
    lines = []
    for key, text in metadata.items():
        if key not in (POSITION_SYSTEM, POSITION_EPOCH):
            value = to_card(text) if _NOT_IN_XML.search(text) else text
            lines.append(f'<INFO name="{attribute(key)}" value="{attribute(value)}"/>')
    if POSITION_SYSTEM in metadata:
        # The XML schema requires COOSYS after INFO.
        frame, _, equinox = metadata[POSITION_SYSTEM].partition(" ")
        name, usual = _FRAMES.get(frame, (frame, ""))
        about = {"system": name, "equinox": equinox or usual, "epoch": metadata.get(POSITION_EPOCH, "")}
        lines.append(element("COOSYS", {"ID": _SYSTEM_ID, **about}))
    return lines


def field(about: Column, kind: Mapping[str, str], *, placed: bool = False, null: int | None = None) -> str:
    """Describe a column: `kind` holds datatype and arraysize, `placed` refers to the system of the positions."""
    about = as_vounit(about)
    content = f"<DESCRIPTION>{escape(about.description)}</DESCRIPTION>" if about.description else ""
    if null is not None:
        content += f'<VALUES null="{null}"/>'
    reference = _SYSTEM_ID if placed else ""
    pairs = {"name": about.name, **kind, "unit": about.unit, "ucd": about.ucd, "ref": reference}
    return element("FIELD", pairs, content)


def placed_columns(
    schema: pl.Schema, columns: Mapping[str, Column], metadata: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the columns that refer to the system of the positions, if the metadata state it."""
    return (position_columns(schema, columns) or ()) if POSITION_SYSTEM in metadata else ()
