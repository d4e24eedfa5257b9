"""Permutation importance in the report of a run: a picture and tables."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from starscale.reports import plots
from starscale.reports.importance_text import importance_tables
from starscale.vocabulary.columns import LABELS

#: Bars of a panel, at most: the most important ones over all labels.
_BARS = 20


def importance_section(result: Mapping[str, Any], *, mock: bool) -> dict[str, Any] | None:
    """What the template ``importance.html`` shows; None where it was not measured.

    Parameters
    ----------
    result : mapping
        Of the step: `rows`, `repeats`, `correlation`.
    mock : bool
        The stars are simulated: the picture says so.
    """
    if not result.get("rows"):
        return None
    table = pl.DataFrame(result["rows"], infer_schema_length=None)
    image = plots.png(importance_bars(table), mock=mock)
    return {
        "stars": f"{max(table['n'].to_list()):,}",
        "repeats": result.get("repeats", ""),
        "correlation": result.get("correlation", ""),
        "bars": base64.b64encode(image).decode("ascii"),
        "tables": [
            (title, headings, [[cell.replace("+-", "±") for cell in row] for row in rows])
            for title, headings, rows in importance_tables(table)
        ],
        "groups": [[f"group {i}", ", ".join(columns)] for i, columns in enumerate(_groups(table), 1)],
    }


def importance_bars(table: pl.DataFrame) -> Figure:
    """Increase of RMSE over the RMSE itself, one panel a label, the most important column or group above.

    Parameters
    ----------
    table : polars.DataFrame
        Of :func:`starscale.model.importance.permutation_importance`.
    """
    labels = [name for name in LABELS if name in table["label"]]
    relative = table.with_columns(
        (pl.col("rmse_increase") / pl.col("rmse")).alias("value"),
        (pl.col("rmse_increase_spread") / pl.col("rmse")).alias("error"),
    )
    order = (
        relative.group_by("group", maintain_order=True)
        .agg(pl.col("value").mean())
        .sort("value", descending=True, maintain_order=True)["group"]
        .to_list()[:_BARS]
    )
    names = [_bar_name(relative.filter(group=group).row(0, named=True)) for group in order]
    figure, panels = plots.grid(1, len(labels), (3.1, 0.7 + 0.26 * len(order)))
    for axes, label in zip(panels[0], labels, strict=False):
        mine = {row["group"]: row for row in relative.filter(label=label).iter_rows(named=True)}
        shown = [mine.get(group) for group in order]
        value = [100 * row["value"] if row else float("nan") for row in shown]
        error = [100 * row["error"] if row else 0.0 for row in shown]
        colours = [plots.ORANGE if row and len(row["columns"]) > 1 else plots.BLUE for row in shown]
        axes.barh(range(len(order)), value, xerr=error, color=colours, height=0.7, error_kw={"linewidth": 1})
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(order)), names if axes is panels[0][0] else [""] * len(order), fontsize=8)
        axes.invert_yaxis()
        axes.set(title=label, xlabel="increase of RMSE (%)")
    return figure


def _bar_name(row: Mapping[str, Any]) -> str:
    columns: Sequence[str] = row["columns"]
    if len(columns) == 1 or len(row["group"]) <= 34:
        return str(row["group"])
    return f"{columns[0]} + {len(columns) - 1} more"


def _groups(table: pl.DataFrame) -> list[list[str]]:
    """Columns of every group of several."""
    several = table.filter(pl.col("columns").list.len() > 1)
    return list(dict(zip(several["group"], several["columns"].to_list(), strict=True)).values())
