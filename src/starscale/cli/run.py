"""Commands on whole runs: demo, mock, report, run, check."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

import starscale as ss
from starscale.cli.announcing import announce_run
from starscale.cli.estimates import print_estimates
from starscale.cli.options import (
    Engine,
    Rename,
    Scheduler,
    Workers,
    closing_of_run,
    frame,
    print_figures,
    renamed,
    sample_name,
    survey_option,
)
from starscale.cli.printing import progress as shown
from starscale.reports.table import ReportTable
from starscale.reports.text import figures_table
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.seed import LARGEST_SEED

#: The packaged model of real stars.
REAL_MODEL = "segue_colours"


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", "--out", help="Folder for the mock sky and the run.")
    ] = Path("demo"),
    stars: Annotated[int, typer.Option(min=2000, help="Number of stars of the mock sky.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the mock sky and the training.")] = 1,
) -> None:
    """Make a mock sky and run every step on it, up to a catalogue and a report.

    Example: `starscale demo -o demo --stars 20000`
    """
    result = ss.demo(output, stars=stars, seed=seed, progress=shown())
    _print_run(result)
    # What the same program reaches on real stars stands beside it.
    figures = frame(ss.load(REAL_MODEL).information["figures"])
    print_figures(figures, f"packaged model {REAL_MODEL}, REAL stars, its own test part")


def mock(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the tables.")] = Path("mock"),
    stars: Annotated[int, typer.Option(min=500, help="Number of stars.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same sky.")] = 1,
    spectra: Annotated[bool, typer.Option("--spectra", help="Write the BP and RP spectra, too.")] = False,
) -> None:
    """Write a simulated sky with known true parameters, in the table formats of the archives.

    Example: `starscale mock -o mock --stars 20000`
    """
    rows = ss.make_mock(output, stars=stars, seed=seed, spectra=spectra)
    typer.echo(
        ReportTable(["table (MOCK: simulated)", "rows"], [[name, f"{n:,}"] for name, n in rows.items()]).text()
    )
    typer.echo(f"written to {output}/")


def report(run_folder: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Write the report of a run: one HTML page that opens without a network.

    Example: `starscale report run/`
    """
    typer.echo(f"report written to {ss.report(run_folder)}")


def run(
    run_file: Annotated[Path, typer.Argument(help="Run file (TOML).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("run"),
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the queries to archives with their rows and bytes, and do nothing."),
    ] = False,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Run all steps of a run file; steps with unchanged inputs are skipped.

    Example: `starscale run run.toml -o run/`
    """
    if dry_run:
        print_estimates(ss.plan_run(run_file, progress=shown()))
        return
    announce_run(run_file, output)
    cluster: dict[str, Any] = {"engine": engine, "scheduler": scheduler, "workers": workers}
    _print_run(ss.run(run_file, output, progress=shown(), **cluster))


def check(
    path: Annotated[
        str | None,
        typer.Argument(
            help="A table, a folder or quoted pattern of files, a model bundle, a run folder, or a survey, run or "
            "labels file.",
            metavar="PATH",
        ),
    ] = None,
    survey: Annotated[str | None, survey_option(help="For a table: the survey that it should belong to.")] = None,
    rename: Rename = None,
    archive: Annotated[
        str | None,
        survey_option(help="Instead of PATH: a survey to compare with its archive's TAP_SCHEMA."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="With --archive: one of the survey's archives; default: the main one.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="For a catalogue, or the folder of a run: predict 1,000 rows, drawn at random, again from the "
            "model and the table that its provenance names, and compare all columns.",
        ),
    ] = False,
) -> None:
    """Tell what a file is and list everything that is wrong with it; or compare a survey with its archive.

    The exit code is 0 if nothing is wrong, and 2 if there are warnings or errors.

    Example: `starscale check gaia.csv --survey gaia_dr3`
    """
    if (path is None) == (archive is None):
        raise InputError(Problem("check", "needs one of PATH and --archive SURVEY", "a file, or a survey"))
    if archive is not None:
        _print_said(ss.check_archive(archive, at=at))
    else:
        _print_said(ss.check(str(path), survey=survey, rename=renamed(rename), verify=verify))


def _print_said(said: list[str]) -> None:
    """Print sentences about a file, its notes and warnings apart; exit with 2 where there are warnings."""
    groups = {
        kind: [text.removeprefix(f"{kind}: ") for text in said if text.startswith(f"{kind}: ")]
        for kind in ("note", "warning")
    }
    _print_group(*(text for text in said if not text.startswith(("note: ", "warning: "))))
    for kind, texts in groups.items():
        if texts:
            _print_group(f"\n{kind}s", *texts)
    if n := len(groups["warning"]):
        typer.echo(f"\n{n} warning{'s' * (n > 1)}: results may be wrong")
        raise typer.Exit(2)
    typer.echo("\nnothing wrong found")


def _print_group(title: str, *texts: str) -> None:
    """Print a title and indented sentences below it, in lines as long as the terminal where there is one."""
    width = min(shutil.get_terminal_size().columns, 120) if sys.stdout.isatty() else 10**6
    typer.echo(title)
    for text in texts:
        typer.echo(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))


def _print_run(result: Any) -> None:
    metrics = result.metrics
    if "test" in metrics:
        print_figures(frame(metrics["test"]), sample_name("test part", metrics["mock"]))
    for comparison in metrics.get("compare", ()):
        sample = f"{comparison['name']}, {comparison['stars']:,} stars that took no part in training"
        typer.echo(f"\nprediction - {sample}")
        typer.echo(figures_table(frame(comparison["figures"])).text())
    typer.echo(f"\n{closing_of_run(result.folder)}")
