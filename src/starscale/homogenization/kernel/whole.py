"""From the tables of the surveys to labels on one scale, with measurements, calibration and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.calibrate import calibrate
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.checks import check_surveys
from starscale.homogenization.kernel.diagnostics import compare_with_list, diagnose, scatter_in_clusters
from starscale.homogenization.kernel.errors import RepeatStatistics, snr_scaled
from starscale.homogenization.kernel.measured import measured
from starscale.homogenization.kernel.rows import SurveyRows, gather, merge_repeats
from starscale.homogenization.kernel.tables import label_tables
from starscale.tables.cuts import Attrition
from starscale.vocabulary.accounting import RowAccount, removed_for
from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.settings.homogenize import HomogenizeConfig

#: Fewest stars in common with an external list for it to move the scale.
_FEWEST_REFERENCE = 5


@dataclass(frozen=True)
class Homogenized:
    """Labels on one scale.

    Parameters
    ----------
    labels : polars.DataFrame
        One row a star.
    measurements : polars.DataFrame
        One row for every measurement: raw value, correction, weight.
    calibration : Calibration
    diagnostics : dict
        Plain data: overlaps, residuals, error factors, comparisons.
    counts : dict of str to dict
        Rows of each survey that were used, merged or left out.
    accounts : dict of str to RowAccount
        Rows of the table of each survey: those among the measurements, and the others by reason.
    """

    labels: pl.DataFrame
    measurements: pl.DataFrame
    calibration: Calibration
    diagnostics: dict[str, Any]
    counts: dict[str, dict[str, int]]
    accounts: dict[str, RowAccount]

    @property
    def account(self) -> RowAccount:
        """Rows of all measurements, which become one row a star."""
        stars = self.measurements["source_id"].n_unique()
        further = {"further measurement of a star": self.measurements.height - stars}
        return RowAccount(self.measurements.height, self.labels.height, further)


def homogenize_tables(
    parts: Sequence[SurveyRows],
    config: HomogenizeConfig,
    *,
    reference: pl.DataFrame | None = None,
    clusters: pl.DataFrame | None = None,
) -> Homogenized:
    """Put the labels of several surveys on one scale.

    Parameters
    ----------
    parts : sequence of SurveyRows
        Two or more.
    config : HomogenizeConfig
    reference : polars.DataFrame, optional
        External list: `source_id` and labels with errors, one row a star.
    clusters : polars.DataFrame, optional
        `source_id` and `cluster`.

    Raises
    ------
    InputError
        Unusable tables, overlaps or labels; all problems at once.
    """
    rows = gather(parts)
    anchor = anchor_of(rows.surveys, config)
    table, snr_factors = rows.table, None
    if config.snr_bins and config.errors == "normalise":
        table, snr_factors = snr_scaled(table, config.snr_bins, len(rows.surveys))
    repeats, per_survey = RepeatStatistics.of(table, len(rows.surveys)), merge_repeats(table)
    several = measured(per_survey, rows.surveys, config.max_stars, config.seed)
    check_surveys(several)
    fitted = calibrate(several, repeats, config, anchor, snr_factors=snr_factors)
    calibration = fitted.calibration
    diagnostics = diagnose(fitted, repeats, config, rows.counts)
    labels, measurements = label_tables(calibration, table, per_survey)
    if reference is not None:
        compared = compare_with_list(labels, per_survey, reference, "homogenized")
        if config.reference is not None and config.reference.use == "zero_point":
            calibration = shifted(calibration, compared)
            diagnostics |= {"zero_point": _moved(calibration, compared), "notes": list(calibration.notes)}
            labels, measurements = label_tables(calibration, table, per_survey)
            compared += compare_with_list(labels, per_survey, reference, "homogenized, zero point moved")[1::2]
        diagnostics["reference"] = compared
    if clusters is not None:
        diagnostics["clusters"] = scatter_in_clusters(labels, per_survey, clusters)
    accounts = _accounts(measurements, rows.counts, {part.survey.name: part.attrition for part in parts})
    return Homogenized(labels, measurements, calibration, diagnostics, rows.counts, accounts)


def _accounts(
    measurements: pl.DataFrame, counts: Mapping[str, Mapping[str, int]], attritions: Mapping[str, Attrition | None]
) -> dict[str, RowAccount]:
    """Return what became of the rows of every survey."""
    left = dict(measurements.group_by(pl.col("survey").cast(pl.String)).len().iter_rows())
    accounts = {}
    for name, count in counts.items():
        attrition = attritions[name]
        cuts = [] if attrition is None else [(row.name, row.in_sequence) for row in attrition.rows]
        removed = removed_for(
            *cuts,
            ("no star", count["without_star"]),
            ("no label", count["without_labels"]),
            ("copy of another row", count["copies"]),
        )
        rows = count["rows"] if attrition is None else attrition.n_in
        accounts[name] = RowAccount(rows, left.get(name, 0), removed)
    return accounts


def _moved(calibration: Calibration, compared: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """By label of the list: what was subtracted from all values, the error of that, and the stars that say so."""
    zero_point = calibration.information["zero_point"]
    found = {}
    for row in compared:
        if row["sample"] == "homogenized":
            moved, error = zero_point.get(row["label"], (None, None))
            found[row["label"]] = {"n": row["n"], "moved": moved, "error": error}
    return found


def anchor_of(surveys: Sequence[str], config: HomogenizeConfig) -> str:
    """Return the name of the survey whose scale is kept.

    Raises
    ------
    InputError
        The settings name none of the surveys.
    """
    if config.anchor is None:
        return surveys[0]
    if config.anchor not in surveys:
        hint = did_you_mean(config.anchor, surveys)
        raise InputError(
            Problem("homogenize.anchor", f"unknown survey {config.anchor!r}", ", ".join(surveys), hint)
        )
    return config.anchor


def shifted(calibration: Calibration, compared: Sequence[dict[str, Any]]) -> Calibration:
    """Move the whole scale by a constant, so that it agrees with an external list.

    Parameters
    ----------
    calibration : Calibration
    compared : sequence of dict
        From :func:`starscale.homogenization.kernel.diagnostics.compare_with_list`.

    Raises
    ------
    InputError
        The list shares too few stars.
    """
    beta, covariance = calibration.beta.copy(), calibration.covariance.copy()
    moved: dict[str, list[float]] = {}
    own = {row["label"]: row for row in compared if row["sample"] == "homogenized"}
    few = [name for name, row in own.items() if row["n"] < _FEWEST_REFERENCE]
    for i, name in enumerate(AXES):
        row = own.get(name)
        if row is None or name in few:
            continue
        # The first function of every basis is the constant.
        beta[i, :, 0] += row["median"]
        covariance[i, :, 0, :, 0] += row["median_error"] ** 2
        moved[name] = [row["median"], row["median_error"]]
    if not moved:
        found = f"shares fewer than {_FEWEST_REFERENCE} stars with the label surveys"
        raise InputError(Problem("homogenize.reference", found, "common stars", 'use = "check" only compares.'))
    information = {**calibration.information, "zero_point": moved}
    note = f"the external list has fewer than {_FEWEST_REFERENCE} common stars with {', '.join(few)}: not moved"
    notes = (*calibration.notes, note) if few else calibration.notes
    return replace(calibration, beta=beta, covariance=covariance, notes=notes, information=information)
