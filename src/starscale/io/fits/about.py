"""What a FITS file says about a table and its columns, beside their layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count, takewhile

from astropy.io import fits

from starscale.io.fits.serialized import without_yaml
from starscale.io.fits.text import from_card
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM

_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|TFIELDS|THEAP|CHECKSUM|DATASUM|LONGSTRN|CONTINUE"
    r"|COMMENT|HISTORY|COLFITS|XT_ICOL|XT_NCOL|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM|COMM|DESC|UCD|UTYP|BCOL|DTYP)\d+"
    r"|MKEY\d+|MVAL\d+|"
)
#: Keywords of a column: the standard's, and those of TOPCAT and of other programs.
_KEYS = {"unit": ("TUNIT",), "ucd": ("TUCD",), "description": ("TCOMM", "TDESC")}
_YEAR = re.compile(r"\s*[JB]?\s*(\d{4}(?:\.\d*)?)\s*", re.IGNORECASE)


def column_keywords(header: fits.Header, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return unit, UCD and description of the columns `names`, which are all columns in order."""
    return {
        name: {
            what: next((text for key in keys if (text := from_card(str(header.get(f"{key}{i}") or "")))), "")
            for what, keys in _KEYS.items()
        }
        for i, name in enumerate(names, 1)
    }


def merged(
    first: Mapping[str, Mapping[str, str]], *others: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Return what the first of several sources says about each column and property."""
    found = {name: dict(about) for name, about in first.items()}
    for other in others:
        for name, about in other.items():
            mine = found.setdefault(name, {})
            mine |= {what: text for what, text in about.items() if text and not mine.get(what)}
    return found


def metadata_of(header: fits.Header) -> dict[str, str]:
    """Return the cards of a header that do not describe the layout of the table, as texts."""
    found = {
        str(card.keyword): from_card(str(card.value))
        for card in header.cards
        if not _STRUCTURE.fullmatch(str(card.keyword)) and not isinstance(card.value, fits.card.Undefined)
    }
    for key in ("COMMENT", "HISTORY"):
        lines = without_yaml([str(line) for line in header[key]]) if key in header else []
        if lines:
            found[key] = "\n".join(lines)
    for i in takewhile(lambda i: f"MKEY{i}" in header, count(1)):
        found[from_card(str(header[f"MKEY{i}"]))] = from_card(str(header.get(f"MVAL{i}", "")))
    return found


def system_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return frame, equinox and epoch of the positions as a header states them, as attributes of a COOSYS."""
    frames = (metadata.get(key, "") for key in (POSITION_SYSTEM, "RADESYS", "RADECSYS"))
    frame = next(filter(None, frames), "")
    equinox, epoch = metadata.get("EQUINOX", ""), metadata.get("EPOCH", "")
    if not (frame or equinox) and _is_equinox(epoch):
        equinox, epoch = epoch, ""
    years = {"equinox": equinox, "epoch": metadata.get(POSITION_EPOCH) or epoch}
    stated = {key: text for key, text in years.items() if _YEAR.fullmatch(text)}
    return {"system": frame, **stated} if frame else stated


def _is_equinox(epoch: str) -> bool:
    """Whether EPOCH is an equinox, as it was before the keyword EQUINOX took its place."""
    year = _YEAR.fullmatch(epoch)
    return year is not None and (float(year[1]) < 1984 or float(year[1]) == 2000)
