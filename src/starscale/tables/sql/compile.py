"""Turn the syntax tree of an expression into polars, given the types of the columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import polars as pl

from starscale.tables.sql import arithmetic, comparisons, functions, values
from starscale.tables.sql.values import Value, cleaned, condition, truth
from starscale.vocabulary.sql.tokens import NotSQLError
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
    Plain,
    Prefixed,
    plain,
)


def compiled(tree: Node, schema: Mapping[str, pl.DataType], unclean: Collection[str]) -> Value:
    """Return an expression as a value, which may be NaN or infinity if it says so.

    Parameters
    ----------
    tree : Node
    schema : mapping of str to polars.DataType
        Types of the columns.
    unclean : collection of str
        Columns that may hold NaN or infinity.

    Raises
    ------
    NotSQLError
        The expression makes no sense for columns of these types.
    """
    return _Compiler(schema, unclean).value(tree)


class _Compiler:
    def __init__(self, schema: Mapping[str, pl.DataType], unclean: Collection[str]) -> None:
        self._schema, self._unclean = schema, unclean
        self._mentions = 0
        self._of: dict[type, Callable[[Any], Value]] = {
            ColumnName: self._column,
            Parenthesis: lambda node: self.value(node.inner),
            Prefixed: self._prefixed,
            Chain: self._chain,
            Compare: lambda node: comparisons.compare(node.sign, self.value(node.left), self.value(node.right)),
            Between: self._between,
            Membership: self._membership,
            Like: self._like,
            IsTest: self._is,
            IsDistinct: self._distinct,
            Case: self._case,
            CastTo: lambda node: functions.cast(self.value(node.operand), node.type, node.length),
            Call: lambda node: functions.BUILD[node.name]([self.value(a) for a in node.arguments]),
        }

    def value(self, node: Node) -> Value:
        """Return the value of a node; what does not depend on a column is computed now."""
        if isinstance(node, Constant):
            return values.literal(node.value)
        before = self._mentions
        try:
            made = self._of[type(node)](node)
            if self._mentions > before or made.is_constant:
                return made
            return values.literal(pl.select(cleaned(made).expr).item())
        except NotSQLError as error:
            raise NotSQLError(error.reason, node.at if error.at is None else error.at) from None

    def _column(self, node: ColumnName) -> Value:
        self._mentions += 1
        return values.column(node.name, self._schema[node.name], finite=node.name not in self._unclean)

    def _prefixed(self, node: Prefixed) -> Value:
        operand = self.value(node.operand)
        if node.sign == "NOT":
            return truth(~condition(operand))
        return arithmetic.negative(operand) if node.sign == "-" else functions.complement(operand)

    def _chain(self, node: Chain) -> Value:
        operands = [self.value(part) for part in node.operands]
        sign = node.rest[0][0]
        if sign in ("AND", "OR"):
            conditions = [
                truth(self._at(part, condition, v)) for part, v in zip(node.operands, operands, strict=True)
            ]
            return values.halved(conditions, _and if sign == "AND" else _or)
        if sign == "||":
            return functions.joined(operands)
        if sign in ("&", "|"):
            return values.halved(operands, lambda a, b: functions.bits(sign, a, b))
        return arithmetic.chain(operands[0], [(s, v) for (s, _), v in zip(node.rest, operands[1:], strict=True)])

    @staticmethod
    def _at(node: Node, function: Callable[[Value], pl.Expr], value: Value) -> pl.Expr:
        """Apply a function whose error names the place of this node."""
        try:
            return function(value)
        except NotSQLError as error:
            raise NotSQLError(error.reason, node.at) from None

    def _between(self, node: Between) -> Value:
        # One comparison after another: the bounds may have different types.
        operands = [cleaned(self.value(part)) for part in (node.operand, node.low, node.high)]
        found = values.once(
            operands, lambda v: _and(comparisons.compare(">=", v[0], v[1]), comparisons.compare("<=", v[0], v[2]))
        )
        return truth(~found.expr if node.negated else found.expr)

    def _membership(self, node: Membership) -> Value:
        listed: list[Plain] = []
        others = []
        for item in map(plain, node.items):
            value = None if isinstance(item, Constant) else self.value(item)
            constant = item.value if isinstance(item, Constant) else value.constant if value else None
            if constant is not None:
                listed.append(constant)
            else:
                others.append(cleaned(value or values.literal(None)))

        def made(operands: Sequence[Value]) -> Value:
            operand, *others = operands
            tests = [comparisons.compare("=", operand, other) for other in others]
            return values.halved([*tests, truth(comparisons.is_in(operand, listed))] if listed else tests, _or)

        found = values.once([cleaned(self.value(node.operand)), *others], made)
        return truth(~found.expr if node.negated else found.expr)

    def _like(self, node: Like) -> Value:
        escape = None if node.escape is None else self.value(node.escape)
        operand, pattern = self.value(node.operand), self.value(node.pattern)
        found = functions.like(operand, pattern, escape, ignore_case=node.ignore_case).expr
        return truth(~found if node.negated else found)

    def _is(self, node: IsTest) -> Value:
        operand = self.value(node.operand)
        if node.value is None:
            expr = cleaned(operand).expr
            return truth(expr.is_not_null() if node.negated else expr.is_null())
        found = condition(operand) if node.value else ~condition(operand)
        found = found.fill_null(value=False)
        return truth(~found if node.negated else found)

    def _distinct(self, node: IsDistinct) -> Value:
        left, right = comparisons.comparable(self.value(node.left), self.value(node.right))
        return truth(left.eq_missing(right) if node.negated else left.ne_missing(right))

    def _case(self, node: Case) -> Value:
        branches = [(self.value(test), self.value(result)) for test, result in node.branches]
        return functions.cases(branches, self.value(node.otherwise))


def _and(a: Value, b: Value) -> Value:
    return truth(a.expr & b.expr)


def _or(a: Value, b: Value) -> Value:
    return truth(a.expr | b.expr)
