"""Names and literals in ADQL: regular identifiers as they are, others delimited, anything else refused."""

from __future__ import annotations

import re

from starscale.vocabulary.errors import InputError, Problem

_REGULAR = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DELIMITABLE = re.compile(r"[A-Za-z0-9_/+.\-\[\]() ]+")

#: Reserved words of ADQL 2.0 (sec. 2.1.2) that a catalogue may use for a column. DEC is reserved as well, but
#: every astronomical service accepts it without quotes, and some do not find it with quotes.
_WORDS = """
abs absolute action add all alter and any area as asc at avg begin between bit box by case cast ceiling
centroid char character check circle class_origin close collate column connect constraint contains continue
convert coord1 coord2 coordsys cos count create cross current cursor date day deallocate decimal declare
default delete desc describe distance distinct domain double drop else end escape except exec exists exp
extract false fetch first float floor for foreign found from full get global go goto grant group having hour
identity immediate in index inner input insert int integer intersect intersects interval into is isolation
join key language last leading left level like local log log10 lower match max min minute mod module month
names national natural nchar next no not null numeric of on only open option or order outer output overlaps
pad partial pi point polygon position power precision prepare preserve primary prior procedure public
radians rand read real references region relative restrict revoke right rollback round rows schema scroll
second section select session set sin size smallint some space sql sqrt substring sum system_user table tan
temporary then time timestamp to top trailing transaction translate translation trim true truncate union
unique unknown update upper usage user using value values varchar varying view when whenever where with work
write year zone
"""
_RESERVED = frozenset(_WORDS.split())


def identifier(name: str, where: str) -> str:
    """Write a column name for ADQL.

    Raises
    ------
    InputError
        If the name contains characters (quotes, semicolons, ...) that no column of an archive has.
    """
    if _REGULAR.fullmatch(name):
        return f'"{name}"' if name.lower() in _RESERVED else name
    if _DELIMITABLE.fullmatch(name):
        return f'"{name}"'
    raise InputError(Problem(where, f"{name!r} is no name that can be sent to an archive", "letters, digits, _"))


def text_literal(text: str) -> str:
    """Write a string literal of ADQL."""
    return "'" + text.replace("'", "''") + "'"


def number_literal(value: float) -> str:
    """Write a number with all its digits, so that it is read back as the same double."""
    return repr(int(value)) if isinstance(value, int) else repr(float(value))
