"""Parse an SQL expression of one row: the expressions of SQL-92 and ADQL, and nothing that reads other rows.

Precedence, lowest first: OR, AND, NOT, IS, comparisons (which do not chain), bits and ``||``, sums, products,
signs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from starscale.vocabulary.sql.growth import LONGEST, longest_text
from starscale.vocabulary.sql.names import FUNCTIONS, MOMENTS, TYPES, refused_function
from starscale.vocabulary.sql.tokens import NotSQLError, Token, tokens_of
from starscale.vocabulary.sql.tree import (
    Between,
    Call,
    Case,
    CastTo,
    Chain,
    ColumnName,
    Compare,
    Constant,
    IsDistinct,
    IsTest,
    Like,
    Membership,
    Node,
    Parenthesis,
    Prefixed,
    walk,
)

#: Levels of an expression within another: far from the recursion limits of Python and polars.
DEEPEST = 100
#: Operators, functions and columns of an expression; constants are not counted, lists may be long.
MOST_OPERATIONS = 30_000
#: Branches of one CASE.
MOST_BRANCHES = 200

_OR, _AND, _NOT, _IS, _COMPARE, _BITS, _SUM, _PRODUCT, _SIGN = range(1, 10)
_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TESTS = {"BETWEEN", "IN", "LIKE", "ILIKE"}
_LEVELS = (
    {"OR": _OR, "AND": _AND, "IS": _IS, "NOT": _COMPARE}
    | dict.fromkeys((*_COMPARISONS, *_TESTS), _COMPARE)
    | {"&": _BITS, "|": _BITS, "||": _BITS, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT}
)
_QUERIES = {"SELECT", "FROM", "EXISTS", "WITH", "UNION", "WHERE"}
_VALUES: dict[str, bool | None] = {"TRUE": True, "FALSE": False, "NULL": None}
#: Words that are no columns unless they are in double quotes.
_KEYWORDS = {"AND", "OR", "NOT", "IS", "CASE", "WHEN", "THEN", "ELSE", "END", "ESCAPE", "CAST", *_TESTS, *_QUERIES}
_ADVICE = {
    "NOTNULL": "write IS NOT NULL",
    "ISNULL": "write IS NULL",
    "OVER": "windows use many rows",
    "COLLATE": "texts are compared by their characters",
    "XOR": "write <> between two conditions",
    "DIV": "write DIV(x, y)",
    "MOD": "write MOD(x, y)",
    "REGEXP": "write LIKE",
    "RLIKE": "write LIKE",
    "SIMILAR": "write LIKE",
    "GLOB": "write LIKE",
} | dict.fromkeys(_QUERIES, "there are no queries within an expression of one row")
#: Largest whole number, that of 128 bits.
_LARGEST = 2**127 - 1
_TOO_DEEP = f"nested in more than {DEEPEST} levels"


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Parse an expression.

    Raises
    ------
    NotSQLError
        Names the place in the text.
    """
    tree = _Parser(text).whole()
    # What is written on the left of operators is deeper in the tree than in the text.
    for node, depth in walk(tree):
        if depth > DEEPEST:
            raise NotSQLError(_TOO_DEEP, node.at)
    if longest_text(tree) > LONGEST:
        raise NotSQLError(f"its texts would become longer than {LONGEST:,} bytes", 0)
    return tree


class _Parser:
    """Parser by precedence: few Python frames for each level of the text."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens_of(text)
        self._at = self._depth = self._operations = 0
        self._parsers: dict[str, Callable[[Token], Node]] = {
            "(": self._parenthesis,
            "CASE": self._case,
            "CAST": self._cast,
            **dict.fromkeys(("+", "-", "~", "NOT"), self._prefixed),
        }

    # ---- tokens --------------------------------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self, *words: str) -> Token | None:
        """Return the next token and go on if it is one of these keywords or signs."""
        token = self._tokens[self._at]
        if token.upper not in words or not token.upper:
            return None
        self._at += 1
        return token

    def _need(self, word: str) -> Token:
        return self._take(word) or self._fail(f"{word} was expected")

    def _fail(self, reason: str, token: Token | None = None) -> Token:
        """Refuse the next token; declared as a token to be used after ``or``."""
        token = token or self._next
        if token.kind == "end":
            raise NotSQLError(f"the text ends; {reason}", token.at)
        raise NotSQLError(f"unexpected {token.shown}: {_ADVICE.get(token.upper, reason)}", token.at)

    @contextmanager
    def _level(self) -> Iterator[None]:
        """One level deeper."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotSQLError(_TOO_DEEP, self._next.at)
        yield
        self._depth -= 1

    def _counted(self, at: int) -> None:
        self._operations += 1
        if self._operations > MOST_OPERATIONS:
            reason = f"more than {MOST_OPERATIONS:,} operations and columns; write long lists as x IN (1, 2, ...)"
            raise NotSQLError(reason, at)

    # ---- operators -----------------------------------------------------------------------------------

    def whole(self) -> Node:
        node = self._expression(_OR)
        if self._next.kind != "end":
            self._fail("the expression should end before it")
        return node

    def _expression(self, lowest: int) -> Node:
        with self._level():
            node = self._operand(lowest)
            while (level := _LEVELS.get(self._next.upper, 0)) >= lowest:
                if level == _IS:
                    node = self._is(node)
                elif level == _COMPARE:
                    node = self._comparison(node)
                else:
                    node = self._chain(node, level)
                if level in (_IS, _COMPARE) and _LEVELS.get(self._next.upper) == level:
                    # Some databases read 5 < x < 9 as (5 < x) < 9.
                    self._fail("comparisons do not chain: write 5 < x AND x < 9")
        return node

    def _chain(self, first: Node, level: int) -> Node:
        rest: list[tuple[str, Node]] = []
        at = self._next.at
        while _LEVELS.get(self._next.upper) == level:
            sign = self._next
            self._counted(sign.at)
            if level == _BITS and rest and rest[-1][0] != sign.upper:
                self._fail("put parentheses between & and | and ||, which databases read in different orders")
            self._at += 1
            rest.append((sign.upper, self._expression(level + 1)))
        return Chain(first, tuple(rest), at)

    def _comparison(self, left: Node) -> Node:
        self._counted(self._next.at)
        sign = self._next
        self._at += 1
        if sign.upper in _COMPARISONS:
            return Compare(_COMPARISONS[sign.upper], left, self._expression(_BITS), sign.at)
        return self._test(left, sign)

    def _test(self, left: Node, sign: Token) -> Node:
        """Parse ``[NOT] BETWEEN``, ``[NOT] IN`` or ``[NOT] LIKE``; the first word was taken."""
        negated = sign.upper == "NOT"
        test = (self._take(*_TESTS) or self._fail("BETWEEN, IN, LIKE was expected after NOT")) if negated else sign
        if test.upper == "BETWEEN":
            low = self._expression(_BITS)
            self._need("AND")
            return Between(left, low, self._expression(_BITS), negated, sign.at)
        if test.upper == "IN":
            return Membership(left, self._list(), negated, sign.at)
        pattern = self._expression(_BITS)
        escape = self._expression(_BITS) if self._take("ESCAPE") else None
        return Like(left, pattern, escape, test.upper == "ILIKE", negated, sign.at)

    def _is(self, left: Node) -> Node:
        at = self._need("IS").at
        self._counted(at)
        negated = bool(self._take("NOT"))
        if self._take("DISTINCT"):
            self._need("FROM")
            return IsDistinct(left, self._expression(_BITS), negated, at)
        word = self._take("NULL", "TRUE", "FALSE", "UNKNOWN")
        word = word or self._fail("NULL, TRUE, FALSE or UNKNOWN was expected")
        return IsTest(left, _VALUES.get(word.upper), negated, at)

    # ---- operands ------------------------------------------------------------------------------------

    def _operand(self, lowest: int) -> Node:
        token = self._next
        if token.kind in ("number", "text"):
            self._at += 1
            return _constant(token)
        if token.upper in _VALUES:
            self._at += 1
            return Constant(_VALUES[token.upper], token.text, token.at)
        if token.kind in ("quoted", "word") and token.upper not in _KEYWORDS:
            return self._name(token)
        if token.upper not in self._parsers or (token.upper == "NOT" and lowest > _NOT):
            self._fail("a column or a value was expected")
        self._at += 1
        self._counted(token.at)
        return self._parsers[token.upper](token)

    def _prefixed(self, sign: Token) -> Node:
        if sign.upper == "NOT":
            return Prefixed("NOT", self._expression(_NOT), sign.at)
        with self._level():
            operand = self._operand(_SIGN)
        return operand if sign.upper == "+" else Prefixed(sign.upper, operand, sign.at)

    def _parenthesis(self, opening: Token) -> Node:
        inner = self._expression(_OR)
        if self._next.upper == ",":
            self._fail("a list may stand only after IN or in a function")
        self._need(")")
        return Parenthesis(inner, opening.at)

    def _list(self) -> tuple[Node, ...]:
        self._need("(")
        items = [self._expression(_OR)]
        while self._take(","):
            items.append(self._expression(_OR))
        self._need(")")
        return tuple(items)

    def _name(self, token: Token) -> Node:
        """Parse a column, or a function: a name before a parenthesis, however it is quoted or commented."""
        self._at += 1
        self._counted(token.at)
        name = token.text if token.kind == "word" else token.text[1:-1].replace('""', '"')
        if self._next.upper == "(":
            return self._call(name.upper(), token)
        if token.upper in MOMENTS:
            raise NotSQLError(f"{token.upper} depends on the moment", token.at)
        return ColumnName(name, token.at, token.at + len(token.text))

    def _call(self, name: str, token: Token) -> Node:
        if name == "TRY_CAST":
            return self._cast(token)
        if name not in FUNCTIONS:
            raise NotSQLError(refused_function(name), token.at)
        least, most = FUNCTIONS[name]
        self._need("(")
        if self._take(")"):
            arguments: tuple[Node, ...] = ()
        else:
            self._at -= 1
            arguments = self._list()
        if not least <= len(arguments) <= most:
            wanted = f"{least}" if most == least else f"{least} or more" if most > 9 else f"{least} to {most}"
            raise NotSQLError(f"{name} takes {wanted} arguments, not {len(arguments)}", token.at)
        return Call(name, arguments, token.at)

    def _case(self, start: Token) -> Node:
        operand = None if self._next.upper == "WHEN" else self._expression(_OR)
        if operand is not None and not isinstance(operand, ColumnName):
            raise NotSQLError("CASE takes a column here; write CASE WHEN x = 1 THEN ... for the rest", start.at)
        branches = []
        while when := self._take("WHEN"):
            condition = self._expression(_OR)
            if operand is not None:
                condition = Compare("=", operand, condition, when.at)
            self._need("THEN")
            branches.append((condition, self._expression(_OR)))
        if not branches:
            self._fail("WHEN was expected")
        if len(branches) > MOST_BRANCHES:
            raise NotSQLError(f"CASE with {len(branches)} branches; {MOST_BRANCHES} are allowed", start.at)
        otherwise = self._expression(_OR) if self._take("ELSE") else Constant(None, "NULL", self._next.at)
        self._need("END")
        return Case(tuple(branches), otherwise, start.at)

    def _cast(self, start: Token) -> Node:
        self._need("(")
        operand = self._expression(_OR)
        self._need("AS")
        kind = self._next
        self._at += 1
        name = TYPES.get(kind.upper)
        if name is None:
            raise NotSQLError(f"unexpected {kind.shown}: a type is one of {', '.join(TYPES)}", kind.at)
        self._take("PRECISION", "VARYING")
        length = None
        if name == "text" and self._take("("):
            number = self._next
            self._at += 1
            if number.kind != "number" or not number.text.isdigit() or len(number.text) > 9:
                self._fail("the number of characters was expected", number)
            length = int(number.text)
            self._need(")")
        self._need(")")
        return CastTo(operand, name, length, start.at)


def _constant(token: Token) -> Constant:
    if token.kind == "text":
        return Constant(token.text[1:-1].replace("''", "'"), token.text, token.at)
    whole = int(token.text) if token.text.isdigit() and len(token.text) < 40 else _LARGEST + 1
    value = whole if whole <= _LARGEST else float(token.text)
    if value == math.inf:
        raise NotSQLError(f"the number {token.shown} is too large", token.at)
    return Constant(value, token.text, token.at)
