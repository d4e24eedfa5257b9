"""Read the unit of a column as people and archives write it.

Every name in a text is looked up in the list of spellings and in astropy's list of units before astropy sees
the expression. astropy's own notations would otherwise invent units: ``days`` becomes ten yoctoseconds,
``dex`` a tenth of an "ex".
"""

from __future__ import annotations

import math
import re
import unicodedata
import warnings
from functools import lru_cache
from typing import Any

from starscale.io.units.spellings import (
    DIMENSIONLESS,
    EXACT,
    NO_NAMES,
    NOT_STATED,
    PHRASES,
    SEXAGESIMAL,
    WHOLE,
    WORDS,
)
from starscale.vocabulary.later import Later

u = Later("astropy.units")

_SIGNS = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u00b7": ".",
        "\u22c5": ".",
        "\u2219": ".",
        "\u00d7": "*",
        "\u03bc": "u",
        "\u00b5": "u",
        "\u00c5": "Angstrom",
        "\u00b0": "deg",
        "\u2032": "'",
        "\u2033": "''",
        "\u2299": "sun",
        "\u2609": "sun",
        "^": "**",
        "$": "",
        "{": "(",
        "}": ")",
    }
)
#: A function of a unit: ``log(cm.s**-2)``, ``mag(AB)``, ``dex [cm/s2]``.
_FUNCTION = re.compile(r"(log10|log|lg|dex|mag|mmag|dB)\s*[(\[](.+)[)\]]", re.IGNORECASE)
_BARE_LOGARITHM = re.compile(r"(?:log10|log|lg)\s+(.+)", re.IGNORECASE)
#: A kind of quantity and its unit: ``Angular Velocity[mas/year]``.
_QUANTITY = re.compile(r"([A-Za-z][A-Za-z &_-]*)\[(.*)\]")
#: A photometric system before or after the word magnitude: ``AB mag``, ``mag AB``.
_SYSTEM = re.compile(r"(ab|st|vega)[ _-]+mag(?:nitude)?s?|mag(?:nitude)?s?[ _-]+(ab|st|vega)", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?P<ten>10(?:\*\*)?\(?[+-]\d+\)?)|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)"
    r"|(?P<name>[^\W\d]+|%)|(?P<sign>\*\*|[*/().+-])|(?P<blank>\s+)"
)
#: Systems of magnitudes with a flux of their own; Vega's is not one number.
_ZERO_POINTS = {"ab": "AB", "st": "ST", "bol": "Bol"}
_LONG_PREFIXES = {"nano": "n", "micro": "u", "milli": "m", "centi": "c", "kilo": "k", "mega": "M", "giga": "G"}
_BRACKETED_IS_PLAIN = ("angle", "angular speed", "solid angle")
#: Marks of angles before a sign: ``"/yr``.
_ANGLE_MARKS = (("''", "arcsec"), ('"', "arcsec"), ("'", "arcmin"))
#: The system of a flux before or after its unit, which is no part of it: ``nanomaggies (AB)``, ``AB uJy``.
_FLUX_SYSTEM = re.compile(
    r"(?:AB[ _,-]+)?(?P<flux>[\w .*/^()+-]*?(?:jy|jansk|mgy|magg)[\w .*/^()+-]*?)(?:[ ,]*[(\[]?\bAB\b[)\]]?)?",
    re.IGNORECASE,
)
#: A power of a unit in parentheses: ``1/(nJy)^2``, ``(nanomaggies)^-2``.
_POWER = re.compile(r"(?P<over>1?\s*/\s*)?\((?P<unit>.+)\)\s*(?:\*\*)?\s*\(?(?P<power>[+-]?\s*\d)\)?")
#: What is said of a quantity beside its unit: ``deg (J2000)``, ``decimal degrees``.
_ABOUT = re.compile(
    r"(?:decimal\s+(?P<after>.+))|(?P<before>.*[\w)])\s*[,;]?\s*[(\[]?\b(?:decimal|[JB]\d{4}(?:\.\d+)?|ICRS|FK[45])\b[)\]]?",
    re.IGNORECASE,
)
#: For astropy a joule to the power of 2000.
_EQUINOX = re.compile(r"[JB]\d{4}(?:\.\d+)?")
#: A ratio of abundances to that of the Sun: ``[Fe/H]``, ``[M/H]``, ``[alpha/Fe]``.
_ABUNDANCE = re.compile(r"\[[A-Za-z]+/(H|Fe|M|X)\]")
_IN_PARENTHESES = re.compile(r"\([^()]*\)")
#: Longer texts are no units, and neither are powers of numbers beyond floating point, which are slow to compute.
_LONGEST = 200
_HUGE = re.compile(
    r"\d\s*(\*\*|\^)\s*\(?\s*[+-]?\s*\d{3}|10\s*[+-]\s*\d{3}|(\*\*|\^)\s*\(?\s*[+-]?\s*\d+\s*\)?\s*(\*\*|\^)"
)


@lru_cache(maxsize=1024)
def parse_unit(text: str) -> Any:
    """Return the astropy unit that a text means, or None where it is not known.

    Parameters
    ----------
    text : str
        In any notation: VOUnit, FITS, CDS, astropy's own, words (``days``, ``degrees``), quantities of the Gaia
        archive (``Angle[deg]``). Texts that mean "no unit" (``---``, ``none``) give the dimensionless unit.

    Returns
    -------
    astropy unit or None
        None also for marks of sexagesimal texts (``h:m:s``), which are not numbers in a unit.
    """
    if not may_be_unit(text):
        return None
    plain = " ".join(unicodedata.normalize("NFKC", text).translate(_SIGNS).split())
    if len(plain) > 2 and plain[0] == plain[-1] and plain[0] in "\"'":
        plain = plain[1:-1].strip()
    # astropy does not read a quotient in parentheses.
    while _IN_PARENTHESES.fullmatch(plain):
        plain = plain[1:-1].strip()
    if plain.lower() in NOT_STATED or plain.lower() in DIMENSIONLESS:
        return u.dimensionless_unscaled
    if plain.lower() in SEXAGESIMAL or _EQUINOX.fullmatch(plain):
        return None
    return _expression(WHOLE.get(plain, _with_words(plain)))


def may_be_unit(text: str) -> bool:
    """Return whether a text is short enough, and its powers small enough, to be given to a parser of units."""
    return len(text) <= _LONGEST and _HUGE.search(unicodedata.normalize("NFKC", text)) is None


def _with_words(plain: str) -> str:
    """Return a text with a word in place of the mark of an angle that it begins with."""
    for mark, word in _ANGLE_MARKS:
        if plain.startswith((f"{mark}/", f"{mark} ", f"{mark}*", f"{mark}.")):
            return word + plain[len(mark) :]
    return plain


def _expression(plain: str) -> Any:
    """Parse a text whose signs and blanks are plain: a function, a quantity, or a product."""
    if about := _ABOUT.fullmatch(plain):
        return parse_unit(about["after"] or about["before"])
    if plain.startswith("[") and plain.endswith("]"):
        return u.dex if _ABUNDANCE.fullmatch(plain) else _bracketed(plain[1:-1])
    if function := _named(plain):
        return _function(*function)
    if match := _QUANTITY.fullmatch(plain):
        inner, kind = parse_unit(match[2]), parse_unit(match[1])
        # "Dimensionless[see description]" states that there is no unit.
        if kind == u.dimensionless_unscaled:
            return kind
        return inner if kind in (None, inner) else None
    return _flux_or_power(plain)


def _flux_or_power(plain: str) -> Any:
    """Parse a flux with its system, a power of a unit in parentheses, or a product."""
    if (match := _FLUX_SYSTEM.fullmatch(plain)) and match["flux"] != plain:
        return parse_unit(match["flux"])
    if match := _POWER.fullmatch(plain):
        return _power(parse_unit(match["unit"]), match)
    return _product(plain)


def _named(plain: str) -> tuple[str, str] | None:
    """Return the name of a function and what is inside, of a text that has one."""
    if match := _FUNCTION.fullmatch(plain):
        return match[1].lower(), match[2].strip()
    if match := _BARE_LOGARITHM.fullmatch(plain):
        return "log", match[1]
    match = _SYSTEM.fullmatch(plain)
    return ("mag", match[1] or match[2]) if match else None


def _bracketed(inside: str) -> Any:
    """Parse ``[cm/s2]``, the logarithm in the notation of CDS; ``[deg]`` is only a unit in brackets."""
    unit = parse_unit(inside)
    if unit is None or isinstance(unit, u.function.FunctionUnitBase):
        return unit
    plain = unit.physical_type in _BRACKETED_IS_PLAIN or unit in (u.mag, u.dex)
    return unit if plain else _logarithm(unit)


def _function(name: str, inside: str) -> Any:
    """Return the logarithmic unit ``name(inside)``."""
    if name in ("mag", "mmag", "db"):
        scale = {"mag": u.mag, "mmag": u.mmag, "db": u.dB}[name]
        if inside.lower() == "vega":
            return scale
        zero = _ZERO_POINTS.get(inside.lower())
        physical = parse_unit(inside) if zero is None else getattr(u, zero)
        return None if physical is None else _applied(scale, physical)
    # log(g) is the gravity, not the mass (which astropy writes dex(g)); log(cgs) does not say which quantity.
    vague = inside.lower() == "cgs" or (inside == "g" and name != "dex")
    inner = u.dimensionless_unscaled if vague else parse_unit(inside)
    return None if inner is None else _logarithm(inner)


def _power(unit: Any, match: re.Match[str]) -> Any:
    """Return a unit to the power that a text states; None where that has no meaning."""
    if unit is None or isinstance(unit, u.function.FunctionUnitBase):
        return None
    power = int(match["power"].replace(" ", ""))
    return unit ** (-power if match["over"] else power)


def _logarithm(physical: Any) -> Any:
    if physical == u.dex:
        return u.dex
    return u.dex if physical == u.dimensionless_unscaled else _applied(u.dex, physical)


def _applied(function: Any, physical: Any) -> Any:
    """Return a function of a unit; None where that has no meaning, as ``mag(mag)``."""
    if physical == u.dimensionless_unscaled:
        return function
    try:
        return function(physical)
    except (TypeError, ValueError, u.UnitsError):
        return None


def _product(plain: str) -> Any:
    """Parse units with powers, products, quotients and a scale: astropy's grammar, with names looked up here."""
    for pattern, replacement in PHRASES:
        plain = re.sub(pattern, replacement, plain, flags=re.IGNORECASE)
    plain = _from_capitals(plain.strip())
    # Flux densities are per ångström, never per ampere.
    per_wavelength = re.search(r"\b(erg|ph|photon)s?\b", plain) is not None
    pieces, place = ["1" if plain.startswith("/") else ""], 0
    while place < len(plain):
        match = _TOKEN.match(plain, place)
        if match is None:
            return None
        piece = _piece(match, per_wavelength)
        if piece is None:
            return None
        pieces.append(piece)
        place = match.end()
    return _by_astropy("".join(pieces))


def _from_capitals(plain: str) -> str:
    """Return ``electrons/s`` for ``ELECTRONS/S`` of a program that writes capitals."""
    names = re.findall(r"[^\W\d]+", plain)
    if not plain.isupper() or all(name in u.get_current_unit_registry().registry for name in names):
        return plain
    # The kelvin, and the angstrom of flux densities.
    return re.sub(r"[^\W\d]+", lambda name: name[0] if name[0] in "KA" else name[0].lower(), plain)


def _piece(match: re.Match[str], per_wavelength: bool) -> str | None:
    """Return a token in astropy's notation; None for an unknown name."""
    if match["ten"]:
        # A power of ten in any notation: 10-17, 10**-17, 10**(-17).
        return f"10**({match['ten'][2:].strip('*()')})"
    if match["name"]:
        return "Angstrom" if match["name"] == "A" and per_wavelength else _name(match["name"])
    return "*" if match["sign"] == "." else match[0]


def _name(name: str) -> str | None:
    """Return astropy's name of a unit, or None."""
    if name in EXACT:
        return EXACT[name]
    registry = u.get_current_unit_registry().registry
    known = name if name in registry and name not in NO_NAMES else None
    word = WORDS.get(name.lower())
    # pC is a charge; PC is a parsec of a program that writes capitals.
    mixed = name[0].islower() and not name.islower()
    return known if known and (mixed or not word) else word or _long_name(name.lower(), registry)


def _long_name(low: str, registry: Any) -> str | None:
    """Return astropy's name of a plural (``lumens``) or of a word with a prefix (``milliarcseconds``)."""
    single = low.removesuffix("s")
    if len(single) > 3 and single in registry:
        return single
    for prefix, letter in _LONG_PREFIXES.items():
        rest = low.removeprefix(prefix)
        if rest not in ("", low) and (base := _name(rest)) is not None:
            return f"{letter}{base}" if f"{letter}{base}" in registry else None
    return None


def _by_astropy(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            # Deprecated spellings are accepted silently.
            warnings.simplefilter("ignore", u.UnitsWarning)
            unit = u.Unit(text, format="generic", parse_strict="raise")
            # A unit without a scale in floating point cannot be converted.
            scale = 1.0 if isinstance(unit, u.function.FunctionUnitBase) else unit.decompose().scale
            return unit if 0 < abs(scale) < math.inf else None
    except (ValueError, TypeError, ZeroDivisionError, OverflowError, RecursionError):
        return None
