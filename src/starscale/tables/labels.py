"""Spectroscopic labels of one survey: one row per star, with repeated measurements merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from starscale.surveys import Survey
from starscale.surveys.schema import Cut
from starscale.tables.cuts import Attrition, apply_cuts
from starscale.vocabulary.columns import LABEL_TABLE_COLUMNS, LABELS
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flags import LabelFlag
from starscale.vocabulary.later import Later

stats = Later("scipy.stats")

#: Stars are flagged if the probability of the spread of their repeated measurements is below this.
_DISAGREE = 1e-3


def link_by_id(table: pl.DataFrame, survey: Survey) -> pl.DataFrame:
    """Return pairs from the Gaia identifiers of the survey: `source_id` and row number."""
    if survey.gaia is None:
        raise InputError(Problem(f"survey {survey.name}", "has no Gaia identifier", "a [gaia] section"))
    return (
        table.select(pl.col(survey.gaia.column).alias("source_id"))
        .with_row_index("row")
        .filter(pl.col("source_id") > 0)
    )


def within_limits(names: Sequence[str]) -> list[pl.Expr]:
    """Return labels as float64, null outside the physical limits (an error of the catalogue, or a sentinel)."""
    return [
        pl.when(pl.col(name).cast(pl.Float64).is_between(LABELS[name].lower, LABELS[name].upper))
        .then(pl.col(name).cast(pl.Float64))
        .alias(name)
        for name in names
    ]


def label_columns(survey: Survey, columns: Sequence[str]) -> list[str]:
    """Return the columns of a table with labels and their errors."""
    named = [c for spec in survey.labels.values() for c in (spec.value, spec.error) if c and c in columns]
    return list(dict.fromkeys(named))


def has_label(survey: Survey, columns: Sequence[str] | None = None) -> pl.Expr:
    """Whether a row has at least one label within its physical limits; `columns` are those of the table."""
    return pl.any_horizontal(
        pl.lit(False),
        *(
            pl.col(spec.value).is_between(LABELS[name].lower, LABELS[name].upper)
            for name, spec in survey.labels.items()
            if columns is None or spec.value in columns
        ),
    ).fill_null(False)


def cut_rows(
    table: pl.DataFrame, cuts: Sequence[Cut], survey: Survey, where: str
) -> tuple[pl.DataFrame, Attrition]:
    """Remove the rows of a table that fail the cuts of stars, and the labels that fail the cuts of labels.

    Parameters
    ----------
    table : polars.DataFrame
        Standardised.
    cuts : sequence of Cut
    survey : Survey
    where : str
        Name of the table in error messages.

    Returns
    -------
    table : polars.DataFrame
        The rows that are left; labels and their errors that failed are null.
    attrition : Attrition
        The cuts of stars, then those of labels, which count rows with a label.
    """
    of_labels = [cut for cut in cuts if survey.is_of_labels(cut)]
    of_stars = [cut for cut in cuts if cut not in of_labels]
    mask, attrition = apply_cuts(table, of_stars, where=where, finite=survey.columns)
    kept, names = table.filter(mask), label_columns(survey, table.columns)
    # A table of a survey without its label columns has nothing to lose.
    if not of_labels or not names:
        return kept, attrition
    good, _ = apply_cuts(kept, of_labels, where=where, finite=survey.columns)
    _, counted = apply_cuts(
        table.filter(has_label(survey, table.columns)), [*of_stars, *of_labels], where=where, finite=survey.columns
    )
    rows = (replace(row, of="labels") for row in counted.rows[len(of_stars) :])
    kept = kept.with_columns(pl.when(good).then(pl.col(name)).alias(name) for name in names)
    return kept, replace(attrition, rows=(*attrition.rows, *rows))


def label_table(table: pl.DataFrame, links: pl.DataFrame, survey: Survey) -> tuple[pl.DataFrame, dict[str, int]]:
    """Merge the measurements of every star, weighted by inverse variance.

    Parameters
    ----------
    table : polars.DataFrame
        The spectroscopic catalogue, standardised and cut.
    links : polars.DataFrame
        `source_id` and `row`, the row number in `table`.
    survey : Survey
        Names the columns of the labels. Errors below its floor, and missing errors, are set to the floor.

    Returns
    -------
    labels : polars.DataFrame
        Columns of :data:`LABEL_TABLE_COLUMNS`; labels that the survey does not measure are null.
    counts : dict of str to int
        Numbers of rows, of dropped rows by reason, of stars and of repeated measurements.
    """
    # Only the needed columns: others may have the name of a column of `links`.
    measurements = table.select(label_columns(survey, table.columns)).with_row_index("row")
    rows = links.join(measurements, on="row", how="inner", maintain_order="left").drop("row")
    counts = {"rows": table.height, "without_star": table.height - links.height}
    counts["without_labels"] = rows.height - rows.filter(has_label(survey)).height
    rows = rows.filter(has_label(survey))
    prepared = rows.select("source_id", *_prepared(survey, rows.columns))
    merged = prepared.group_by("source_id", maintain_order=True).agg(
        *(part for name in survey.labels for part in _merge(name)), pl.len().alias("_n")
    )
    counts["stars"] = merged.height
    counts["repeats"] = rows.height - merged.height
    return _finish(merged, survey), counts


def _prepared(survey: Survey, columns: list[str]) -> list[pl.Expr]:
    """Value and error of each label, null outside its physical limits."""
    expressions = []
    for name, spec in survey.labels.items():
        value = pl.col(spec.value).cast(pl.Float64)
        inside = value.is_between(LABELS[name].lower, LABELS[name].upper)
        error = (
            pl.col(spec.error).cast(pl.Float64).fill_nan(None).abs()
            if spec.error in columns
            else pl.lit(None, dtype=pl.Float64)
        )
        expressions += [
            pl.when(inside).then(value).alias(name),
            pl.when(inside)
            .then(pl.max_horizontal(error.fill_null(0.0), pl.lit(spec.error_floor)))
            .alias(f"{name}_error"),
            (inside & error.is_null()).fill_null(False).alias(f"{name}_no_error"),
        ]
    return expressions


def _merge(name: str) -> list[pl.Expr]:
    """Mean weighted by inverse variance; unweighted where no error is known (all zero)."""
    value, error = pl.col(name), pl.col(f"{name}_error")
    weight = pl.when(error > 0).then(error.pow(-2.0))
    total = weight.filter(value.is_not_null()).sum()
    mean = pl.when(total > 0).then((value * weight).sum() / total).otherwise(value.mean())
    # Only measurements with an error contribute to chi2 and to the degrees of freedom.
    free = (value.is_not_null() & (error > 0)).sum().cast(pl.Int64) - 1
    return [
        mean.alias(name),
        pl.when(total > 0).then(total.pow(-0.5)).alias(f"{name}_error"),
        ((value - mean) / error).pow(2).filter(error > 0).sum().alias(f"{name}_chi2"),
        free.clip(0).alias(f"{name}_free"),
        pl.col(f"{name}_no_error").any().alias(f"{name}_no_error"),
    ]


def _finish(merged: pl.DataFrame, survey: Survey) -> pl.DataFrame:
    names = list(survey.labels)
    chi2 = pl.sum_horizontal(*(pl.col(f"{name}_chi2").fill_nan(None) for name in names))
    freedom = pl.sum_horizontal(*(pl.col(f"{name}_free") for name in names))
    table = merged.with_columns(
        pl.when(freedom > 0).then(chi2).alias("chi2"),
        freedom.alias("_freedom"),
        pl.lit(1, dtype=pl.Int32).alias("n_surveys"),
        pl.lit(1, dtype=pl.Int32).alias("surveys"),
    )
    table = table.with_columns(
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in LABELS if name not in names),
        *(pl.lit(None, dtype=pl.Float64).alias(f"{name}_error") for name in LABELS if name not in names),
        # One survey does not tell how far others are from it.
        *(pl.lit(None, dtype=pl.Float64).alias(f"{name}_scale_error") for name in LABELS),
    )
    spread = table["chi2"].fill_null(0.0).to_numpy()
    degrees = np.maximum(table["_freedom"].to_numpy(), 1)
    disagree = stats.chi2.sf(spread, degrees) < _DISAGREE
    no_error = (
        table.select(pl.any_horizontal(*(pl.col(f"{name}_no_error") for name in names))).to_series().to_numpy()
    )
    flags = np.where(disagree, LabelFlag.REPEATS_DISAGREE, 0) | np.where(no_error, LabelFlag.ERROR_MISSING, 0)
    return table.with_columns(pl.Series("flags", flags.astype(np.int32))).select(*LABEL_TABLE_COLUMNS)
