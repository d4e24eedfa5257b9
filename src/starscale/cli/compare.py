"""The command `compare-models`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from starscale.cli.printing import progress as shown
from starscale.reports.compare_text import compared_table, costs_table, ratios_table
from starscale.vocabulary.comparison_columns import COMPARED, COMPARED_CSV
from starscale.vocabulary.settings.run import ESTIMATES_ALONE, OWN_MODEL, WITHOUT_ESTIMATES

_FOLDER = "Folder for the tables; models that were trained there before are not trained again."


def compare_models(
    run_file: Annotated[Path, typer.Argument(help="Run file (TOML) with one or more [[models]].")],
    output: Annotated[Path, typer.Option("--output", "-o", "--out", help=_FOLDER)],
    only: Annotated[
        list[str] | None,
        typer.Option(help="Name of a model to compare (model: the run's own). Repeatable; default: all."),
    ] = None,
) -> None:
    """Train the models of a run file on the same splits and compare their errors.

    Example: `starscale compare-models run.toml -o comparison/`
    """
    _compare(run_file, output, only=only or ())


def ablate(
    run_file: Annotated[Path, typer.Argument(help="Run file (TOML).")],
    output: Annotated[Path, typer.Option("--output", "-o", "--out", help=_FOLDER)],
) -> None:
    """Measure what the surveys' own estimates (GSP-Phot) contribute: train with, without, and on them alone.

    Example: `starscale ablate run.toml -o ablation/`
    """
    _compare(run_file, output, only=(OWN_MODEL, WITHOUT_ESTIMATES, ESTIMATES_ALONE), ablation=True)


def _compare(run_file: Path, output: Path, *, only: Sequence[str], ablation: bool = False) -> None:
    # The learning libraries are loaded by a command that learns only.
    work = importlib.import_module("starscale.pipeline.compare_models").compare_models
    compared = work(run_file, output, only=only, ablation=ablation, progress=shown())
    sample = "test part, MOCK data" if compared.mock else "test part"
    typer.echo(f"\nmodels compared ({sample})\n{compared_table(compared.figures).text()}")
    poor = compared_table(compared.figures, "metal-poor")
    if poor.rows:
        typer.echo(f"\nmetal-poor stars ({sample})\n{poor.text()}")
    ratios = ratios_table(compared.figures)
    typer.echo(f"\nratios to {compared.reference} in the same repeat\n{ratios.text()}")
    typer.echo(f"\n{costs_table(compared.costs).text()}")
    typer.echo(f"\nin all bins: {output / COMPARED}, {output / COMPARED_CSV}")
