"""The verb `explain`: the content of a table about single stars, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.io import Source
from starscale.model.api import opened_model
from starscale.model.explain_text import (
    catalogue_sentences,
    inspection_sentences,
    label_sentences,
    measurement_sentences,
    pair_sentences,
)
from starscale.model.inspect import inspect_stars
from starscale.model.lookup import find_stars, identifiers
from starscale.model.model import Model
from starscale.tables.api import AnyTable, name_of, says_mock
from starscale.tables.opening import open_for
from starscale.tables.standardise import spelling
from starscale.vocabulary.columns import SOURCE_ID, Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flag_advice import Reason, flag_sentences, reasons
from starscale.vocabulary.flags import CatalogueFlag, LabelFlag, PairFlag

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of table that starscale writes: its characteristic columns, its flags and its sentences."""

    name: str
    columns: tuple[str, ...]
    mask: str
    flags: type[IntFlag]
    sentences: Callable[[Row, Mapping[str, Column]], list[str]]


#: The kind of a table is the first whose columns are all present.
_KINDS = (
    _Kind("pairs", ("source_id", "xm_flag"), "xm_flag", PairFlag, pair_sentences),
    _Kind("measurements", ("source_id", "survey", "row", "flags"), "flags", LabelFlag, measurement_sentences),
    _Kind("labels", ("source_id", "n_surveys", "flags"), "flags", LabelFlag, label_sentences),
    _Kind("catalogue", ("source_id", "domain_score", "flags"), "flags", CatalogueFlag, catalogue_sentences),
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Explanation of one row of a table; ``str()`` gives its sentences, one per line.

    Attributes
    ----------
    star : int or str
        Identifier.
    kind : str
        ``catalogue``, ``pairs``, ``labels`` or ``measurements``.
    row : mapping
        The row, by column.
    flags : tuple of Reason
        The bits that are set, with meaning and advice.
    sentences : tuple of str
    """

    star: int | str
    kind: str
    row: Row
    flags: tuple[Reason, ...]
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.sentences)


def explain(
    table: AnyTable,
    stars: int | str | Sequence[int | str],
    *,
    model: Model | str | Path | None = None,
    inputs: AnyTable | None = None,
) -> list[Explanation]:
    """Explain, in sentences, what a table that starscale wrote contains about some stars.

    Parameters
    ----------
    table : path or table
        A catalogue, or a table of pairs, neighbours, labels or measurements, in any format. Its kind is recognised
        by its columns; a file is not read into memory.
    stars : int, str, or a sequence of them
        Identifiers (`source_id`).
    model : Model or path, optional
        The model that predicted the catalogue. The explanation then also names inputs that are missing or
        far from those of the training stars, and cuts that the star fails.
    inputs : path or table, optional
        The table that was predicted; needed with `model`.

    Returns
    -------
    list of Explanation
        In the order of `stars`; several for a star with several rows.

    Raises
    ------
    InputError
        A table of another kind, a star that is not in it (with the nearest identifiers that are), or only one
        of `model` and `inputs`.
    """
    if (model is None) != (inputs is None):
        found, expected = "only one of the model and its table of inputs was given", "both or neither"
        raise InputError(
            Problem("explain", found, expected, "Give --model and --table (in Python: model, inputs).")
        )
    source = io.open_table(table)
    kind = _recognise(source)
    ids = [stars] if isinstance(stars, int | str) else stars
    wanted = identifiers(ids, source.schema[SOURCE_ID.name], name_of(table))
    rows = find_stars(source, SOURCE_ID.name, wanted)
    inspected = _inspected(model, inputs, wanted) if model is not None and inputs is not None else {}
    origin = f"{name_of(table, 'in memory')}{' (MOCK: simulated)' if says_mock(source.metadata) else ''}"
    return [
        _explanation(row, kind, origin, source.columns, inspected.get(row[SOURCE_ID.name], ()))
        for row in rows.iter_rows(named=True)
    ]


def _explanation(
    row: Row, kind: _Kind, origin: str, columns: Mapping[str, Column], inspected: Sequence[str]
) -> Explanation:
    star = row[SOURCE_ID.name]
    flags = reasons(int(row[kind.mask] or 0), kind.flags)
    details = [*kind.sentences(row, columns), *flag_sentences(kind.mask, flags), *inspected]
    title = f"{SOURCE_ID.name} {star} of the {kind.name} {origin}"
    return Explanation(star, kind.name, row, flags, (title, *(f"  {line}" for line in details)))


def _recognise(source: Source) -> _Kind:
    for kind in _KINDS:
        if set(kind.columns) <= set(source.schema):
            return kind
    known = "; ".join(f"{kind.name}: {', '.join(kind.columns)}" for kind in _KINDS)
    raise InputError(
        Problem(
            str(source.path),
            f"is none of starscale's tables with flags (columns: {', '.join(list(source.schema)[:12])}, ...)",
            f"the columns of one ({known})",
            "Give a table that 'predict', 'match' or 'homogenize' wrote.",
        )
    )


def _inspected(model: Model | str | Path, inputs: AnyTable, stars: pl.Series) -> dict[int | str, list[str]]:
    """Return the sentences about the inputs of every star, by identifier."""
    loaded, _ = opened_model(model)
    source = open_for(inputs, loaded.inputs, choose=loaded.input_columns)
    where = name_of(inputs)
    names = spelling(source.schema, loaded.inputs)
    key = names.get(loaded.inputs.id.column)
    if key is None:
        found = f"has no column {loaded.inputs.id.column!r}"
        raise InputError(Problem(where, found, "the table that the model predicted"))
    rows = find_stars(source, key, stars.cast(source.schema[key]), list(names.values()))
    inspections = inspect_stars(loaded, rows, where=where, found_columns=source.columns)
    title = str(loaded.information.get("title") or "model")
    return {
        star: inspection_sentences(inspection, title)
        for star, inspection in zip(rows[key].to_list(), inspections, strict=True)
    }
