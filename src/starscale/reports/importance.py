"""The section of a report about permutation importance."""

from __future__ import annotations

import polars as pl

from starscale.reports import plots
from starscale.reports.blocks import Block, Paragraph, Section, folded, html
from starscale.reports.finished import FinishedRun
from starscale.reports.importance_text import importance_tables
from starscale.reports.table import ReportTable


def importance_section(run: FinishedRun) -> Section | None:
    """Return the section about permutation importance; None if it was not measured."""
    result = run.result("importance")
    if not result.get("rows"):
        return None
    table = pl.DataFrame(result["rows"], infer_schema_length=None)
    text = html(
        "Each input column, and each group of columns with similar content (rank correlation above "
        "{correlation}), was shuffled among {stars} stars of the test part, {repeats} times; every feature made "
        "from it changed with it. The increase of the errors says how far <b>this model relies</b> on the "
        "column, not what a survey without the band would cost: a model trained without it relies on the other "
        "columns. A column of a group looks less important alone than it is, because the rest of the group "
        "holds the same information. “all inputs” are shuffled together: every star gets the inputs of another "
        "star, which is at least a possible one. A single column makes stars that do not exist, so that it can "
        "raise the errors more than all inputs do.",
        correlation=result.get("correlation", ""),
        stars=f"{max(table['n'].to_list()):,}",
        repeats=result.get("repeats", ""),
    )
    caption = (
        "Increase of the RMSE when a column (blue) or a group of columns (orange) is shuffled, relative to the "
        "RMSE without shuffling; bars: standard deviation over the shuffles. Names of groups are shortened; the "
        "tables below have them in full."
    )
    alt = "Increase of the RMSE when columns are shuffled"
    blocks: list[Block] = [Paragraph(text), run.picture(plots.importance_bars(table), alt, caption)]
    for label in importance_tables(table):
        spread = f"{label.caption}; ± is the standard deviation over the shuffles."
        blocks.append(folded(label.captioned(spread, code=(0,)), label.caption))
    if groups := [[f"group {i}", ", ".join(columns)] for i, columns in enumerate(_groups(table), 1)]:
        members = ReportTable(["group", "columns"], groups)
        members = members.captioned("Columns that were shuffled together.", code=(1,), result=False)
        blocks.append(folded(members, "Columns of the groups"))
    return Section("importance", "Inputs that the predictions rely on", blocks)


def _groups(table: pl.DataFrame) -> list[list[str]]:
    """Columns of every group with several columns."""
    several = table.filter(pl.col("columns").list.len() > 1)
    return list(dict(zip(several["group"], several["columns"].to_list(), strict=True)).values())
