"""The verb `draft_survey`: a first survey file for a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from starscale import io
from starscale.surveys.drafts import draft, survey_name
from starscale.tables.api import AnyTable, name_of
from starscale.tables.columns.typed import POLARS_TYPE
from starscale.vocabulary.columns import DType
from starscale.vocabulary.errors import InputError, Problem

_DTYPE: dict[pl.DataType, DType] = {kind(): name for name, kind in POLARS_TYPE.items()}


def draft_survey(table: AnyTable, output: str | Path | None = None) -> str:
    """Write a first draft of a survey file for a table, with guesses that are marked as such.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes; its rows are not read.
    output : path, optional
        File to write, which must end in ``.toml``; its name is that of the survey.

    Returns
    -------
    str
        The text of the survey file.

    Raises
    ------
    InputError
        The table cannot be read or has no columns of a simple type; `output` does not end in .toml, or is there
        already.
    """
    source, where = io.open_table(table), name_of(table)
    columns = {
        name: replace(source.columns[name], dtype=_dtype(kind))
        for name, kind in source.schema.items()
        if not kind.is_nested()
    }
    if not columns:
        raise InputError(Problem(where, "has no columns of numbers or texts", "a table with an identifier"))
    if output is not None and Path(output).suffix != ".toml":
        raise InputError(Problem(str(output), "does not end in .toml", "a survey file, such as mine.toml"))
    if output is not None and Path(output).exists():
        fix = "Survey files are edited by hand: remove it first, or name another one."
        raise InputError(Problem(str(output), "is there already", "a new file", fix))
    text = draft(columns, survey_name(Path(output).stem if output is not None else Path(where).stem))
    if output is not None:
        io.atomic_text(Path(output), text)
    return text


def _dtype(kind: pl.DataType) -> DType:
    """Return the type of a survey file that holds the values of a column."""
    if kind in _DTYPE:
        return _DTYPE[kind]
    return "int64" if kind.is_integer() else "float64" if kind.is_numeric() else "string"
