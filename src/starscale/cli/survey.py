"""The commands `survey list`, `survey show`, `survey new` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

import starscale as ss
from starscale.cli.options import survey_argument
from starscale.reports.table import ReportTable
from starscale.surveys import survey_text
from starscale.vocabulary.errors import InputError, Problem, did_you_mean

survey = typer.Typer(help="Survey files: list, show, and draft one for a table.", no_args_is_help=True)
_DOCUMENTS: dict[str, type[BaseModel]] = {"run": ss.RunConfig, "survey": ss.Survey, "labels": ss.LabelsConfig}


@survey.command("list")
def list_surveys() -> None:
    """List the packaged surveys.

    Example: `starscale survey list`
    """
    surveys = [ss.load_survey(name) for name in ss.survey_names()]
    rows = [[s.name, s.kind, s.title] for s in surveys]
    typer.echo(ReportTable(["name", "kind", "title"], rows).text())


@survey.command("show")
def show(
    name: Annotated[str, survey_argument("Name of a packaged survey, or path of a survey file.")],
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print only its papers, as BibTeX.")] = False,
    toml: Annotated[bool, typer.Option("--toml", help="Print the survey file itself, to be changed.")] = False,
) -> None:
    """Print roles, columns, cuts with their sources, archives and citation of a survey.

    Example: `starscale survey show skymapper_dr4`
    """
    if toml:
        typer.echo(survey_text(name), nl=False)
        return
    survey = ss.load_survey(name)
    typer.echo(ss.cite(survey, bibtex=True) if bibtex else ss.describe_survey(survey))


@survey.command("new")
def new(
    table: Annotated[str, typer.Argument(help="Table that the survey file is for.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Survey file to write, .toml.")],
) -> None:
    """Write a commented first draft of a survey file from the names, UCDs and units of a table.

    Example: `starscale survey new photometry.fits -o mine.toml`
    """
    ss.draft_survey(table, output)
    typer.echo(f"draft written to {output}: check every guess, then `starscale check {table} --survey {output}`")


def schema(
    document: Annotated[str, typer.Argument(help="run, survey or labels: the file to be described.")],
) -> None:
    """Print the JSON schema of a file, for editors that complete and check TOML.

    Example: `starscale schema survey > survey.schema.json`
    """
    if document not in _DOCUMENTS:
        fix = did_you_mean(document, list(_DOCUMENTS))
        raise InputError(Problem(f"schema {document!r}", "unknown name", f"one of {', '.join(_DOCUMENTS)}", fix))
    typer.echo(json.dumps(_DOCUMENTS[document].model_json_schema(), indent=1))
