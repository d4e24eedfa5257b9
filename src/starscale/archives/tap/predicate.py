"""Translate the cuts of survey and run files from SQL to ADQL.

A predicate is parsed by the grammar of :mod:`starscale.vocabulary.sql` and written again from its syntax tree, so
that only comparisons of columns, numbers and strings can reach a server. The translation changes three things:
columns get the alias of their table, boolean columns become comparisons, and the division of integers, which
databases truncate, becomes a division of real numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starscale.archives.tap.names import text_literal
from starscale.surveys.archive import Access
from starscale.tables.sql.expression import shortened
from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.sql.grammar import parse
from starscale.vocabulary.sql.tokens import NotSQLError, has_comment
from starscale.vocabulary.sql.tree import (
    Between,
    Call,
    Chain,
    ColumnName,
    Compare,
    Constant,
    IsTest,
    Like,
    Membership,
    Node,
    Parenthesis,
    Prefixed,
)

Kind = Literal["whole", "real", "text", "truth", "condition"]

#: ADQL has both `<>` and `!=` (2.0, appendix A), but DaCHS 2.7 fails on the first.
_NOT_EQUAL = "!="
#: Functions of one number that every archive has, with their names in ADQL.
_FUNCTIONS = {
    "ABS": "ABS",
    "CEIL": "CEILING",
    "CEILING": "CEILING",
    "COS": "COS",
    "EXP": "EXP",
    "FLOOR": "FLOOR",
    "LN": "LOG",
    "LOG10": "LOG10",
    "SIN": "SIN",
    "SQRT": "SQRT",
    "TAN": "TAN",
}
_TRUTH = {"text": ("'true'", "'false'"), "word": ("TRUE", "FALSE"), "number": ("1", "0")}
#: Levels of parentheses: the parsers of archives are recursive, too.
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
    printer = _Printer(text, columns, access, where)
    try:
        tree = parse(text)
    except NotSQLError as error:
        raise printer.fail(f"is not valid ({error})") from None
    if has_comment(text):
        raise printer.fail("contains a comment, which cannot be sent to an archive")
    return printer.condition(printer.part(tree))


class _Printer:
    """Writes a syntax tree in ADQL, and refuses what archives do not have."""

    def __init__(self, text: str, columns: Mapping[str, ColumnReference], access: Access, where: str) -> None:
        self._text, self._columns, self._access, self._where = text, columns, access, where
        self._true, self._false = _TRUTH[access.booleans]
        self._depth = 0
        self._of: dict[type, Callable[[Any], _Part]] = {
            Constant: self._constant,
            ColumnName: self._column,
            Parenthesis: self._parenthesis,
            Prefixed: self._prefixed,
            Chain: self._chain,
            Compare: self._compare,
            Between: self._between,
            Membership: self._membership,
            Like: self._like,
            IsTest: self._is,
            Call: self._call,
        }

    def fail(self, found: str) -> InputError:
        """Return the error that names the predicate."""
        fix = "Remove this cut from the fetch, and apply it to the table with 'starscale clean'."
        expected = "comparisons of columns, numbers and strings, combined by AND, OR, NOT"
        return InputError(Problem(self._where, f"{shortened(self._text)!r} {found}", expected, fix))

    def condition(self, part: _Part) -> str:
        """Return a condition; a boolean column becomes a comparison."""
        if part.kind == "truth":
            return f"{part.text} = {self._true}"
        if part.kind != "condition":
            raise self.fail(f"has {part.text!r} where a condition should be")
        return part.text

    def part(self, node: Node) -> _Part:
        """Write a node."""
        write = self._of.get(type(node))
        if write is None:
            raise self.fail(f"cannot be sent to an archive (CASE, CAST or DISTINCT at character {node.at + 1})")
        return write(node)

    def _constant(self, node: Constant) -> _Part:
        value = node.value
        if value is None:
            raise self.fail("has NULL where a value should be: write IS NULL")
        if isinstance(value, bool):
            return _Part(self._true if value else self._false, "truth")
        if isinstance(value, str):
            return _Part(text_literal(value), "text")
        return _Part(node.text, "whole" if isinstance(value, int) else "real")

    def _column(self, node: ColumnName) -> _Part:
        if node.name not in self._columns:
            near = did_you_mean(node.name, self._columns)
            raise InputError(Problem(self._where, f"{node.name!r} is not a column of the request", "", near))
        reference = self._columns[node.name]
        return _Part(reference.adql, reference.kind)

    def _parenthesis(self, node: Parenthesis) -> _Part:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.fail("is nested too deeply")
        inner = node.inner
        bits = isinstance(inner, Chain) and inner.rest[0][0] == "&"
        part = self._bits(inner) if bits and isinstance(inner, Chain) else self.part(inner)
        self._depth -= 1
        return _Part(f"({part.text})", part.kind)

    def _prefixed(self, node: Prefixed) -> _Part:
        part = self.part(node.operand)
        if node.sign == "NOT":
            if part.kind == "truth":
                return _Part(f"{part.text} = {self._false}", "condition")
            return _Part(f"NOT {self.condition(part)}", "condition")
        if node.sign == "~":
            raise NotInAdqlError(self._text)
        # Two minus signs in a row would start a comment.
        return _Part(f"-({part.text})" if part.text.startswith("-") else f"-{part.text}", self._number(part))

    def _chain(self, node: Chain) -> _Part:
        sign = node.rest[0][0]
        if sign in ("AND", "OR"):
            return _Part(f" {sign} ".join(self.condition(self.part(o)) for o in node.operands), "condition")
        if sign == "&":
            raise self.fail("tests bits without parentheses, which databases interpret in different ways")
        if sign == "|":
            raise NotInAdqlError(self._text)
        if sign in ("||", "%"):
            raise self.fail(f"uses {sign}, which not every archive has")
        found = self.part(node.first)
        for sign, operand in node.rest:
            right = self.part(operand)
            kind = self._number(found, right)
            # Most databases truncate the quotient of integers.
            start = "1.0 * " if sign == "/" and kind == "whole" else ""
            found = _Part(f"{start}{found.text} {sign} {right.text}", "real" if sign == "/" else kind)
        return found

    def _bits(self, node: Chain) -> _Part:
        """Write a test of bits, which stands in parentheses."""
        parts = [self.part(operand) for operand in node.operands]
        if self._number(*parts) != "whole":
            raise self.fail("tests the bits of a number that is not an integer")
        if len(parts) > 2 or any(isinstance(operand, Chain) for operand in node.operands):
            raise self.fail("tests bits without parentheses, which databases interpret in different ways")
        if self._access.bitwise is None:
            raise NotInAdqlError(self._text)
        left, right = (part.text for part in parts)
        if self._access.bitwise == "function":
            return _Part(f"BITWISE_AND({left}, {right})", "whole")
        return _Part(f"{left} & {right}", "whole")

    def _compare(self, node: Compare) -> _Part:
        left, right = self.part(node.left), self.part(node.right)
        self._same_kind(left, right)
        sign = _NOT_EQUAL if node.sign == "<>" else node.sign
        return _Part(f"{left.text} {sign} {right.text}", "condition")

    def _between(self, node: Between) -> _Part:
        parts = [self.part(part) for part in (node.operand, node.low, node.high)]
        self._same_kind(*parts)
        value, low, high = (part.text for part in parts)
        return _Part(f"{value} {_negation(node)}BETWEEN {low} AND {high}", "condition")

    def _membership(self, node: Membership) -> _Part:
        value, *items = (self.part(part) for part in (node.operand, *node.items))
        self._same_kind(value, *items)
        return _Part(f"{value.text} {_negation(node)}IN ({', '.join(item.text for item in items)})", "condition")

    def _like(self, node: Like) -> _Part:
        value, pattern = self.part(node.operand), self.part(node.pattern)
        self._same_kind(value, pattern)
        if value.kind != "text":
            raise self.fail("uses LIKE on a value that is not a string")
        if node.ignore_case or node.escape is not None:
            raise self.fail("uses ILIKE or ESCAPE, which not every archive has")
        return _Part(f"{value.text} {_negation(node)}LIKE {pattern.text}", "condition")

    def _is(self, node: IsTest) -> _Part:
        value = self.part(node.operand)
        if node.value is None and value.kind != "condition":
            return _Part(f"{value.text} IS {_negation(node)}NULL", "condition")
        if value.kind != "truth":
            raise self.fail("uses IS TRUE or similar on a condition, which not every archive has")
        if node.negated:
            other = self._false if node.value else self._true
            return _Part(f"({value.text} IS NULL OR {value.text} = {other})", "condition")
        own = self._true if node.value else self._false
        return _Part(f"({value.text} IS NOT NULL AND {value.text} = {own})", "condition")

    def _call(self, node: Call) -> _Part:
        if node.name not in _FUNCTIONS:
            allowed = ", ".join(_FUNCTIONS).lower()
            raise self.fail(f"uses the function {node.name}, which is not one of {allowed}")
        inner = self.part(node.arguments[0])
        number = self._number(inner)
        kind: Kind = number if node.name == "ABS" else "real"
        return _Part(f"{_FUNCTIONS[node.name]}({inner.text})", kind)

    def _same_kind(self, first: _Part, *others: _Part) -> None:
        for other in others:
            kinds = {"number" if p.kind in ("whole", "real") else p.kind for p in (first, other)}
            if len(kinds) > 1 or "condition" in kinds:
                raise self.fail(f"compares {first.text!r} with {other.text!r}, which has another type")

    def _number(self, *parts: _Part) -> Kind:
        for part in parts:
            if part.kind not in ("whole", "real"):
                raise self.fail(f"uses {part.text!r} in arithmetic, and it is not a number")
        return "whole" if all(part.kind == "whole" for part in parts) else "real"


def _negation(node: Between | Membership | Like | IsTest) -> str:
    return "NOT " if node.negated else ""
