"""Join the columns of several catalogues, one row per star."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from starscale.surveys import Survey


def new_names(taken: Iterable[str], survey: Survey, columns: Iterable[str]) -> dict[str, str]:
    """Return the names of joined columns: a name that is taken gets the suffix ``_<survey>``."""
    there = set(taken)
    return {name: f"{name}_{survey.name}" if name in there else name for name in columns}


def names_in(columns: Iterable[str], survey: Survey) -> dict[str, str]:
    """Return the names that the columns of a survey have in a joined table with these columns."""
    present = set(columns)
    return {
        name: suffixed if (suffixed := f"{name}_{survey.name}") in present else name for name in survey.columns
    }


def as_joined(extra: pl.DataFrame, taken: Iterable[str], *, lead: Survey, survey: Survey) -> pl.DataFrame:
    """Rename the columns of a table with the identifiers of `lead` for a join with the columns `taken`."""
    key = survey.id.column
    names = new_names(taken, survey, (name for name in extra.columns if name != key))
    return extra.rename({**names, key: lead.id.column})


def join_by_id(table: pl.DataFrame, extra: pl.DataFrame, *, lead: Survey, survey: Survey) -> pl.DataFrame:
    """Append the columns of a table with the same identifiers; a star that is not in it gets nulls.

    Returns
    -------
    polars.DataFrame
        Same rows and order as `table`.
    """
    right = as_joined(extra, table.columns, lead=lead, survey=survey)
    return table.join(right, on=lead.id.column, how="left", maintain_order="left")
