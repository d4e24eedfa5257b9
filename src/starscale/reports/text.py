"""Tables of errors, probabilities, missing bands and cuts, for the terminal, the report and the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from starscale.model.label_scale import LabelScale, TruthShare
from starscale.reports.table import ReportTable
from starscale.tables.cuts import Attrition
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.flags import QUALITIES

_WITH_PREDICTED = {
    "mean": "mean",
    "median": "median",
    "std": "std",
    "mad": "MAD",
    "rmse": "RMSE",
    "error": "predicted error",
    "outliers": ">3 MAD %",
    "coverage68": "in 68 % int.",
    "coverage95": "in 95 % int.",
}
HEADINGS = {name: heading for name, heading in _WITH_PREDICTED.items() if name != "error"}
_PERCENT = ("outliers", "coverage68", "coverage95")
#: What the columns of :func:`probability_table` mean.
EXPLAINED = (
    "The mean probability should be the share of the stars below. The Brier score is the mean squared difference "
    "of probability and truth (0 or 1); the skill is 1 for perfect probabilities and 0 for giving every star the "
    "share. The deviation is the largest difference of mean probability and share in bins of 300 stars. The "
    "purity is the share below among the most probable stars that hold half of those below, and the average over "
    "all completenesses."
)


def number(value: float | None, decimals: int) -> str:
    """Format a number; a missing one is a dash."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def figure(row: dict[str, float | None], name: str, decimals: int) -> str:
    """Format a figure of merit, with its spread over repeats if there is one."""
    scale, decimals = (100.0, 1) if name in _PERCENT else (1.0, decimals)
    value, spread = row.get(name), row.get(f"{name}_spread")
    text = number(None if value is None else value * scale, decimals)
    return text if spread is None or text == "-" else f"{text} +- {number(spread * scale, decimals)}"


def figures_table(table: pl.DataFrame, by: str = "all", *, predicted_error: bool = False) -> ReportTable:
    """Return the table of errors.

    Parameters
    ----------
    table : polars.DataFrame
        From :func:`starscale.model.evaluate.evaluate` or ``summarise``.
    by : str
        ``all``, or the binned quantity.
    predicted_error : bool
        Add the median predicted error after the RMSE.
    """
    shown = _WITH_PREDICTED if predicted_error else HEADINGS
    rows = []
    for row in table.filter(pl.col("by") == by).iter_rows(named=True):
        label = LABELS[row["label"]]
        unit = "K" if label.unit == "K" else "dex"
        bins = [] if by == "all" else [bin_text(by, row["low"], row["high"])]
        figures = [figure(row, name, label.decimals) for name in shown]
        rows.append([f"{label.name} ({unit})", *bins, f"{row['n']:.0f}", *figures])
    return ReportTable(["label", *(() if by == "all" else (by,)), "n", *shown.values()], rows)


def bin_text(by: str, low: float, high: float) -> str:
    """Return a bin of a quantity in words."""
    return QUALITIES[int(low)] if by == "quality" else f"{low:g} to {high:g}"


def missing_table(costs: Sequence[Mapping[str, Any]]) -> ReportTable:
    """Return the errors with and without each measurement (:mod:`starscale.model.missing`)."""
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
    return ReportTable(headings, rows)


def probability_table(scores: pl.DataFrame) -> ReportTable:
    """Return the scores of :func:`starscale.model.probabilities.score_probabilities` as a table."""
    head = ["below", "n", "stars below", "mean p %", "share %", "Brier", "skill", "deviation %", "purity %"]
    rows = []
    for row in scores.iter_rows(named=True):
        unit = " K" if LABELS[row["label"]].unit == "K" else ""
        percent = {
            name: number(100 * row[name], 1)
            for name in ("mean_probability", "share", "deviation", "purity50", "average_purity")
        }
        rows.append(
            [
                f"{row['label']} < {row['threshold']:g}{unit}",
                f"{row['n']:,}",
                f"{row['below']:,}",
                percent["mean_probability"],
                percent["share"],
                number(row["brier"], 4),
                number(row["skill"], 3),
                percent["deviation"],
                percent["purity50"],
                percent["average_purity"],
            ]
        )
    return ReportTable([*head, "average purity %"], rows)


def conditional_table(rows: pl.DataFrame) -> ReportTable:
    """Return the excess risks of :func:`starscale.model.conditional.conditional_coverage` as a table."""
    head = ["label", "interval %", "n", "held %", "excess risk", "deviation %"]
    cells = [
        [
            row["label"],
            str(row["interval"]),
            f"{row['n']:,}",
            number(100 * row["share"], 1),
            f"{row['excess']:.4f} +- {row['excess_error']:.4f}",
            number(100 * row["deviation"], 1),
        ]
        for row in rows.iter_rows(named=True)
    ]
    return ReportTable(head, cells)


def profile_table(stages: pl.DataFrame) -> ReportTable:
    """Return the microseconds a star of every stage of a prediction, of the processor and of the wall."""
    total = stages["processor"][-1] or 1.0
    rows = [
        [stage, f"{processor:.1f}", f"{100 * processor / total:.0f}", f"{wall:.1f}"]
        for stage, processor, wall in stages.iter_rows()
    ]
    return ReportTable(["stage", "processor", "%", "wall"], rows)


def prior_text(asked: Mapping[str, Any]) -> str:
    """Say which labels have another prior than that of the training stars; empty if none has.

    Parameters
    ----------
    asked : mapping
        What was asked of the model, as plain data (``Asked.document``).
    """
    priors: Mapping[str, Any] = asked.get("prior", {})
    if not priors:
        return ""
    each = [
        f"{name} under a flat prior" if given == "flat" else f"{name} under the prior of a table of the user"
        for name, given in priors.items()
    ]
    return (
        f"The catalogue gives {' and '.join(each)}, not under that of the training stars, under which its "
        "intervals were calibrated."
    )


def attrition_table(attrition: Attrition) -> ReportTable:
    """Return the rows that every cut removes, alone and in sequence; of rows with labels for cuts of labels."""
    headings = ["cut", "keeps rows where", "removes alone", "removes in sequence", "left"]
    rows = [["(rows read)", "", "", "", f"{attrition.n_in:,}"]]
    for r in attrition.rows:
        name = f"{r.name} (labels)" if r.of == "labels" else r.name
        rows.append([name, " ".join(r.keep.split()), f"{r.alone:,}", f"{r.in_sequence:,}", f"{r.remaining:,}"])
    return ReportTable(headings, rows)


def scale_text(scale: LabelScale) -> str:
    """Say whose scale the labels have, and what the error of it is."""
    surveys = "" if scale.surveys == (scale.scale,) else f" (labels of {', '.join(scale.surveys)})"
    return (
        f"The labels are on the scale of {scale.scale}{surveys}. Those of another label survey are expected to "
        f"differ from it by the scale error, which the intervals do not contain: add it to the error in "
        f"quadrature to compare with such labels. It comes from {scale.source}."
    )


#: What the shares of :func:`shares_table` are.
SHARES_TEXT = (
    "The errors hold the stated share of labels, with the noise of the labels in them. The residuals and the "
    "stated errors of the labels show how much of an error is that of the prediction: the error against true "
    "values."
)


def shares_table(shares: Sequence[TruthShare]) -> ReportTable:
    """Return the errors against true values as shares of those against labels."""
    rows = [[one.label, one.kind, f"{one.stars:,}", f"{one.share:.2f}"] for one in shares]
    return ReportTable(["label", "kind", "stars", "error_truth / error"], rows)


def scale_table(scale: LabelScale) -> ReportTable:
    """Return the scale errors at the points between which they are interpolated."""
    rows = []
    for curve in scale.curves:
        digits = LABELS[curve.label].decimals
        for at, error in zip(curve.at, curve.error, strict=True):
            where = f"{at:.{min(digits, 2)}f}" if len(curve.at) > 1 else "all"
            rows.append([curve.label, curve.kind, where, f"{error:.{digits}f}"])
    return ReportTable(["label", "kind", "at", "scale error"], rows)
