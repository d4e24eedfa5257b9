"""Cuts as data: named SQL predicates in, a mask and an attrition table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from starscale.surveys.schema import Cut
from starscale.tables.sql import columns_of, row_expression
from starscale.vocabulary.errors import InputError, Problems, did_you_mean
from starscale.vocabulary.settings.run import Cuts


@dataclass(frozen=True, slots=True)
class AttritionRow:
    """What one cut removes: of all rows (`alone`), and of those that the cuts before it left (`in_sequence`)."""

    name: str
    keep: str
    description: str
    source: str
    alone: int
    in_sequence: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Attrition:
    """The rows that a list of cuts removes. Attritions of two chunks of a table add up."""

    n_in: int
    rows: tuple[AttritionRow, ...]

    @property
    def n_out(self) -> int:
        """Rows that pass every cut."""
        return self.rows[-1].remaining if self.rows else self.n_in

    def __add__(self, other: Attrition) -> Attrition:
        if [r.keep for r in self.rows] != [r.keep for r in other.rows]:
            raise ValueError("attritions of different cuts do not add up")
        return Attrition(
            self.n_in + other.n_in,
            tuple(
                AttritionRow(
                    a.name,
                    a.keep,
                    a.description,
                    a.source,
                    a.alone + b.alone,
                    a.in_sequence + b.in_sequence,
                    a.remaining + b.remaining,
                )
                for a, b in zip(self.rows, other.rows, strict=True)
            ),
        )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Attrition:
        """The inverse of :func:`dataclasses.asdict`."""
        return cls(document["n_in"], tuple(AttritionRow(**row) for row in document["rows"]))

    def frame(self) -> pl.DataFrame:
        """The table of the report: one row a cut."""
        return pl.DataFrame(
            {
                "cut": [r.name for r in self.rows],
                "keep": [" ".join(r.keep.split()) for r in self.rows],
                "removed_alone": [r.alone for r in self.rows],
                "removed_in_sequence": [r.in_sequence for r in self.rows],
                "remaining": [r.remaining for r in self.rows],
            },
            schema_overrides={"removed_alone": pl.Int64, "removed_in_sequence": pl.Int64, "remaining": pl.Int64},
        )


def choose_cuts(cuts: Sequence[Cut], choice: Cuts, where: str) -> tuple[Cut, ...]:
    """The cuts of a survey file that a run file asks for, with the user's own after them.

    Raises
    ------
    InputError
        When `without` names a cut that does not exist.
    """
    names = [cut.name for cut in cuts]
    problems = Problems()
    for name in choice.without:
        if name not in names:
            problems.add(
                f"{where}: cuts.without",
                f"no cut {name!r}",
                f"one of {', '.join(names)}",
                did_you_mean(name, names),
            )
    problems.raise_if_any()
    kept = [cut for cut in cuts if cut.name not in choice.without] if choice.apply else []
    return (*kept, *(Cut(name=extra.name, keep=extra.keep, source="run file") for extra in choice.extra))


def cut_columns(cut: Cut, where: str) -> list[str]:
    """Columns that the predicate of a cut looks at.

    Raises
    ------
    InputError
        When the predicate is not SQL.
    """
    return columns_of(_parse(cut, where))


def apply_cuts(table: pl.DataFrame, cuts: Sequence[Cut], *, where: str = "table") -> tuple[pl.Series, Attrition]:
    """Evaluate cuts on a table.

    Parameters
    ----------
    table : polars.DataFrame, (n_rows, any)
        Standardised: missing values are null.
    cuts : sequence of Cut
        In the order of the attrition table.
    where : str
        What to call the table in an error.

    Returns
    -------
    mask : polars.Series of bool, (n_rows,)
        True where a row passes every cut. A predicate that is null (a missing value) removes the row.
    attrition : Attrition

    Raises
    ------
    InputError
        For a column that is missing or a predicate that cannot be evaluated; all of them at once.
    """
    problems = Problems()
    expressions = []
    for cut in cuts:
        try:
            expression = _parse(cut, where)
        except InputError as error:
            problems.items.extend(error.problems)
            continue
        for name in columns_of(expression):
            if name not in table.columns:
                problems.add(
                    f"{where}: column {name!r}",
                    f"is missing, but needed by the cut {cut.name!r} ({' '.join(cut.keep.split())})",
                    fix=did_you_mean(name, table.columns)
                    or f"Leave the cut out with --without {cut.name}, or add the column.",
                )
        expressions.append(expression.fill_null(False).alias(cut.name))
    problems.raise_if_any()
    masks = _evaluate(table, cuts, expressions, where)
    mask = pl.repeat(True, table.height, eager=True)
    rows = []
    for cut, own in zip(cuts, masks, strict=True):
        before = int(mask.sum())
        mask = mask & own
        after = int(mask.sum())
        alone = table.height - int(own.sum())
        rows.append(AttritionRow(cut.name, cut.keep, cut.description, cut.source, alone, before - after, after))
    return mask.alias("keep"), Attrition(table.height, tuple(rows))


def _parse(cut: Cut, where: str) -> pl.Expr:
    return row_expression(cut.keep, f"{where}: cut {cut.name!r}", "an SQL predicate")


def _evaluate(table: pl.DataFrame, cuts: Sequence[Cut], expressions: list[pl.Expr], where: str) -> list[pl.Series]:
    problems = Problems()
    masks = []
    for cut, expression in zip(cuts, expressions, strict=True):
        try:
            mask = table.select(expression).to_series()
        except PolarsError as error:
            first_line = str(error).splitlines()[0]
            problems.add(f"{where}: cut {cut.name!r}", f"{cut.keep!r} cannot be evaluated ({first_line})")
            continue
        if mask.dtype != pl.Boolean:
            problems.add(f"{where}: cut {cut.name!r}", f"{cut.keep!r} is of type {mask.dtype}", "a yes or no")
            continue
        # A predicate without columns (TRUE) has one row.
        masks.append(mask if len(mask) == table.height else pl.repeat(bool(mask[0]), table.height, eager=True))
    problems.raise_if_any()
    return masks
