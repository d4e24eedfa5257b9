"""Columns of astropy tables that are objects of several numbers a row, sky coordinates and times, as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.time import Time, TimeDelta
from astropy.units import Unit

from starscale.io.votable.position import frame_of
from starscale.vocabulary.columns import POSITION_SYSTEM

#: Formats of times that stay, with their units; others become MJD.
_YEARS, _DAYS = "yr", "d"
_FORMATS = {"jyear": _YEARS, "jd": _DAYS, "mjd": _DAYS}


def plain_columns(table: Table) -> Table:
    """Return a table in which coordinates are columns of angles, and times are numbers.

    Coordinates have the names of their parts (``ra`` and ``dec``, ``l`` and ``b``, ``pm_ra_cosdec``), after that
    of the column where these are taken: ``coord.ra``. The frame of ``ra`` and ``dec`` is entered in the metadata.
    Times are Julian years, Julian dates, or modified Julian dates, in the scale that they have.
    """
    found = QTable(meta=dict(table.meta))
    for name in table.colnames:
        column = table[name]
        if isinstance(column, SkyCoord):
            _add_position(found, name, column, {other.lower() for other in (*table.colnames, *found.colnames)})
        elif isinstance(column, Time | TimeDelta):
            found[name], about = _time(column)
            found[name].info.description = column.info.description or about
        else:
            found[name] = column
    return found


def _add_position(table: Table, name: str, coordinates: SkyCoord, taken: set[str]) -> None:
    """Add the parts of coordinates; `taken` are names of other columns."""
    parts = dict(_parts(coordinates))
    free = not {part.lower() for part in parts} & taken
    for part, values in parts.items():
        table[part if free else f"{name}.{part}"] = values
    if free and {"ra", "dec"} <= parts.keys():
        table.meta.setdefault(POSITION_SYSTEM, _system(coordinates))


def _parts(coordinates: SkyCoord) -> Iterator[tuple[str, Any]]:
    """Yield the angles, and distance and motions as far as they are there; angles in degrees."""
    for base in coordinates.get_representation_component_names():
        values = getattr(coordinates, base)
        if values.unit.physical_type != "dimensionless":
            yield base, values.to("deg") if values.unit.physical_type == "angle" else values
    if "s" in coordinates.data.differentials:
        for base in coordinates.get_representation_component_names("s"):
            yield base, getattr(coordinates, base)


def _system(coordinates: SkyCoord) -> str:
    """Return the frame, with the equinox that it has."""
    equinox = getattr(coordinates, "equinox", None)
    stated = {} if equinox is None else {"equinox": str(equinox.value)}
    return frame_of({"system": coordinates.frame.name, **stated}).upper()


def _time(times: Time | TimeDelta) -> tuple[Any, str]:
    """Return times as numbers with a unit, and what they are."""
    if isinstance(times, TimeDelta):
        return times.to("d"), "duration"
    form = {"decimalyear": "jyear"}.get(times.format, times.format)
    form = form if form in _FORMATS else "mjd"
    words = {"jyear": "Julian year", "jd": "Julian date", "mjd": "modified Julian date"}
    return getattr(times, form) << Unit(_FORMATS[form]), f"{words[form]}, {times.scale.upper()}"
