"""The verbs `read` and `write`, and the provenance that files carry."""

from __future__ import annotations

import json
from collections import Counter
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

#: Key of the provenance in the metadata of a file.
PROVENANCE_KEY = "starscale.provenance"
#: Formats whose metadata can be read without reading the rows.
_CARRY_PROVENANCE = (".parquet", ".fits", ".hats")

AnyTable = Any  #: a path, or a polars, Arrow, pandas or astropy table


def read(
    table: AnyTable, *, survey: str | Path | Survey | None = None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Read a table into memory.

    Parameters
    ----------
    table : path or table
        Parquet (file, directory, HATS), FITS, VOTable, ECSV or CSV; or a polars, Arrow, pandas or
        astropy table.
    survey : str, Path or Survey, optional
        Survey that describes the columns. They are converted to its names, types and units, missing
        values become null, and identifiers are checked.
    columns : sequence of str, optional
        Columns to read. With `survey`: names of the survey, of which those that exist are read. Without:
        names of the table, all of which must exist.

    Returns
    -------
    polars.DataFrame

    Raises
    ------
    InputError
        Every problem of the table, in one error.
    """
    if survey is None:
        return io.read(table, columns=columns)
    return read_counted(table, load_survey(survey), columns)


def read_counted(
    table: AnyTable, description: Survey, columns: Sequence[str] | None = None, outside: Counter[str] | None = None
) -> pl.DataFrame:
    """Do the same with a survey; `outside` receives the number of implausible values by column."""
    if not isinstance(table, str | Path):
        frame = io.read(table)
        return standardise(
            frame.select(_wanted(frame.columns, description, columns)), description, outside=outside
        )
    opened = io.open_table(Path(table))
    frame = io.read(table, columns=_wanted(list(opened.schema), description, columns))
    return standardise(frame, description, where=str(table), found_columns=opened.columns, outside=outside)


def name_of(table: AnyTable, otherwise: str = "table") -> str:
    """Return how error messages call a table: its path, or `otherwise` for a table in memory."""
    return str(table) if isinstance(table, str | Path) else otherwise


def refuse_same(output: str | Path, *tables: AnyTable) -> None:
    """Refuse to overwrite one of the input tables.

    Raises
    ------
    InputError
        `output` is one of `tables`.
    """
    for table in tables:
        if isinstance(table, str | Path) and Path(table).resolve() == Path(output).resolve():
            raise InputError(Problem(str(output), "is the input and the output", "another file for the output"))


def is_mock(*paths: str | Path) -> bool:
    """Whether the provenance of one of these files says that its stars are simulated."""
    carrying = (Path(path) for path in paths if Path(path).suffix in _CARRY_PROVENANCE)
    return any(says_mock(io.open_table(path).metadata) for path in carrying)


def says_mock(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata of a file contain a provenance of simulated stars; False without provenance."""
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
    """Descriptions of the columns of the given surveys and of starscale's own tables, by name."""
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
    output: str | Path,
    *,
    surveys: Sequence[str | Path | Survey] = (),
    columns: Mapping[str, Column] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a table with units, UCDs, descriptions and provenance; the file appears only when it is complete.

    Parameters
    ----------
    table : path or table
        Anything that :func:`read` takes.
    output : str or Path
        The suffix selects the format: .parquet, .fits, .vot, .ecsv, .csv, .hats.
    surveys : sequence of str, Path or Survey
        Surveys that describe the columns.
    columns : mapping of str to Column, optional
        Further descriptions; they take precedence over those of `surveys`.
    provenance : mapping, optional
        Plain data, stored as JSON.

    Raises
    ------
    StarscaleError
        Unknown suffix, or a file that cannot be written.
    """
    frame = io.read(table)
    loaded = [load_survey(survey) for survey in surveys]
    known = {**described(*loaded), **(columns or {})}
    chosen = {name: known[name] for name in frame.columns if name in known}
    metadata = about_positions(frame.columns, loaded)
    if provenance:
        metadata[PROVENANCE_KEY] = json.dumps(provenance, default=str)
    io.write(frame, output, columns=chosen, metadata=metadata)


def about_positions(columns: Sequence[str], surveys: Sequence[Survey]) -> dict[str, str]:
    """Reference system and epoch of the positions, from the first survey whose position columns are present."""
    for survey in surveys:
        if survey.position is not None and {survey.position.ra, survey.position.dec} <= set(columns):
            return survey.position_metadata
    return {}
