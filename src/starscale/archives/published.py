"""Columns of tables as an archive describes them in its TAP_SCHEMA."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from starscale.archives.tap.client import Client
from starscale.archives.tap.names import text_literal
from starscale.archives.tap.retry import Retry


@dataclass(frozen=True)
class ArchiveColumns:
    """What an archive says of its tables.

    Attributes
    ----------
    columns : dict of str to dict of str to (str, str)
        Type and unit of every column, by the name of the column, by table; tables that it lacks are not there.
    others : list of str
        If a table is missing: the names of the archive's tables.
    """

    columns: dict[str, dict[str, tuple[str, str]]]
    others: list[str]


def published(client: Client, tables: Sequence[str], retry: Retry) -> ArchiveColumns:
    """Ask an archive for the columns of some tables.

    Parameters
    ----------
    client : Client
    tables : sequence of str
        As queries write them, with the schema and, where needed, quotes.
    retry : Retry
    """
    with tempfile.TemporaryDirectory() as name:

        def ask(query: str) -> pl.DataFrame:
            return retry.call(lambda: client.ask(query, Path(name)), stop=client.stop)[0]

        listed = ", ".join(text_literal(text) for table in tables for text in _spellings(table))
        # Some services write the names of the standard in capitals.
        rows = ask(
            "SELECT table_name, column_name, datatype, unit FROM TAP_SCHEMA.columns "  # noqa: S608  literals
            f"WHERE table_name IN ({listed})"
        )
        rows = rows.rename({column: column.lower() for column in rows.columns})
        found = {table: _columns(rows, table) for table in tables}
        known = {table: columns for table, columns in found.items() if columns}
        others = []
        if len(known) < len(tables):
            names = ask("SELECT table_name FROM TAP_SCHEMA.tables")
            others = [_bare(text) for text in names.to_series().drop_nulls().cast(pl.String)]
        return ArchiveColumns(known, others)


def _spellings(table: str) -> list[str]:
    """Return the names under which TAP_SCHEMA may list a table: with or without quotes and schema."""
    bare = _bare(table)
    return list(dict.fromkeys([table, bare, bare.rpartition(".")[2]]))


def _columns(rows: pl.DataFrame, table: str) -> dict[str, tuple[str, str]]:
    """Return the columns of a table, by the most complete spelling of its name that is there."""
    for spelling in _spellings(table):
        own = rows.filter(pl.col("table_name").cast(pl.String).str.strip_chars() == spelling)
        if own.height:
            texts = own.select(pl.col("column_name", "datatype", "unit").cast(pl.String).fill_null(""))
            return {_bare(name): (kind.strip(), unit.strip()) for name, kind, unit in texts.iter_rows()}
    return {}


def _bare(name: str) -> str:
    """Return a name without the quotes that some services keep."""
    return name.strip().replace('"', "")
