"""The command `send`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import starscale as ss


def send(
    table: Annotated[Path, typer.Argument(help="Table, of any format.")],
    to: Annotated[str | None, typer.Option(help="Program that gets it, such as topcat; default: all.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the table there.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Column to send. Repeatable; default: all.")] = None,
) -> None:
    """Send a table to running programs by SAMP: TOPCAT, Aladin and others.

    Example: `starscale send run/catalogue.parquet --to topcat`
    """
    sent = ss.send(table, to=to, name=name, columns=column)
    typer.echo(f"{sent.rows:,} rows sent to {', '.join(sent.to)}")
    for refused in sent.refused:
        typer.echo(f"not taken by {refused}")
