"""The number of coefficients of the spectra of a table."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from starscale.io import Source
from starscale.surveys import Survey
from starscale.tables.columns.vectors import standard_array
from starscale.tables.opening import open_for
from starscale.tables.standardise import require, spelling
from starscale.vocabulary.errors import InputError, Problem, Problems

#: Rows that are read at a time to find the first spectrum.
_ROWS = 2048


def with_lengths(survey: Survey, table: Path) -> Survey:
    """Return a survey that states the number of coefficients of its spectra, as the first row with one has it.

    Parameters
    ----------
    survey : Survey
    table : Path
        A table of the survey; the array columns are read up to the first row with a spectrum.

    Raises
    ------
    InputError
        A column is missing, or no row has a spectrum.
    """
    source = open_for(table, survey)
    names = spelling(source.schema, survey)
    columns = [column for spectrum in survey.spectra.values() for column in spectrum.columns]
    require([*source.schema, *names], columns, str(table), f"the spectra of {survey.name} and their errors")
    problems, spectra = Problems(), {}
    for key, spectrum in survey.spectra.items():
        with problems.collect():
            length = _first_length(source, names[spectrum.coefficients])
            spectra[key] = spectrum.model_copy(update={"length": spectrum.length or length})
    problems.raise_if_any()
    return survey.model_copy(update={"spectra": spectra})


def _first_length(source: Source, name: str) -> int:
    where = f"{source.path}: column {name!r}"
    for frame in source.batches(_ROWS, [name]):
        sizes = standard_array(frame[name], pl.Float64(), None, where).list.len().drop_nulls()
        if len(sizes):
            return int(sizes[0])
    raise InputError(Problem(where, "has no value in any row", "an array of numbers for one or more stars"))
