"""The command `publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import starscale as ss
from starscale.cli.options import named_values
from starscale.cli.printing import progress as shown
from starscale.vocabulary.errors import Problems


def publish(
    table: Annotated[Path, typer.Argument(help="Catalogue, or any other table.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for ReadMe and table (CDS); or a file: .mrt or .txt (AAS), .rd (DaCHS).",
        ),
    ],
    title: Annotated[str | None, typer.Option(help="Title of the catalogue.")] = None,
    author: Annotated[list[str] | None, typer.Option(help="Author, family name first. Repeatable.")] = None,
    bibcode: Annotated[str | None, typer.Option(help="Bibcode of the paper.")] = None,
    keyword: Annotated[list[str] | None, typer.Option(help="Keyword of CDS. Repeatable.")] = None,
    abstract: Annotated[str | None, typer.Option(help="Abstract of the paper.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Column to publish. Repeatable; default: all.")] = None,
    decimals: Annotated[list[str] | None, typer.Option(help="COLUMN=N: decimals of a column. Repeatable.")] = None,
) -> None:
    """Write a catalogue for publication: a table of fixed width with its byte-by-byte description.

    Example: `starscale publish run/catalogue.parquet -o cds/ --title "Stellar parameters" --author "Doe J."`
    """
    done = ss.publish(
        table,
        output,
        title=title or "",
        authors=author or (),
        bibcode=bibcode or "",
        keywords=keyword or (),
        abstract=abstract or "",
        columns=column,
        decimals=_decimals(decimals),
        progress=shown(),
    )
    data = "rows of MOCK data" if done.mock else "rows"
    typer.echo(f"{done.rows:,} {data} written to {', '.join(map(str, done.files))}")
    if done.missing:
        typer.echo(f"marked in the file, to be filled in by you: {', '.join(done.missing)}")


def _decimals(values: list[str] | None) -> dict[str, int]:
    places = named_values(values, "--decimals", "COLUMN=N")
    problems = Problems()
    for column, number in places:
        if not number.isdecimal():
            problems.add("--decimals", f"{column}={number}", "COLUMN=N, a whole number of decimals")
    problems.raise_if_any()
    return {column: int(number) for column, number in places}
