"""The section of a report about matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from starscale.crossmatch.kernel.losses import REASONS
from starscale.crossmatch.kernel.quality import expected_quality
from starscale.reports import match as match_plots
from starscale.reports import plots
from starscale.reports.finished import FinishedRun, mapping
from starscale.reports.match_text import COUNTS, MODEL
from starscale.reports.plots import BLUE, ORANGE, grid, histogram, nothing
from starscale.vocabulary.arrays import FloatArray

Rows = list[list[str]]


def match_section(
    run: FinishedRun,
    count: Callable[[Any], str],
    draw: Callable[[Figure], str],
    sample: Callable[[Path, tuple[str, ...]], pl.DataFrame],
) -> dict[str, Any]:
    """Tables and pictures of every match of a run, as plain data for the page.

    Parameters
    ----------
    run : FinishedRun
    count, draw, sample : callables
        How the page prints a number, takes in a figure, and reads some rows of a table.
    """
    results = run.results("match")
    best, pairs = {}, {}
    for name in results:
        found = sample(run.folder / f"neighbours_{name}.parquet", ("match_probability", "best"))
        if "best" in found.columns:
            best[name] = plots.numbers(found.filter(pl.col("best").fill_null(False)), "match_probability")
        pairs[name] = sample(run.folder / f"pairs_{name}.parquet", ("angular_distance",))
    best = {name: values[np.isfinite(values)] for name, values in best.items()}
    best = {name: values for name, values in best.items() if len(values)}
    distances = {n: plots.numbers(table, "angular_distance") for n, table in pairs.items() if not table.is_empty()}
    return {
        "counts": _side_by_side(COUNTS, results, count),
        "model": _side_by_side(MODEL, {name: mapping(r.get("model")) for name, r in results.items()}, count),
        "losses": _losses(results, count),
        "quality": _quality(best),
        "headings": list(results),
        "separations": draw(match_plots.separations(distances)) if distances else "",
        "probabilities": draw(match_plots.match_quality(best)) if best else "",
    }


def _side_by_side(
    names: Mapping[str, str], results: Mapping[str, Mapping[str, Any]], count: Callable[[Any], str]
) -> Rows:
    """One row a quantity that any survey has, one column a survey."""
    rows = []
    for key, meaning in names.items():
        values = [result.get(key) for result in results.values()]
        if any(value is not None for value in values):
            rows.append([meaning, *(value if isinstance(value, str) else count(value) for value in values)])
    return rows


def _losses(results: Mapping[str, Mapping[str, Any]], count: Callable[[Any], str]) -> Rows:
    losses = {name: mapping(result.get("losses")) for name, result in results.items()}
    return [
        [f"{meaning} ({reason})", *(count(int(lost.get(reason, 0))) for lost in losses.values())]
        for reason, meaning in REASONS.items()
        if any(lost.get(reason) for lost in losses.values())
    ]


def _quality(best: Mapping[str, np.ndarray[Any, Any]]) -> Rows:
    return [
        [
            name,
            f"{row['threshold']:g}",
            f"{row['n']:,}",
            f"{100 * row['completeness']:.3f}",
            f"{100 * row['contamination']:.3f}" if row["n"] else "-",
        ]
        for name, values in best.items()
        for row in expected_quality(values).iter_rows(named=True)
    ]


#: Share of the pairs that the axis of separations holds.
_SHOWN = 0.999


def separations(distances: Mapping[str, FloatArray]) -> Figure:
    """Distribution of the separations of the kept pairs of each survey, arcsec."""
    figure, panels = grid(1, len(distances), (3.75, 3.0))
    for axes, (name, values) in zip(panels[0], distances.items(), strict=False):
        known = values[np.isfinite(values)]
        end = float(np.quantile(known, _SHOWN)) if len(known) else 1.0
        end = end or 1e-3
        histogram(axes, (0.0, 1.1 * end), ("", values, BLUE), noun="pairs")
        axes.set(xlabel="separation (arcsec)", ylabel="share of the pairs per bin")
        axes.set_title(name, fontsize=10)
    return figure


def match_quality(best: Mapping[str, FloatArray]) -> Figure:
    """Probabilities of the best pairs of each survey, and what they promise above a threshold.

    Left: distribution of `1 - P`, both axes logarithmic. Right: expected incompleteness and
    contamination of the pairs above a threshold.
    """
    figure, panels = grid(len(best), 2, (4.6, 3.0))
    edges = np.logspace(-8, 0, 49)
    for row, (name, values) in zip(panels, best.items(), strict=False):
        left, right = row
        probability = values[np.isfinite(values)]
        if not len(probability):
            nothing(left)
            nothing(right)
            continue
        left.hist(np.clip(1 - probability, edges[0], 1.0), bins=edges.tolist(), color=BLUE)
        left.set(xscale="log", yscale="log", xlabel="1 - match probability", ylabel="best pairs per bin")
        left.set_title(name, fontsize=10)
        thresholds = 1 - np.logspace(-5, 0, 101)
        curves = expected_quality(probability, thresholds)
        x = 1 - thresholds
        incomplete = np.clip(1 - curves["completeness"].to_numpy(), 1e-8, None)
        right.plot(x, 100 * incomplete, color=BLUE, label="true pairs that are lost")
        right.plot(x, 100 * curves["contamination"].to_numpy(), color=ORANGE, label="wrong pairs among the kept")
        right.set(
            xscale="log", yscale="log", xlabel="1 - threshold on the probability", ylabel="expected share (%)"
        )
        right.set_ylim(1e-4, 100)
        right.legend(fontsize=8, frameon=False)
    return figure
