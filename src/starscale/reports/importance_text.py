"""Tables of permutation importance, for the terminal and the report."""

from __future__ import annotations

import json
from collections.abc import Iterator

import polars as pl

from starscale.reports.table import ReportTable
from starscale.reports.text import number
from starscale.vocabulary.columns import LABELS

HEADINGS = ("group", "columns", "MAD +", "RMSE +")


def importance_tables(table: pl.DataFrame) -> Iterator[ReportTable]:
    """Yield a table for every label, the most important column or group first.

    Parameters
    ----------
    table : polars.DataFrame
        From :func:`starscale.model.importance.permutation_importance`.
    """
    for name in table["label"].unique(maintain_order=True):
        label = LABELS[name]
        unit = "K" if label.unit == "K" else "dex"
        mine = table.filter(label=name).sort("rmse_increase", descending=True, maintain_order=True)
        first = mine.row(0, named=True)
        now = f"MAD {first['mad']:.{label.decimals}f}, RMSE {first['rmse']:.{label.decimals}f} {unit}"
        rows = [
            [
                row["group"] if len(row["columns"]) == 1 else _short(row["group"]),
                str(len(row["columns"])),
                *(_increase(row, figure, label.decimals) for figure in ("mad", "rmse")),
            ]
            for row in mine.iter_rows(named=True)
        ]
        title = f"{name}: {now} without shuffling, {first['n']:,} stars; increase by shuffling ({unit})"
        yield ReportTable(HEADINGS, rows, caption=title)


def importance_json(table: pl.DataFrame) -> str:
    """Return the result as a JSON document: one object for each label and group."""
    return (
        json.dumps(json.loads(table.with_columns(pl.col(pl.Float64).fill_nan(None)).write_json()), indent=1) + "\n"
    )


def _increase(row: dict[str, float], figure: str, decimals: int) -> str:
    value, spread = (number(row[f"{figure}_increase{end}"], decimals) for end in ("", "_spread"))
    return f"{value} +- {spread}"


def _short(group: str, width: int = 58) -> str:
    """Shorten the name of a group, which may list many columns."""
    return group if len(group) <= width else group[: width - 3] + "..."
