"""The verbs on tables: read, write, clean, match."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.catalogue.crossmatch.engine import Statistics, crossmatch, statistics
from starscale.catalogue.crossmatch.inputs import curated, match_columns, side_of
from starscale.catalogue.crossmatch.select import choose_pairs
from starscale.catalogue.cuts import Attrition, apply_cuts
from starscale.catalogue.joins import join_by_id
from starscale.catalogue.standardise import spelling, standardise
from starscale.surveys import Survey, load_survey
from starscale.use.clean_file import cuts_of_survey
from starscale.vocabulary.columns import (
    DUPLICATE_COLUMNS,
    LABEL_TABLE_COLUMNS,
    NEIGHBOUR_COLUMNS,
    PAIR_COLUMNS,
    UNMATCHED_COLUMNS,
    Column,
    catalogue_columns,
)
from starscale.vocabulary.config import Cuts, MatchConfig
from starscale.vocabulary.errors import InputError, Problem

#: The key under which provenance stands in a file's metadata.
PROVENANCE_KEY = "starscale.provenance"

#: Formats that tell their provenance without being read whole.
_CARRY_PROVENANCE = (".parquet", ".fits", ".hats")

AnyTable = Any  #: a path, or a polars, Arrow, pandas or astropy table


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Result of :func:`clean`: the rows that passed, and what each cut removed."""

    table: pl.DataFrame
    attrition: Attrition


@dataclass(frozen=True, slots=True)
class Matched:
    """Result of :func:`match`.

    Attributes
    ----------
    pairs : polars.DataFrame
        The chosen pairs.
    best : polars.DataFrame
        The best pair of every leading source that has one, chosen or not.
    neighbours : polars.DataFrame
        All good neighbours.
    unmatched : polars.DataFrame
        Leading sources without a chosen pair, and what they lost it to.
    duplicates : polars.DataFrame
        Entries of the external catalogue that repeat another, and the one that stands for them.
    statistics : Statistics
        Counts.
    model : dict
        What was learnt of errors, offsets, blends and completeness.
    """

    pairs: pl.DataFrame
    best: pl.DataFrame
    neighbours: pl.DataFrame
    unmatched: pl.DataFrame
    duplicates: pl.DataFrame
    statistics: Statistics
    model: dict[str, Any]


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


def extend(
    table: pl.DataFrame, join: Sequence[tuple[AnyTable, str | Path | Survey]], *, lead: Survey
) -> pl.DataFrame:
    """Append the columns of tables that share the identifier (distances, ...); a star without a row gets nulls."""
    for source, survey in join:
        description = load_survey(survey)
        extra = read(source, survey=description, columns=list(description.columns))
        if repeated := extra.height - extra[description.id.column].n_unique():
            where = str(source) if isinstance(source, str | Path) else f"table of {description.name}"
            found = f"{repeated} rows repeat the identifier of another"
            raise InputError(Problem(where, found, "one row a star, to be joined", "Merge or remove them first."))
        table = join_by_id(table, extra, lead=lead, survey=description)
    return table


def clean(
    source: AnyTable,
    *,
    survey: str | Path | Survey,
    join: Sequence[tuple[AnyTable, str | Path | Survey]] = (),
    cuts: Cuts = Cuts(),  # noqa: B008  frozen
) -> Cleaned:
    """Apply the cuts of a survey file.

    Parameters
    ----------
    source : path or table
    survey : str, Path or Survey
        Whose cuts apply.
    join : sequence of (table, survey)
        Tables that share the identifier and bring columns that a cut needs (distances, ...).
    cuts : Cuts
        Cuts to leave out, and cuts of one's own.

    Returns
    -------
    Cleaned

    Raises
    ------
    InputError
        No rows, a column that a cut needs is missing, an identifier is damaged, ...
    """
    description = load_survey(survey)
    where = str(source) if isinstance(source, str | Path) else "table"
    table = read(source, survey=description)
    if table.height == 0:
        raise InputError(Problem(where, "has no rows", "one or more"))
    table = extend(table, join, lead=description)
    mask, attrition = apply_cuts(table, cuts_of_survey(description, cuts, where), where=where)
    return Cleaned(table.filter(mask), attrition)


def match(
    left: AnyTable,
    right: AnyTable,
    *,
    left_survey: str | Path | Survey,
    right_survey: str | Path | Survey,
    settings: MatchConfig = MatchConfig(),  # noqa: B008  frozen
) -> Matched:
    """Match two catalogues by position.

    Parameters
    ----------
    left, right : path or table
        Gaia, whose stars move to the epoch of each candidate, and the catalogue to match it with.
    left_survey, right_survey : str, Path or Survey
        Which columns hold identifiers, positions, errors, epochs and proper motions.
    settings : MatchConfig
        Method, radius, choice of pairs, ...

    Returns
    -------
    Matched

    Raises
    ------
    InputError
        Positions missing or off the sphere, identifiers damaged or repeated, no rows.
    """
    tables, sides = [], []
    for source, survey in ((left, load_survey(left_survey)), (right, load_survey(right_survey))):
        where = str(source) if isinstance(source, str | Path) else f"table of {survey.name}"
        table = read(source, survey=survey, columns=match_columns(survey))
        if table.height == 0:
            raise InputError(Problem(where, "has no rows", "one or more"))
        tables.append(table)
        sides.append(side_of(table, survey, where))
    moving, standing = sides
    survey = load_survey(right_survey)
    mode = settings.mode or survey.match_mode
    imprecise = duplicate = None
    join_table = pl.DataFrame(schema=dict.fromkeys(DUPLICATE_COLUMNS, standing.ids.dtype))
    if settings.curate:
        standing, found = curated(standing, tables[1], survey)
        imprecise, duplicate, join_table = found.imprecise, found.duplicate, found.table(standing.ids)
    result = crossmatch(moving, standing, settings, mode, duplicate=duplicate)
    taken_out = (0 if imprecise is None else int(imprecise.sum()), join_table.height)
    counts = statistics(result, settings, mode, rows=(len(moving), len(standing)), curated=taken_out)
    return Matched(
        choose_pairs(result.best, settings.pairs),
        result.best,
        result.neighbours,
        result.unmatched,
        join_table,
        counts,
        result.model.summary(),
    )
