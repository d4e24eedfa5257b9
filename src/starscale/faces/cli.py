"""The command `starscale`.

Exit codes: 0 good; 2 usage or bad input; 1 a defect of the program. A user's mistake never shows
a traceback.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

import starscale as ss
from starscale import io
from starscale.faces.cli_compare import ablate, compare_models
from starscale.faces.cli_explain import explain, importance
from starscale.faces.cli_fetch import fetch
from starscale.faces.cli_publish import publish
from starscale.faces.homogenize import beside
from starscale.faces.homogenize_text import homogenize_tables
from starscale.faces.match_text import loss_rows, match_rows
from starscale.faces.tables import is_mock, refuse_same
from starscale.faces.text import attrition_rows, figures_rows, layout
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.config import Cuts, ExtraCut, MatchConfig
from starscale.vocabulary.errors import InputError, Problem, StarscaleError
from starscale.vocabulary.flags import LabelFlag
from starscale.vocabulary.strict import validate

app = typer.Typer(
    name="starscale",
    help="Put every star on one scale: effective temperature, surface gravity and metallicity for the stars of "
    "photometric surveys, learnt from spectroscopic ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write; the suffix says the format.")]

Engine = Annotated[
    str, typer.Option(help="local: in this process; lsdb: on a Dask cluster, from HATS catalogues, the same rows.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Engine lsdb: address of a running Dask scheduler, tcp://HOST:PORT.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Engine lsdb: worker processes on this machine; default: one a core.")
]


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"starscale {ss.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del version


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo makes.")] = Path("demo"),
    stars: Annotated[int, typer.Option(min=2000, help="Stars of the mock sky.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the mock sky and the training.")] = 1,
) -> None:
    """Make a mock sky, run every step on it, write a catalogue and a report.

    Example: `starscale demo --out demo --stars 20000`
    """
    result = ss.demo(out, stars=stars, seed=seed, say=_say)
    _print_run(result)


@app.command()
def mock(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the tables.")] = Path("mock"),
    stars: Annotated[int, typer.Option(min=500, help="Number of stars.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same sky.")] = 1,
) -> None:
    """Write a mock sky with known truth, in the archives' own table formats.

    Example: `starscale mock -o mock --stars 20000`
    """
    rows = ss.make_mock(output, stars=stars, seed=seed)
    typer.echo(layout(["table (MOCK: simulated)", "rows"], [[name, f"{n:,}"] for name, n in rows.items()]))
    typer.echo(f"written to {output}/")


app.command()(fetch)


@app.command()
def clean(
    table: Annotated[Path, typer.Argument(help="Table to clean.")],
    survey: Annotated[str, typer.Option(help="Survey name, or the path of a survey file.")],
    output: Output,
    join: Annotated[
        list[str] | None,
        typer.Option(help="SURVEY=PATH: a table that shares the identifier, such as distances. Repeatable."),
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="A cut to leave out. Repeatable.")] = None,
    cut: Annotated[list[str] | None, typer.Option(help="NAME=SQL: a cut of your own. Repeatable.")] = None,
) -> None:
    """Apply the quality cuts of a survey and print what each removed.

    Example: `starscale clean gaia.parquet --survey gaia_dr3 --join bailer_jones_edr3=dist.parquet -o ok.parquet`
    """
    extra = tuple(ExtraCut(name=n, keep=k) for n, k in _pairs(cut, "--cut", "NAME=SQL"))
    joins = [(Path(path), name) for name, path in _pairs(join, "--join", "SURVEY=PATH")]
    cuts = Cuts(without=tuple(without or ()), extra=extra)
    attrition = ss.clean_file(table, output, survey=survey, join=joins, cuts=cuts)
    typer.echo(layout(*attrition_rows(attrition)))
    typer.echo(f"{attrition.n_out:,} of {attrition.n_in:,} rows written to {output}")


@app.command()
def match(
    left: Annotated[str, typer.Argument(help="Gaia: its stars move to the epoch of the other catalogue.")],
    right: Annotated[str, typer.Argument(help="The catalogue to match it with.")],
    left_survey: Annotated[str, typer.Option("--left", help="Survey of the first.")],
    right_survey: Annotated[str, typer.Option("--right", help="Survey of the second.")],
    output: Output,
    method: Annotated[
        str, typer.Option(help="figure_of_merit: errors, density and motions decide; nearest: the separation.")
    ] = "figure_of_merit",
    mode: Annotated[
        str | None,
        typer.Option(
            help="dense: every Gaia star looks for its counterpart; sparse: every other source for its star, "
            "one-to-one. Default: as the survey file says."
        ),
    ] = None,
    radius: Annotated[
        float | None, typer.Option(help="Largest separation, arcsec, at most 60; default 5, or 1 for the nearest.")
    ] = None,
    errors: Annotated[
        str,
        typer.Option(help="calibrated: learnt from the pairs; stated: as the catalogues give them."),
    ] = "calibrated",
    pairs: Annotated[
        str,
        typer.Option(
            help="strict: one good neighbour on either side; loose: one neighbour, no mates; best: the best "
            "neighbour of every source."
        ),
    ] = "strict",
    proper_motion: Annotated[bool, typer.Option(help="Move the stars by their proper motions.")] = True,
    neighbours: Annotated[Path | None, typer.Option(help="File for all good neighbours.")] = None,
    unmatched: Annotated[Path | None, typer.Option(help="File for what has no pair, and why.")] = None,
    duplicates: Annotated[
        Path | None, typer.Option(help="File for the entries of the second catalogue that repeat another.")
    ] = None,
    tiles: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=10,
            help="HEALPix order of tiles to work through on disk; by default for large tables only. The result is "
            "the same.",
        ),
    ] = None,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Match Gaia with another catalogue by position, proper motion, errors and local density.

    Example: `starscale match gaia.parquet smss.parquet --left gaia_dr3 --right skymapper_dr2 -o pairs.parquet`
    """
    given = {"method": method, "mode": mode, "radius": radius, "errors": errors, "pairs": pairs}
    settings = validate(MatchConfig, {**given, "proper_motion": proper_motion}, "options of match")
    files: dict[str, Any] = {"neighbours": neighbours, "unmatched": unmatched, "duplicates": duplicates}
    matched = ss.match_files(
        left,
        right,
        output,
        left_survey=left_survey,
        right_survey=right_survey,
        settings=settings,
        order=tiles,
        engine=engine,
        scheduler=scheduler,
        workers=workers,
        **files,
    )
    typer.echo(layout(*match_rows(matched.statistics, matched.model)))
    if matched.losses:
        typer.echo("\n" + layout(["without a pair, because", "sources"], loss_rows(matched.losses)))
    typer.echo(f"{matched.pairs:,} pairs ({pairs}) written to {output}")


@app.command()
def homogenize(
    labels_file: Annotated[Path, typer.Argument(help="Labels file (TOML): the surveys and the settings.")],
    output: Output,
    report: Annotated[
        Path | None, typer.Option(help="HTML page with the diagnostics, in tables and pictures.")
    ] = None,
) -> None:
    """Put the labels of several spectroscopic surveys on one scale.

    Beside the table of labels go every measurement with its correction, the calibration and the diagnostics.

    Example: `starscale homogenize labels.toml -o labels.parquet --report labels.html`
    """
    if report is not None:
        if report.resolve() in (path.resolve() for path in (output, *beside(output).values())):
            found = "is the page of the report and a file of the labels"
            raise InputError(Problem(str(report), found, "another name for --report"))
        io.check_place(report)
    result = ss.homogenize(labels_file, output, say=_say)
    data = json.loads(beside(output)["diagnostics"].read_text(encoding="utf-8"))
    if report is not None:
        ss.label_report(beside(output)["diagnostics"], report)
    for title, headings, rows in homogenize_tables(data):
        typer.echo(f"\n{title}{' (MOCK data)' if data['mock'] else ''}")
        typer.echo(layout(headings, rows))
    names = ", ".join(str(path) for path in (output, *beside(output).values(), *([report] if report else [])))
    typer.echo(f"\n{result.labels.height:,} stars on the scale of {result.calibration.anchor}; written: {names}")


@app.command()
def recalibrate(
    table: Annotated[Path, typer.Argument(help="Rows of a survey that a calibration knows.")],
    calibration: Annotated[Path, typer.Option(help="Calibration that `homogenize` wrote.")],
    survey: Annotated[str, typer.Option(help="Survey name, or the path of a survey file.")],
    output: Output,
) -> None:
    """Put more rows of a survey on a scale that was found before, without fitting anything.

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


@app.command()
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
    _print_figures(trained.figures, _sample("test part", trained.model.mock))
    for warning in trained.model.predictor.warnings:
        _say(f"note: {warning}")
    typer.echo(f"model written to {output}/")


@app.command()
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
    _print_figures(figures, _sample(sample, bundle.mock or is_mock(table)))


app.command("compare-models")(compare_models)
app.command()(ablate)


@app.command()
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
        _say(f"note on the model: {warning}")
    cluster: dict[str, Any] = {"engine": engine, "scheduler": scheduler, "workers": workers}
    counts = ss.predict(model, stars, output, chunk=chunk, restart=restart, **cluster)
    rows = [[name, f"{n:,}"] for name, n in counts.flags.items()]
    typer.echo(layout(["flag", "rows"], rows))
    if counts.repeated is not None:
        again = counts.repeated
        _say(f"note on the stars: {again.ids:,} identifiers stand in {again.rows:,} rows (one is {again.example})")
    mock_data = " (model of MOCK stars)" if bundle.mock else ""
    typer.echo(f"{counts.predicted:,} of {counts.rows:,} stars predicted{mock_data}; written to {output}")


app.command()(explain)
app.command()(importance)
app.command()(publish)


@app.command()
def report(run_folder: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Write the report of a run: one HTML page that needs no network.

    Example: `starscale report run/`
    """
    typer.echo(f"report written to {ss.report(run_folder)}")


@app.command()
def run(
    run_file: Annotated[Path, typer.Argument(help="Run file (TOML).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("run"),
) -> None:
    """Do everything that a run file says; steps whose inputs did not change are not done again.

    Example: `starscale run run.toml -o run/`
    """
    _print_run(ss.run(run_file, output, say=_say))


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A table, a model bundle, a survey file or a run file.")],
    survey: Annotated[str | None, typer.Option(help="For a table: the survey that it should be.")] = None,
) -> None:
    """Say what a file is and what is wrong with it, in one go.

    Example: `starscale check gaia.csv --survey gaia_dr3`
    """
    for sentence in ss.check(path, survey=survey):
        typer.echo(sentence)
    typer.echo("nothing wrong found")


def _pairs(values: list[str] | None, option: str, form: str) -> list[tuple[str, str]]:
    found = []
    for value in values or ():
        name, equals, rest = value.partition("=")
        if not equals or not name or not rest:
            raise InputError(Problem(option, f"{value!r}", form))
        found.append((name.strip(), rest.strip()))
    return found


def _sample(name: str, mock_data: bool) -> str:
    return f"{name}, MOCK data" if mock_data else name


def _print_figures(figures: pl.DataFrame, sample: str) -> None:
    typer.echo(f"\nprediction - label ({sample})")
    typer.echo(layout(*figures_rows(figures)))


def _print_run(result: Any) -> None:
    metrics = result.metrics
    _print_figures(_frame(metrics["test"]), _sample("test part", metrics["mock"]))
    for comparison in metrics["compare"]:
        sample = f"{comparison['name']}, {comparison['stars']:,} stars that took no part in training"
        typer.echo(f"\nprediction - {sample}")
        typer.echo(layout(*figures_rows(_frame(comparison["figures"]))))
    typer.echo(f"\ncatalogue: {result.catalogue}\nreport:    {result.report}")


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


class _Stopped(SystemExit):
    """A signal asked the program to end."""


def _stop(number: int, _frame: object) -> None:
    raise _Stopped(128 + number)


def main() -> None:
    """Run the command; turn a user's mistake into one message and exit code 2."""
    # An exception, so that everything half-written is cleared away first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app()
    except StarscaleError as error:
        _say("\n".join([f"starscale: {error}", *getattr(error, "__notes__", ())]))
        sys.exit(2)
    except _Stopped as stopped:
        _say("\n".join(["starscale: stopped", *getattr(stopped, "__notes__", ())]))
        raise
