"""The verbs `read` and `write`, and the provenance that files carry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.io.units import convert, same_unit
from starscale.surveys import Survey, load_survey
from starscale.surveys.roles import units_of_roles
from starscale.surveys.spelling import with_rename
from starscale.tables.columns.likeness import with_units_of_values
from starscale.tables.columns.typed import Discarded
from starscale.tables.frames import refuse_frame
from starscale.tables.opening import open_for
from starscale.tables.own import own_columns, own_columns_of
from starscale.tables.renaming import new_names
from starscale.tables.standardise import only, spelling, standardise, to_read
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM, Column
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.paths import divided

#: Key of the provenance in the metadata of a file.
PROVENANCE_KEY = "starscale.provenance"
#: Metadata about the storage in HATS, which are no longer true in another file.
_STORAGE = ("hats_", "moc_sky_fraction", "starscale.unplaced_rows", "dataproduct_type")
#: Formats whose metadata can be read without reading the rows.
_CARRY_PROVENANCE = (".parquet", ".fits", ".hats")

AnyTable = Any  #: a path, or a polars, pandas, astropy, numpy or Arrow table (docs: tables in memory)


def read(
    table: AnyTable,
    *,
    survey: str | Path | Survey | None = None,
    columns: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Read a table into memory.

    Parameters
    ----------
    table : path or table
        Parquet (file, directory, HATS), FITS, VOTable, ECSV or CSV. Or a table in memory: of polars, pandas,
        astropy (Table, QTable, FITS records), Arrow, a structured array of numpy, or any object with
        ``__arrow_c_stream__`` or ``__dataframe__``. Masked values and NaN are missing values.
    survey : str, Path or Survey, optional
        Survey that describes the columns. They are converted to its names, types and units (from the units that
        the table states), missing values become null, and identifiers are checked.
    columns : sequence of str, optional
        Columns to read. With `survey`: names of the survey, of which those that exist, or can be
        computed, are returned. Without: names of the table, all of which must exist.
    rename : mapping of str to str, optional
        Names in the table, by new name. With `survey` the new names are columns of the survey.

    Returns
    -------
    polars.DataFrame

    Raises
    ------
    InputError
        Every problem of the table, in one error.
    """
    if survey is not None:
        return read_counted(table, with_rename(load_survey(survey), rename), columns)
    frame = io.read(table, columns=columns)
    return frame.rename(new_names(frame.columns, rename, name_of(table))) if rename else frame


def read_counted(
    table: AnyTable,
    description: Survey,
    columns: Sequence[str] | None = None,
    discarded: Discarded | None = None,
) -> pl.DataFrame:
    """Do the same with a survey; `discarded` receives the numbers of values that became missing."""

    def wanted(names: Sequence[str]) -> list[str]:
        # The identifier is examined, also where it is not asked for.
        return list(names) if columns is None else to_read(names, description, [*columns, description.id.column])

    where = name_of(table, f"table of {description.name}")
    source = open_for(table, description, choose=wanted, name=where)
    refuse_frame(source, description, where)
    frame = source.read(wanted(list(source.schema)))
    found = standardise(frame, description, where=where, found_columns=source.columns, discarded=discarded)
    return found if columns is None else only(found, columns)


def read_in_units(table: AnyTable, wanted: Callable[[Sequence[str]], Mapping[str, Column]]) -> pl.DataFrame:
    """Read a table and convert the units that it states to those that `wanted` returns for its column names.

    Raises
    ------
    InputError
        It cannot be read, or a column has the unit of another quantity.
    """
    source, problems = io.open_table(table), Problems()
    frame, known = source.read(), wanted(list(source.schema))
    changed = []
    for name, about in source.columns.items():
        if about.unit and name in known and frame[name].dtype.is_numeric():
            with problems.collect():
                label = f"{name_of(table)}: column {name!r}"
                difference = "stat.error" in known[name].ucd
                changed.append(convert(frame[name], about.unit, known[name].unit, label, difference=difference))
    problems.raise_if_any()
    return frame.with_columns(changed)


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
        if isinstance(table, str | Path) and divided(Path(table))[0].resolve() == Path(output).resolve():
            raise InputError(Problem(str(output), "is the input and the output", "another file for the output"))


def is_mock(*paths: str | Path) -> bool:
    """Whether the provenance of one of these files says that its stars are simulated."""
    carrying = (Path(path) for path in paths if divided(Path(path))[0].suffix in _CARRY_PROVENANCE)
    return any(says_mock(io.open_table(path).metadata) for path in carrying)


def says_mock(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata of a file contain a provenance of simulated stars; False without provenance."""
    try:
        return bool(parse_json(metadata[PROVENANCE_KEY])["mock"])
    except (KeyError, TypeError, ValueError):
        return False


def carried(stated: Mapping[str, Column], survey: Survey) -> dict[str, Column]:
    """Return what a table states about those of its columns that a survey does not describe, or not fully."""
    known = spelling(stated, survey)
    others = {
        name: about
        for name, about in stated.items()
        if name not in known.values() and (about.unit or about.ucd or about.description)
    }
    # Where neither the survey nor the role of a column states a unit, values are not converted.
    units = units_of_roles(survey)
    return others | {
        column: _filled(survey.columns[column].column(column), _in_unit(stated[name], units.get(column, "")))
        for column, name in known.items()
    }


def _in_unit(about: Column, unit: str) -> Column:
    """Return what is stated about values that were converted to a unit; spellings of the same unit stay."""
    return replace(about, unit=unit) if unit and about.unit and not same_unit(about.unit, unit) else about


def stated_metadata(source: io.Source) -> dict[str, str]:
    """Return the texts about a table that stay true in another file: no facts about the storage in HATS."""
    metadata = {key: text for key, text in source.metadata.items() if not key.startswith(_STORAGE)}
    if source.frame:
        metadata.setdefault(POSITION_SYSTEM, source.frame)
    if source.epoch is not None:
        metadata.setdefault(POSITION_EPOCH, f"J{source.epoch}")
    return metadata


def described(*surveys: Survey) -> dict[str, Column]:
    """Descriptions of the columns of the given surveys and of starscale's own tables, by name."""
    known = own_columns()
    for survey in surveys:
        known |= survey.described()
    return known


def write(
    table: AnyTable,
    output: str | Path,
    *,
    surveys: Sequence[str | Path | Survey] = (),
    columns: Mapping[str, Column] | None = None,
    like: AnyTable | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a table with units, UCDs, descriptions and provenance; the file appears only when it is complete.

    A column is described by the first of these that describes it: `columns`, the table itself (a file, or a table
    of astropy or Arrow), `like`, `surveys`, starscale's own tables. Values are written unchanged, so the unit that
    the table itself states is kept; that of `like` is taken where the values of the column stand in `like`.

    Parameters
    ----------
    table : path or table
        Anything that :func:`read` takes.
    output : str or Path
        The suffix selects the format: .parquet, .fits, .vot, .ecsv, .csv, .hats.
    surveys : sequence of str, Path or Survey
        Surveys that describe the columns.
    columns : mapping of str to Column, optional
        Descriptions that take precedence over all others.
    like : path or table, optional
        The table that `table` was made from, such as the catalogue that was filtered: units, descriptions and
        provenance are taken from it. Columns that were converted from its units get those of `surveys`.
    provenance : mapping, optional
        Plain data, stored as JSON; default: that of `like`, or of `table` if it is a file.

    Raises
    ------
    InputError
        A column would get its unit from `like`, but has other values than there.
    StarscaleError
        Unknown suffix, or a file that cannot be written.
    """
    source = io.open_table(table)
    origin = source if like is None else io.open_table(like, name="like")
    loaded = [load_survey(survey) for survey in surveys]
    known = own_columns_of(list(source.schema))
    for survey in loaded:
        known |= survey.described()
    stated = origin.columns
    if like is not None:
        known = _with_units(known, loaded)
        stated = with_units_of_values(source, origin, known, columns or {})
    chosen = {name: _filled(about, stated.get(name), known.get(name)) for name, about in source.columns.items()}
    metadata = stated_metadata(origin) | stated_metadata(source) | about_positions(list(source.schema), loaded)
    if provenance:
        metadata[PROVENANCE_KEY] = json.dumps(provenance, default=str)
    io.write(source.read(), output, columns={**chosen, **(columns or {})}, metadata=metadata)


def _with_units(known: Mapping[str, Column], surveys: Iterable[Survey]) -> dict[str, Column]:
    """Return descriptions with the units that values have once they are standardised."""
    units = {name: unit for survey in surveys for name, unit in units_of_roles(survey).items()}
    return {name: replace(about, unit=about.unit or units.get(name, "")) for name, about in known.items()}


def _filled(about: Column, *others: Column | None) -> Column:
    """Return a column whose unit, UCD and description, where it has none, are those of the first that has them."""
    for other in others:
        if other is not None:
            # The UCD of another quantity would be wrong, so it is not taken on its own.
            bare = not (about.ucd or about.description)
            about = replace(
                about,
                unit=about.unit or other.unit,
                converted=about.converted or (other.converted and not about.unit),
                ucd=other.ucd if bare else about.ucd,
                description=other.description if bare else about.description,
            )
    return about


def about_positions(columns: Sequence[str], surveys: Sequence[Survey]) -> dict[str, str]:
    """Reference system and epoch of the positions, from the first survey whose position columns are present."""
    for survey in surveys:
        if survey.position is not None and {survey.position.ra, survey.position.dec} <= set(columns):
            return survey.position_metadata
    return {}
