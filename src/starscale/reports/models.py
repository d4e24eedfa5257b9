"""The section of a report about compared models."""

from __future__ import annotations

import polars as pl

from starscale import io
from starscale.reports.blocks import Block, Paragraph, Section, folded
from starscale.reports.compare_text import compared_table, costs_table, ratios_table
from starscale.reports.finished import FinishedRun
from starscale.vocabulary.comparison_columns import COMPARED, STEP


def models_section(run: FinishedRun) -> Section | None:
    """Return the section about compared models; None if no models were compared."""
    result, path = run.result(STEP), run.folder / COMPARED
    if not result or not path.exists():
        return None
    figures, reference = io.read(path), str(result["reference"])
    repeats = max(int(row["repeats"]) for row in result["costs"])
    spread = f" (mean ± standard deviation over {repeats} repeats)" if repeats > 1 else ""
    sample = f"on the test parts{spread}"
    text = (
        "Trained on the same stars with the same splits and seeds as the model of this run (“model”), and scored "
        "on the stars of the test parts that all of them predict. MAD and MAE judge the value, RMSE and bias the "
        "predicted mean; CRPS (continuous ranked probability score) judges the whole predicted distribution, and "
        "equals the mean absolute error for a prediction without a width; half-width: median of half of the 68 % "
        f"interval. Ratios are to “{reference}” in the same repeat, so that what the repeats have in common "
        "cancels: below 1 is better."
    )
    ratios = f"Figures divided by those of “{reference}” in the same repeat, {sample}."
    costs = "Costs: wall-clock time on the machine of this run, under its load at that time."
    blocks: list[Block] = [
        Paragraph(text),
        compared_table(figures).captioned(f"Models compared, {sample}."),
        ratios_table(figures).captioned(ratios),
        costs_table(pl.DataFrame(result["costs"], infer_schema_length=None)).captioned(costs),
    ]
    for by in figures["by"].unique(maintain_order=True):
        if by != "all":
            title = f"Models compared by {by}"
            blocks.append(folded(compared_table(figures, by).captioned(f"{title}, {sample}."), title))
    return Section("models", "Models compared", blocks)
