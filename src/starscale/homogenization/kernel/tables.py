"""The table of labels, and the long table of the measurements behind it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.merge import Merged, merge
from starscale.homogenization.kernel.scale_error import scale_error
from starscale.io.threads import in_threads, one_thread_each
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABEL_TABLE_COLUMNS, MEASUREMENT_COLUMNS
from starscale.vocabulary.flags import LabelFlag
from starscale.vocabulary.later import Later

stats = Later("scipy.stats")

#: Stars in a chunk, which bounds the memory.
_CHUNK = 50_000
#: Repeats whose spread is less likely than this are flagged, and their error inflated.
_REPEATS_DISAGREE = 1e-3


def label_tables(
    calibration: Calibration, rows: pl.DataFrame, per_survey: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Merge the measurements of all stars.

    Parameters
    ----------
    calibration : Calibration
    rows : polars.DataFrame
        Measurements (:func:`starscale.homogenization.kernel.rows.gather`).
    per_survey : polars.DataFrame
        The same with repeats merged (:func:`starscale.homogenization.kernel.rows.merge_repeats`).

    Returns
    -------
    labels : polars.DataFrame
        One row a star, columns of `LABEL_TABLE_COLUMNS`.
    measurements : polars.DataFrame
        One row for each of `rows`, columns of `MEASUREMENT_COLUMNS`.
    """
    with one_thread_each:
        chunks, measured = list(_chunks(per_survey)), _measured(per_survey, len(calibration.surveys))
        done = in_threads(lambda chunk: _chunk(calibration, rows, chunk, measured), chunks)
    labels, measurements = zip(*done, strict=True)
    return pl.concat(labels), pl.concat(measurements)


def _measured(per_survey: pl.DataFrame, n_surveys: int) -> NDArray[np.bool_]:
    """Which surveys have which label, shape (3, S)."""
    there = np.zeros((len(AXES), n_surveys), dtype=bool)
    for i, name in enumerate(AXES):
        there[i, per_survey.filter(pl.col(name).is_finite())["survey"].unique().to_numpy()] = True
    return there


def _chunks(per_survey: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Divide the table into chunks of whole stars."""
    star = per_survey["star"].to_numpy()
    bounds = np.searchsorted(star, np.arange(0, int(star[-1]) + _CHUNK + 1, _CHUNK))
    for low, high in pairwise(bounds):
        if high > low:
            yield per_survey[low:high]


def _chunk(
    calibration: Calibration, rows: pl.DataFrame, part: pl.DataFrame, measured: NDArray[np.bool_]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    star = part["star"].to_numpy()
    new = np.concatenate([[True], np.diff(star) != 0])
    place, column = np.cumsum(new) - 1, part["survey"].to_numpy().astype(np.intp)
    shape = (len(AXES), int(place[-1]) + 1, len(calibration.surveys))
    value, quoted, inflation = np.full(shape, np.nan), np.full(shape, np.nan), np.ones(shape)
    torn = np.zeros(shape[1], dtype=bool)
    for i, name in enumerate(AXES):
        value[i, place, column] = part[name].to_numpy()
        quoted[i, place, column] = part[f"{name}_error"].to_numpy()
        birge, apart = _repeats(calibration, part, i, column)
        inflation[i, place, column] = birge
        np.logical_or.at(torn, place, apart)
    merged = merge(calibration, value, calibration.normalised(quoted) * inflation)
    flags = _flags(merged, part, place, torn)
    head = part["source_id"].filter(pl.Series(new))
    scales = np.where(np.isfinite(merged.value), scale_error(calibration, merged.value.T, measured), np.nan)
    labels = _labels(merged, scales, np.isfinite(value).any(axis=0), flags, head)
    return labels, _measurements(calibration, merged, value, rows, part, place, column)


def _repeats(
    calibration: Calibration, part: pl.DataFrame, label: int, column: NDArray[np.intp]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Birge ratios of repeats that disagree, 1 for others, and where they do. Shape (m,) each."""
    factor = np.array([calibration.factors[label][s].k for s in range(len(calibration.surveys))])[column]
    free = part[f"{AXES[label]}_rows"].to_numpy() - 1
    chi2 = part[f"{AXES[label]}_chi2"].to_numpy() / factor**2
    ratio, apart = np.ones(len(chi2)), np.zeros(len(chi2), dtype=bool)
    several = np.flatnonzero(free > 0)
    apart[several] = stats.chi2.sf(chi2[several], free[several]) < _REPEATS_DISAGREE
    ratio[apart] = np.sqrt(chi2[apart] / free[apart])
    return ratio, apart


def _flags(
    merged: Merged, part: pl.DataFrame, place: NDArray[np.intp], torn: NDArray[np.bool_]
) -> NDArray[np.int32]:
    flags = np.zeros(merged.value.shape[1], dtype=np.int32)
    np.bitwise_or.at(flags, place, part["flags"].to_numpy())
    used = merged.weight > 0
    uncertain = (merged.correction_error > merged.consensus.error) & (merged.weight > 0.5)
    for flag, where in {
        LabelFlag.REPEATS_DISAGREE: torn,
        LabelFlag.SURVEYS_DISAGREE: merged.disagree.any(axis=0),
        LabelFlag.CORRECTION_CLAMPED: (merged.consensus.correction.outside & used.any(axis=0)).any(axis=1),
        LabelFlag.CORRECTION_UNCERTAIN: uncertain.any(axis=(0, 2)),
        LabelFlag.OUTLIER_LEFT_OUT: merged.outlier.any(axis=(0, 2)),
        LabelFlag.LABEL_IMPOSSIBLE: merged.impossible.any(axis=0),
    }.items():
        flags |= np.where(where, int(flag), 0).astype(np.int32)
    return flags


def _labels(
    merged: Merged,
    scale_errors: FloatArray,
    there: NDArray[np.bool_],
    flags: NDArray[np.int32],
    source_id: pl.Series,
) -> pl.DataFrame:
    free = merged.free.sum(axis=0)
    columns = [source_id.alias("source_id")]
    for i, name in enumerate(AXES):
        parts = {"": merged.value, "_error": merged.error, "_scale_error": scale_errors}
        columns += [pl.Series(name + suffix, values[i]) for suffix, values in parts.items()]
    columns += [
        pl.Series("n_surveys", there.sum(axis=1).astype(np.int32)),
        pl.Series("surveys", (there @ (1 << np.arange(there.shape[1]))).astype(np.int32)),
        pl.Series("chi2", np.where(free > 0, merged.chi2.sum(axis=0), np.nan)),
        pl.Series("flags", flags),
    ]
    return pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None)).select(*LABEL_TABLE_COLUMNS)


def _measurements(
    calibration: Calibration,
    merged: Merged,
    value: FloatArray,
    rows: pl.DataFrame,
    part: pl.DataFrame,
    place: NDArray[np.intp],
    column: NDArray[np.intp],
) -> pl.DataFrame:
    """Return every row of every survey with its correction, weight and flags."""
    repeats = part["rows"].to_numpy()
    first = int(part["first"][0])
    mine = rows[first : first + int(repeats.sum())]
    group = np.repeat(np.arange(len(part)), repeats)
    at, survey = place[group], column[group]
    outside = merged.consensus.correction.outside[at, survey]
    flags = mine["flags"].to_numpy() | np.where(outside, int(LabelFlag.CORRECTION_CLAMPED), 0)
    correction_error = np.hypot(merged.correction_error, merged.consensus.placement)
    columns = [
        mine["source_id"],
        pl.Series("survey", survey.astype(np.uint32)).replace_strict(
            dict(enumerate(calibration.surveys)), return_dtype=pl.Enum(calibration.surveys)
        ),
        mine["row"],
    ]
    for i, name in enumerate(AXES):
        raw, error = mine[name].to_numpy(), mine[f"{name}_error"].to_numpy()
        there = np.isfinite(raw)
        # The correction is that of the star in this survey: the same for all its repeats.
        correction = np.where(there, (value[i] - merged.consensus.calibrated[i])[at, survey], np.nan)
        share = part[f"{name}_error"].to_numpy()[group] ** 2 / error**2
        normalised = np.full(len(raw), np.nan)
        for s in range(len(calibration.surveys)):
            rows_of = survey == s
            normalised[rows_of] = calibration.factors[i][s].normalised(error[rows_of])
        values = {
            f"{name}_raw": raw,
            f"{name}_raw_error": error,
            f"{name}_correction": correction,
            f"{name}_correction_error": np.where(there, correction_error[i, at, survey], np.nan),
            name: raw - correction,
            f"{name}_error": normalised,
            f"{name}_weight": np.where(there, merged.weight[i, at, survey] * share, np.nan),
        }
        columns += [pl.Series(key, v.astype(np.float32)) for key, v in values.items()]
        flags = flags | np.where(merged.outlier[i, at, survey] & there, int(LabelFlag.OUTLIER_LEFT_OUT), 0)
    columns.append(pl.Series("flags", flags.astype(np.int32)))
    return pl.DataFrame(columns).with_columns(pl.col(pl.Float32).fill_nan(None)).select(*MEASUREMENT_COLUMNS)
