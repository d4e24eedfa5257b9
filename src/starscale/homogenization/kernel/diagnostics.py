"""Diagnostics of a calibration, as plain data for tables and figures.

Differences "after" use corrections that did not see the star (cross-validation over stars).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.calibrate import Fitted, calibrate
from starscale.homogenization.kernel.consensus import consensus
from starscale.homogenization.kernel.errors import RepeatStatistics
from starscale.homogenization.kernel.measured import Measured, pair_counts
from starscale.homogenization.kernel.rows import numbers
from starscale.homogenization.kernel.scale import core_width, mad
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.homogenize import HomogenizeConfig

Record = dict[str, Any]

#: Bins of residuals: edges of teff (K), logg, fe_h (dex) and signal-to-noise.
BINS: dict[str, tuple[float, ...]] = {
    "teff": (3000, 3500, 4000, 4500, 5000, 5500, 6000, 6500, 7000, 8000),
    "logg": (-0.5, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5.5),
    "fe_h": (-4, -2.5, -2, -1.5, -1, -0.75, -0.5, -0.25, 0, 0.25, 0.75),
    "snr": (0, 20, 40, 70, 100, 150, 250, 1e4),
}
_FEWEST = 5
#: Largest number of stars in the fits without one survey.
_SAMPLE = 5_000


def diagnose(
    fitted: Fitted, repeats: RepeatStatistics, config: HomogenizeConfig, counts: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """Compute all diagnostics that need no further data.

    Returns
    -------
    dict
        `surveys`, `anchor`, `mode`, `overlap` (matrix), `errors`, `pairs`, `residuals`, `smoothness`, `leave_out`,
        `notes`, `counts`: plain data.
    """
    calibration = fitted.calibration
    there = fitted.measured.by_any
    return {
        "surveys": list(calibration.surveys),
        "anchor": calibration.anchor,
        "mode": config.mode,
        "counts": {name: dict(numbers) for name, numbers in counts.items()},
        "overlap": pair_counts(there).tolist(),
        "stars_in_overlaps": len(fitted.measured),
        "errors": _errors(fitted),
        "pairs": pair_differences(fitted),
        "residuals": residuals(fitted),
        "smoothness": _smoothness(fitted),
        "leave_out": leave_out(fitted, repeats, config) if config.leave_out else [],
        "notes": list(calibration.notes),
    }


def _errors(fitted: Fitted) -> list[Record]:
    calibration = fitted.calibration
    return [
        {"label": name, "survey": survey, **_plain(asdict(calibration.factors[i][s]))}
        for i, name in enumerate(AXES)
        for s, survey in enumerate(calibration.surveys)
        if fitted.measured.there[i, :, s].any()
    ]


def _smoothness(fitted: Fitted) -> list[Record]:
    """Prior widths of the groups of coefficients, in the unit of the label."""
    names = fitted.calibration.surveys
    groups = fitted.calibration.basis.group_names
    return [
        {
            "label": name,
            "survey": names[s],
            **{group: width * solution.unit for group, width in zip(groups, solution.prior[s], strict=True)},
        }
        for name, solution in zip(AXES, fitted.solutions, strict=False)
        for s in range(len(names))
        if names[s] != fitted.calibration.anchor
    ]


def pair_differences(fitted: Fitted) -> list[Record]:
    """Measure offset, width and slopes of the differences of every two surveys, before and after."""
    value, after = fitted.measured.value, fitted.measured.value - fitted.held_out
    error = fitted.calibration.normalised(fitted.measured.error)
    stars, names = fitted.consensus.stars, fitted.calibration.surveys
    found = []
    for i, name in enumerate(AXES):
        for s, t in combinations(range(len(names)), 2):
            both = np.isfinite(value[i, :, s]) & np.isfinite(value[i, :, t])
            if both.sum() < _FEWEST:
                continue
            row: Record = {"label": name, "first": names[s], "second": names[t], "n": int(both.sum())}
            for when, data in (("before", value), ("after", after)):
                difference = data[i, both, s] - data[i, both, t]
                row[f"median_{when}"] = float(np.median(difference))
                row[f"width_{when}"] = core_width(difference)
                row[f"mad_{when}"] = mad(difference)
                # About zero, in normalised errors: offsets count.
                sigma = np.hypot(error[i, both, s], error[i, both, t])
                row[f"pull_{when}"] = core_width(difference / sigma, centred=True)
                for j, axis in enumerate(AXES):
                    row[f"slope_{axis}_{when}"] = robust_slope(stars[both, j], difference)
            found.append(_plain(row))
    return found


def robust_slope(x: FloatArray, y: FloatArray) -> float:
    """Robust slope of y against x, per unit of x: least squares within three MAD of the median, twice."""
    good = np.isfinite(x) & np.isfinite(y)
    if good.sum() < _FEWEST:
        return np.nan
    residual = y - np.median(y[good])
    slope = np.nan
    for _ in range(2):
        inside = good & (np.abs(residual - np.median(residual[good])) <= 3 * mad(residual[good]) + 1e-12)
        if inside.sum() < _FEWEST or np.ptp(x[inside]) == 0:
            return np.nan
        slope, level = np.polyfit(x[inside] - x[inside].mean(), y[inside], 1)
        residual = y - level - slope * (x - x[inside].mean())
    return float(slope)


def residuals(fitted: Fitted) -> list[Record]:
    """Bin the difference of each survey from the weighted mean of the others, before and after calibration."""
    measured = fitted.measured
    error = fitted.calibration.normalised(measured.error)
    stars = fitted.consensus.stars
    found = []
    for i, name in enumerate(AXES):
        before, sigma = _against_others(measured.value[i], error[i])
        after, _ = _against_others(measured.value[i] - fitted.held_out[i], error[i])
        for s, survey in enumerate(measured.surveys):
            places: dict[str, FloatArray] = {axis: stars[:, j] for j, axis in enumerate(AXES)}
            if measured.snr is not None:
                places["snr"] = measured.snr[:, s]
            for by, x in places.items():
                for low, high in zip(BINS[by][:-1], BINS[by][1:], strict=True):
                    inside = (x >= low) & (x < high) & np.isfinite(before[:, s])
                    n = int(inside.sum())
                    if n < _FEWEST:
                        continue
                    row = {"label": name, "survey": survey, "by": by, "low": low, "high": high, "n": n}
                    for when, data in (("before", before), ("after", after)):
                        row[f"median_{when}"] = float(np.median(data[inside, s]))
                        row[f"pull_{when}"] = core_width(data[inside, s] / sigma[inside, s])
                    # A median of n values with Gaussian noise.
                    row["median_error"] = 1.2533 * core_width(after[inside, s]) / np.sqrt(n)
                    found.append(_plain(row))
    return found


def _against_others(value: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Differences from the weighted mean of the other surveys and their errors; NaN where there are none."""
    there = np.isfinite(value)
    weight = np.where(there, 1 / np.where(there, error, 1.0) ** 2, 0.0)
    y = np.where(there, value, 0.0)
    rest = weight.sum(axis=1, keepdims=True) - weight
    several = there & (there.sum(axis=1, keepdims=True) > 1)
    others = np.divide(
        (weight * y).sum(axis=1, keepdims=True) - weight * y, rest, out=np.full(value.shape, np.nan), where=several
    )
    variance = np.divide(1.0, rest, out=np.full(value.shape, np.nan), where=several)
    return np.where(several, value - others, np.nan), np.sqrt(error**2 + variance)


def leave_out(fitted: Fitted, repeats: RepeatStatistics, config: HomogenizeConfig) -> list[Record]:
    """Calibrate without each survey in turn, and compare that survey with the prediction from the others.

    The values of the survey are those of the calibration of all surveys.
    """
    measured, names = fitted.measured, fitted.calibration.surveys
    if len(names) < 3:
        return []
    rng = np.random.default_rng([config.seed, 2])
    chosen = np.sort(rng.permutation(len(measured))[:_SAMPLE])
    some, whole = measured.take(chosen), fitted.consensus
    found = []
    for s, survey in enumerate(names):
        if survey == fitted.calibration.anchor:
            continue
        try:
            predicted = _predicted_without(some, s, fitted.calibration.anchor, repeats, config)
        except InputError:
            # Without this survey the overlaps of the others do not connect them with the anchor.
            found.append({"survey": survey, "label": "all", "n": 0})
            continue
        for i, name in enumerate(AXES):
            difference = whole.calibrated[i, chosen, s] - predicted[:, i]
            good = np.isfinite(difference)
            if good.sum() >= _FEWEST:
                row = {"survey": survey, "label": name, "n": int(good.sum())}
                row |= {"median": float(np.median(difference[good])), "width": core_width(difference[good])}
                found.append(_plain(row))
    return found


def _predicted_without(
    some: Measured, survey: int, anchor: str, repeats: RepeatStatistics, config: HomogenizeConfig
) -> FloatArray:
    """Labels of stars from a calibration of all surveys but one, shape (n, 3)."""
    kept = [t for t in range(len(some.surveys)) if t != survey]
    rest = replace(
        some,
        surveys=tuple(some.surveys[t] for t in kept),
        value=some.value[:, :, kept],
        error=some.error[:, :, kept],
        snr=None if some.snr is None else some.snr[:, kept],
    )
    of_rest = RepeatStatistics([[label[t] for t in kept] for label in repeats.z])
    several = rest.take(rest.by_any.sum(axis=1) > 1)
    calibration = calibrate(several, of_rest, config, anchor, final=False).calibration
    return consensus(calibration, rest.value, calibration.normalised(rest.error)).stars


def compare_with_list(
    labels: pl.DataFrame, per_survey: pl.DataFrame, reference: pl.DataFrame, name: str
) -> list[Record]:
    """Compare an external list with the plain mean of the surveys' raw values, and with the merged labels."""
    both = labels.join(reference, on="source_id", how="inner", suffix="_list", maintain_order="left")
    raw = raw_means(per_survey)
    both = both.join(raw, on="source_id", how="left", suffix="_raw", maintain_order="left")
    found = []
    for label in AXES:
        if f"{label}_list" not in both.columns:
            continue
        truth, error = numbers(both, f"{label}_list"), numbers(both, f"{label}_error_list")
        sigma = np.hypot(numbers(both, f"{label}_error"), np.nan_to_num(error))
        for sample, column in (("plain mean of raw values", f"{label}_raw"), (name, label)):
            difference = numbers(both, column) - truth
            good = np.isfinite(difference)
            if not good.any():
                continue
            width = core_width(difference[good])
            row = {
                "label": label,
                "sample": sample,
                "n": int(good.sum()),
                "median": float(np.median(difference[good])),
            }
            # A width of a handful of stars can be small by chance: no median is better than the errors allow.
            spread = np.fmax(width, np.nanmedian(sigma[good])) if np.isfinite(sigma[good]).any() else width
            row |= {"median_error": 1.2533 * spread / np.sqrt(good.sum()), "width": width}
            row["pull"] = core_width(difference[good] / sigma[good]) if sample == name else np.nan
            found.append(_plain(row))
    return found


def scatter_in_clusters(labels: pl.DataFrame, per_survey: pl.DataFrame, clusters: pl.DataFrame) -> list[Record]:
    """Scatter of fe_h inside every cluster: raw values of all surveys, their plain mean, merged labels."""
    label = AXES[-1]
    named = clusters.filter(pl.col("cluster").is_not_null() & (pl.col("cluster") != ""))
    every = per_survey.select("source_id", raw=label).join(named, on="source_id", how="inner")
    mean = raw_means(per_survey).select("source_id", label).join(named, on="source_id", how="inner")
    merged = labels.select("source_id", label).join(named, on="source_id", how="inner")
    found = []
    for cluster in named["cluster"].unique().sort():
        row: Record = {"cluster": str(cluster)}
        for key, table, column in (("raw", every, "raw"), ("mean", mean, label), ("merged", merged, label)):
            x = as_floats(table.filter(pl.col("cluster") == cluster)[column])
            x = x[np.isfinite(x)]
            row |= {
                f"n_{key}": len(x),
                f"mad_{key}": mad(x),
                f"median_{key}": float(np.median(x)) if len(x) else np.nan,
            }
        if row["n_merged"] >= _FEWEST:
            found.append(_plain(row))
    return found


def raw_means(per_survey: pl.DataFrame) -> pl.DataFrame:
    """Average the raw values of the surveys for every star, as one would without a calibration."""
    return per_survey.group_by("source_id", maintain_order=True).agg(
        pl.col(name).filter(pl.col(name).is_not_nan()).mean() for name in AXES
    )


def _plain(row: Mapping[str, Any]) -> Record:
    """JSON has no NaN."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def records(rows: Sequence[Record], **where: Any) -> list[Record]:
    """The rows that have these values."""
    return [row for row in rows if all(row.get(k) == v for k, v in where.items())]
