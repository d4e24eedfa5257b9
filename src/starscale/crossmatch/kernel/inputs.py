"""Conversion of a standardised table to one side of a match."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.curate import Evidence, is_imprecise, take_out
from starscale.crossmatch.kernel.pieces import Side, among
from starscale.surveys import Survey
from starscale.tables.arrays import as_floats
from starscale.tables.identifiers import missing_identifiers
from starscale.tables.positions import positions
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError


def match_columns(survey: Survey) -> list[str]:
    """Columns of a survey that a match reads, including those that a table may lack."""
    position = survey.position
    roles = [position, getattr(position, "ellipse", None), survey.motion]
    names: list[object] = [survey.id.column, brightness_column(survey)]
    names += [value for role in roles if role is not None for value in role.model_dump().values()]
    names.append(getattr(getattr(position, "epoch", None), "column", None))
    return list(dict.fromkeys(name for name in [*names, *evidence_columns(survey)] if isinstance(name, str)))


def evidence_columns(survey: Survey) -> list[str]:
    """Columns that tell which rows of a catalogue are one source; none where no rule says it."""
    if survey.duplicates is None:
        return []
    names = [survey.duplicates.prefer, *(band.magnitude for band in survey.bands.values())]
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


def error_ceiling(survey: Survey) -> float:
    """Largest plausible position error of a survey, mas."""
    return survey.position.error_ceiling if survey.position else np.inf


def evidence(table: pl.DataFrame, survey: Survey) -> Evidence | None:
    """The columns of a table that tell which of its rows are one source."""
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
    return as_floats(table[name])


@dataclass(frozen=True, slots=True)
class SkyRows:
    """Rows of a catalogue as the steps of a match receive them.

    Attributes
    ----------
    side : Side
    repeated : ndarray of bool, (n,), or None
        Rows that curation replaced by another row; None before curation.
    table : polars.DataFrame, (n, any), or None
        The standardised columns of the same rows, where curation needs them.
    """

    side: Side
    repeated: NDArray[np.bool_] | None = None
    table: pl.DataFrame | None = None


@dataclass(frozen=True)
class Curation:
    """Result of the curation of a whole catalogue.

    Attributes
    ----------
    repeats : ndarray of int
        Row numbers that repeat another row, ascending.
    representatives : ndarray of int
        Row numbers that represent such rows, ascending.
    """

    repeats: NDArray[np.signedinteger]
    representatives: NDArray[np.signedinteger]

    @classmethod
    def of_nothing(cls) -> Curation:
        """No row repeats another."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

    def applied(self, side: Side, survey: Survey, table: pl.DataFrame | None = None) -> SkyRows:
        """Remove the positions of imprecise and repeated rows, and mark the representatives."""
        repeated = among(side.rows, self.repeats)
        out = is_imprecise(side.positions, error_ceiling(survey)) | repeated
        several = among(side.rows, self.representatives)
        left = {reach: zones.without(out) for reach, zones in side.sorted_rows.items()}
        cells = np.where(out, -1, side.pixels) if out.any() else side.pixels
        placed = take_out(side.positions, out)
        kept = replace(side, positions=placed, several=several, sorted_rows=left, cells=cells)
        return SkyRows(kept, repeated, table)
