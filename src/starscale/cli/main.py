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
from starscale.cli.verbs import STYLE, Verbs
from starscale.vocabulary.errors import StarscaleError

app = typer.Typer(
    name="starscale",
    cls=Verbs,
    help="Put every star on one scale: effective temperature, surface gravity and metallicity for the stars of "
    "photometric surveys, learnt from spectroscopic ones.",
    no_args_is_help=True,
    **STYLE,
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
        typer.echo("\n".join([f"starscale: {error}", *getattr(error, "__notes__", ())]), err=True)
        sys.exit(2)
    except _Stopped as stopped:
        typer.echo("\n".join(["starscale: stopped", *getattr(stopped, "__notes__", ())]), err=True)
        raise
