"""Tables of compared models, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from starscale.model.scores import DWARF_OR_GIANT, RATIOS
from starscale.reports.table import ReportTable
from starscale.reports.text import number
from starscale.vocabulary.columns import LABELS

HEADINGS = {
    "mad": "MAD",
    "mae": "MAE",
    "rmse": "RMSE",
    "bias": "bias",
    "crps": "CRPS",
    "coverage68": "in 68 % int.",
    "coverage95": "in 95 % int.",
    "half_width": "half-width",
}
#: Figures whose ratio is shown; the file of the comparison has more.
SHOWN = ("mad", "rmse", "crps", "half_width")
_PERCENT = ("coverage68", "coverage95")


def compared_table(figures: pl.DataFrame, by: str = "all") -> ReportTable:
    """Return a table of compared models.

    Parameters
    ----------
    figures : polars.DataFrame
        From :func:`starscale.model.scores.compare`.
    by : str
        ``all``, or the binned quantity.
    """
    # In bins the absolute error adds little to MAD and RMSE, and the table is wide enough.
    shown = [name for name in HEADINGS if by == "all" or name != "mae"]
    return _rows(figures, by, {name: (name, None) for name in shown}, [HEADINGS[name] for name in shown])


def ratios_table(figures: pl.DataFrame, by: str = "all") -> ReportTable:
    """Return the table of ratios to the reference model; it has no rows if there are no ratios."""
    known = figures.filter(pl.any_horizontal(pl.col(f"{name}_ratio").is_not_null() for name in RATIOS))
    headings = [f"{HEADINGS[name]} ratio" for name in SHOWN]
    return _rows(known, by, {name: (f"{name}_ratio", 3) for name in SHOWN}, headings)


def _rows(
    figures: pl.DataFrame, by: str, shown: Mapping[str, tuple[str, int | None]], headings: list[str]
) -> ReportTable:
    order = {name: i for i, name in enumerate(LABELS)}
    # All models of a label and bin are listed together, in the order of the run file.
    keys = [pl.col("label").replace_strict(order, return_dtype=pl.Int64), pl.col("low"), pl.col("high")]
    table = figures.filter(pl.col("by") == by).sort(keys, maintain_order=True, nulls_last=False)
    rows = []
    for row in table.iter_rows(named=True):
        label = LABELS[row["label"]]
        decimals = label.decimals + (label.unit != "K")
        cells = [_cell(row, column, decimals if own is None else own) for column, own in shown.values()]
        bins = [] if by == "all" else [bin_text(by, row["low"], row["high"])]
        unit = "K" if label.unit == "K" else "dex"
        rows.append([f"{label.name} ({unit})", *bins, row["model"], f"{row['n']:.0f}", *cells])
    return ReportTable(["label", *(() if by == "all" else (by,)), "model", "n", *headings], rows)


def bin_text(by: str, low: float | None, high: float | None) -> str:
    """Name a bin in words."""
    if by == DWARF_OR_GIANT:
        return "giants" if low is None else "dwarfs"
    if low is None or high is None:
        return f"below {high:g}" if low is None else f"{low:g} or more"
    return f"{low:g} to {high:g}"


def _cell(row: Mapping[str, Any], name: str, decimals: int) -> str:
    scale, decimals = (100.0, 1) if name in _PERCENT else (1.0, decimals)
    value, spread = row[name], row[f"{name}_spread"]
    text = number(None if value is None else scale * value, decimals)
    return text if spread is None or text == "-" else f"{text} +- {number(scale * spread, decimals)}"


def costs_table(costs: pl.DataFrame) -> ReportTable:
    """Return the table of training and prediction times."""
    rows = [
        [
            row["model"],
            row["kind"],
            str(row["n_features"]),
            str(row["repeats"]),
            _cell(row, "fit_seconds", 1),
            _cell(row, "stars_per_second", 0),
        ]
        for row in costs.iter_rows(named=True)
    ]
    return ReportTable(["model", "kind", "features", "trainings", "seconds of a fit", "stars predicted/s"], rows)
