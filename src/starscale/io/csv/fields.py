"""Fields of text lines: separators, quotation marks, and words that mean "missing"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

#: Words for "missing": where a column has numbers or truth values, they become null. A single dash is not among
#: them: it is also the sign of a declination.
MISSING: Final = (
    *("", "null", "NULL", "Null", "None", "none", "N/A", "n/a", "NA", "#N/A", "<NA>"),
    *("--", "---", "\\N", "INDEF", "masked"),
)
#: Not a number: a value in a column of floats, missing in one of whole numbers.
NAN: Final = ("nan", "NaN", "NAN")
#: Put before a missing word that has quotation marks in the file, so that it can be told from one without.
QUOTED_MARK: Final = "\x1a"
#: Separates fields that were divided by blanks or by position.
FIELD_END: Final = "\x1f"

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+|[dD][+-]\d+)?|[+-]?\d*,\d+")
_SEXAGESIMAL = re.compile(r"[+-]?\d{1,3}([:\s]+|[hd]\s*)\d{1,2}([:\s]+|[m']\s*)\d{1,2}(\.\d*)?\s*[s\"]?")
_WORDS = "|".join(re.escape(word) for word in (*MISSING[1:], *NAN))
_QUOTED_WORD = re.compile(rf'"(?:{_WORDS})"'.encode())


def is_number(text: str) -> bool:
    """Whether a text is a finite number, also with a decimal comma or an exponent of Fortran."""
    return _NUMBER.fullmatch(text.strip()) is not None


def is_value(text: str) -> bool:
    """Whether a text is a number or an angle such as ``12:30:45.5``: something that is no name of a column."""
    return is_number(text) or is_sexagesimal(text)


def is_sexagesimal(text: str) -> bool:
    """Whether a text is an angle such as ``12:30:45.5`` or ``12h30m45s``."""
    return _SEXAGESIMAL.fullmatch(text.strip()) is not None


def is_missing(text: str) -> bool:
    """Whether a text means "missing" where other values are numbers."""
    return text.strip() in MISSING or text.strip() in NAN


def split_fields(record: str, separator: str) -> list[str]:
    """Split a record into its fields, without quotation marks.

    Parameters
    ----------
    record : str
        Without its line end.
    separator : str
        One character; a blank stands for any number of blanks and tabs.
    """
    record = record.rstrip("\r\n")
    if separator == " ":
        record = as_fields(record.encode(), blanks=True).decode()
        separator = FIELD_END
    found = re.finditer(_field(separator), record)
    return [_unquoted(match[1]) for match in found]


@lru_cache(maxsize=16)
def _field(separator: str) -> re.Pattern[str]:
    mark = re.escape(separator)
    return re.compile(rf'(?:^|{mark})( *"(?:[^"]|"")*" *(?={mark}|$)|[^{mark}]*)', re.DOTALL)


def _unquoted(text: str) -> str:
    bare = text.strip(" ")
    if len(bare) > 1 and bare[0] == bare[-1] == '"':
        return bare[1:-1].replace('""', '"')
    return text


@lru_cache(maxsize=16)
def quoted_fields(separator: str) -> re.Pattern[bytes]:
    """Pattern of one field in quotation marks, with the blanks around it."""
    mark = re.escape(separator.encode())
    return re.compile(rb"(?:(?<=[\n" + mark + rb'])|\A) *"[^"]*(?:""[^"]*)*" *(?=[\r\n' + mark + rb"]|\Z)")


def has_padding(content: bytes, separator: str) -> bool:
    """Whether a field may begin or end with blanks."""
    mark = separator.encode()
    # Most tables have none of them; a search for single bytes is much faster.
    blanks = [blank for blank in (b" ", b"\t", b"\xc2\xa0") if blank != mark and blank in content]
    at_end = any(content.startswith(blank) or content.endswith(blank) for blank in blanks)
    return at_end or any(_beside(content, blank, edge) for blank in blanks for edge in (mark, b"\n", b"\r", b'"'))


def _beside(content: bytes, blank: bytes, edge: bytes) -> bool:
    return blank + edge in content or edge + blank in content


@lru_cache(maxsize=16)
def _opening(separator: str) -> re.Pattern[bytes]:
    return re.compile(rb"(?:[\n" + re.escape(separator.encode()) + rb']|\A) *"')


def has_quotes(content: bytes, separator: str) -> bool:
    """Whether a field begins with a quotation mark; within a field it is an ordinary character."""
    return b'"' in content and _opening(separator).search(content) is not None


def tidy_quotes(content: bytes, separator: str) -> tuple[bytes, bool]:
    """Remove blanks around quoted fields, and mark missing words in quotation marks.

    Returns
    -------
    content : bytes
    marked : bool
        Whether a word was marked with :data:`QUOTED_MARK`.
    """
    mark = separator.encode()
    blanks = any(end in content for end in (mark + b' "', b'\n "', b'" ' + mark, b'" \n')) or content[:2] == b' "'
    if not blanks and _QUOTED_WORD.search(content) is None:
        return content, False
    marked = False

    def tidied(match: re.Match[bytes]) -> bytes:
        nonlocal marked
        bare = match[0].strip(b" ")
        if _QUOTED_WORD.fullmatch(bare) is None:
            return bare
        marked = True
        return b'"' + QUOTED_MARK.encode() + bare[1:]

    return quoted_fields(separator).sub(tidied, content), marked


_EDGE = rb"(?:(?<=\n)|\A)[ \t]+|[ \t]+(?=\r?\n|\Z)"
_TOKEN = re.compile(b"(?P<edge>" + _EDGE + rb')|(?P<field>"(?:[^"]|"")*"(?=[ \t\r\n]|\Z)|[^ \t\n]+)|[ \t]+')


def as_fields(content: bytes, *, blanks: bool = False) -> bytes:
    """Return lines of fields that blanks divide (else bars around every field), divided by :data:`FIELD_END`."""
    if not blanks:
        return re.sub(rb"(?m)[ \t]*\|[ \t]*(\r?)$", rb"\1", re.sub(rb"(?m)^[ \t]*\|", b"", content))
    end = FIELD_END.encode()
    if b'"' not in content:
        return re.sub(rb"[ \t]+", end, re.sub(_EDGE, b"", content))
    return _TOKEN.sub(lambda token: token["field"] or (b"" if token["edge"] else end), content)


def at_places(lines: Sequence[bytes], places: tuple[tuple[int, int], ...]) -> bytes:
    """Return lines of fixed width, cut at `places`, with fields divided by :data:`FIELD_END`."""
    end = FIELD_END.encode()
    return b"".join(
        end.join(line[a:b].strip() for a, b in places) + b"\n" for line in (line.rstrip(b"\r\n") for line in lines)
    )
