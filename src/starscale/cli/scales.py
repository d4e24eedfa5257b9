"""Commands on scales of labels: homogenize, recalibrate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import starscale as ss
from starscale import io
from starscale.cli.options import Crosswalk, Output, named_values, survey_option, survey_or_file, walks
from starscale.cli.printing import progress as shown
from starscale.homogenization.saving import companion_paths
from starscale.reports.homogenize_text import homogenize_tables
from starscale.tables.api import refuse_same
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flags import LabelFlag
from starscale.vocabulary.settings.homogenize import ReferenceList
from starscale.vocabulary.strict import validate


def homogenize(
    labels_file: Annotated[Path, typer.Argument(help="Labels file (TOML) with the surveys and settings.")],
    output: Output,
    report: Annotated[
        Path | None, typer.Option(help="HTML page with the diagnostics as tables and figures.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="SURVEY=PATH", help="External list of trusted stars; in place of that of the file."),
    ] = None,
    use: Annotated[
        str, typer.Option(help="check: compare with the list; zero_point: move the whole scale to agree with it.")
    ] = "check",
    crosswalk: Crosswalk = None,
) -> None:
    """Put the labels of several spectroscopic surveys on one scale.

    Also written, next to the labels: every measurement with its correction, the calibration, the diagnostics.

    Example: `starscale homogenize labels.toml -o labels.parquet --report labels.html`
    """
    if report is not None:
        if report.resolve() in (path.resolve() for path in (output, *companion_paths(output).values())):
            found = "is the page of the report and a file of the labels"
            raise InputError(Problem(str(report), found, "another name for --report"))
        io.check_place(report)
    given = _reference(reference, use)
    result = ss.homogenize(labels_file, output, reference=given, crosswalk=walks(crosswalk), progress=shown())
    data = json.loads(companion_paths(output)["diagnostics"].read_text(encoding="utf-8"))
    if report is not None:
        ss.label_report(companion_paths(output)["diagnostics"], report)
    for diagnostic in homogenize_tables(data):
        typer.echo(f"\n{diagnostic.caption}{' (MOCK data)' if data['mock'] else ''}")
        typer.echo(diagnostic.text())
    names = ", ".join(
        str(path) for path in (output, *companion_paths(output).values(), *([report] if report else []))
    )
    typer.echo(f"\n{result.labels.height:,} stars on the scale of {result.calibration.anchor}; written: {names}")


def _reference(given: str | None, use: str) -> ReferenceList | None:
    """Return the external list; a survey file and the table are found from the current folder."""
    if given is None:
        if use != "check":
            raise InputError(Problem("--use", f"is {use!r} without --reference", "--reference SURVEY=PATH"))
        return None
    ((survey, path),) = named_values([given], "--reference", "SURVEY=PATH")
    data = {"survey": survey_or_file(survey), "path": str(Path(path).absolute()), "use": use}
    return validate(ReferenceList, data, "--reference, --use")


def recalibrate(
    table: Annotated[Path, typer.Argument(help="Table of a survey that the calibration contains.")],
    calibration: Annotated[Path, typer.Option(help="Calibration written by `homogenize`.")],
    survey: Annotated[str, survey_option()],
    output: Output,
) -> None:
    """Put more rows of a survey on an existing scale, without a new fit.

    Example: `starscale recalibrate new.parquet --calibration labels_calibration.json --survey rave -o out.parquet`
    """
    refuse_same(output, table, calibration)
    result = ss.recalibrate(table, calibration, survey=survey, output=output)
    labels = [name for name in LABELS if result[name].null_count() < result.height]
    clamped = int((result["flags"] & int(LabelFlag.CORRECTION_CLAMPED) > 0).sum())
    typer.echo(
        f"{result.height:,} rows written to {output}: {', '.join(labels)}; "
        f"{clamped:,} outside the range of the overlaps"
    )
