"""The commands `models list`, `models show`, `models get`, `models add` and `models pack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import starscale as ss
from starscale.cli.options import model_argument
from starscale.cli.printing import progress as shown
from starscale.cli.printing import say
from starscale.reports.table import ReportTable

models = typer.Typer(help="Trained models by name: list, show, get, add and pack.", no_args_is_help=True)

Registry = Annotated[
    str | None, typer.Option(help="Path or address of a registry file, before those of the user and the package.")
]


@models.command("list")
def list_models(registry: Registry = None) -> None:
    """List the models that can be given by name.

    Example: `starscale models list`
    """
    rows = [
        [
            row["name"],
            ", ".join(row["labels"]),
            ", ".join(row["surveys"]),
            "yes" if row["here"] else "no",
            row["title"] + (" (MOCK stars)" if row["mock"] else ""),
        ]
        for row in ss.list_models(registry=registry).iter_rows(named=True)
    ]
    typer.echo(ReportTable(["name", "labels", "surveys", "here", "title"], rows).text())


@models.command("show")
def show(
    name: Annotated[str, model_argument("Name of a model.")],
    registry: Registry = None,
) -> None:
    """Print labels, scale, surveys, figures, licence, citation and place of a model.

    Example: `starscale models show segue_colours`
    """
    typer.echo(ss.describe_model(name, registry=registry))


@models.command("get")
def get(
    name: Annotated[str, model_argument("Name of a model.")],
    registry: Registry = None,
) -> None:
    """Download a model, check it and keep it; afterwards its name needs no network.

    Example: `starscale models get segue_colours`
    """
    folder = ss.get_model(name, registry=registry, progress=shown())
    typer.echo(f"model {name} in {folder}/; use: starscale predict {name} TABLE -o catalogue.fits")


@models.command("add")
def add(
    source: Annotated[str, typer.Argument(help="Registry file (path or address), or bundle (folder or .tar).")],
    name: Annotated[str | None, typer.Option(help="Name of the bundle; default: that of its file.")] = None,
) -> None:
    """Enter the models of a registry file, or one bundle, into your registry.

    Example: `starscale models add run/model --name mine`
    """
    new = ss.add_models(source, name=name)
    typer.echo(f"added: {', '.join(new)}" if new else "nothing new: every model was known")


@models.command("pack")
def pack(
    bundle: Annotated[Path, typer.Argument(help="Folder of a model bundle, or the name of a model.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .tar.")],
    licence: Annotated[str, typer.Option(help="Licence of the model, for the entry.")] = "not stated",
    label_scale: Annotated[
        str | None, typer.Option(help="Scale of the labels, for the entry; default: the surveys of the labels.")
    ] = None,
    citation: Annotated[list[str] | None, typer.Option(help="What users cite, for the entry. Repeatable.")] = None,
) -> None:
    """Pack a bundle into one file, the same bytes each time, and print its entry for a registry file.

    Example: `starscale models pack run/model -o mine.tar > registry.toml`
    """
    packed = ss.pack_model(bundle, output, licence=licence, label_scale=label_scale, citation=citation or ())
    typer.echo(packed.entry, nl=False)
    say(f"{packed.size:,} bytes written to {packed.path}; its entry for a registry file is above")
