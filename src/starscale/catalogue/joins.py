"""Put the columns of several catalogues side by side, one row a star."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from starscale.surveys import Survey


def _new_names(table: pl.DataFrame, survey: Survey, columns: Iterable[str]) -> dict[str, str]:
    """Joined columns keep their names; one that is taken gets ``_<survey>``."""
    return {name: f"{name}_{survey.name}" if name in table.columns else name for name in columns}


def names_in(columns: Iterable[str], survey: Survey) -> dict[str, str]:
    """What the columns of a joined survey are called in a table with these columns."""
    present = set(columns)
    return {
        name: suffixed if (suffixed := f"{name}_{survey.name}") in present else name for name in survey.columns
    }


def join_pairs(
    table: pl.DataFrame, pairs: pl.DataFrame, external: pl.DataFrame, *, lead: Survey, survey: Survey
) -> pl.DataFrame:
    """Append an external catalogue's columns to the stars that have a pair; the other stars are left out.

    Parameters
    ----------
    table : polars.DataFrame
        The leading catalogue, one row a star.
    pairs : polars.DataFrame
        `source_id` and `original_ext_source_id`.
    external : polars.DataFrame
        The external catalogue; its identifier must be unique.
    lead, survey : Survey
        Descriptions of the two.

    Returns
    -------
    polars.DataFrame
        In the order of `table`; :func:`names_in` says what the new columns are called.
    """
    names = _new_names(table, survey, external.columns)
    key = names[survey.id.column]
    link = pairs.select(pl.col("source_id").alias(lead.id.column), pl.col("original_ext_source_id").alias(key))
    return table.join(link, on=lead.id.column, how="inner", maintain_order="left").join(
        external.rename(names), on=key, how="inner", maintain_order="left"
    )


def join_by_id(table: pl.DataFrame, extra: pl.DataFrame, *, lead: Survey, survey: Survey) -> pl.DataFrame:
    """Append the columns of a table that shares the identifier; a star without a row there gets nulls.

    Returns
    -------
    polars.DataFrame
        Same rows and order as `table`.
    """
    names = _new_names(table, survey, (name for name in extra.columns if name != survey.id.column))
    right = extra.rename({**names, survey.id.column: lead.id.column})
    return table.join(right, on=lead.id.column, how="left", maintain_order="left")
