"""The command `starscale`.

Exit codes: 0 good; 2 usage or bad input; 1 a defect of the program. A user's mistake never shows
a traceback.
"""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

import starscale as ss
from starscale.cli.compare import ablate, compare_models
from starscale.cli.dust import redden
from starscale.cli.explain import explain, importance
from starscale.cli.fetch import fetch
from starscale.cli.model import evaluate, predict, train
from starscale.cli.models import models
from starscale.cli.options import say
from starscale.cli.publish import publish
from starscale.cli.run import check, demo, mock, report, run
from starscale.cli.survey import schema, survey
from starscale.cli.tables import clean, convert, homogenize, match, recalibrate
from starscale.vocabulary.errors import StarscaleError

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


#: The commands, in the order of use.
for _verb in (
    demo,
    mock,
    fetch,
    convert,
    clean,
    redden,
    match,
    homogenize,
    recalibrate,
    train,
    evaluate,
    compare_models,
    ablate,
    predict,
    explain,
    importance,
    publish,
    report,
    run,
    check,
    schema,
):
    app.command()(_verb)
app.add_typer(survey, name="survey")
app.add_typer(models, name="models")


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
        say("\n".join([f"starscale: {error}", *getattr(error, "__notes__", ())]))
        sys.exit(2)
    except _Stopped as stopped:
        say("\n".join(["starscale: stopped", *getattr(stopped, "__notes__", ())]))
        raise
