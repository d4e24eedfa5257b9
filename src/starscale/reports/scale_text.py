"""The scale of a model's labels in words and as a table, for the model card and the report."""

from __future__ import annotations

from starscale.model.label_scale import LabelScale
from starscale.reports.table import ReportTable
from starscale.vocabulary.columns import LABELS


def scale_text(scale: LabelScale) -> str:
    """Say whose scale the labels have, and what the error of it is."""
    surveys = "" if scale.surveys == (scale.scale,) else f" (labels of {', '.join(scale.surveys)})"
    return (
        f"The labels are on the scale of {scale.scale}{surveys}. Those of another label survey are expected to "
        f"differ from it by the scale error, which the intervals do not contain: add it to the error in "
        f"quadrature to compare with such labels. It comes from {scale.source}."
    )


def scale_table(scale: LabelScale) -> ReportTable:
    """Return the scale errors at the points between which they are interpolated."""
    rows = []
    for curve in scale.curves:
        digits = LABELS[curve.label].decimals
        for at, error in zip(curve.at, curve.error, strict=True):
            where = f"{at:.{min(digits, 2)}f}" if len(curve.at) > 1 else "all"
            rows.append([curve.label, curve.kind, where, f"{error:.{digits}f}"])
    return ReportTable(["label", "kind", "at", "scale error"], rows)
