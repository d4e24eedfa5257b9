"""The section of a report about matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from starscale.catalogue.crossmatch.losses import REASONS
from starscale.catalogue.crossmatch.quality import expected_quality
from starscale.faces import match_plots, plots
from starscale.faces.finished import FinishedRun, mapping
from starscale.faces.match_text import COUNTS, MODEL

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
