"""Reference frame and epoch of the positions of a table, and the origin of its times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from starscale.io.sky_columns import position_columns
from starscale.io.table import Doubt
from starscale.io.votable.document import Attributes, TableElement, VotableDocument
from starscale.vocabulary.columns import Column

#: COOSYS of VOTable 1.1 to 1.4, and the vocabulary "refframe" of VOTable 1.5.
_FRAMES = {
    "icrs": "ICRS",
    "eq_fk4": "FK4",
    "fk4": "FK4",
    "eq_fk5": "FK5",
    "fk5": "FK5",
    "galactic": "GALACTIC",
    "unknown": "",
}
#: Equinox that needs no mention.
_USUAL = {"FK4": "B1950", "FK5": "J2000"}
_YEAR = re.compile(r"\s*([JB]?)\s*(\d+(?:\.\d*)?)\s*", re.IGNORECASE)
#: Julian Date of B1900.0, length of the tropical year (d), Julian Date of J2000.0 (Lieske 1979, A&A 73, 282).
_B1900, _TROPICAL, _J2000 = 2415020.31352, 365.242198781, 2451545.0
_MJD_ORIGIN = 2400000.5


def position_system(
    document: VotableDocument,
    table: TableElement,
    names: Sequence[str],
    columns: Mapping[str, Column],
    schema: pl.Schema,
) -> Attributes:
    """Return the attributes of the COOSYS of the positions; empty if there is none.

    It is the one that the columns of the position refer to, else other equatorial columns, else any column; else
    the only one of the document.
    """
    main = position_columns(schema, columns) or ()
    found: list[tuple[tuple[int, ...], Attributes]] = []
    for name, item in zip(names, table.fields, strict=False):
        reference = item.attributes.get("ref", "")
        if reference not in document.positions:
            reference = table.systems.get(item.attributes.get("ID", ""), "")
        if reference in document.positions:
            ucd = item.attributes.get("ucd", "").lower()
            equatorial = ucd.startswith(("pos.eq", "pos_eq"))
            rank = (name not in main, not equatorial, "meta.main" not in ucd, len(found))
            found.append((rank, document.positions[reference]))
    if found:
        return min(found, key=lambda item: item[0])[1]
    return next(iter(document.positions.values())) if len(document.positions) == 1 else {}


def frame_of(system: Attributes) -> str:
    """Return the frame of a COOSYS, with the equinox where it is not the usual one."""
    stated = system.get("system", "").strip()
    equinox = _YEAR.fullmatch(system.get("equinox", ""))
    frame = _FRAMES.get(stated.lower(), stated)
    if not stated and equinox:
        # As FITS has it: equatorial systems were FK4 until 1984.
        frame = "FK4" if equinox[1].upper() == "B" or float(equinox[2]) < 1984 else "FK5"
    if frame not in _USUAL or not equinox:
        return frame
    year = f"{equinox[1].upper() or _USUAL[frame][0]}{float(equinox[2]):g}"
    return frame if year == _USUAL[frame] else f"{frame} {year}"


def epoch_of(system: Attributes) -> float | None:
    """Return the epoch of a COOSYS in Julian years."""
    found = _YEAR.fullmatch(system.get("epoch", ""))
    if found is None:
        return None
    year = float(found[2])
    if found[1].upper() == "B":
        return 2000.0 + (_B1900 + (year - 1900.0) * _TROPICAL - _J2000) / 365.25
    return year


def notes_on_times(document: VotableDocument, table: TableElement, names: Sequence[str]) -> list[str]:
    """Say which columns count their times from an origin other than that of JD or MJD (TIMESYS)."""
    found: list[str] = []
    for name, item in zip(names, table.fields, strict=False):
        origin = document.times.get(item.attributes.get("ref", ""), {}).get("timeorigin", "").strip()
        if re.fullmatch(r"\d+(\.\d*)?", origin) and float(origin) not in (0.0, _MJD_ORIGIN):
            found.append(Doubt(f"the times of column {name!r} count from JD {origin} (TIMESYS)"))
    return found
