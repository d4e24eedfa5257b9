"""The verb `explain`: what a table says about one star, in plain sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.io import Source
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
from starscale.tables.api import is_mock
from starscale.tables.standardise import spelling
from starscale.vocabulary.columns import SOURCE_ID, Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flag_advice import Reason, flag_sentences, reasons
from starscale.vocabulary.flags import CatalogueFlag, LabelFlag, PairFlag

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A table of ours: the columns it is recognised by, its mask, and what is said of a row."""

    name: str
    columns: tuple[str, ...]
    mask: str
    flags: type[IntFlag]
    sentences: Callable[[Row, Mapping[str, Column]], list[str]]


#: The first whose columns are all there.
_KINDS = (
    _Kind("pairs", ("source_id", "xm_flag"), "xm_flag", PairFlag, pair_sentences),
    _Kind("measurements", ("source_id", "survey", "row", "flags"), "flags", LabelFlag, measurement_sentences),
    _Kind("labels", ("source_id", "n_surveys", "flags"), "flags", LabelFlag, label_sentences),
    _Kind("catalogue", ("source_id", "domain_score", "flags"), "flags", CatalogueFlag, catalogue_sentences),
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a table says about one star; as a text: its sentences, a line each.

    Attributes
    ----------
    star : int or str
        Identifier.
    kind : str
        ``catalogue``, ``pairs``, ``labels`` or ``measurements``.
    row : mapping
        The row as it stands in the table.
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
    catalogue: str | Path,
    stars: int | str | Sequence[int | str],
    *,
    model: Model | str | Path | None = None,
    table: str | Path | None = None,
) -> list[Explanation]:
    """Say in plain sentences what a table of ours says about some stars.

    Parameters
    ----------
    catalogue : path
        A catalogue, or a table of pairs, neighbours, labels or measurements, in any format; it is recognised by
        its columns, and not read whole.
    stars : int, str, or a sequence of them
        Identifiers (`source_id`).
    model : Model or path, optional
        The model that made the catalogue: then also which inputs are missing or far from the training
        stars, and which cuts the star fails.
    table : path, optional
        What the model predicted from; needed with `model`.

    Returns
    -------
    list of Explanation
        Star by star in the order asked for; several where a star has several rows.

    Raises
    ------
    InputError
        A table that is none of ours, a star that is not there (with the nearest that are), `model` without
        `table` or the other way round.
    """
    if (model is None) != (table is None):
        raise InputError(
            Problem("explain", "a model or a table of inputs stands alone", "both", "Give --model and --table.")
        )
    source = io.open_table(Path(catalogue))
    kind = _recognise(source)
    ids = [stars] if isinstance(stars, int | str) else stars
    wanted = identifiers(ids, source.schema[SOURCE_ID.name], str(catalogue))
    rows = find_stars(source, SOURCE_ID.name, wanted)
    inspected = _inspected(model, table, wanted) if model is not None and table is not None else {}
    mock = " (MOCK: simulated)" if is_mock(catalogue) else ""
    found = []
    for row in rows.iter_rows(named=True):
        star = row[SOURCE_ID.name]
        flags = reasons(int(row[kind.mask] or 0), kind.flags)
        sentences = [f"{SOURCE_ID.name} {star} of the {kind.name} {catalogue}{mock}"]
        sentences += [f"  {line}" for line in kind.sentences(row, source.columns)]
        sentences += [f"  {line}" for line in flag_sentences(kind.mask, flags)]
        sentences += [f"  {line}" for line in inspected.get(star, ())]
        found.append(Explanation(star, kind.name, row, flags, tuple(sentences)))
    return found


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
            "Give what 'predict', 'match' or 'homogenize' wrote.",
        )
    )


def _inspected(model: Model | str | Path, table: str | Path, stars: pl.Series) -> dict[int | str, list[str]]:
    """Sentences about every star as the model sees it."""
    bundle = model if isinstance(model, Model) else Model.load(model)
    source = io.open_table(Path(table))
    columns: dict[str, Column] = source.columns
    names = spelling(source.schema, bundle.inputs)
    key = names.get(bundle.inputs.id.column)
    if key is None:
        found = f"has no column {bundle.inputs.id.column!r}"
        raise InputError(Problem(str(table), found, "what the model predicted from"))
    rows = find_stars(source, key, stars.cast(source.schema[key]), list(names.values()))
    inspections = inspect_stars(bundle, rows, where=str(table), found_columns=columns)
    title = str(bundle.information.get("title") or "model")
    return {
        star: inspection_sentences(inspection, title)
        for star, inspection in zip(rows[key].to_list(), inspections, strict=True)
    }
