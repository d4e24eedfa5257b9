"""Commands on tables: convert, clean, match."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import starscale as ss
from starscale.cli.announcing import announce
from starscale.cli.options import (
    Engine,
    Output,
    Rename,
    Scheduler,
    Workers,
    named_values,
    names,
    renamed,
    survey_option,
)
from starscale.cli.printing import progress as shown
from starscale.reports.match_text import losses_table, match_table
from starscale.reports.text import attrition_table
from starscale.vocabulary.settings.cuts import Cuts, ExtraCut
from starscale.vocabulary.settings.match import MatchConfig
from starscale.vocabulary.strict import validate


def convert(
    table: Annotated[
        str,
        typer.Argument(help="Table, folder of files of one table, or a quoted pattern of them.", metavar="TABLE"),
    ],
    output: Output,
    columns: Annotated[
        str | None, typer.Option(help="Names with commas between; default: all columns of the table.")
    ] = None,
    rename: Rename = None,
    ignore_checksum: Annotated[
        bool, typer.Option("--ignore-checksum", help="Copy a file whose checksums are wrong.")
    ] = False,
) -> None:
    """Write a table in another format, with units, UCDs, descriptions and missing values.

    Example: `starscale convert "gaia/GaiaSource_*.csv.gz" -o gaia.parquet --columns source_id,ra,dec`
    """
    announce("convert", output, table)
    chosen = None if columns is None else names(columns)
    done = ss.convert(
        table,
        output,
        columns=chosen,
        rename=renamed(rename),
        verify=not ignore_checksum,
        progress=shown(),
    )
    typer.echo(f"{done.n_rows:,} rows written to {output}")
    typer.echo("not kept by this format:" if done.lost else "everything is kept")
    for loss in done.lost:
        typer.echo(f"  {loss}")


def clean(
    table: Annotated[Path, typer.Argument(help="Table to clean.")],
    survey: Annotated[str, survey_option()],
    output: Output,
    join: Annotated[
        list[str] | None,
        typer.Option(help="SURVEY=PATH: a table with the same identifiers, for example distances. Repeatable."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Name of a cut that is not applied. Repeatable.")
    ] = None,
    cut: Annotated[
        list[str] | None,
        typer.Option(help="NAME=SQL: a further cut, which keeps rows where the SQL holds. Repeatable."),
    ] = None,
    rename: Rename = None,
) -> None:
    """Apply the quality cuts of a survey and print how many rows each removes.

    Example: `starscale clean gaia.parquet --survey gaia_dr3 --join bailer_jones_edr3=dist.parquet -o ok.parquet`
    """
    extra = tuple(ExtraCut(name=n, keep=k) for n, k in named_values(cut, "--cut", "NAME=SQL"))
    joins = [(Path(path), name) for name, path in named_values(join, "--join", "SURVEY=PATH")]
    cuts = Cuts(without=tuple(without or ()), extra=extra)
    display = shown()
    announce("clean", output, table)
    cleaned = ss.clean(
        table, survey=survey, join=joins, cuts=cuts, rename=renamed(rename), output=output, progress=display
    )
    attrition = cleaned.attrition
    typer.echo(attrition_table(attrition).text())
    typer.echo(f"{attrition.n_out:,} of {attrition.n_in:,} rows written to {output}")


def match(
    left: Annotated[str, typer.Argument(help="Gaia catalogue; its stars are moved to the other epoch.")],
    right: Annotated[str, typer.Argument(help="Catalogue to match with Gaia.")],
    left_survey: Annotated[str, survey_option("--left", help="Survey of the first catalogue.")],
    right_survey: Annotated[str, survey_option("--right", help="Survey of the second catalogue.")],
    output: Output,
    method: Annotated[
        str, typer.Option(help="figure_of_merit (errors, density, motions) or nearest.")
    ] = "figure_of_merit",
    mode: Annotated[
        str | None,
        typer.Option(
            help="dense: a counterpart for every Gaia star; sparse: a Gaia star for every source. Default: by "
            "the survey."
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(metavar="ARCSEC", help="Largest separation, up to 60. Default: 5; nearest: 1."),
    ] = None,
    errors: Annotated[
        str,
        typer.Option(help="Of positions: calibrated with the pairs, or as stated."),
    ] = "calibrated",
    pairs: Annotated[
        str,
        typer.Option(
            help="strict: one good neighbour on both sides; loose: one neighbour, no mates; best: the best of "
            "every source."
        ),
    ] = "strict",
    proper_motion: Annotated[bool, typer.Option(help="Move the stars along their proper motions.")] = True,
    neighbours: Annotated[Path | None, typer.Option(metavar="FILE", help="File for all good neighbours.")] = None,
    unmatched: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for sources without a pair, with the reason.")
    ] = None,
    duplicates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for repeated entries of the second catalogue.")
    ] = None,
    tiles: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=10,
            metavar="ORDER",
            help="HEALPix order of tiles on disk; default: as the size asks; same pairs.",
        ),
    ] = None,
    left_rename: Annotated[
        list[str] | None, typer.Option(metavar="NEW=OLD", help="A column of the first table. Repeatable.")
    ] = None,
    right_rename: Annotated[
        list[str] | None, typer.Option(metavar="NEW=OLD", help="A column of the second table. Repeatable.")
    ] = None,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Cross-match Gaia with another catalogue by position, proper motion, errors and local density.

    Example: `starscale match gaia.parquet smss.parquet --left gaia_dr3 --right skymapper_dr2 -o pairs.parquet`
    """
    given = {"method": method, "mode": mode, "radius": radius, "errors": errors, "pairs": pairs}
    settings = validate(MatchConfig, {**given, "proper_motion": proper_motion}, "options of match")
    files: dict[str, Any] = {"neighbours": neighbours, "unmatched": unmatched, "duplicates": duplicates}
    announce("match", output, left, right)
    matched = ss.match(
        left,
        right,
        output=output,
        left_survey=left_survey,
        right_survey=right_survey,
        left_rename=renamed(left_rename, "--left-rename"),
        right_rename=renamed(right_rename, "--right-rename"),
        settings=settings,
        order=tiles,
        engine=engine,
        scheduler=scheduler,
        workers=workers,
        progress=shown(),
        **files,
    )
    typer.echo(match_table(matched.statistics, matched.model).text())
    if matched.losses:
        typer.echo("\n" + losses_table(matched.losses).text())
    typer.echo(f"{matched.n_pairs:,} pairs ({pairs}) written to {output}")
