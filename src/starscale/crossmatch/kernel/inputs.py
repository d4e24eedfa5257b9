"""From a standardised table to a side of a match."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.curate import Curated, Evidence, curate
from starscale.crossmatch.kernel.pieces import Side
from starscale.surveys import Survey
from starscale.tables.identifiers import missing_identifiers
from starscale.tables.positions import positions
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError


def match_columns(survey: Survey) -> list[str]:
    """Columns of a survey that a match looks at, those that a table may lack among them."""
    names: list[str | None] = [survey.id.column, brightness_column(survey)]
    for role in (survey.position, survey.position and survey.position.ellipse, survey.motion):
        if role is not None:
            names += [value for value in role.model_dump().values() if isinstance(value, str)]
    if survey.position and survey.position.epoch:
        names.append(survey.position.epoch.column)
    if survey.duplicates is not None:
        names += [survey.duplicates.prefer, *(band.magnitude for band in survey.bands.values())]
    return list(dict.fromkeys(name for name in names if name is not None))


def brightness_column(survey: Survey) -> str | None:
    """Column with the magnitude that stands for the brightness of a source."""
    return survey.bands[survey.reference_band].magnitude if survey.reference_band else None


def side_of(table: pl.DataFrame, survey: Survey, where: str, *, whole: bool = True) -> Side:
    """Positions, identifiers and magnitudes of a catalogue, or of a piece of one.

    Parameters
    ----------
    table : polars.DataFrame, (n_rows, any)
        Standardised.
    survey : Survey
    where : str
        What to call the table in an error.
    whole : bool
        The table is whole: a piece of one may be without any position.

    Raises
    ------
    InputError
        See :func:`starscale.tables.positions.positions`; an identifier is missing.
    """
    ids = table[survey.id.column]
    if missing := missing_identifiers(ids, f"{where}: column {survey.id.column!r}"):
        raise InputError(missing)
    return Side.of(
        positions(table, survey, where, whole=whole), ids, brightness=_numbers(table, brightness_column(survey))
    )


def curated(side: Side, table: pl.DataFrame, survey: Survey) -> tuple[Side, Curated]:
    """Put an external catalogue in order as its survey file says (:mod:`.curate`)."""
    found = curate(
        side.positions,
        side.ids,
        ceiling=error_ceiling(survey),
        duplicates=survey.duplicates,
        evidence=evidence(table, survey),
    )
    return Side(found.positions, side.ids, side.rows, found.stands_for_several, side.brightness), found


def error_ceiling(survey: Survey) -> float:
    """Largest believable position error of a survey, mas."""
    return survey.position.error_ceiling if survey.position else np.inf


def evidence(table: pl.DataFrame, survey: Survey) -> Evidence | None:
    """What a table says about which of its rows are one source."""
    if survey.duplicates is None:
        return None
    found = {name: _numbers(table, band.magnitude) for name, band in survey.bands.items()}
    preference = _numbers(table, survey.duplicates.prefer)
    return Evidence(
        {name: values for name, values in found.items() if values is not None},
        np.zeros(table.height) if preference is None else preference,
    )


def _numbers(table: pl.DataFrame, name: str | None) -> FloatArray | None:
    if name is None or name not in table.columns:
        return None
    values: FloatArray = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values
