"""The verbs on tables: read, write, clean, match."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.surveys import Survey, load_survey
from starscale.tables.standardise import spelling, standardise
from starscale.vocabulary.columns import (
    DUPLICATE_COLUMNS,
    LABEL_TABLE_COLUMNS,
    NEIGHBOUR_COLUMNS,
    PAIR_COLUMNS,
    UNMATCHED_COLUMNS,
    Column,
    catalogue_columns,
)
from starscale.vocabulary.errors import InputError, Problem

#: The key under which provenance stands in a file's metadata.
PROVENANCE_KEY = "starscale.provenance"


#: Formats that tell their provenance without being read whole.
_CARRY_PROVENANCE = (".parquet", ".fits", ".hats")


AnyTable = Any  #: a path, or a polars, Arrow, pandas or astropy table


def read(
    source: AnyTable, *, survey: str | Path | Survey | None = None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Read a table.

    Parameters
    ----------
    source : path or table
        Parquet (file, directory, HATS), FITS, VOTable, ECSV or CSV; or a polars, Arrow, pandas or
        astropy table.
    survey : str, Path or Survey, optional
        The description of the catalogue: columns then get its names, types, units and nulls, and
        identifiers are checked.
    columns : sequence of str, optional
        With a survey: its column names, of which those that are there are read. Without: the
        file's own, all of which must be there.

    Returns
    -------
    polars.DataFrame

    Raises
    ------
    InputError
        Everything that is wrong with the table, at once.
    """
    if survey is None:
        return io.read(source, columns=columns)
    description = load_survey(survey)
    if not isinstance(source, str | Path):
        table = io.read(source)
        wanted = _wanted(table.columns, description, columns)
        return standardise(table.select(wanted), description)
    opened = io.open_table(Path(source))
    wanted = _wanted(list(opened.schema), description, columns)
    table = io.read(source, columns=wanted)
    return standardise(table, description, where=str(source), found_columns=opened.columns)


def refuse_same(target: str | Path, *sources: AnyTable) -> None:
    """Refuse to write over what is being read.

    Raises
    ------
    InputError
        When `target` is one of the `sources`.
    """
    for source in sources:
        if isinstance(source, str | Path) and Path(source).resolve() == Path(target).resolve():
            raise InputError(Problem(str(target), "is the input and the output", "another file for the output"))


def is_mock(*paths: str | Path) -> bool:
    """Whether one of these files says in its provenance that its stars are simulated."""
    carrying = (Path(path) for path in paths if Path(path).suffix in _CARRY_PROVENANCE)
    return any(says_mock(io.open_table(path).metadata) for path in carrying)


def says_mock(metadata: Mapping[str, str]) -> bool:
    """Whether what a file says of itself has a provenance of simulated stars; without one it says nothing."""
    try:
        return bool(json.loads(metadata[PROVENANCE_KEY])["mock"])
    except (KeyError, TypeError, ValueError):
        return False


def _wanted(available: list[str], survey: Survey, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return available
    found = spelling(available, survey)
    return [found[name] for name in columns if name in found]


def described(*surveys: Survey) -> dict[str, Column]:
    """What is known about columns: those of the surveys, and of starscale's own tables."""
    known: dict[str, Column] = {
        **catalogue_columns(),
        **DUPLICATE_COLUMNS,
        **UNMATCHED_COLUMNS,
        **NEIGHBOUR_COLUMNS,
        **PAIR_COLUMNS,
        **LABEL_TABLE_COLUMNS,
    }
    for survey in surveys:
        known |= survey.described()
    return known


def write(
    table: AnyTable,
    path: str | Path,
    *,
    surveys: Sequence[str | Path | Survey] = (),
    columns: Mapping[str, Column] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a table, whole or not at all, with units, UCDs, descriptions and provenance.

    Parameters
    ----------
    table : table
        Anything that :func:`read` takes.
    path : str or Path
        The suffix says the format: .parquet, .fits, .vot, .ecsv, .csv, .hats.
    surveys : sequence of surveys
        Whose column descriptions apply.
    columns : mapping of str to Column, optional
        Further descriptions, which win.
    provenance : mapping, optional
        Plain data, stored as JSON.

    Raises
    ------
    StarscaleError
        Unknown suffix, an output that cannot be written.
    """
    frame = io.read(table)
    loaded = [load_survey(survey) for survey in surveys]
    known = {**described(*loaded), **(columns or {})}
    chosen = {name: known[name] for name in frame.columns if name in known}
    metadata = about_positions(frame.columns, loaded)
    if provenance:
        metadata[PROVENANCE_KEY] = json.dumps(provenance, default=str)
    io.write(frame, path, columns=chosen, metadata=metadata)


def about_positions(columns: Sequence[str], surveys: Sequence[Survey]) -> dict[str, str]:
    """System and epoch of the positions: of the first survey whose columns of positions are in the table."""
    for survey in surveys:
        if survey.position is not None and {survey.position.ra, survey.position.dec} <= set(columns):
            return survey.position_metadata
    return {}
