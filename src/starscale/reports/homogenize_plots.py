"""Figures of a calibration: overlaps, residuals before and after, error factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from starscale.reports.plots import axis_name
from starscale.vocabulary.columns import LABELS

Record = Mapping[str, Any]

#: Okabe and Ito's colours, with markers: distinct for every kind of colour vision, and in black and white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "osD^vPX*"
_AXES = ("teff", "logg", "fe_h", "snr")
_SNR_TICKS = (20, 50, 100, 200, 500)


def overlap(surveys: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Draw the matrix of the stars that every two surveys have in common."""
    numbers = np.array(counts, dtype=float)
    figure = _figure(2.6 + 0.85 * len(surveys), 1.6 + 0.6 * len(surveys))
    axes = figure.add_subplot()
    shown = np.log10(np.maximum(numbers, 0.5))
    axes.imshow(shown, cmap="Blues", vmin=0, vmax=max(shown.max(), 1) * 1.15, aspect="auto")
    axes.set_xticks(range(len(surveys)), surveys, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(surveys)), surveys, fontsize=8)
    for i, line in enumerate(numbers):
        for j, n in enumerate(line):
            dark = shown[i, j] > 0.7 * max(shown.max(), 1)
            axes.text(j, i, f"{n:,.0f}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
    return figure


def residuals(rows: Sequence[Record], surveys: Sequence[str], label: str) -> Figure:
    """Draw each survey minus the others against labels and signal-to-noise: before (top), after (bottom).

    Parameters
    ----------
    rows : sequence of mapping
        `residuals` of the diagnostics.
    surveys : sequence of str
        Their order sets the colours.
    label : str
    """
    mine = [row for row in rows if row["label"] == label]
    shown = [by for by in _AXES if any(row["by"] == by for row in mine)]
    n = max(len(shown), 1)
    figure = _figure(2.9 * n + 0.6, 4.9)
    panels: Any = figure.subplots(2, n, squeeze=False, sharey=True, sharex="col")
    for line, when in zip(panels, ("before", "after"), strict=True):
        for axes, by in zip(line, shown, strict=False):
            _residual_panel(axes, mine, surveys, by, f"median_{when}")
        line[0].set_ylabel(f"survey - others, {when}\n{axis_name(label)}")
    for axes, by in zip(panels[1], shown, strict=False):
        axes.set_xlabel("signal-to-noise ratio" if by == "snr" else axis_name(by))
    _legend(figure, panels[0][0])
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    """One legend below all panels; none for axes without lines."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        columns = min(len(names), 5)
        figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)


def _residual_panel(axes: Axes, bins: Sequence[Record], surveys: Sequence[str], by: str, key: str) -> None:
    """One line a survey, against one label or the signal-to-noise ratio."""
    for k, survey in enumerate(surveys):
        mine = [row for row in bins if row["survey"] == survey and row["by"] == by]
        _line(axes, mine, by, key, k, survey)
    axes.axhline(0, color="black", linewidth=0.8)
    if by == "snr":
        axes.set_xscale("log")
        axes.set_xticks(_SNR_TICKS, [str(tick) for tick in _SNR_TICKS])
        axes.xaxis.set_minor_formatter(NullFormatter())


def _line(axes: Axes, bins: Sequence[Record], by: str, key: str, k: int, survey: str) -> None:
    place = np.array(
        [
            np.sqrt(max(r["low"], 5) * min(r["high"], 1000)) if by == "snr" else (r["low"] + r["high"]) / 2
            for r in bins
        ]
    )
    y = np.array([r[key] if r[key] is not None else np.nan for r in bins], dtype=float)
    error = np.array([r["median_error"] or 0.0 for r in bins], dtype=float)
    colour, marker = _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]
    axes.errorbar(place, y, error, markersize=4, linewidth=1, capsize=0, label=survey, color=colour, marker=marker)


def error_factors(rows: Sequence[Record], surveys: Sequence[str]) -> Figure:
    """Draw the error factors from repeats, from the N-cornered hat, and the adopted ones; one panel a label."""
    labels = [name for name in LABELS if any(row["label"] == name for row in rows)]
    figure = _figure(3.1 * max(len(labels), 1) + 1.2, 1.3 + 0.34 * len(surveys))
    panels: Any = figure.subplots(1, max(len(labels), 1), squeeze=False, sharey=True)
    for axes, label in zip(panels[0], labels, strict=False):
        for row in rows:
            if row["label"] == label:
                _factor(axes, row, len(surveys) - 1 - list(surveys).index(row["survey"]))
        axes.axvline(1, color="#555555", linewidth=0.8, linestyle="--")
        axes.set(title=label, xlabel="factor on quoted errors")
    panels[0][0].set_yticks(range(len(surveys)), list(surveys)[::-1], fontsize=8)
    return figure


def _factor(axes: Axes, row: Record, y: int) -> None:
    """Both estimates of one survey's factor with their errors, and the adopted factor, at height `y`."""
    style = {"repeats": (0.18, _COLOURS[0], "s"), "hat": (-0.18, _COLOURS[1], "^")}
    for key, (shift, colour, marker) in style.items():
        if row[key] is not None:
            error = row[f"{key}_error"] or 0.0
            axes.errorbar(row[key], y + shift, xerr=error, fmt=marker, color=colour, markersize=4)
    axes.plot(row["k"], y, "o", color="black", markersize=5)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")
