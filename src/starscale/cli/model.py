"""Commands on models: train, evaluate, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

import starscale as ss
from starscale import io
from starscale.cli.options import Engine, Output, Scheduler, Workers, print_figures, sample_name, say
from starscale.reports.text import layout
from starscale.tables.api import is_mock


def train(
    run_file: Annotated[Path, typer.Argument(help="Run file (TOML).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model bundle.")],
    table: Annotated[
        Path | None,
        typer.Option(help="Training table, as `run` writes it; default: made from the run file's tables."),
    ] = None,
) -> None:
    """Train the model of a run file and write its bundle; a training that was stopped goes on where it was.

    Example: `starscale train run.toml -o model/`
    """
    trained = ss.train(run_file, table=table, checkpoints=output.with_name(f".{output.name}.checkpoints"))
    trained.save(output)
    print_figures(trained.figures, sample_name("test part", trained.model.mock))
    for warning in trained.model.predictor.warnings:
        say(f"note: {warning}")
    typer.echo(f"model written to {output}/")


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model bundle.")],
    table: Annotated[
        Path, typer.Argument(help="Table with the model's inputs and labels; of a training table, the test part.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file for the figures, in all bins.")
    ] = None,
) -> None:
    """Compare predictions with known labels.

    Example: `starscale evaluate model/ run/training.parquet -o metrics.json`
    """
    figures = ss.evaluate(model, table)
    if output is not None:
        io.atomic_text(output, figures.with_columns(pl.col(pl.Float64).fill_nan(None)).write_json() + "\n")
    bundle = ss.load(model)
    sample = f"{table}; of a training table the test part, of any other all rows"
    print_figures(figures, sample_name(sample, bundle.mock or is_mock(table)))


def predict(
    model: Annotated[Path, typer.Argument(help="Model bundle.")],
    stars: Annotated[str, typer.Argument(help="Table with the columns of all the model's surveys side by side.")],
    output: Output,
    chunk: Annotated[int, typer.Option(min=1, help="Rows at a time.")] = 65_536,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew instead of where a stopped prediction left off.")
    ] = False,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Predict the labels of every star of a table, whatever its size.

    If it is stopped, the same command goes on where it was.

    Example: `starscale predict model/ stars.parquet -o catalogue.fits`
    """
    bundle = ss.load(model)
    for warning in bundle.information.get("warnings", ()):
        say(f"note on the model: {warning}")
    cluster: dict[str, Any] = {"engine": engine, "scheduler": scheduler, "workers": workers}
    counts = ss.predict(model, stars, output, chunk=chunk, restart=restart, **cluster)
    rows = [[name, f"{n:,}"] for name, n in counts.flags.items()]
    typer.echo(layout(["flag", "rows"], rows))
    if counts.repeated is not None:
        again = counts.repeated
        say(f"note on the stars: {again.ids:,} identifiers stand in {again.rows:,} rows (one is {again.example})")
    mock_data = " (model of MOCK stars)" if bundle.mock else ""
    typer.echo(f"{counts.predicted:,} of {counts.rows:,} stars predicted{mock_data}; written to {output}")
