"""Compute the columns of a survey that a table does not have, and null the values that are not valid."""

from __future__ import annotations

import polars as pl

from starscale.surveys import Survey
from starscale.surveys.derived import computed, inputs_of
from starscale.tables.columns.typed import POLARS_TYPE, Discarded, cast, plausible, without
from starscale.tables.sql import row_expression
from starscale.vocabulary.errors import Problems


def derive(
    table: pl.DataFrame, survey: Survey, *, where: str = "table", discarded: Discarded | None = None
) -> pl.DataFrame:
    """Append the computed columns of a survey, and null the values whose condition `valid` is not true.

    A column that is there is not computed again, and a condition whose columns are missing is not applied, so the
    result does not change if it is passed again.

    Parameters
    ----------
    table : polars.DataFrame
        Standardised. A computed column is appended if all its inputs are there.
    survey : Survey
    where : str
        Name of the table in error messages.
    discarded : Discarded, optional
        Receives the numbers of values that became missing.

    Raises
    ------
    InputError
        An expression does not fit the types of its columns, or its values that of the computed column.
    """
    problems, specs = Problems(), survey.limited()
    for name in computed(survey.columns):
        spec, have = specs[name], {*table.columns}
        if not have.issuperset(inputs_of(name, spec)) or (name not in have and spec.expression is None):
            continue
        label = f"{where}: column {name!r}"
        with problems.collect():
            if name in have:
                values = table[name]
            else:
                values = row_expression(spec.expression or "", label).on(table).alias(name)
                values = plausible(cast(values, POLARS_TYPE[spec.dtype](), label), spec, discarded)
                table = table.with_columns(values)
            if spec.valid is not None:
                bad = ~row_expression(spec.valid, f"{label}: valid").mask(table) & values.is_not_null()
                if discarded is not None and bad.any():
                    discarded.invalid[name] += int(bad.sum())
                table = table.with_columns(without(values, bad))
    problems.raise_if_any()
    return table
