"""From the pieces of a download to one table, with the survey's names, types, units and nulls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.archives.build import PlannedRequest
from starscale.archives.tap.manifest import Manifest
from starscale.surveys import Survey
from starscale.surveys.schema import ColumnSpec, Cut
from starscale.tables.api import PROVENANCE_KEY
from starscale.tables.cuts import Attrition, apply_cuts
from starscale.tables.sql import rename_columns
from starscale.tables.standardise import POLARS_TYPE, require, standardise
from starscale.vocabulary.columns import Column


@dataclass(frozen=True, slots=True)
class Assembled:
    """What became of the pieces: rows that came and were written, and what the cuts done here removed."""

    received: int
    written: int
    attrition: Attrition | None


def delivered_survey(wish: PlannedRequest) -> Survey:
    """Describe the delivered table as a survey: the columns of all members, under their names there."""
    columns: dict[str, ColumnSpec] = {}
    for member in wish.request.relation.members:
        for name, output in member.output.items():
            spec = member.survey.columns[name]
            sentinels = (*member.survey.sentinels, *spec.sentinels)
            columns[output] = spec.model_copy(update={"sentinels": sentinels, "aliases": ()})
    lead = wish.request.relation.lead.survey
    return Survey(name=lead.name, title=lead.title, kind=lead.kind, id=lead.id, columns=columns)


def local_cuts(wish: PlannedRequest) -> list[Cut]:
    """The cuts that the archive has no words for, on the columns of the delivered table."""
    members = wish.request.relation.members
    return [
        cut.model_copy(update={"keep": rename_columns(cut.keep, members[number].output)})
        for number, cut in wish.local
    ]


def frames(wish: PlannedRequest, manifest: Manifest) -> Iterator[tuple[pl.DataFrame, dict[str, Column]]]:
    """Yield the pieces, standardised, each in the order of the identifier."""
    survey = delivered_survey(wish)
    names = list(wish.request.relation.columns())
    seen: pl.Series | None = None
    for stored, path in manifest.tables():
        raw, about = manifest.read(path)
        lower = {name.lower(): name for name in names}
        # Services change the case of names as they like.
        raw = raw.rename({c: lower[c.lower()] for c in raw.columns if c.lower() in lower})
        about = {lower.get(name.lower(), name): column for name, column in about.items()}
        require(raw.columns, names, f"{manifest.folder.name}/{stored.file}", "the request")
        table = standardise(raw, survey, where=str(path), found_columns=about, whole=False).select(names)
        table = table.sort(survey.id.column, nulls_last=True)
        if wish.request.upload is not None and wish.request.parts > 1:
            # A source near positions of two slices of the list comes twice.
            ids = table[survey.id.column]
            if seen is not None and survey.id.unique:
                table = table.filter(~ids.is_in(seen.implode()))
            seen = ids if seen is None else seen.append(ids)
        yield table, about


def assemble(
    wish: PlannedRequest, manifest: Manifest, outputs: Mapping[Path, list[str]], provenance: Mapping[str, Any]
) -> Assembled:
    """Write the table, piece by piece.

    Parameters
    ----------
    wish : PlannedRequest
    manifest : Manifest
        With every piece.
    outputs : mapping of Path to list of str
        Files, with the columns of each.
    provenance : mapping
        Completed by the counts and written into every file.
    """
    survey, cuts = delivered_survey(wish), local_cuts(wish)
    schema: pl.Schema | None = None
    attrition: Attrition | None = None
    received = written = 0
    with ExitStack() as stack:
        writers: list[tuple[io.Writer, list[str]]] = []
        for table, about in frames(wish, manifest):
            received += table.height
            if cuts:
                mask, counts = apply_cuts(table, cuts, where=survey.name)
                attrition = counts if attrition is None else attrition + counts
                table = table.filter(mask)
            if schema is None:
                schema = _schema(table, survey)
                known = {**about, **survey.described()}
                for path, columns in outputs.items():
                    chosen = pl.Schema({name: schema[name] for name in columns})
                    writer = io.open_writer(path, chosen, columns={c: known[c] for c in columns if c in known})
                    writers.append((stack.enter_context(writer), columns))
            table = table.cast(schema)
            for writer, columns in writers:
                writer.append(table.select(columns))
            written += table.height
        counted = {"rows_received": received, "rows_written": written}
        text = json.dumps({**provenance, "fetch": {**provenance["fetch"], **counted}}, default=str)
        for writer, _ in writers:
            writer.metadata[PROVENANCE_KEY] = text
    return Assembled(received, written, attrition)


def _schema(table: pl.DataFrame, survey: Survey) -> pl.Schema:
    """The described types; the archive's own for the rest."""
    described = {name: POLARS_TYPE[spec.dtype]() for name, spec in survey.columns.items()}
    return pl.Schema({name: described.get(name, dtype) for name, dtype in table.schema.items()})
