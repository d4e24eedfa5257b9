"""The section of a report about labels, and the page about a calibration of several label surveys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starscale import io
from starscale.reports import plots
from starscale.reports.blocks import Block, Paragraph, Picture, Section, html, render
from starscale.reports.finished import FinishedRun, count, mapping
from starscale.reports.homogenize_text import crosswalk_table, homogenize_tables
from starscale.reports.table import ReportTable
from starscale.reports.text import attrition_table
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem

_COUNTS = {
    "rows": "rows that passed the cuts of the label survey",
    "without_star": "rows without a star in the leading catalogue",
    "without_labels": "rows with no usable label",
    "stars": "stars with a label",
    "repeats": "repeated measurements merged into their star",
}


def labels_section(run: FinishedRun) -> Section:
    """Return the section about the label surveys: one scale for several of them, counts and cuts."""
    section = homogenize_section(mapping(run.result("homogenize").get("diagnostics")), mock=run.mock)
    blocks: list[Block] = [section] if section else []
    for survey, result in run.results("labels").items():
        rows = [[_COUNTS.get(name, name), count(n)] for name, n in mapping(result.get("counts")).items()]
        if rows:
            blocks.append(ReportTable(["what", "count"], rows, caption=f"Spectroscopic labels of {survey}."))
        if (walked := crosswalk_table(mapping(result.get("crosswalks")))).rows:
            blocks.append(walked)
    for survey, attrition in run.attritions("labels").items():
        caption = f"Cuts of the label survey {survey}."
        blocks.append(attrition_table(attrition).captioned(caption, code=(1,)))
    return Section("labels", "Labels", blocks or [Paragraph("The run has no step that made labels.")])


def homogenize_section(data: Mapping[str, Any], *, mock: bool) -> Section | None:
    """Return the section about labels of several surveys on one scale; None if nothing was homogenized.

    Parameters
    ----------
    data : mapping
        Diagnostics, as `homogenize` writes them.
    mock : bool
        The stars are simulated: figures say so.
    """
    if not data.get("surveys"):
        return None
    surveys, residuals = data["surveys"], data.get("residuals", [])
    labels = [name for name in LABELS if any(row["label"] == name for row in residuals)]
    text = html(
        "Labels of several surveys are on the scale of <b>{anchor}</b> (mode “{mode}”). Differences between "
        "surveys cannot tell which of them is right: an offset of that survey from the truth is an offset of "
        "all labels here.",
        anchor=data["anchor"],
        mode=data["mode"],
    )
    overlap = (
        "Stars that every two surveys have in common; on the diagonal, stars that a survey has in common with any "
        "other survey."
    )
    errors = (
        "Factors on the quoted errors: from repeats (blue squares), from the differences between surveys (orange "
        "triangles), and adopted (black)."
    )
    residual = (
        "{} of every survey minus the weighted mean of the others, medians in bins, before (top) and after "
        "(bottom). The corrections of the lower row were fitted without the stars that they are shown for."
    )
    return Section(
        "homogenize",
        "",
        [
            Paragraph(text),
            *(Paragraph(html("<b>Note:</b> {note}.", note=note)) for note in data.get("notes", [])),
            Picture.of(
                plots.overlap(surveys, data["overlap"]),
                "Matrix of the numbers of common stars",
                overlap,
                mock=mock,
            ),
            Picture.of(
                plots.error_factors(data["errors"], surveys),
                "Error factors of every survey and label",
                errors,
                mock=mock,
            ),
            *(
                Picture.of(
                    plots.residuals(residuals, surveys, name),
                    f"Residuals of {name} before and after",
                    residual.format(name),
                    mock=mock,
                )
                for name in labels
            ),
            *homogenize_tables(data),
        ],
    )


def label_report(diagnostics: str | Path, output: str | Path) -> Path:
    """Write a page about a calibration: one HTML file that needs no other file.

    Parameters
    ----------
    diagnostics : path
        ``<labels>_diagnostics.json``, as `homogenize` wrote it.
    output : path
        Page to write.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        The file does not hold diagnostics of `homogenize`.
    """
    try:
        data = parse_json(Path(diagnostics).read_text(encoding="utf-8"))
        mock = bool(data["mock"])
        section = homogenize_section(data, mock=mock)
    except (OSError, ValueError, KeyError, TypeError) as error:
        expected = "diagnostics that 'starscale homogenize' wrote"
        raise InputError(Problem(str(diagnostics), f"cannot be read ({error!r})", expected)) from None
    if section is None:
        raise InputError(
            Problem(str(diagnostics), "names no surveys", "diagnostics that 'starscale homogenize' wrote")
        )
    title = "Labels on one scale"
    io.atomic_text(Path(output), render(title, "Report of starscale homogenize", [section], mock=mock))
    return Path(output)
