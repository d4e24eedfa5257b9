"""Print the queries of a download and its size, for `fetch` and for whole runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from starscale.archives.estimate import FetchEstimate


def print_estimate(estimate: FetchEstimate) -> None:
    """Print the queries for one table, and its rows and bytes as far as they are known."""
    typer.echo(f"service: {estimate.service}")
    for name, query in estimate.queries.items():
        typer.echo(f"\nquery for the {name}:\n{query}")
    typer.echo("")
    for name in estimate.missing:
        typer.echo(f"note: the archive has no column {name!r}")
    for name in estimate.local_cuts:
        typer.echo(f"note: the archive has no words for the cut {name!r}; it is applied after the download")
    if estimate.rows is None:
        typer.echo(f"rows and bytes: not known, the archive could not be asked ({estimate.reason})")
        return
    pieces = f"{estimate.pieces:,} {'piece' if estimate.pieces == 1 else 'pieces'}"
    typer.echo(f"{estimate.rows:,} rows, about {estimate.megabytes:,.1f} MB, in about {pieces}")


def print_estimates(estimates: Mapping[str, FetchEstimate]) -> None:
    """Print what a run would fetch, table by table, and the sum."""
    for name, estimate in estimates.items():
        typer.echo(f"--- {name}")
        print_estimate(estimate)
        if estimate.rows == 0:
            typer.echo("warning: no row is there, and the run would stop; choose another region or leave it out")
        typer.echo("")
    if not estimates:
        typer.echo("the run fetches nothing: every table is a file")
        return
    known = [estimate for estimate in estimates.values() if estimate.rows is not None]
    rows, megabytes = (sum(getattr(e, name) for e in known) for name in ("rows", "megabytes"))
    unknown = f"; {len(estimates) - len(known)} not known" if len(known) < len(estimates) else ""
    typer.echo(f"{len(estimates)} tables: {rows:,} rows, about {megabytes:,.1f} MB{unknown}; nothing was fetched")
