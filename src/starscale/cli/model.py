"""Commands on models: train, evaluate, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

import starscale as ss
from starscale import io
from starscale.cli.options import (
    Engine,
    Output,
    Rename,
    Scheduler,
    Workers,
    print_figures,
    renamed,
    sample_name,
    say,
)
from starscale.io.progress import DisplayedProgress
from starscale.reports.table import ReportTable
from starscale.tables.api import is_mock


def train(
    run_file: Annotated[Path, typer.Argument(help="Run file (TOML).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model bundle.")],
    table: Annotated[
        Path | None,
        typer.Option(help="Training table written by `run`; default: made from the tables of the run file."),
    ] = None,
) -> None:
    """Train the model of a run file and write its bundle; an interrupted training resumes.

    Example: `starscale train run.toml -o model/`
    """
    trained = ss.train(run_file, table=table, output=output, progress=DisplayedProgress())
    print_figures(trained.figures, sample_name("test part", trained.model.mock))
    for warning in trained.model.predictor.warnings:
        say(f"warning: {warning}")
    typer.echo(f"model written to {output}/")


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model bundle.")],
    table: Annotated[
        Path, typer.Argument(help="Table with inputs and labels. Stars of the model's training are left out.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file for the figures of merit in all bins.")
    ] = None,
    include_training: Annotated[
        bool,
        typer.Option("--include-training", help="Also compare stars that the model was trained or calibrated on."),
    ] = False,
) -> None:
    """Compare the predictions of a model with known labels.

    Example: `starscale evaluate model/ run/training.parquet -o metrics.json`
    """
    figures = ss.evaluate(model, table, include_training=include_training, progress=DisplayedProgress())
    if output is not None:
        io.atomic_text(output, figures.with_columns(pl.col(pl.Float64).fill_nan(None)).write_json() + "\n")
    bundle = ss.load(model)
    sample = f"{table}{'; stars of the training included' if include_training else ''}"
    print_figures(figures, sample_name(sample, bundle.mock or is_mock(table)))


def predict(
    model: Annotated[Path, typer.Argument(help="Model bundle.")],
    stars: Annotated[str, typer.Argument(help="Table with the columns of all surveys of the model.")],
    output: Output,
    chunk: Annotated[int, typer.Option(min=1, help="Rows per batch.")] = 65_536,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Start from the first row instead of resuming an interrupted prediction."),
    ] = False,
    rename: Rename = None,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Predict the labels of all stars of a table of any size.

    An interrupted prediction resumes when the same command is run again.

    Example: `starscale predict model/ stars.parquet -o catalogue.fits`
    """
    bundle = ss.load(model)
    for warning in bundle.information.get("warnings", ()):
        say(f"warning about the model: {warning}")
    cluster: dict[str, Any] = {"engine": engine, "scheduler": scheduler, "workers": workers}
    counts = ss.predict(
        model,
        stars,
        output,
        chunk=chunk,
        restart=restart,
        rename=renamed(rename),
        progress=DisplayedProgress(),
        **cluster,
    )
    rows = [[name, f"{n:,}"] for name, n in counts.flags.items()]
    typer.echo(ReportTable(["flag", "rows"], rows).text())
    if counts.repeated is not None:
        again = counts.repeated
        text = f"{again.ids:,} identifiers occur more than once ({again.rows:,} rows; for example {again.example})"
        say(f"warning: {text}")
    mock_data = " (model of MOCK stars)" if bundle.mock else ""
    typer.echo(f"{counts.predicted:,} of {counts.rows:,} stars predicted{mock_data}; written to {output}")
