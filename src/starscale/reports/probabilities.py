"""Section of a report about the probabilities that labels are below thresholds."""

from __future__ import annotations

import polars as pl

from starscale.model.probabilities import score_probabilities
from starscale.reports import plots
from starscale.reports.blocks import Paragraph, Section
from starscale.reports.finished import FinishedRun, count
from starscale.reports.text import EXPLAINED, probability_table
from starscale.vocabulary.columns import LABELS, below_column

#: Stars below a threshold, and above it, without which it is not drawn.
FEWEST = 10


def probability_section(run: FinishedRun) -> Section | None:
    """Return the section about the probabilities on the test part; None if there is none."""
    if run.untested:
        return None
    known = run.test.select(pl.col(f"{name}_label").alias(name) for name in run.labels)
    scores = score_probabilities(run.test, known)
    if scores.is_empty():
        return None
    of = f"{count(run.test.height)} stars of the first training's test part"
    text = (
        "Rare stars are found by their probability, not by their value, which is drawn to common labels. "
        f"{EXPLAINED}"
    )
    table = probability_table(scores).captioned(f"Probabilities that a label is below a threshold, {of}.")
    drawn = scores.filter(pl.min_horizontal("below", pl.col("n") - pl.col("below")) >= FEWEST)
    columns = [
        below_column(LABELS[label], value).name for label, value in drawn.select("label", "threshold").iter_rows()
    ]
    if not columns:
        return Section("probabilities", "Probabilities of rare labels", [Paragraph(text), table])
    picture = run.picture(
        plots.probabilities(run.test, columns),
        "Share of stars below each threshold against its probability, and purity against completeness",
        f"Thresholds with {FEWEST} stars or more on either side, {of}. Top: share of the stars below, in bins "
        "of the probability; right probabilities lie on the dashed line. Bottom: purity and completeness of the "
        "stars that a limit on the probability (numbers on the curve) selects; dashed: a selection by chance.",
    )
    return Section("probabilities", "Probabilities of rare labels", [Paragraph(text), picture, table])
