"""Commands that add columns to a table of stars: redden (E(B-V) of a dust map), parallax (without its bias)."""

from __future__ import annotations

from typing import Annotated

import typer

import starscale as ss
from starscale.cli.options import Output, Rename, renamed, survey_option
from starscale.cli.printing import progress as shown
from starscale.dust.reddening import REDDENING_MEANING


def redden(
    table: Annotated[str, typer.Argument(help="Table with positions, and distances for a map that needs them.")],
    dust_map: Annotated[
        str,
        typer.Option("--map", help="sfd, csfd, bayestar19, edenhofer2023, decaps; or a TOML file about a map."),
    ],
    survey: Annotated[str, survey_option()],
    output: Output,
    distance: Annotated[
        str | None, typer.Option(help="Column with distances in pc; default: that of the survey.")
    ] = None,
    column: Annotated[str, typer.Option(help="Name of the new column.")] = "ebv",
    rename: Rename = None,
) -> None:
    """Add E(B-V) of a dust map, its error and a flag to a table.

    Example: `starscale redden clean.parquet --map sfd --survey gaia_dr3 -o dusty.parquet`
    """
    done = ss.add_reddening(
        table,
        dust_map,
        survey=survey,
        output=output,
        distance=distance,
        column=column,
        rename=renamed(rename),
        progress=shown(),
    )
    typer.echo(f"{done.n_values:,} of {done.n_rows:,} rows with E(B-V) ({done.scale}) written to {output}")
    for bit, meaning in REDDENING_MEANING.items():
        if n := done.flags.get(str(bit.name)):
            typer.echo(f"  {n:,} rows: {meaning}")


def parallax(
    table: Annotated[str, typer.Argument(help="Table with parallaxes.")],
    survey: Annotated[str, survey_option()],
    output: Output,
    rename: Rename = None,
) -> None:
    """Add the bias of the parallax and the parallax without it to a table.

    Example: `starscale parallax gaia.parquet --survey gaia_dr4 -o corrected.parquet`
    """
    done = ss.correct_parallax(table, survey=survey, output=output, rename=renamed(rename), progress=shown())
    typer.echo(f"{done.n_values:,} of {done.n_rows:,} rows with a corrected parallax written to {output}")
