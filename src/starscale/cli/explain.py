"""The commands `explain` and `importance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import starscale as ss
from starscale import io
from starscale.cli.options import model_argument, named_values, names, sample_name
from starscale.reports.importance_text import importance_json, importance_tables
from starscale.tables.api import is_mock
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flag_advice import explain_mask
from starscale.vocabulary.settings.run import ImportanceConfig
from starscale.vocabulary.strict import validate


def explain(
    catalogue: Annotated[
        Path | None, typer.Argument(help="Catalogue, or a table of pairs, neighbours, labels or measurements.")
    ] = None,
    stars: Annotated[
        list[str] | None, typer.Argument(help="Identifiers (source_id) of stars in that table.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model bundle: adds missing and unusual inputs, and failed cuts.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="With --model: the table that was predicted.")] = None,
    flags: Annotated[int | None, typer.Option(help="Explain this bit mask, without a table.")] = None,
    kind: Annotated[
        str, typer.Option(help="For --flags: kind of the mask: catalogue, pairs or labels.")
    ] = "catalogue",
) -> None:
    """Explain a star of a table in sentences: its values, its flags and what to do about them.

    Example: `starscale explain run/catalogue.parquet 4295806720 --model run/model --table run/matched.parquet`
    """
    if flags is not None:
        if catalogue is not None or stars or model is not None or table is not None:
            raise InputError(
                Problem("--flags", "was given together with a table", "either a table with stars, or --flags")
            )
        typer.echo("\n".join(explain_mask(flags, kind)))
        return
    if catalogue is None or not stars:
        found = "no table" if catalogue is None else "no star"
        raise InputError(Problem("explain", found, "CATALOGUE STAR [STAR ...], or --flags MASK"))
    for i, explanation in enumerate(ss.explain(catalogue, stars, model=model, inputs=table)):
        typer.echo(f"{chr(10) * bool(i)}{explanation}")


def importance(
    model: Annotated[Path, model_argument()],
    table: Annotated[
        Path, typer.Argument(help="Table with the model's inputs and labels; of a training table, the test part.")
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file for the result.")] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=COLUMN,COLUMN: columns to shuffle together. Repeatable; default: every column, correlated "
            "ones together, and all."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Number of shuffles of every column and group, at least 2.")] = 5,
    correlation: Annotated[
        float, typer.Option(help="Columns with a rank correlation above this value are shuffled together.")
    ] = 0.9,
    max_stars: Annotated[int, typer.Option(help="Most stars to use, drawn at random.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the shuffles.")] = 0,
) -> None:
    """Measure how much worse the predictions become when a column is shuffled among the stars.

    Example: `starscale importance run/model run/training.parquet`
    """
    given = {"repeats": repeats, "correlation": correlation, "max_stars": max_stars, "seed": seed}
    settings = validate(ImportanceConfig, given, "options of importance")
    groups = {n: names(columns) for n, columns in named_values(group, "--group", "NAME=COLUMN,COLUMN")}
    bundle = ss.load(model)
    found = ss.importance(bundle, table, groups=groups or None, settings=settings)
    if output is not None:
        io.atomic_text(output, importance_json(found))
    sample = sample_name(str(table), bundle.mock or is_mock(table))
    typer.echo(
        f"errors of the predictions when columns are shuffled among the stars ({sample}; {repeats} shuffles)"
    )
    for label in importance_tables(found):
        typer.echo(f"\n{label.caption}\n{label.text()}")
