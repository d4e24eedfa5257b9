"""Tables of figures as plain text, for the terminal, the report and the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from starscale.tables.cuts import Attrition
from starscale.vocabulary.columns import LABELS

HEADINGS = {
    "mean": "mean",
    "median": "median",
    "std": "std",
    "mad": "MAD",
    "rmse": "RMSE",
    "outliers": ">3 MAD %",
    "coverage68": "in 68 % int.",
    "coverage95": "in 95 % int.",
}
_PERCENT = ("outliers", "coverage68", "coverage95")


def number(value: float | None, decimals: int) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def figure(row: dict[str, float | None], name: str, decimals: int) -> str:
    """One figure of merit, with its spread over repeats where there is one."""
    scale, decimals = (100.0, 1) if name in _PERCENT else (1.0, decimals)
    value, spread = row.get(name), row.get(f"{name}_spread")
    text = number(None if value is None else value * scale, decimals)
    return text if spread is None or text == "-" else f"{text} +- {number(spread * scale, decimals)}"


def figures_rows(table: pl.DataFrame, by: str = "all") -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table of errors.

    Parameters
    ----------
    table : polars.DataFrame
        Of :func:`starscale.model.evaluate.evaluate` or ``summarise``.
    by : str
        ``all``, or the binned quantity.
    """
    headings = ["label", *(() if by == "all" else (by,)), "n", *HEADINGS.values()]
    rows = []
    for row in table.filter(pl.col("by") == by).iter_rows(named=True):
        label = LABELS[row["label"]]
        unit = "K" if label.unit == "K" else "dex"
        bin_text = [] if by == "all" else [f"{row['low']:g} to {row['high']:g}"]
        rows.append(
            [
                f"{label.name} ({unit})",
                *bin_text,
                f"{row['n']:.0f}",
                *(figure(row, name, label.decimals) for name in HEADINGS),
            ]
        )
    return headings, rows


def missing_rows(costs: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table of what missing bands cost (:mod:`starscale.model.missing`)."""
    headings = ["without", "label", "n", "MAD with", "MAD without", "ratio", "68 % interval holds %", "error"]
    rows = []
    for row in costs:
        decimals = LABELS[str(row["label"])].decimals
        cells = [number(row[name], decimals) for name in ("mad_with", "mad_without")]
        share = None if row["coverage68"] is None else 100 * row["coverage68"]
        rows.append(
            [
                str(row["missing"]),
                str(row["label"]),
                f"{row['n']:,.0f}",
                *cells,
                number(row["ratio"], 2),
                number(share, 1),
                number(row["error"], decimals),
            ]
        )
    return headings, rows


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None or value != value else f"{value:.{decimals}f}"


def attrition_rows(attrition: Attrition) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of an attrition table."""
    headings = ["cut", "keeps rows where", "removes alone", "removes in sequence", "left"]
    rows = [["(rows read)", "", "", "", f"{attrition.n_in:,}"]]
    rows += [
        [r.name, " ".join(r.keep.split()), f"{r.alone:,}", f"{r.in_sequence:,}", f"{r.remaining:,}"]
        for r in attrition.rows
    ]
    return headings, rows


def layout(headings: Sequence[str], rows: Sequence[Sequence[str]], *, width: int = 60) -> str:
    """Align cells in columns; numbers to the right, long texts cut at `width`."""
    cells = [
        [text if len(text) <= width else text[: width - 3] + "..." for text in row] for row in [headings, *rows]
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    right = [all(_numeric(row[i]) for row in cells[1:]) for i in range(len(headings))]
    lines = [
        "  ".join(
            text.rjust(w) if r else text.ljust(w) for text, w, r in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _numeric(text: str) -> bool:
    return not text or text == "-" or text[0].isdigit() or (text[0] in "-+" and text[1:2].isdigit())


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
