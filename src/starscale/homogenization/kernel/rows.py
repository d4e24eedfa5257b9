"""Measurements of all surveys in one long table, with checks of their values and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import AXES
from starscale.surveys import Survey
from starscale.tables.arrays import as_floats
from starscale.tables.cuts import Attrition
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS, Label, LabelName
from starscale.vocabulary.errors import Problems
from starscale.vocabulary.flags import LabelFlag


@dataclass(frozen=True)
class SurveyRows:
    """One survey's table, standardised and cut, with the star of every row.

    Parameters
    ----------
    survey : Survey
    table : polars.DataFrame
    links : polars.DataFrame
        `source_id` and `row`, the row number in `table`.
    original : polars.Series
        Row number in the file that `table` came from.
    where : str
        Name of the table in error messages.
    attrition : Attrition or None
        Rows of that file that cuts removed.
    """

    survey: Survey
    table: pl.DataFrame
    links: pl.DataFrame
    original: pl.Series
    where: str
    attrition: Attrition | None = None


@dataclass(frozen=True)
class MeasurementRows:
    """Measurements of all surveys.

    Parameters
    ----------
    table : polars.DataFrame
        One row for each row of a survey that has a star and a label: `source_id`, `star` (number of the star),
        `survey` (number), `row` (in the survey's file), `snr`, every label and its error, `flags`; sorted by star
        and survey. Missing labels are NaN.
    surveys : tuple of str
        Names, by number.
    counts : dict of str to dict
        For each survey: rows, rows without a star, without labels, exact copies, stars.
    """

    table: pl.DataFrame
    surveys: tuple[str, ...]
    counts: dict[str, dict[str, int]]


def gather(parts: Sequence[SurveyRows]) -> MeasurementRows:
    """Put the surveys' measurements in one table.

    Parameters
    ----------
    parts : sequence of SurveyRows
        In the order of the run file.

    Raises
    ------
    InputError
        Two surveys of one name, no rows with a star and a label, a label that is constant or nowhere in its
        physical range, errors that are nowhere positive; all problems at once.
    """
    problems = Problems()
    names = [part.survey.name for part in parts]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add("label surveys", f"{name!r} is named twice", "each survey once", "Merge its tables first.")
    tables, counts = [], {}
    for number, part in enumerate(parts):
        table, counts[part.survey.name] = _one(part, number, problems)
        tables.append(table)
    problems.raise_if_any()
    everything = pl.concat(tables)
    everything = everything.with_columns(pl.col("source_id").rank("dense").cast(pl.Int32).alias("star") - 1).sort(
        "star", "survey", "row"
    )
    return MeasurementRows(everything, tuple(names), counts)


def _one(part: SurveyRows, number: int, problems: Problems) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the measurements of one survey, and how many rows were left out for which reason."""
    survey, linked = part.survey, part.table.with_row_index("row").join(part.links, on="row", how="inner")
    counts = {"rows": part.table.height, "without_star": part.table.height - linked.height}
    flags = np.zeros(linked.height, dtype=np.int32)
    columns: list[pl.Expr | pl.Series] = [
        pl.col("source_id"),
        pl.lit(number, dtype=pl.Int16).alias("survey"),
        part.original.gather(linked["row"]).cast(pl.Int32).alias("row"),
        (pl.col(survey.snr) if survey.snr in linked.columns else pl.lit(None)).cast(pl.Float32).alias("snr"),
    ]
    values = []
    found = labels_in(linked, survey, part.where, problems)
    for name, (value, error, missing) in zip(AXES, found, strict=True):
        values += [pl.Series(name, value), pl.Series(f"{name}_error", error)]
        flags[missing] |= int(LabelFlag.ERROR_MISSING)
    table = linked.select(*columns).with_columns(*values, pl.Series("flags", flags))
    table = table.filter(pl.any_horizontal(pl.col(name).is_not_nan() for name in AXES))
    counts["without_labels"] = linked.height - table.height
    height = table.height
    table = table.unique(["source_id", *AXES], keep="first", maintain_order=True)
    counts["copies"] = height - table.height
    counts["stars"] = table["source_id"].n_unique()
    counts["repeats"] = table.height - counts["stars"]
    if not table.height and not problems.items:
        fix = f"Are {survey.name}{_area(part)} and the catalogue of the same part of the sky and release?"
        problems.add(part.where, f"none of its {counts['rows']} rows has a star and a label", "one or more", fix)
    return table, counts


def _area(part: SurveyRows) -> str:
    """Return where the rows of a survey are, in words; empty if their positions are not known."""
    place = part.survey.position
    if place is None or not {place.ra, place.dec} <= set(part.table.columns) or not part.table.height:
        return ""
    values = (part.table[name].drop_nulls().to_numpy() for name in (place.ra, place.dec))
    ends = [f"{array.min():.1f} to {array.max():.1f}" for array in values if len(array)]
    return f" (RA {ends[0]}, Dec {ends[1]} deg)" if len(ends) == 2 else ""


def labels_in(
    table: pl.DataFrame, survey: Survey, where: str, problems: Problems, *, whole: bool = True
) -> list[tuple[FloatArray, FloatArray, NDArray[np.bool_]]]:
    """Extract the labels of a survey from its table, and check them.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
        Standardised.
    survey : Survey
    where : str
        Name of the table in error messages.
    problems : Problems
        Receives all problems.
    whole : bool
        The table is the whole survey, so that a constant label is an error.

    Returns
    -------
    list of (value, error, missing)
        For every label: values and quoted errors (the floor where that is larger or there is none), both NaN where
        there is no label or it is outside its physical range; and where the error was missing. Shape (n,) each.
    """
    return [_label(table, survey, name, where, problems, whole) for name in AXES]


def _label(
    table: pl.DataFrame, survey: Survey, name: LabelName, where: str, problems: Problems, whole: bool
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    spec = survey.labels.get(name)
    if spec is None or spec.value not in table.columns:
        if spec is not None:
            problems.add(f"{where}: column {spec.value!r}", "is missing", f"the {name} of {survey.name}")
        nothing = np.full(table.height, np.nan)
        return nothing, nothing, np.zeros(table.height, bool)
    raw, error = numbers(table, spec.value), numbers(table, spec.error)
    inside = (raw >= LABELS[name].lower) & (raw <= LABELS[name].upper)
    _check_values(raw, inside, LABELS[name], f"{where}: column {spec.value!r}", problems, whole)
    good = np.isfinite(error) & (error > 0)
    known = good & inside
    if inside.any() and not known.any() and spec.error_floor == 0:
        problems.add(
            f"{where}: column {spec.error!r}" if spec.error else f"survey {survey.name}: label {name}",
            f"none of its {int(inside.sum())} errors is a positive number",
            "errors, or a floor in their place",
            f"Give labels.{name} an error_floor in the survey file.",
        )
    default = spec.error_floor or (float(np.median(error[known])) if known.any() else np.nan)
    error = np.maximum(np.where(good, error, default), spec.error_floor)
    return np.where(inside, raw, np.nan), np.where(inside, error, np.nan), inside & ~good


def list_of_stars(part: SurveyRows) -> pl.DataFrame:
    """Read an external list: one row a star, with the median of the values and of the errors of its rows.

    Rows of one star are determinations of several authors, whose errors have common causes: a median of many is
    taken to be no better than one.

    Returns
    -------
    polars.DataFrame
        `source_id`, and the labels that the list has with their errors.

    Raises
    ------
    InputError
        A column of a label is missing, or its values are no such label.
    """
    problems = Problems()
    found = labels_in(part.table, part.survey, part.where, problems)
    problems.raise_if_any()
    columns: dict[str, FloatArray] = {}
    for name, (value, error, _) in zip(AXES, found, strict=True):
        if name in part.survey.labels:
            columns |= {name: value, f"{name}_error": error}
    table = pl.DataFrame(columns).fill_nan(None)[part.links["row"].to_numpy()]
    stars = table.with_columns(part.links["source_id"]).group_by("source_id", maintain_order=True)
    return stars.agg(pl.all().median())


def numbers(table: pl.DataFrame, column: str | None) -> FloatArray:
    """A column as float64, NaN where it is null, or everywhere if there is no such column; shape (n,)."""
    if column not in table.columns:
        return np.full(table.height, np.nan)
    return as_floats(table[column])


def _check_values(
    raw: FloatArray, inside: NDArray[np.bool_], label: Label, column: str, problems: Problems, whole: bool
) -> None:
    """Note a label that lies mostly outside its physical range, or is constant in a whole survey."""
    given = np.isfinite(raw)
    if given.any() and inside.sum() < 0.5 * given.sum():
        problems.add(
            column,
            f"{int((given & ~inside).sum())} of {int(given.sum())} values lie outside {label.lower:g} to "
            f"{label.upper:g} (median {np.median(raw[given]):.4g})",
            f"{label.description}{f' in {label.unit}' if label.unit else ''}",
            "Is the column in other units (log, solar), or are two columns swapped?",
        )
    elif whole and inside.sum() > 1 and np.ptp(raw[inside]) == 0:
        problems.add(column, f"all {int(inside.sum())} values are {raw[inside][0]:g}", "values that vary")


def merge_repeats(rows: pl.DataFrame) -> pl.DataFrame:
    """Merge repeats into one row for each star and survey, by inverse-variance means.

    Parameters
    ----------
    rows : polars.DataFrame
        As :func:`gather` returns them, sorted by star and survey.

    Returns
    -------
    polars.DataFrame
        `source_id`, `star`, `survey`, `snr` (of the first row), labels and errors (quoted), `<label>_chi2` of the
        repeats in quoted errors, `<label>_rows` (measurements), `flags`, `first` (position of its first row in
        `rows`) and `rows`.
    """
    star, survey = rows["star"].to_numpy(), rows["survey"].to_numpy()
    new = (
        np.concatenate([[True], (np.diff(star) != 0) | (np.diff(survey) != 0)]) if len(star) else np.zeros(0, bool)
    )
    first = np.flatnonzero(new)
    number = np.cumsum(new) - 1
    merged: dict[str, pl.Series | FloatArray] = {}
    for name in AXES:
        value, error = rows[name].to_numpy(), rows[f"{name}_error"].to_numpy()
        weight = np.where(np.isfinite(value), error**-2.0, 0.0)
        y = np.where(weight > 0, value, 0.0)
        total = np.add.reduceat(weight, first)
        mean = np.divide(
            np.add.reduceat(weight * y, first), total, out=np.full(len(first), np.nan), where=total > 0
        )
        # A single value is kept as it is: multiplied and divided by its weight it would lose its last digits.
        alone = np.add.reduceat((weight > 0).astype(np.int32), first)
        mean = np.where((np.diff(np.append(first, len(star))) == 1) & (alone == 1), value[first], mean)
        merged[name] = mean
        merged[f"{name}_error"] = np.where(total > 0, np.maximum(total, 1e-300) ** -0.5, np.nan)
        spread = np.where(weight > 0, y - np.nan_to_num(mean[number]), 0.0)
        merged[f"{name}_chi2"] = np.add.reduceat(weight * spread**2, first)
        merged[f"{name}_rows"] = alone
    flags = np.bitwise_or.reduceat(rows["flags"].to_numpy(), first)
    head = rows.select("source_id", "star", "survey", "snr")[first]
    return head.with_columns(
        *(pl.Series(name, values) for name, values in merged.items()),
        pl.Series("flags", flags),
        pl.Series("first", first),
        pl.Series("rows", np.diff(np.append(first, len(star)))),
    )
