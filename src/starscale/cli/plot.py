"""The command `plot`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

import starscale as ss
from starscale import io
from starscale.cli.options import named_values
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean

#: Suffixes of the files that a picture is written to.
SUFFIXES = (".pdf", ".svg", ".png")


def plot(
    kind: Annotated[str | None, typer.Argument(help="Kind of the picture; --list names all.")] = None,
    table: Annotated[
        Path | None, typer.Argument(help="Table of any format; or the JSON file that importance wrote.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write: .pdf, .svg or .png.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="NAME=VALUE: an argument of the picture, such as teff=TEFF_COLUMN. Repeatable."
        ),
    ] = None,
    list_kinds: Annotated[
        bool, typer.Option("--list", help="List the kinds with their arguments, and stop.")
    ] = False,
) -> None:
    """Draw a picture of a table: Kiel diagram, one to one, residuals, sky map and others.

    Example: `starscale plot kiel run/catalogue.parquet -o kiel.pdf --set colour=fe_h`
    """
    if list_kinds:
        typer.echo("\n".join(map(_described, kinds())))
        return
    _check(kind, table, output)
    assert kind is not None and table is not None and output is not None  # noqa: S101, PT018
    draw = getattr(ss.plots, kind.replace("-", "_"))
    arguments = _arguments(draw, kind, settings)
    # A picture that is written needs no display.
    importlib.import_module("matplotlib").use("Agg")
    axes = draw(_table(table), **arguments)
    with io.atomic(output) as partial:
        axes.get_figure(root=True).savefig(partial, format=output.suffix[1:].lower(), dpi=200)
    importlib.import_module("matplotlib.pyplot").close(axes.get_figure(root=True))
    typer.echo(f"{kind} written to {output}")


def _check(kind: str | None, table: Path | None, output: Path | None) -> None:
    """Refuse a command without a kind that exists, a table, and a file of a known format."""
    problems = Problems()
    if kind is None or table is None:
        expected = "KIND TABLE -o FILE; --list names the kinds"
        problems.add("plot", "no kind" if kind is None else f"no table for the picture {kind!r}", expected)
    elif kind.replace("-", "_") not in kinds():
        names = [name.replace("_", "-") for name in kinds()]
        problems.add("plot", f"no picture {kind!r}", f"one of {', '.join(names)}", did_you_mean(kind, names))
    if output is None or output.suffix.lower() not in SUFFIXES:
        found = "was not given" if output is None else f"ends in {output.suffix!r}"
        problems.add("--output", found, f"a file that ends in {', '.join(SUFFIXES)}")
    problems.raise_if_any()


def kinds() -> list[str]:
    """Return the names of the pictures, as functions of `starscale.plots`."""
    return [name for name in ss.plots.__all__ if name.islower()]


def _described(kind: str) -> str:
    """Return a kind with what it draws and its arguments."""
    draw = getattr(ss.plots, kind)
    text = (inspect.getdoc(draw) or "").partition("\n")[0]
    return f"{kind.replace('_', '-')}: {text}\n    --set {', '.join(_parameters(draw))}"


def _parameters(draw: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the arguments that the command can set."""
    found = inspect.signature(draw).parameters
    return {name: item for name, item in found.items() if name not in ("table", "ax")}


def _arguments(draw: Callable[..., Any], kind: str, values: list[str] | None) -> dict[str, Any]:
    """Return the arguments of a picture.

    Raises
    ------
    InputError
        All arguments that it does not have, and all values that are no numbers where it needs some.
    """
    known, problems, found = _parameters(draw), Problems(), {}
    for name, text in named_values(values, "--set", "NAME=VALUE"):
        if name not in known:
            expected = f"one of {', '.join(known)}"
            problems.add(
                f"--set {name}", f"{kind} has no such argument", expected, did_you_mean(name, list(known))
            )
            continue
        try:
            found[name] = _value(text, str(known[name].annotation))
        except ValueError:
            problems.add(f"--set {name}", f"{text!r}", "a number")
    problems.raise_if_any()
    return found


def _value(text: str, kind: str) -> Any:
    """Return the value of an argument, by its annotation."""
    if kind in ("int", "float"):
        return int(text) if kind == "int" else float(text)
    return [name.strip() for name in text.split(",")] if "Sequence" in kind else text


def _table(path: Path) -> Any:
    """Return the table of a JSON file that a command wrote; any other path as it is."""
    if path.suffix.lower() != ".json":
        return str(path)
    try:
        return pl.DataFrame(parse_json(path.read_text(encoding="utf-8")), infer_schema_length=None)
    except (OSError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        expected = "a list of rows, as 'starscale importance -o' writes it"
        raise InputError(Problem(str(path), f"cannot be read ({error})", expected)) from None
