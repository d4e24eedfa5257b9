"""Translate the cuts of survey and run files from SQL to ADQL.

A predicate is parsed by a grammar and written again from its parts. Anything else is refused, so that only
comparisons of columns, numbers and strings can reach a server. The translation changes three things: columns get
the alias of their table, boolean columns become comparisons, and the division of integers, which databases
truncate, becomes a division of real numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from starscale.archives.tap.names import text_literal
from starscale.surveys.archive import Access
from starscale.vocabulary.errors import InputError, Problem, did_you_mean

Kind = Literal["whole", "real", "text", "truth", "condition"]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"[^"]+")
    | (?P<word>[A-Za-z_]\w*)
    | (?P<sign><>|<=|>=|!=|[=<>()+\-*/,&])
    )""",
    re.VERBOSE,
)
#: ADQL has both `<>` and `!=` (2.0, appendix A), but DaCHS 2.7 fails on the first.
_COMPARISONS = {"=": "=", "<>": "!=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
#: Functions of one number with the same meaning in polars and in ADQL, by their name in polars.
_FUNCTIONS = {
    "abs": "ABS",
    "ceil": "CEILING",
    "ceiling": "CEILING",
    "cos": "COS",
    "exp": "EXP",
    "floor": "FLOOR",
    "ln": "LOG",
    "log10": "LOG10",
    "sin": "SIN",
    "sqrt": "SQRT",
    "tan": "TAN",
}
_KEYWORDS = {"and", "or", "not", "is", "null", "in", "between", "like", "true", "false"}
_TRUTH = {"text": ("'true'", "'false'"), "word": ("TRUE", "FALSE"), "number": ("1", "0")}
_DEEPEST = 40


class NotInAdqlError(Exception):
    """The predicate is valid but cannot be written in ADQL for this archive; it is applied after the download."""


@dataclass(frozen=True, slots=True)
class ColumnReference:
    """A column in a query: its ADQL (``t.ruwe``) and the kind of its values."""

    adql: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    kind: Kind


def translate(text: str, columns: Mapping[str, ColumnReference], access: Access, where: str) -> str:
    """Translate a predicate to ADQL.

    Parameters
    ----------
    text : str
        An SQL predicate on the columns of one row, as in a survey file.
    columns : mapping of str to ColumnReference
        The columns that it may use, by their names in the survey file.
    access : Access
        How the archive writes booleans and tests bits.
    where : str
        Name of the predicate in error messages.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the predicate is not a condition on these columns.
    NotInAdqlError
        If it tests bits and the archive cannot.
    """
    return _Parser(text, columns, access, where).everything()


class _Parser:
    """Recursive-descent parser with one method for each level of precedence, lowest first."""

    def __init__(self, text: str, columns: Mapping[str, ColumnReference], access: Access, where: str) -> None:
        self._text, self._columns, self._access, self._where = text, columns, access, where
        self._true, self._false = _TRUTH[access.booleans]
        self._tokens = self._split(text)
        self._at = 0
        self._depth = 0

    def _fail(self, found: str) -> InputError:
        fix = "Remove this cut from the fetch, and apply it to the table with 'starscale clean'."
        expected = "comparisons of columns, numbers and strings, combined by AND, OR, NOT"
        return InputError(Problem(self._where, f"{self._text!r} {found}", expected, fix))

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens, position = [], 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None or "--" in text or "/*" in text:
                raise self._fail(f"contains {text[position:].strip()[:12]!r}, which cannot be sent to an archive")
            kind = str(found.lastgroup)
            tokens.append((kind, found.group(kind)))
            position = found.end()
        return [*tokens, ("end", "")]

    @property
    def _next(self) -> str:
        kind, text = self._tokens[self._at]
        return text.lower() if kind == "word" else text

    def _take(self, *texts: str) -> bool:
        kind, _ = self._tokens[self._at]
        if kind in ("word", "sign") and self._next in texts:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._fail(f"has {self._next or 'its end'!r} where {text.upper()!r} should be")

    def everything(self) -> str:
        part = self._condition(self._or())
        if self._tokens[self._at][0] != "end":
            raise self._fail(f"is not valid from {self._next!r} on")
        return part.text

    def _condition(self, part: _Part) -> _Part:
        """Turn a boolean column into a comparison."""
        if part.kind == "truth":
            return _Part(f"{part.text} = {self._true}", "condition")
        if part.kind != "condition":
            raise self._fail(f"has {part.text!r} where a condition should be")
        return part

    def _joined(self, word: str, inner: Callable[[], _Part]) -> _Part:
        parts = [inner()]
        while self._take(word):
            parts.append(inner())
        if len(parts) == 1:
            return parts[0]
        return _Part(f" {word.upper()} ".join(self._condition(p).text for p in parts), "condition")

    def _or(self) -> _Part:
        return self._joined("or", self._and)

    def _and(self) -> _Part:
        return self._joined("and", self._not)

    def _not(self) -> _Part:
        if not self._take("not"):
            return self._comparison()
        part = self._not()
        if part.kind == "truth":
            return _Part(f"{part.text} = {self._false}", "condition")
        return _Part(f"NOT {self._condition(part).text}", "condition")

    def _comparison(self) -> _Part:
        left = self._sum()
        kind, sign = self._tokens[self._at]
        if kind == "sign" and sign in _COMPARISONS:
            self._at += 1
            right = self._sum()
            self._same_kind(left, right)
            return _Part(f"{left.text} {_COMPARISONS[sign]} {right.text}", "condition")
        if self._take("is"):
            negation = "NOT " if self._take("not") else ""
            self._need("null")
            return _Part(f"{left.text} IS {negation}NULL", "condition")
        return self._membership(left)

    def _membership(self, left: _Part) -> _Part:
        """Parse ``[NOT] BETWEEN``, ``[NOT] IN`` or ``[NOT] LIKE`` after `left`, or return `left` alone."""
        negation = "NOT " if self._take("not") else ""
        for word, operand in (("between", self._interval), ("in", self._list), ("like", self._pattern)):
            if self._take(word):
                return _Part(f"{left.text} {negation}{word.upper()} {operand(left)}", "condition")
        if negation:
            raise self._fail("has NOT without BETWEEN, IN or LIKE after it")
        return left

    def _interval(self, left: _Part) -> str:
        low = self._sum()
        self._need("and")
        high = self._sum()
        self._same_kind(left, low)
        self._same_kind(left, high)
        return f"{low.text} AND {high.text}"

    def _pattern(self, left: _Part) -> str:
        pattern = self._sum()
        self._same_kind(left, pattern)
        if left.kind != "text":
            raise self._fail("uses LIKE on a value that is not a string")
        return pattern.text

    def _list(self, left: _Part) -> str:
        self._need("(")
        items = [self._sum()]
        while self._take(","):
            items.append(self._sum())
        self._need(")")
        for item in items:
            self._same_kind(left, item)
        return f"({', '.join(item.text for item in items)})"

    def _same_kind(self, left: _Part, right: _Part) -> None:
        kinds = {"number" if p.kind in ("whole", "real") else p.kind for p in (left, right)}
        if len(kinds) > 1 or "condition" in kinds:
            raise self._fail(f"compares {left.text!r} with {right.text!r}, which has another type")

    def _number(self, *parts: _Part) -> Kind:
        for part in parts:
            if part.kind not in ("whole", "real"):
                raise self._fail(f"uses {part.text!r} in arithmetic, and it is not a number")
        return "whole" if all(part.kind == "whole" for part in parts) else "real"

    def _sum(self) -> _Part:
        left = self._product()
        while self._next in ("+", "-", "&"):
            sign = self._next
            self._at += 1
            right = self._product()
            if sign == "&":
                left = self._bits(left, right)
            else:
                left = _Part(f"{left.text} {sign} {right.text}", self._number(left, right))
        return left

    def _bits(self, left: _Part, right: _Part) -> _Part:
        if self._number(left, right) != "whole":
            raise self._fail("tests the bits of a number that is not an integer")
        if self._next != ")":
            raise self._fail("tests bits without parentheses, which databases interpret in different ways")
        if self._access.bitwise is None:
            raise NotInAdqlError(self._text)
        if self._access.bitwise == "function":
            return _Part(f"BITWISE_AND({left.text}, {right.text})", "whole")
        return _Part(f"{left.text} & {right.text}", "whole")

    def _product(self) -> _Part:
        left = self._factor()
        while self._next in ("*", "/"):
            sign = self._next
            self._at += 1
            right = self._factor()
            kind = self._number(left, right)
            # Most databases truncate the quotient of integers; polars does not.
            start = "1.0 * " if sign == "/" and kind == "whole" else ""
            left = _Part(f"{start}{left.text} {sign} {right.text}", "real" if sign == "/" else kind)
        return left

    def _factor(self) -> _Part:
        if self._take("-"):
            part = self._factor()
            # Two minus signs in a row would start a comment.
            return _Part(f"-({part.text})" if part.text.startswith("-") else f"-{part.text}", self._number(part))
        if self._take("("):
            return self._parenthesis()
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return _Part(text, "whole" if text.isdigit() else "real")
        if kind == "text":
            return _Part(text_literal(text[1:-1].replace("''", "'")), "text")
        if kind == "quoted":
            return self._column(text[1:-1])
        if kind == "word":
            return self._word(text)
        raise self._fail(f"has {text or 'its end'!r} where a column or a value should be")

    def _parenthesis(self) -> _Part:
        """Parse what follows an opening parenthesis, up to the closing one."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fail("is nested too deeply")
        part = self._or()
        self._need(")")
        self._depth -= 1
        return _Part(f"({part.text})", part.kind)

    def _word(self, text: str) -> _Part:
        low = text.lower()
        if self._next == "(" and low not in _KEYWORDS:
            if low not in _FUNCTIONS:
                raise self._fail(f"uses the function {text.upper()}, which is not one of {', '.join(_FUNCTIONS)}")
            self._need("(")
            inner = self._sum()
            self._need(")")
            number = self._number(inner)
            kind: Kind = number if low == "abs" else "real"
            return _Part(f"{_FUNCTIONS[low]}({inner.text})", kind)
        if low in ("true", "false"):
            return _Part(self._true if low == "true" else self._false, "truth")
        if low in _KEYWORDS:
            raise self._fail(f"has {text!r} where a column or a value should be")
        return self._column(text)

    def _column(self, name: str) -> _Part:
        if name not in self._columns:
            near = did_you_mean(name, self._columns)
            raise InputError(Problem(self._where, f"{name!r} is not a column of the request", "", near))
        reference = self._columns[name]
        return _Part(reference.adql, reference.kind)
