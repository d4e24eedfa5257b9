"""The command `starscale`.

Exit codes: 0 good; 2 usage or bad input; 1 a defect of the program. A user's mistake never shows
a traceback.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import signal
import sys
from typing import Annotated

import typer

import starscale as ss
from starscale.cli.printing import printing, say
from starscale.cli.verbs import STYLE, Log, Quiet, Verbose, Verbs
from starscale.vocabulary.errors import StarscaleError

#: Objects that are made before garbage is collected.
_OBJECTS = 100_000
#: Number of the parameter of ``mallopt`` (GNU C library) for the most arenas.
_MOST_ARENAS = -8

app = typer.Typer(name="starscale", cls=Verbs, no_args_is_help=True, add_completion=True, **STYLE)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"starscale {ss.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    del version, quiet, verbose, log


class _Stopped(SystemExit):
    """A signal asked the program to end."""


def _stop(number: int, _frame: object) -> None:
    raise _Stopped(128 + number)


def _settle() -> None:
    """Set what a process of its own may set, before libraries of numbers are loaded."""
    # Threads for matrix products wait in busy loops, and nothing here multiplies matrices that need several.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Otherwise pydantic looks for plugins in the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Loading libraries makes a million objects, among which there is no garbage to be looked for every 700, and
    # none at the end that the system would not take back faster.
    gc.set_threshold(_OBJECTS)
    atexit.register(gc.freeze)
    # Threads keep the memory that they have freed, in up to eight arenas for each core.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_MOST_ARENAS, max(os.cpu_count() or 1, 2))


def main() -> None:
    """Run the command; turn a user's mistake into one message and exit code 2."""
    _settle()
    # An exception, so that everything half-written is cleared away first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    with printing():
        try:
            app(prog_name="starscale")
        except StarscaleError as error:
            say("\n".join([f"starscale: {error}", *getattr(error, "__notes__", ())]), error=True)
            sys.exit(2)
        except _Stopped as stopped:
            say("\n".join(["starscale: stopped", *getattr(stopped, "__notes__", ())]), error=True)
            raise
