"""The report of a run: one HTML page about its inputs, its results and their accuracy.

The page is one file, without a network; its script zooms, names what is under the pointer and saves data. The
steps of the run computed every number on it; the report arranges them and draws the figures. Each section is a
function ``section(run) -> Section`` in one of the modules here.
"""

from __future__ import annotations

from pathlib import Path

from starscale import io
from starscale.reports.accuracy import accuracy_section, comparisons_section, summary_section, uncertainty_section
from starscale.reports.applied import applied_section, likeness_section
from starscale.reports.blocks import render
from starscale.reports.catalogue import catalogue_section
from starscale.reports.finished import REPORT_FILE, FinishedRun, mapping
from starscale.reports.homogenize import labels_section
from starscale.reports.inputs import cuts_section, inputs_section, provenance_section
from starscale.reports.match import match_section

#: Sections of the page, in order.
SECTIONS = (
    summary_section,
    inputs_section,
    cuts_section,
    match_section,
    labels_section,
    accuracy_section,
    uncertainty_section,
    comparisons_section,
    catalogue_section,
    provenance_section,
)
#: Sections of the page of a model that was applied: there are no labels.
APPLIED = (
    applied_section,
    likeness_section,
    inputs_section,
    cuts_section,
    match_section,
    catalogue_section,
    provenance_section,
)


def report(run_folder: str | Path, output: str | Path | None = None) -> Path:
    """Write the report of a run: one HTML page that needs no other file.

    Parameters
    ----------
    run_folder : path
        Folder that `run` wrote.
    output : path, optional
        Page to write; ``report.html`` in the folder by default.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        The folder is not that of a finished run, or a file in it is damaged.
    """
    run = FinishedRun.load(Path(run_folder))
    title = str(run.metrics.get("title") or run.settings.get("title") or "starscale run")
    sections = APPLIED if run.applied else SECTIONS
    page = render(title, _subtitle(run), [section(run) for section in sections], mock=run.mock)
    path = run.folder / REPORT_FILE if output is None else Path(output)
    io.atomic_text(path, page)
    return path


def _subtitle(run: FinishedRun) -> str:
    """When the run was made, and by which version."""
    created = str(run.provenance.get("created", "")).replace("T", " ").replace("+00:00", " UTC")
    version = str(mapping(run.provenance.get("versions")).get("starscale", ""))
    return ", ".join(
        ["Report of a starscale run", *filter(None, [created]), *([f"starscale {version}"] if version else [])]
    )
