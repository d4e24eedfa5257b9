"""Apply a calibration to rows of a survey, without a new fit."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.merge import merge
from starscale.homogenization.kernel.rows import labels_in
from starscale.surveys import Survey
from starscale.tables.arrays import as_floats
from starscale.vocabulary.errors import Problems
from starscale.vocabulary.flags import LabelFlag

_CHUNK = 50_000


def on_scale(calibration: Calibration, table: pl.DataFrame, survey: Survey, where: str = "table") -> pl.DataFrame:
    """Put the labels of a survey on the scale of a calibration.

    Parameters
    ----------
    calibration : Calibration
    table : polars.DataFrame, (n, any)
        Rows of the survey, standardised.
    survey : Survey
        Its name must be one of the calibration's.
    where : str
        Name of the table in error messages.

    Returns
    -------
    polars.DataFrame, (n, 7)
        Labels and their errors (normalised, with that of the correction), row for row; and `flags` of labels.

    Raises
    ------
    InputError
        The calibration does not contain the survey, or its labels are implausible.
    """
    number, problems = calibration.survey_number(survey.name), Problems()
    found = labels_in(table, survey, where, problems, whole=False)
    problems.raise_if_any()
    snr = as_floats(table[survey.snr]) if survey.snr in table.columns else np.full(table.height, np.nan)
    quoted = calibration.scaled_by_snr(np.stack([error for _, error, _ in found]), snr, number)
    value = np.stack([value for value, _, _ in found])
    flags = np.where(np.any([missing for _, _, missing in found], axis=0), int(LabelFlag.ERROR_MISSING), 0)
    parts = [
        _on_scale(calibration, value[:, low : low + _CHUNK], quoted[:, low : low + _CHUNK], number)
        for low in range(0, max(table.height, 1), _CHUNK)
    ]
    columns = []
    for i, name in enumerate(AXES):
        for suffix, which in (("", 0), ("_error", 1)):
            columns.append(pl.Series(name + suffix, np.concatenate([part[which][i] for part in parts])))
    flags = flags | np.concatenate([part[2] for part in parts])
    return pl.DataFrame([*columns, pl.Series("flags", flags.astype(np.int32))]).with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )


def _on_scale(
    calibration: Calibration, value: np.ndarray, quoted: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, errors and flags of some rows. Shapes (3, n) -> (3, n), (3, n), (n,)."""
    shape = (*value.shape, len(calibration.surveys))
    values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    values[:, :, number], errors[:, :, number] = value, quoted
    merged = merge(calibration, values, calibration.normalised(errors))
    outside = merged.consensus.correction.outside[:, number] & np.isfinite(value).any(axis=0)
    uncertain = (merged.correction_error > merged.consensus.error)[:, :, number].any(axis=0)
    flags = np.where(outside, int(LabelFlag.CORRECTION_CLAMPED), 0)
    flags |= np.where(merged.impossible.any(axis=0), int(LabelFlag.LABEL_IMPOSSIBLE), 0)
    return merged.value, merged.error, flags | np.where(uncertain, int(LabelFlag.CORRECTION_UNCERTAIN), 0)
