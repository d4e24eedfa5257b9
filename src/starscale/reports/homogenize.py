"""The diagnostics of a calibration on a page: as a section of a run's report, or by themselves."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from starscale import io
from starscale.reports import homogenize_plots, plots
from starscale.reports.homogenize_text import homogenize_tables
from starscale.version import __version__
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.errors import InputError, Problem


def homogenize_section(data: Mapping[str, Any], *, mock: bool) -> dict[str, Any] | None:
    """What the template ``homogenize.html`` shows; None where nothing was homogenized.

    Parameters
    ----------
    data : mapping
        Diagnostics.
    mock : bool
        The stars are simulated: pictures say so.
    """
    if not data.get("surveys"):
        return None
    surveys, residuals = data["surveys"], data.get("residuals", [])
    labels = [name for name in LABELS if any(row["label"] == name for row in residuals)]
    return {
        "anchor": data["anchor"],
        "mode": data["mode"],
        "notes": data.get("notes", []),
        "tables": homogenize_tables(data),
        "overlap": _png(homogenize_plots.overlap(surveys, data["overlap"]), mock),
        "errors": _png(homogenize_plots.error_factors(data["errors"], surveys), mock),
        "residuals": [(name, _png(homogenize_plots.residuals(residuals, surveys, name), mock)) for name in labels],
    }


def label_report(diagnostics: str | Path, output: str | Path) -> Path:
    """Write a page about a calibration: one HTML file that needs nothing beside it.

    Parameters
    ----------
    diagnostics : path
        What `homogenize` wrote as ``<labels>_diagnostics.json``.
    output : path

    Raises
    ------
    InputError
        It is not such a file.
    """
    try:
        data = json.loads(Path(diagnostics).read_text(encoding="utf-8"))
        mock = bool(data["mock"])
        section = homogenize_section(data, mock=mock)
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = Problem(
            str(diagnostics), f"cannot be read ({error!r})", "diagnostics that 'starscale homogenize' wrote"
        )
        raise InputError(problem) from None
    loader = PackageLoader("starscale.reports")
    layout = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = layout.get_template("homogenize_page.html").render(homogenize=section, mock=mock, version=__version__)
    io.atomic_text(Path(output), page)
    return Path(output)


def _png(figure: Figure, mock: bool) -> str:
    return base64.b64encode(plots.png(figure, mock=mock)).decode("ascii")
