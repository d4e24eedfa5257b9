"""Between the user and the archive: the selection with its lists, and a request in the archive's own words."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from starscale.faces.fetch_request import Sources, Wish, build, listed_ids, listed_positions
from starscale.faces.tables import AnyTable
from starscale.io.archive.client import Client
from starscale.io.archive.query import probe
from starscale.io.archive.retry import Retry
from starscale.surveys import Survey
from starscale.vocabulary.config import FetchSettings
from starscale.vocabulary.selection import Selection
from starscale.vocabulary.strict import validate

_IN_MEMORY = Path("in memory")


def selected(**given: Any) -> tuple[Selection, dict[str, AnyTable]]:
    """The selection, and its lists, which may be tables in memory."""
    lists = {name: given[name] for name in ("ids", "positions") if given[name] is not None}
    placed = {name: value if isinstance(value, str | Path) else _IN_MEMORY for name, value in lists.items()}
    return validate(Selection, {**given, **placed}, "fetch"), lists


def uploaded(lists: Mapping[str, AnyTable], survey: Survey) -> pl.DataFrame | None:
    """The list that goes to the archive, if the selection has one."""
    if "ids" in lists:
        return listed_ids(lists["ids"], survey)
    return listed_positions(lists["positions"]) if "positions" in lists else None


def ask_and_build(
    client: Client,
    sources: Sources,
    selection: Selection,
    settings: FetchSettings,
    upload: pl.DataFrame | None,
) -> Wish:
    """Ask which columns there are, and build the request."""
    with tempfile.TemporaryDirectory() as name:
        few = Retry(attempts=2)
        names = {
            table: few.call(lambda t=table: client.ask(probe(t), Path(name)), stop=client.stop)[0].columns  # type: ignore[misc]
            for table in sources.tables()
        }
    return build(sources, selection, settings, sources.spellings(names), upload)
