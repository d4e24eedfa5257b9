"""The section of a report about matches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.losses import REASONS
from starscale.crossmatch.kernel.quality import expected_quality
from starscale.plots.columns import numbers
from starscale.reports import plots
from starscale.reports.blocks import Block, Paragraph, Section, html
from starscale.reports.finished import FinishedRun, count, mapping, spread_sample
from starscale.reports.match_text import COUNTS, MODEL
from starscale.reports.table import ReportTable
from starscale.vocabulary.arrays import FloatArray

#: Results of the match of each survey, by its name.
Results = Mapping[str, Mapping[str, Any]]


def match_section(run: FinishedRun) -> Section:
    """Return the section with counts, losses, expected quality and separations of every match."""
    results = run.results("match")
    if not results:
        nothing_matched = Paragraph("All columns come from one table: nothing was matched.")
        return Section("match", "Match", [nothing_matched])
    best = {name: values for name in results if len(values := _best_probabilities(run, name))}
    blocks: list[Block] = [table for table in (*_tables(results), _quality(best)) if table.rows]
    if best:
        text = (
            "Left: match probabilities of the best pairs. Right: expected loss and contamination for a threshold "
            "on the probability."
        )
        alt = "Match probabilities, and expected completeness and contamination"
        blocks.append(run.picture(plots.match_quality(best), alt, text))
    if distances := _separations(run, results):
        text = (
            "Separations of the kept pairs, after the Gaia star was moved to the epoch of the other source. True "
            "counterparts crowd at small separations; the number of chance pairs grows with the separation. The "
            "axis holds 99.9 % of the pairs."
        )
        blocks.append(
            run.picture(plots.separations(distances), "Histograms of the separations of the pairs", text)
        )
    return Section("match", "Match", blocks)


def _tables(results: Results) -> list[ReportTable]:
    """Counts, fitted parameters and losses, one column a survey."""
    headings = ["what", *results]
    models = {name: mapping(result.get("model")) for name, result in results.items()}
    losses = {name: mapping(result.get("losses")) for name, result in results.items()}
    lost = html(
        "Leading sources without a kept pair, by reason. <code>unmatched_&lt;survey&gt;.parquet</code> names the "
        "competing source."
    )
    displacements = "Displacements of true pairs, as fitted to the catalogues themselves."
    return [
        ReportTable(headings, _side_by_side(COUNTS, results), caption="Counts of the match."),
        ReportTable(headings, _side_by_side(MODEL, models), caption=displacements),
        ReportTable(headings, _losses(losses), caption=lost),
    ]


def _side_by_side(names: Mapping[str, str], results: Results) -> list[list[str]]:
    """One row for each quantity that any survey has."""
    rows = []
    for key, meaning in names.items():
        values = [result.get(key) for result in results.values()]
        if any(value is not None for value in values):
            rows.append([meaning, *(value if isinstance(value, str) else count(value) for value in values)])
    return rows


def _losses(losses: Results) -> list[list[str]]:
    return [
        [f"{meaning} ({reason})", *(count(int(lost.get(reason, 0))) for lost in losses.values())]
        for reason, meaning in REASONS.items()
        if any(lost.get(reason) for lost in losses.values())
    ]


def _best_probabilities(run: FinishedRun, survey: str) -> FloatArray:
    """Finite match probabilities of the best pairs of a survey, shape (n,)."""
    found, _ = spread_sample(run.folder / f"neighbours_{survey}.parquet", ("match_probability", "best"))
    if "best" not in found.columns:
        return np.empty(0)
    values = numbers(found.filter(pl.col("best").fill_null(False)), "match_probability")
    return np.asarray(values[np.isfinite(values)])


def _separations(run: FinishedRun, results: Results) -> dict[str, FloatArray]:
    """Separations of the kept pairs of each survey, arcsec."""
    pairs = {
        name: spread_sample(run.folder / f"pairs_{name}.parquet", ("angular_distance",))[0] for name in results
    }
    return {name: numbers(table, "angular_distance") for name, table in pairs.items() if not table.is_empty()}


def _quality(best: Mapping[str, FloatArray]) -> ReportTable:
    rows = [
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
    headings = ["survey", "probability at least", "best pairs", "true pairs kept %", "wrong among them %"]
    text = (
        "Expected quality of the match: best pairs at or above a threshold on the match probability, the "
        "expected share of the true pairs among them, and the share of them that is expected to be wrong. "
        "Expected from the probabilities, not measured."
    )
    return ReportTable(headings, rows, caption=text)
