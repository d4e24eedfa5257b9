"""The command `fetch`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from starscale.cli.estimates import print_estimate
from starscale.cli.options import named_values, names, survey_argument
from starscale.cli.printing import progress as shown
from starscale.cli.printing import say
from starscale.reports.text import attrition_table
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.cuts import Cuts, ExtraCut
from starscale.vocabulary.settings.run import FetchSettings
from starscale.vocabulary.strict import validate


def fetch(
    survey: Annotated[str, survey_argument()],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; its suffix gives the format.")
    ] = None,
    cone: Annotated[
        tuple[float, float, float] | None,
        typer.Option(metavar="RA DEC RADIUS", help="Cone: centre and radius in degrees."),
    ] = None,
    box: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(metavar="RA1 RA2 DEC1 DEC2", help="Box in degrees; RA may pass through 0."),
    ] = None,
    cell: Annotated[
        tuple[int, int] | None, typer.Option(metavar="ORDER NUMBER", help="HEALPix cell, nested order.")
    ] = None,
    ids: Annotated[Path | None, typer.Option(help="Table with the identifiers to fetch.")] = None,
    positions: Annotated[
        Path | None, typer.Option(help="Table with `ra` and `dec`: fetches what is near one of them.")
    ] = None,
    radius: Annotated[float, typer.Option(help="Radius for --positions, arcsec.")] = 1.0,
    whole: Annotated[bool, typer.Option("--whole", help="The whole table, in pieces.")] = False,
    cuts: Annotated[bool, typer.Option(help="Apply the cuts of the survey at the archive.")] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="Name of a cut that is not applied. Repeatable.")
    ] = None,
    cut: Annotated[list[str] | None, typer.Option(help="NAME=SQL: a further cut. Repeatable.")] = None,
    match: Annotated[
        list[str] | None, typer.Option(help="Survey that the archive has cross-matched with this one. Repeatable.")
    ] = None,
    join: Annotated[bool, typer.Option(help="Add the tables with the same identifiers (distances).")] = True,
    columns: Annotated[
        str | None, typer.Option(help="Column names, separated by commas; default: all of the survey file.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Name of the archive, where the survey has several.")] = None,
    service: Annotated[str | None, typer.Option(help="URL of another TAP service with these tables.")] = None,
    login: Annotated[
        bool, typer.Option("--login", help="Log in with the environment, ~/.netrc, or a prompt.")
    ] = False,
    chunk: Annotated[int, typer.Option(min=1, help="Most rows of one query.")] = 200_000,
    jobs: Annotated[int, typer.Option(min=1, max=8, help="Queries that run at the same time.")] = 3,
    fresh: Annotated[bool, typer.Option("--fresh", help="Fetch again although the output exists.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the queries and the expected rows, and fetch nothing.")
    ] = False,
) -> None:
    """Fetch a table from an archive in pieces; an interrupted download resumes.

    Example: `starscale fetch gaia_dr3 --cone 132.8 11.8 0.5 -o gaia.parquet`
    """
    if output is None and not dry_run:
        raise InputError(Problem("--output", "is missing", "where to write", "Add -o gaia.parquet, or --dry-run."))
    chosen = Cuts(
        apply=cuts,
        without=tuple(without or ()),
        extra=tuple(ExtraCut(name=name, keep=keep) for name, keep in named_values(cut, "--cut", "NAME=SQL")),
    )
    given = {
        "at": at,
        "service": service,
        "columns": tuple(names(columns)) if columns else (),
        "cuts": chosen,
        "join": join,
        "match": tuple(match or ()),
        "chunk": chunk,
        "jobs": jobs,
        "login": login,
    }
    settings = validate(FetchSettings, given, "fetch")
    selection: dict[str, Any] = {
        "cone": cone,
        "box": box,
        "cell": cell,
        "ids": ids,
        "positions": positions,
        "radius": radius,
        "whole": whole,
    }
    # The network libraries are loaded by this command only.
    if dry_run:
        plan = importlib.import_module("starscale.archives.estimate").plan_fetch
        print_estimate(plan(survey, **selection, settings=settings, ask=_ask))
        return
    work = importlib.import_module("starscale.archives.api").fetch
    done = work(survey, output, **selection, settings=settings, fresh=fresh, ask=_ask, progress=shown())
    _print_fetched(done, settings)


def _ask(question: str, hidden: bool) -> str:
    return str(typer.prompt(question, hide_input=hidden, err=True))


def _print_fetched(done: Any, settings: FetchSettings) -> None:
    if done.already:
        when = done.record["fetched_to"]
        typer.echo(f"{done.path}: there already, fetched {when} by the same request; --fresh asks again")
        return
    if done.before_cuts is not None:
        typer.echo(f"the cuts left {done.counted:,} of {done.before_cuts:,} rows at the archive")
    if done.attrition is not None:
        typer.echo(attrition_table(done.attrition).text())
    if done.unknown:
        typer.echo(f"note: the archive has no row for {done.unknown:,} of the identifiers (cuts included)")
    if not settings.cuts.apply and not settings.cuts.extra:
        say("note: no cuts were applied; 'starscale clean' applies them, --cuts lets the archive do it")
    typer.echo(f"{done.rows:,} rows written to {done.path}")
