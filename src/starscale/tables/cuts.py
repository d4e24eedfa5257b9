"""Quality cuts: named SQL predicates that give a mask and an attrition table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from starscale.surveys.schema import Cut
from starscale.tables.sql import RowExpression, masks_of, row_expression, unclean_columns
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.errors import Problems, did_you_mean
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.summary import Figures, Summarised


@dataclass(frozen=True, slots=True)
class AttritionRow:
    """Rows that one cut removes.

    Attributes
    ----------
    name, keep, description, source : str
        Name, SQL predicate, description and origin of the cut.
    alone : int
        Rows that fail the cut.
    in_sequence : int
        Rows that fail the cut and pass all earlier cuts.
    remaining : int
        Rows that pass this cut and all earlier ones.
    of : str
        "star", or "labels": the rows are those with labels; they lose the labels and stay.
    """

    name: str
    keep: str
    description: str
    source: str
    alone: int
    in_sequence: int
    remaining: int
    of: str = "star"


@dataclass(frozen=True, slots=True, repr=False)
class Attrition(Summarised):
    """Rows that a list of cuts removes; the sum of two attritions is that of both pieces of a table.

    Attributes
    ----------
    n_in : int
        Rows before the cuts.
    rows : tuple of AttritionRow
        One per cut.
    """

    n_in: int
    rows: tuple[AttritionRow, ...]

    @property
    def n_out(self) -> int:
        """Number of rows that pass every cut of stars."""
        return next((row.remaining for row in reversed(self.rows) if row.of == "star"), self.n_in)

    def account(self, rows_out: int) -> RowAccount:
        """Return what became of the rows, of which `rows_out` are left.

        Raises
        ------
        UnaccountedRowsError
            The cuts say otherwise.
        """
        stars = {row.name: row.in_sequence for row in self.rows if row.of == "star"}
        return RowAccount(self.n_in, rows_out, stars)

    def _key_figures(self) -> Figures:
        share = f" ({100 * self.n_out / self.n_in:.1f} %)" if self.n_in else ""
        title = f"Attrition: {self.n_in:,} rows, of which all cuts leave {self.n_out:,}{share}"
        return title, [(row.name, f"removes {row.in_sequence:,}, leaves {row.remaining:,}") for row in self.rows]

    def __add__(self, other: Attrition) -> Attrition:
        if [r.keep for r in self.rows] != [r.keep for r in other.rows]:
            raise ValueError("attritions of different cuts cannot be added")
        return Attrition(
            self.n_in + other.n_in,
            tuple(
                replace(
                    a,
                    alone=a.alone + b.alone,
                    in_sequence=a.in_sequence + b.in_sequence,
                    remaining=a.remaining + b.remaining,
                )
                for a, b in zip(self.rows, other.rows, strict=True)
            ),
        )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Attrition:
        """Restore the result of :func:`dataclasses.asdict`."""
        return cls(document["n_in"], tuple(AttritionRow(**row) for row in document["rows"]))

    def frame(self) -> pl.DataFrame:
        """Return the attrition as a table with one row per cut."""
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
    """Select cuts of a survey file, and append additional ones.

    Parameters
    ----------
    cuts : sequence of Cut
        Cuts of the survey file.
    choice : Cuts
        Cuts to leave out, and additional cuts.
    where : str
        Name of the table in error messages.

    Raises
    ------
    InputError
        `without` names a cut that does not exist.
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
    return (
        *kept,
        *(Cut(name=extra.name, keep=extra.keep, source="run file", of="star") for extra in choice.extra),
    )


def cut_columns(cut: Cut, where: str) -> list[str]:
    """Return the columns that the predicate of a cut uses.

    Raises
    ------
    InputError
        The predicate is not SQL.
    """
    return list(_parse(cut, where).columns)


def require_cut_columns(cuts: Sequence[Cut], available: Sequence[str], where: str) -> None:
    """Refuse a table that lacks a column of a cut.

    Raises
    ------
    InputError
        Names every missing column; the predicate of a cut is not SQL.
    """
    problems = Problems()
    for cut in cuts:
        with problems.collect():
            _check_columns(cut, cut_columns(cut, where), available, where, problems)
    problems.raise_if_any()


def apply_cuts(
    table: pl.DataFrame, cuts: Sequence[Cut], *, where: str = "table", finite: Collection[str] = ()
) -> tuple[pl.Series, Attrition]:
    """Evaluate cuts on a table.

    Parameters
    ----------
    table : polars.DataFrame, (n_rows, any)
        Missing values are null, or NaN or infinity.
    cuts : sequence of Cut
        In the order of the attrition table.
    where : str
        Name of the table in error messages.
    finite : collection of str
        Columns that are known to hold no NaN and no infinity, as those that a survey describes after reading; they
        need not be examined.

    Returns
    -------
    mask : polars.Series of bool, (n_rows,)
        True where a row passes every cut. A row fails if the predicate is null (a missing value).
    attrition : Attrition

    Raises
    ------
    InputError
        Names every missing column, and every predicate that cannot be evaluated.
    """
    problems = Problems()
    expressions = []
    for cut in cuts:
        with problems.collect():
            expression = _parse(cut, where)
            _check_columns(cut, expression.columns, table.columns, where, problems)
            expressions.append(expression)
    problems.raise_if_any()
    used = {name for expression in expressions for name in expression.columns}
    masks = masks_of(table, expressions, unclean_columns(table, used - set(finite)))
    mask: pl.Series | None = None
    after, rows = table.height, []
    for cut, own in zip(cuts, masks, strict=True):
        mask, before = own if mask is None else mask & own, after
        after = int(mask.sum())
        alone = table.height - int(own.sum())
        rows.append(AttritionRow(cut.name, cut.keep, cut.description, cut.source, alone, before - after, after))
    passed = pl.repeat(True, table.height, eager=True) if mask is None else mask
    return passed.alias("keep"), Attrition(table.height, tuple(rows))


def _check_columns(
    cut: Cut, needed: Sequence[str], available: Sequence[str], where: str, problems: Problems
) -> None:
    leave = f"Leave the cut out with --without {cut.name} (in a run file cuts.without), or add the column."
    for name in needed:
        if name not in available:
            problems.add(
                f"{where}: column {name!r}",
                f"is missing, but needed by the cut {cut.name!r} ({' '.join(cut.keep.split())})",
                fix=f"{did_you_mean(name, available)} {leave}".strip(),
            )


def _parse(cut: Cut, where: str) -> RowExpression:
    return row_expression(cut.keep, f"{where}: cut {cut.name!r}", "an SQL predicate")
