"""The syntax tree of an SQL expression. Every node knows its place in the text, from 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

Plain = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, text, TRUE, FALSE or NULL; `text` is how it was written."""

    value: Plain
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class ColumnName:
    """A column; `end` is the place after its name."""

    name: str
    at: int
    end: int


@dataclass(frozen=True, slots=True)
class Parenthesis:
    """An expression in parentheses: of no effect here, but kept where the tree is printed."""

    inner: Node
    at: int


@dataclass(frozen=True, slots=True)
class Prefixed:
    """``- x``, ``~ x`` or ``NOT x``."""

    sign: str
    operand: Node
    at: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one precedence, applied from left to right: ``a - b + c``, ``a AND b AND c``.

    The place is that of the first operator.
    """

    first: Node
    rest: tuple[tuple[str, Node], ...]
    at: int

    @property
    def operands(self) -> tuple[Node, ...]:
        """All operands."""
        return (self.first, *(node for _, node in self.rest))


@dataclass(frozen=True, slots=True)
class Compare:
    """``a < b``; the sign is one of ``= <> < <= > >=``."""

    sign: str
    left: Node
    right: Node
    at: int


@dataclass(frozen=True, slots=True)
class Between:
    """``x [NOT] BETWEEN low AND high``."""

    operand: Node
    low: Node
    high: Node
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class Membership:
    """``x [NOT] IN (a, b, ...)``."""

    operand: Node
    items: tuple[Node, ...]
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class Like:
    """``x [NOT] LIKE pattern [ESCAPE escape]``, or ILIKE, which ignores case."""

    operand: Node
    pattern: Node
    escape: Node | None
    ignore_case: bool
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class IsTest:
    """``x IS [NOT] NULL``, TRUE or FALSE; the value is None, True or False."""

    operand: Node
    value: bool | None
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class IsDistinct:
    """``a IS [NOT] DISTINCT FROM b``: a comparison in which two missing values are equal."""

    left: Node
    right: Node
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class Case:
    """``CASE WHEN condition THEN value ... ELSE otherwise END``."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node
    at: int


@dataclass(frozen=True, slots=True)
class CastTo:
    """``CAST(x AS type(length))``; the type is in capitals."""

    operand: Node
    type: str
    length: int | None
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the list, its name in capitals."""

    name: str
    arguments: tuple[Node, ...]
    at: int


Node = (
    Constant
    | ColumnName
    | Parenthesis
    | Prefixed
    | Chain
    | Compare
    | Between
    | Membership
    | Like
    | IsTest
    | IsDistinct
    | Case
    | CastTo
    | Call
)


def plain(node: Node) -> Node:
    """Return an expression without the parentheses around it."""
    while isinstance(node, Parenthesis):
        node = node.inner
    return node


def parts(node: Node) -> list[Node]:
    """Return the expressions of which a node consists."""
    found: list[Node] = []
    waiting: list[object] = [getattr(node, field.name) for field in fields(node)]
    for value in waiting:
        if isinstance(value, tuple):
            waiting.extend(value)
        elif isinstance(value, Node):
            found.append(value)
    return found


def walk(tree: Node) -> Iterator[tuple[Node, int]]:
    """Yield every node with its depth, from 1, without recursion."""
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting.extend((part, depth + 1) for part in parts(node))


def columns_in(tree: Node) -> list[ColumnName]:
    """Return every mention of a column, in the order of the text."""
    return sorted((n for n, _ in walk(tree) if isinstance(n, ColumnName)), key=lambda n: n.at)
