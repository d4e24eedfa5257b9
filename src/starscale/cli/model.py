"""Commands on models: train, evaluate, predict, apply."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

import starscale as ss
from starscale import io
from starscale.cli.announcing import announce
from starscale.cli.options import (
    Below,
    Crosswalk,
    Engine,
    NoSlopes,
    Output,
    Prior,
    Rename,
    Scheduler,
    Workers,
    closing_of_prediction,
    closing_of_run,
    model_argument,
    print_figures,
    prior_of,
    renamed,
    sample_name,
    thresholds,
    walks,
)
from starscale.cli.printing import progress as shown
from starscale.cli.printing import say
from starscale.reports.text import conditional_table, probability_table, profile_table
from starscale.tables.api import is_mock
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.later import Later

if TYPE_CHECKING:
    from starscale.model.labelled import Evaluation

api = Later("starscale.model.api")


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
    trained = ss.train(run_file, table=table, output=output, progress=shown())
    print_figures(trained.figures, sample_name("test part", trained.model.mock))
    for warning in trained.model.predictor.warnings:
        say(f"warning: {warning}")
    typer.echo(f"model written to {output}/")


def distil(
    run_file: Annotated[Path, typer.Argument(help="Run file (TOML) of the model.")],
    model: Annotated[Path, typer.Argument(help="Bundle of the ensemble.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the bundle of the small model.")],
    table: Annotated[
        Path | None,
        typer.Option(help="Training table written by `run`; default: made from the tables of the run file."),
    ] = None,
    limit: Annotated[
        float, typer.Option(min=0, help="Largest loss in CRPS of any label, as a fraction, with which it is kept.")
    ] = 0.01,
) -> None:
    """Train a small, fast model on the predictions of an ensemble; an interrupted training resumes.

    Example: `starscale distil run.toml run/model --table run/training.parquet -o run/small`
    """
    found = ss.distil(run_file, model, table=table, output=output, limit=limit, progress=shown())
    print_figures(found.figures, sample_name("test part", found.model.mock))
    for label, ratio in (found.crps_ratio or {}).items():
        say(f"{label}: CRPS {ratio:.4f} times that of the ensemble on the validation stars")
    typer.echo(f"model written to {output}/")


def evaluate(
    model: Annotated[Path, model_argument()],
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
    release: Annotated[
        str | None,
        typer.Option(help="Release of Gaia of the identifiers in the table, if it is not that of the model."),
    ] = None,
    crosswalk: Crosswalk = None,
    prior: Prior = None,
    probabilities: Annotated[
        Path | None,
        typer.Option(help="JSON file for scores of the probabilities that labels are below thresholds."),
    ] = None,
    below: Below = None,
    coverage: Annotated[
        Path | None,
        typer.Option(help="JSON file for a test whether inputs tell which intervals miss; needs scikit-learn."),
    ] = None,
) -> None:
    """Compare the predictions of a model with known labels.

    Example: `starscale evaluate model/ run/training.parquet -o metrics.json`
    """
    if below and probabilities is None:
        fix = "Say where to write their scores: --probabilities scores.json."
        raise InputError(Problem("--below", "is given without --probabilities", "both", fix))
    found: Evaluation = api.evaluation(
        model,
        table,
        include_training,
        thresholds(below),
        prior_of(prior),
        release or "",
        walks(crosswalk),
        shown(),
    )
    figures = found.figures()
    if output is not None:
        _write_json(figures, output)
    sample = f"{table}{'; stars of the training included' if include_training else ''}"
    print_figures(figures, sample_name(sample, found.model.mock or is_mock(table)))
    if probabilities is not None:
        scores = found.probabilities()
        _write_json(scores, probabilities)
        typer.echo(f"\nProbabilities of labels below thresholds:\n\n{probability_table(scores).text()}")
    if coverage is not None:
        kinds = found.coverage()
        _write_json(kinds, coverage)
        typer.echo(f"\nWhether the inputs tell which intervals miss:\n\n{conditional_table(kinds).text()}")


def _write_json(rows: pl.DataFrame, output: Path) -> None:
    """Write rows as a JSON list; NaN becomes null."""
    io.atomic_text(output, rows.with_columns(pl.col(pl.Float64).fill_nan(None)).write_json() + "\n")


def predict(
    model: Annotated[Path, model_argument()],
    stars: Annotated[str, typer.Argument(help="Table with the columns of all surveys of the model.")],
    output: Output,
    chunk: Annotated[int, typer.Option(min=1, help="Rows per batch.")] = 65_536,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Start from the first row instead of resuming an interrupted prediction."),
    ] = False,
    rename: Rename = None,
    below: Below = None,
    prior: Prior = None,
    no_slopes: NoSlopes = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Measure afterwards where the time of a star goes, by stage.")
    ] = False,
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
    announce("predict", output, stars)
    counts = ss.predict(
        model,
        stars,
        output,
        chunk=chunk,
        restart=restart,
        rename=renamed(rename),
        below=thresholds(below),
        prior=prior_of(prior),
        slopes=not no_slopes,
        progress=shown(),
        **cluster,
    )
    typer.echo(closing_of_prediction(counts, stars, output, mock=bundle.mock or is_mock(stars)))
    if counts.repeated is not None:
        again = counts.repeated
        text = f"{again.ids:,} identifiers occur more than once ({again.rows:,} rows; for example {again.example})"
        say(f"warning: {text}")
    if profile:
        stages = ss.profile_prediction(bundle.without_slopes() if no_slopes else bundle, stars)
        typer.echo(f"\nMicroseconds a star, one stage after the other:\n\n{profile_table(stages).text()}")


def apply(
    model: Annotated[str, model_argument()],
    output: Output,
    table: Annotated[
        list[str],
        typer.Option(
            help="Table of a survey of the model: the leading catalogue, or one that is joined to it. Repeatable."
        ),
    ],
    survey: Annotated[
        list[str] | None,
        typer.Option(
            help="Survey of each --table, in the same order; default: recognised by columns and provenance. "
            "Repeatable."
        ),
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove the rows that fail a quality cut, instead of flagging them.")
    ] = False,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="SURVEY.NEW=OLD: read the column OLD of a table as the column NEW. Repeatable."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder for the tables between, the record and the report; default: OUTPUT.run."),
    ] = None,
    below: Below = None,
    prior: Prior = None,
    no_slopes: NoSlopes = False,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Apply a model to catalogues that are not matched yet: clean, match, join, predict and report.

    An interrupted command resumes when it is run again.

    Example: `starscale apply model/ --table gaia.parquet --table smss.parquet -o catalogue.parquet`
    """
    if survey and len(survey) != len(table):
        found, fix = (
            f"{len(survey)} for {len(table)} tables",
            "Leave all out where columns or provenance tell them.",
        )
        raise InputError(Problem("--survey", found, "one for each --table, in the same order, or none", fix))
    cluster: dict[str, Any] = {"engine": engine, "scheduler": scheduler, "workers": workers}
    done = ss.apply(
        model,
        list(zip(table, survey, strict=True)) if survey else table,
        output,
        clean=clean,
        rename=_by_survey(rename),
        folder=folder,
        below=thresholds(below),
        prior=prior_of(prior),
        slopes=not no_slopes,
        progress=shown(),
        **cluster,
    )
    typer.echo(closing_of_run(Path(str(done.folder))))


def _by_survey(values: list[str] | None) -> dict[str, dict[str, str]]:
    """Return the old name of every column that is renamed, by survey and new name."""
    found: dict[str, dict[str, str]] = {}
    problems = Problems()
    for name, old in renamed(values).items():
        survey, dot, column = name.partition(".")
        if not dot:
            problems.add("--rename", f"{name}={old}", "SURVEY.NEW=OLD")
        found.setdefault(survey, {})[column] = old
    problems.raise_if_any()
    return found
