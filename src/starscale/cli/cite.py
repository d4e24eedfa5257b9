"""The command `cite`."""

from __future__ import annotations

from typing import Annotated

import typer

import starscale as ss


def cite(
    what: Annotated[
        str, typer.Argument(help="Survey (name or file), run (its folder), or model (name or bundle).")
    ],
    bibtex: Annotated[bool, typer.Option("--bibtex", help="BibTeX entries, each once.")] = False,
) -> None:
    """Print what to cite for a survey, a model or a run.

    Example: `starscale cite run --bibtex > surveys.bib`
    """
    typer.echo(ss.cite(what, bibtex=bibtex))
