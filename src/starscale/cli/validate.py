"""The command `validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import starscale as ss
from starscale.cli.options import named_values, renamed
from starscale.cli.printing import progress as shown
from starscale.validation.api import LEVEL
from starscale.vocabulary.errors import InputError, Problem, Problems


def validate(
    catalogue: Annotated[Path, typer.Argument(help="Catalogue, of any format.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for page, tables and JSON; or a page that ends in .html."),
    ] = None,
    clusters: Annotated[
        Path | None, typer.Option(help="Members: identifier, cluster; fe_h where the metallicity is known.")
    ] = None,
    benchmark: Annotated[
        Path | None, typer.Option(help="Stars with accurate labels: identifier, teff, logg, fe_h.")
    ] = None,
    seismic: Annotated[
        Path | None, typer.Option(help="Stars with logg from asteroseismology: identifier, logg, logg_error.")
    ] = None,
    against: Annotated[Path | None, typer.Option(help="Any other catalogue.")] = None,
    wide_binaries: Annotated[Path | None, typer.Option(help="Pairs: source_id1 and source_id2.")] = None,
    survey: Annotated[str | None, typer.Option(help="Survey (name or file) that describes --against.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="NAME=COLUMN: the column of the other tables for NAME of the catalogue. Repeatable."),
    ] = None,
    identifier: Annotated[str, typer.Option(help="Column with the identifier.")] = "source_id",
    keep: Annotated[
        str | None, typer.Option(help="SQL predicate: test only these rows, such as \"quality = 'good'\".")
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE: offset, and trend per 1000 K, that is no fault. Repeatable."),
    ] = None,
    parent: Annotated[
        Path | None, typer.Option(help="All stars that were considered, for the selection function.")
    ] = None,
    selection: Annotated[
        list[str] | None,
        typer.Option(
            help="healpix=ORDER or COLUMN=LOW,HIGH,STEP: cells and bins of the selection function. Repeatable."
        ),
    ] = None,
    level: Annotated[float, typer.Option(help="Chance of finding a fault where there is none.")] = LEVEL,
    include_training: Annotated[
        bool, typer.Option("--include-training", help="Also test stars that the model was trained on.")
    ] = False,
) -> None:
    """Test a catalogue with clusters, benchmark stars, seismology, another catalogue, wide binaries.

    Example: `starscale validate run/catalogue.parquet --clusters members.csv -o validation`
    """
    given = (clusters, benchmark, seismic, against, wide_binaries)
    place, bins = _place(parent, selection, output), _bins(selection)
    if place is None or given != (None,) * len(given):
        _test(
            catalogue,
            output,
            clusters=clusters,
            benchmark=benchmark,
            seismic=seismic,
            against=against,
            wide_binaries=wide_binaries,
            survey=survey,
            columns=renamed(columns, "--columns"),
            identifier=identifier,
            keep=keep,
            tolerance=_numbers(tolerance),
            level=level,
            include_training=include_training,
        )
    if place is not None:
        found = ss.selection_function(
            catalogue, place, parent=parent, bins=bins, identifier=identifier, keep=keep, progress=shown()
        )
        typer.echo(f"{found}\nwritten to {place}")


def _place(parent: Path | None, selection: list[str] | None, output: Path | None) -> Path | None:
    """Return the folder of the selection function; None where none is asked for."""
    if parent is None and not selection:
        return None
    if output is None or output.suffix:
        expected = "a folder, for the selection function"
        raise InputError(Problem("--output", f"is {output or 'not given'}", expected))
    return output / "selection"


def _test(catalogue: Path, output: Path | None, **arguments: Any) -> None:
    """Test the catalogue, and print the verdicts."""
    result = ss.validate(catalogue, output, progress=shown(), **arguments)
    for sentence in result.sentences:
        typer.echo(sentence)
    for note in result.notes:
        typer.echo(f"note: {note}")
    counts = result.checks["verdict"].value_counts(sort=True, name="n").iter_rows()
    of = "checks of MOCK data" if result.mock else "checks"
    typer.echo(f"\n{result.checks.height} {of}: {', '.join(f'{n} {verdict}' for verdict, n in counts)}")
    if output is not None:
        typer.echo(f"written to {output}")


def _numbers(values: list[str] | None) -> dict[str, float]:
    problems, found = Problems(), {}
    for name, text in named_values(values, "--tolerance", "NAME=VALUE"):
        try:
            found[name] = float(text)
        except ValueError:
            problems.add("--tolerance", f"{name}={text}", "NAME=VALUE, a number")
    problems.raise_if_any()
    return found


def _bins(values: list[str] | None) -> dict[str, Any]:
    """Return the cells and bins of the selection function; what is wrong with the numbers is said there."""
    found: dict[str, Any] = {}
    for value in values or ():
        # An expression may hold an equals sign; the numbers do not.
        name, equals, text = (part.strip() for part in value.rpartition("="))
        numbers = [part.strip() for part in text.split(",")]
        if not (equals and name and numbers[0]):
            raise InputError(Problem("--selection", f"{value!r}", "healpix=ORDER or COLUMN=LOW,HIGH,STEP"))
        found[name] = int(text) if name == "healpix" and text.isdecimal() else numbers
    return found
