"""Divide an SQL text into tokens that know their place."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Characters of a text: enough for a list of 40,000 identifiers of 19 digits.
LONGEST = 1_000_000

_TOKEN = re.compile(
    r"""
      (?P<blank>\s+)
    | (?P<comment>(?<!\S)--(?=\s|\Z)[^\n]*|/\*(?s:.*?)\*/)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])
    | (?P<text>'[^']*(?:''[^']*)*')
    | (?P<quoted>"[^"]+(?:""[^"]*)*")
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><>|<=|>=|!=|\|\||(?<!-)-(?!-)|/(?!\*)|\*(?!\*)|=(?!=)|&(?!&)|[<>()+%,|~])
    """,
    re.VERBOSE,
)
#: Advice for what people write that is no SQL, or no SQL of one row.
_ADVICE = {
    "--": "two minus signs start a comment in SQL: write - (-1), or a blank before and after a comment",
    "/*": "the comment has no end",
    "==": "write =",
    "&&": "write AND",
    "**": "write POWER(x, y)",
    "::": "write CAST(x AS type)",
    "^": "write POWER(x, y) or BITWISE_XOR(x, y)",
    "!": "write NOT, or != between two values",
    ";": "a text holds one expression",
    ".": "write the name of a column alone, in double quotes if it contains a point",
    "'": "the text has no closing quote",
    '"': "the name has no closing quote, or is empty",
    "`": 'write names in double quotes, "like this"',
    "[": 'write names in double quotes, "like this"',
    "‘": "write texts in straight quotes, 'like this'",
    "’": "write texts in straight quotes, 'like this'",
    "“": 'write names in straight quotes, "like this"',
    "”": 'write names in straight quotes, "like this"',
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write <>",
    "−": "write the minus sign of the keyboard",
    "\\": "quotes within a text are doubled: 'it''s'",
}


class NotSQLError(Exception):
    """A text that is not an expression of the grammar, or not one of these columns.

    Attributes
    ----------
    reason : str
    at : int or None
        Place in the text, from 0.
    """

    def __init__(self, reason: str, at: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.at = reason, at

    def __str__(self) -> str:
        return self.reason if self.at is None else f"at character {self.at + 1}: {self.reason}"


class Token(NamedTuple):
    """A piece of an SQL text: number, text, quoted name, word, sign or end."""

    kind: str
    text: str
    at: int

    @property
    def upper(self) -> str:
        """The keyword or sign that the token may be; empty for texts and quoted names."""
        return self.text.upper() if self.kind in ("word", "sign") else ""

    @property
    def shown(self) -> str:
        """The token in an error message."""
        return "the end of the text" if self.kind == "end" else f"`{self.text[:30]}`"


def tokens_of(text: str) -> list[Token]:
    """Divide a text into tokens; blanks and comments are left out, and an end is added.

    Raises
    ------
    NotSQLError
        A character that no token starts with, or more than :data:`LONGEST` characters.
    """
    if len(text) > LONGEST:
        raise NotSQLError(f"the text has {len(text):,} characters; {LONGEST:,} are allowed")
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _unexpected(text, at)
        kind = str(found.lastgroup)
        if kind not in ("blank", "comment"):
            tokens.append(Token(kind, found.group(), at))
        at = found.end()
    return [*tokens, Token("end", "", at)]


def has_comment(text: str) -> bool:
    """Return whether a valid text contains a comment."""
    at = 0
    while found := _TOKEN.match(text, at):
        if found.lastgroup == "comment":
            return True
        at = found.end()
    return False


def _unexpected(text: str, at: int) -> NotSQLError:
    if word := re.match(r"\.?[0-9][\w.]*", text[at : at + 30]):
        return NotSQLError(f"`{word.group()}` is no number; names that start with a digit need double quotes", at)
    two, one = text[at : at + 2], text[at]
    advice = _ADVICE.get(two, _ADVICE.get(one, ""))
    shown = two if two in _ADVICE else one
    shown = f"`{shown}`" if shown.isprintable() else repr(shown)
    return NotSQLError(f"unexpected {shown}" + (f": {advice}" if advice else ""), at)
