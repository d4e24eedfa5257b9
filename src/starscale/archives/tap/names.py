"""Names and literals in ADQL: regular identifiers as they are, others delimited, anything else refused."""

from __future__ import annotations

import re

from starscale.vocabulary.errors import InputError, Problem

_REGULAR = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DELIMITABLE = re.compile(r"[A-Za-z0-9_/+.\-\[\]() ]+")

#: Reserved words of SQL-92 and of ADQL 2.0 and 2.1, and those that a service reserves besides (DaCHS: latitude,
#: offset). DEC is reserved as well, but every astronomical service accepts it without quotes, and some do not find
#: it with quotes.
_WORDS = """
abs absolute acos action add all allocate alter and any are area as asc asin assertion at atan atan2
authorization avg begin between bigint bit bit_length both box by cascade cascaded case cast catalog ceiling
centroid char char_length character character_length check circle class_origin close coalesce collate collation
column commit connect connection constraint constraints contains continue convert coord1 coord2 coordsys
corresponding cos count create cross current current_date current_time current_timestamp current_user cursor
date day deallocate decimal declare default deferrable deferred degrees delete desc describe descriptor
diagnostics disconnect distance distinct domain double drop else end escape except exception exec execute exists
exp external extract false fetch first float floor for foreign found from full get global go goto grant group
having hour identity ilike immediate in in_unit index indicator initially inner input insensitive insert int
integer intersect intersects interval into is isolation join key language last latitude leading left level like
local log log10 longitude lower match max min minute mod mode module modulo month names national natural nchar
next no not null nullif numeric octet_length of offset on only open option or order outer output overlaps pad
partial pi point polygon position power precision prepare preserve primary prior privileges procedure public
radians rand read real rectangle references region relative restrict revoke right rollback round rows schema
scroll second section select session session_user set sin size smallint some space sql sqlcode sqlerror sqlstate
sqrt square substring sum system_user table tan tap_upload temporary then time timestamp timezone_hour
timezone_minute to top trailing transaction translate translation trim true trunc truncate union unique unknown
update upload upper usage user using value values varchar varying view when whenever where with work write year
zone bitwise_and bitwise_not bitwise_or bitwise_xor boolean limit moc stddev tablesample
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
