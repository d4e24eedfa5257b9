"""The section of a report about permutation importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starscale.reports import plots
from starscale.reports.blocks import Block, Paragraph, Section, folded, html
from starscale.reports.finished import FinishedRun
from starscale.reports.importance_text import importance_tables
from starscale.reports.table import ReportTable
from starscale.vocabulary.columns import LABELS

#: Largest number of bars in a panel: the most important columns over all labels.
_BARS = 20


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
        "holds the same information.",
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
    blocks: list[Block] = [Paragraph(text), run.picture(importance_bars(table), alt, caption)]
    for label in importance_tables(table):
        spread = f"{label.caption}; ± is the standard deviation over the shuffles."
        blocks.append(folded(label.captioned(spread, code=(0,)), label.caption))
    if groups := [[f"group {i}", ", ".join(columns)] for i, columns in enumerate(_groups(table), 1)]:
        members = ReportTable(["group", "columns"], groups)
        members = members.captioned("Columns that were shuffled together.", code=(1,), result=False)
        blocks.append(folded(members, "Columns of the groups"))
    return Section("importance", "Inputs that the predictions rely on", blocks)


def importance_bars(table: pl.DataFrame) -> Figure:
    """Draw the relative increase of the RMSE, one panel a label, the most important column or group at the top.

    Parameters
    ----------
    table : polars.DataFrame
        From :func:`starscale.model.importance.permutation_importance`.
    """
    labels = [name for name in LABELS if name in table["label"]]
    relative = table.with_columns(
        (pl.col("rmse_increase") / pl.col("rmse")).alias("value"),
        (pl.col("rmse_increase_spread") / pl.col("rmse")).alias("error"),
    )
    order = _most_important(relative)
    names = [_bar_name(relative.filter(group=group).row(0, named=True)) for group in order]
    figure, panels = plots.grid(1, len(labels), (3.1, 0.7 + 0.26 * len(order)))
    for i, (axes, label) in enumerate(zip(panels[0], labels, strict=False)):
        rows = {row["group"]: row for row in relative.filter(label=label).iter_rows(named=True)}
        _bars(axes, [rows.get(group) for group in order])
        axes.set_yticks(range(len(order)), [""] * len(order) if i else names, fontsize=8)
        axes.invert_yaxis()
        axes.set(title=label, xlabel="increase of RMSE (%)")
    return figure


def _most_important(relative: pl.DataFrame) -> list[str]:
    """Groups in the order of their mean increase over the labels, the largest first."""
    mean = relative.group_by("group", maintain_order=True).agg(pl.col("value").mean())
    return mean.sort("value", descending=True, maintain_order=True)["group"].to_list()[:_BARS]


def _bars(axes: Axes, rows: Sequence[Mapping[str, Any] | None]) -> None:
    """One horizontal bar a row, in per cent; a missing row leaves a gap."""
    value = [100 * row["value"] if row else float("nan") for row in rows]
    error = [100 * row["error"] if row else 0.0 for row in rows]
    colours = [plots.ORANGE if row and len(row["columns"]) > 1 else plots.BLUE for row in rows]
    axes.barh(range(len(rows)), value, xerr=error, color=colours, height=0.7, error_kw={"linewidth": 1})
    axes.axvline(0, color="black", linewidth=0.8)


def _bar_name(row: Mapping[str, Any]) -> str:
    columns: Sequence[str] = row["columns"]
    if len(columns) == 1 or len(row["group"]) <= 34:
        return str(row["group"])
    return f"{columns[0]} + {len(columns) - 1} more"


def _groups(table: pl.DataFrame) -> list[list[str]]:
    """Columns of every group with several columns."""
    several = table.filter(pl.col("columns").list.len() > 1)
    return list(dict(zip(several["group"], several["columns"].to_list(), strict=True)).values())
