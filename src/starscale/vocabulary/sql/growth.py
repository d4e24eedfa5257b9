"""How long the texts of an expression can become, so that none can fill the memory."""

from __future__ import annotations

from collections.abc import Mapping

from starscale.vocabulary.sql.tree import Call, Chain, ColumnName, Constant, Node, parts, plain

#: Bytes of the longest text that an expression may give, where those of a column have up to `COLUMN`.
LONGEST, COLUMN = 2**14, 64


def longest_text(tree: Node, columns: Mapping[str, float] | None = None) -> float:
    """Return the length of the longest text that appears in an expression, bytes.

    Parameters
    ----------
    tree : Node
        Not nested too deeply.
    columns : mapping of str to float, optional
        Lengths of the texts of columns that are computed themselves.
    """
    if isinstance(tree, Constant):
        return _bytes(tree) if isinstance(tree.value, str) else 0.0
    if isinstance(tree, ColumnName):
        return (columns or {}).get(tree.name, COLUMN)
    lengths = [longest_text(part, columns) for part in parts(tree)]
    if _joins(tree):
        return sum(lengths)
    return max(lengths, default=0.0) * _factor(tree)


def _joins(node: Node) -> bool:
    return (isinstance(node, Call) and node.name == "CONCAT") or (
        isinstance(node, Chain) and node.rest[0][0] == "||"
    )


def _factor(node: Node) -> float:
    """Return by how much a function makes its text longer."""
    if not (isinstance(node, Call) and node.name == "REPLACE"):
        return 1.0
    found, new = (max(_bytes(argument), 1.0) for argument in node.arguments[1:])
    return max(new / found, 1.0)


def _bytes(node: Node) -> float:
    value = getattr(plain(node), "value", None)
    return float(len(value.encode("utf-8", "replace"))) if isinstance(value, str) else COLUMN
