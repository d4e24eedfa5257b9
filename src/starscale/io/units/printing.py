"""Write the unit of a column as each format understands it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from starscale.io.units.parsing import may_be_unit, parse_unit
from starscale.vocabulary.columns import PAIR_COLUMNS, Column, catalogue_columns
from starscale.vocabulary.later import Later
from starscale.vocabulary.unit_notes import with_note

u = Later("astropy.units")

#: Units of the columns of catalogues and pairs, which are VOUnit as they stand. A prediction or a match, which
#: writes no others, starts without the library that reads units.
_OWN = frozenset(column.unit for column in (*catalogue_columns().values(), *PAIR_COLUMNS.values()))
#: Largest relative difference of two scales that are the same.
_ROUNDING = 1e-12


def as_vounit(about: Column) -> Column:
    """Return the description of a column with its unit in VOUnit (IVOA), for VOTable.

    A unit that the notation does not have (``electron/s``, ``mag(AB)``) goes into the description.
    """
    return about if about.unit in _OWN else _printed(about, _VOUNIT)


def as_cds(about: Column) -> Column:
    """Do the same in the notation of CDS, for ReadMe and machine-readable tables; ``---`` for no unit."""
    printed = _printed(about, _CDS)
    return printed if printed.unit else replace(printed, unit="---")


def as_fits(about: Column) -> Column:
    """Do the same for FITS; a text that no FITS reader would take for another unit is written as it is."""
    return _printed(about, _FITS)


def as_generic(about: Column) -> Column:
    """Do the same in astropy's own notation, for ECSV and astropy tables."""
    return _printed(about, _GENERIC)


def unit_text(unit: Any) -> str:
    """Return an astropy unit as a text that :func:`parse_unit` understands; empty for none.

    A unit that astropy invented while reading (``days`` of a VOTable) gives the text that was read.
    """
    if unit is None:
        return ""
    text = str(unit)
    if isinstance(unit, u.UnrecognizedUnit) or _read(text, "generic") is None:
        return text
    if isinstance(unit, u.NamedUnit) and parse_unit(text) == unit:
        return text
    printers = (_VOUNIT.printer, _GENERIC.printer, _decomposed)
    return next((found for printer in printers if (found := printer(unit)) is not None), text)


def _printed(about: Column, notation: _Notation) -> Column:
    """Print the unit, or as much of it as the format has a word for, and note the rest in the description."""
    text = about.unit.strip()
    unit = parse_unit(text)
    whole = text if _kept(text, unit, notation) else _whole(unit, notation)
    if whole is not None:
        return replace(about, unit=whole)
    part = _whole(_bare(unit), notation)
    if part is None and notation.keeps_unknown and text.isascii() and _read(text, notation.name) is None:
        return about
    # The note names the part: "AB mag" and "mag(AB)" do, "AB" does not.
    note = text if part is None or part.lower() in text.lower() else str(unit)
    return replace(about, unit=part or "", description=with_note(about.description, note))


def _kept(text: str, unit: Any, notation: _Notation) -> bool:
    """Return whether a text is written as it is, since it conforms to the standard."""
    return not text or (
        notation.legal.fullmatch(text) is not None and unit == _read(text, notation.name) is not None
    )


def _whole(unit: Any, notation: _Notation) -> str | None:
    return None if unit is None else notation.printer(unit)


def _bare(unit: Any) -> Any:
    """Return the function of a logarithmic unit: mag of mag(AB)."""
    return unit.function_unit if isinstance(unit, u.function.FunctionUnitBase) else unit


def _vounit(unit: Any) -> str | None:
    if unit == u.dimensionless_unscaled:
        return ""
    if unit == u.percent:
        return "%"
    if isinstance(unit, u.DexUnit):
        inner = _vounit(unit.physical_unit)
        return text if inner and _close(unit, parse_unit(text := f"log({inner})")) else None
    return _checked(unit, "vounit")


def _cds(unit: Any) -> str | None:
    if unit == u.dimensionless_unscaled:
        return ""
    if unit == u.dex:
        return "[-]"
    text = _checked(unit, "cds")
    return None if text is None else text.replace(" ", "")


def _fits(unit: Any) -> str | None:
    """Return VOUnit where FITS readers read the same or, for logarithms and percents, only the text."""
    text = _vounit(unit)
    return text if text is not None and _read(text, "fits") in (None, unit) else _checked(unit, "fits")


def _generic(unit: Any) -> str | None:
    return "" if unit == u.dimensionless_unscaled else _checked(unit, "generic")


def _decomposed(unit: Any) -> str | None:
    return _checked(unit.decompose(), "generic") if hasattr(unit, "decompose") else None


def _checked(unit: Any, notation: str) -> str | None:
    """Print a unit; None unless both astropy and this program read the same unit from the text."""
    names = getattr(unit, "names", ())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", u.UnitsWarning)
            # The names of a unit come first: a unit that the notation does not have gets a scale (1e-06arcsec).
            texts = [*(name for name in names if name.isascii()), str(unit.to_string(notation))]
    except (ValueError, TypeError, AttributeError):
        texts = [*names]
    same = (
        text for text in texts if text and _close(unit, _read(text, notation)) and _close(unit, parse_unit(text))
    )
    return next(same, None)


def _close(a: Any, b: Any) -> bool:
    """Return whether two units are the same up to rounding of their scale."""
    if b is None or a == b:
        return b is not None
    try:
        return abs(float(a.to(b)) - 1.0) < _ROUNDING
    except (u.UnitsError, TypeError, ValueError, AttributeError, OverflowError):
        return False


@lru_cache(maxsize=4096)
def _read(text: str, notation: str) -> Any:
    """Return the unit that astropy reads from a text, None where it refuses."""
    if not may_be_unit(text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", u.UnitsWarning)
            return u.Unit(text, format=notation, parse_strict="raise")
    except (ValueError, TypeError, ZeroDivisionError, OverflowError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class _Notation:
    """A notation of units.

    `name` is what astropy calls it, `printer` prints it, `legal` matches the texts that are kept as they are
    (astropy reads more than the standards allow). `keeps_unknown`: readers keep a word that they do not know; from
    a VOTable astropy reads an invented unit.
    """

    name: str
    printer: Callable[[Any], str | None]
    legal: re.Pattern[str]
    keeps_unknown: bool


_STANDARD = re.compile(r"[A-Za-z%]+(\*\*-?\d)?(\.[A-Za-z]+(\*\*-?\d)?)*(/[A-Za-z]+(\*\*\d)?)?")
_VOUNIT = _Notation("vounit", _vounit, _STANDARD, keeps_unknown=False)
_CDS = _Notation("cds", _cds, re.compile(r"[A-Za-z%]+(-?\d)?([./][A-Za-z]+(-?\d)?)*"), keeps_unknown=False)
_FITS = _Notation("fits", _fits, _STANDARD, keeps_unknown=True)
_GENERIC = _Notation("generic", _generic, re.compile(r"[ -~]+"), keeps_unknown=True)
