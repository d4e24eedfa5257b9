"""Surveys: rows that their cuts leave, stars that they share, their labels before and after a calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from starscale.plots.columns import PlotTable
from starscale.plots.drawing import nothing
from starscale.plots.style import BLUE, COLOURS, GREY, MARKERS, canvas
from starscale.tables.api import AnyTable
from starscale.tables.cuts import Attrition
from starscale.vocabulary.errors import InputError, Problem

Record = Mapping[str, Any]

_SNR_TICKS = (20, 50, 100, 200, 500)
#: Most surveys of a matrix.
_SURVEYS = 30


def attrition(table: AnyTable, *, cut: str = "cut", remaining: str = "remaining", ax: Axes | None = None) -> Axes:
    """Draw the rows that are left after every cut.

    Parameters
    ----------
    table : Attrition, path or table
        The attrition of :func:`starscale.clean`, or a table with a row for every step, in order.
    cut : str
        Column with the names of the steps.
    remaining : str
        Column with the rows that are left after each.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    before: list[float] = []
    if isinstance(table, Attrition):
        before, table = [float(table.n_in)], table.frame()
    data = PlotTable.of(table, remaining, texts=(cut,))
    left = np.concatenate([before, data.numbers(remaining)])
    names = ["(rows read)"] * len(before) + [str(name) for name in data.frame[cut]]
    with canvas(ax, mock=data.mock) as axes:
        axes.set_xlabel("rows left")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        if not np.isfinite(left).any():
            nothing(axes)
            return axes
        place = np.arange(len(left))
        lost = np.concatenate([[0.0], left[:-1] - left[1:]])
        axes.barh(place, left, color=BLUE, height=0.7)
        axes.barh(place, np.nan_to_num(np.clip(lost, 0, None)), left=left, color="#cccccc", height=0.7)
        for y, (rows, gone) in enumerate(zip(left, lost, strict=True)):
            if np.isfinite(rows):
                said = f"{rows:,.0f}" + (f"  (\N{MINUS SIGN}{gone:,.0f})" if gone > 0 else "")
                axes.annotate(
                    said, (rows + max(gone, 0), y), (4, 0), textcoords="offset points", va="center", fontsize=8
                )
        axes.set_yticks(place, names, fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(0, 1.5 * max(float(np.nanmax(left)), 1)), ylim=(len(left) - 0.4, -0.6))
    return axes


def overlap(table: AnyTable, *, star: str = "source_id", survey: str = "survey", ax: Axes | None = None) -> Axes:
    """Draw the matrix of the stars that every two surveys have in common.

    Parameters
    ----------
    table : path or table
        A row for every star of every survey, such as the measurements of :func:`starscale.homogenize`.
    star : str
        Column of the identifier.
    survey : str
        Column with the name of the survey.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    On the diagonal stand all stars of a survey.
    """
    data = PlotTable.of(table, texts=(star, survey))
    rows = data.frame.select(pl.col(star).alias("star"), pl.col(survey).cast(pl.String).alias("survey"))
    rows = rows.drop_nulls().unique(maintain_order=True)
    names = rows["survey"].unique(maintain_order=True).to_list()
    if len(names) > _SURVEYS:
        raise InputError(
            Problem(f"{data.where}: column {survey!r}", f"holds {len(names)} names", f"at most {_SURVEYS} surveys")
        )
    pairs = rows.join(rows, on="star", suffix="_too").group_by("survey", "survey_too").len()
    counts = np.zeros((len(names), len(names)))
    for one, two, n in pairs.iter_rows():
        counts[names.index(one), names.index(two)] = n
    with canvas(ax, mock=data.mock) as axes:
        draw_overlap(axes, names, counts.tolist())
    return axes


def draw_overlap(axes: Axes, names: Sequence[str], counts: Sequence[Sequence[float]]) -> None:
    """Draw a matrix of counts of stars."""
    if not len(names):
        nothing(axes)
        return
    shown = np.log10(np.maximum(np.array(counts, dtype=float), 0.5))
    axes.imshow(shown, cmap="Blues", vmin=0, vmax=max(shown.max(), 1) * 1.15, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(length=0)
    axes.set_xlabel("stars in common")
    for i, line in enumerate(counts):
        for j, n in enumerate(line):
            dark = shown[i, j] > 0.7 * max(shown.max(), 1)
            axes.text(j, i, f"{n:,.0f}", ha="center", va="center", fontsize=8, color="white" if dark else "black")


def draw_residuals(axes: Axes, bins: Sequence[Record], surveys: Sequence[str], by: str, when: str) -> None:
    """Draw the median residual of every survey against a label or the signal-to-noise ratio.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    bins : sequence of mapping
        Residuals of one label, from the diagnostics of a calibration.
    surveys : sequence of str
        Their order sets colours and markers.
    by : str
        What the bins are of.
    when : str
        ``before`` or ``after`` the calibration.
    """
    for k, survey in enumerate(surveys):
        mine = [row for row in bins if row["survey"] == survey and row["by"] == by]
        y = np.array([row[f"median_{when}"] for row in mine], dtype=float)
        error = np.nan_to_num(np.array([row["median_error"] for row in mine], dtype=float))
        look: Any = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}
        axes.errorbar(
            [_middle(row, by) for row in mine], y, error, markersize=4, linewidth=1, label=survey, **look
        )
    axes.axhline(0, color="black", linewidth=0.8)
    if by == "snr":
        axes.set_xscale("log")
        axes.set_xticks(_SNR_TICKS, [str(tick) for tick in _SNR_TICKS])
        axes.xaxis.set_minor_formatter(NullFormatter())


def _middle(row: Record, by: str) -> float:
    """Middle of a bin; of the logarithm for the signal-to-noise ratio."""
    if by == "snr":
        return float(np.sqrt(max(row["low"], 5) * min(row["high"], 1000)))
    return float(row["low"] + row["high"]) / 2


def draw_error_factors(axes: Axes, rows: Sequence[Record], surveys: Sequence[str]) -> None:
    """Draw both estimates of the error factor of every survey with their errors, and the adopted factor."""
    style = {"repeats": (0.18, COLOURS[0], "s"), "hat": (-0.18, COLOURS[1], "^")}
    for row in rows:
        y = len(surveys) - 1 - list(surveys).index(row["survey"])
        for key, (shift, colour, marker) in style.items():
            if row[key] is not None:
                error = row[f"{key}_error"] or 0.0
                axes.errorbar(row[key], y + shift, xerr=error, fmt=marker, color=colour, markersize=4)
        axes.plot(row["k"], y, "o", color="black", markersize=5)
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle="--")
