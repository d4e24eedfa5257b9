"""Assemble the pieces of a download into one table with the survey's names, types, units and nulls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.archives.build import PlannedRequest
from starscale.archives.tap.manifest import Manifest
from starscale.surveys import Survey
from starscale.surveys.derived import computed, inputs_of
from starscale.surveys.schema import ColumnSpec, Cut
from starscale.tables.api import PROVENANCE_KEY
from starscale.tables.columns.derived import derive
from starscale.tables.columns.typed import POLARS_TYPE
from starscale.tables.cuts import Attrition, apply_cuts
from starscale.tables.sql import rename_columns
from starscale.tables.standardise import require, standardise
from starscale.vocabulary.accounting import RowAccount, removed_for
from starscale.vocabulary.columns import Column


@dataclass(frozen=True, slots=True)
class Assembled:
    """Numbers of rows received and written, the attrition of later cuts, and the account of all rows."""

    received: int
    written: int
    attrition: Attrition | None
    account: RowAccount


def delivered_survey(planned: PlannedRequest) -> Survey:
    """Describe the delivered table as a survey: the columns of all members, with their names in that table.

    Computed columns and invalid values are left to those who read the table.
    """
    columns: dict[str, ColumnSpec] = {}
    for member in planned.request.relation.members:
        for name, output in member.output.items():
            spec = member.survey.columns[name]
            sentinels = (*member.survey.sentinels, *spec.sentinels)
            changed = {"sentinels": sentinels, "aliases": (), "expression": None, "valid": None}
            columns[output] = spec.model_copy(update=changed)
    return _with_columns(planned, columns)


def judged_survey(planned: PlannedRequest) -> Survey:
    """Describe the delivered table with the computed columns, on which cuts may depend."""
    columns = dict(delivered_survey(planned).columns)
    for number, member in enumerate(planned.request.relation.members):
        names = _names(planned, number)
        specs = member.survey.limited()
        for name in computed(specs):
            spec = specs[name]
            if all(names[used] in columns for used in inputs_of(name, spec)):
                changed = {key: text and rename_columns(text, names) for key, text in _texts(spec).items()}
                columns[names[name]] = spec.model_copy(update=changed)
    return _with_columns(planned, columns)


def _texts(spec: ColumnSpec) -> dict[str, str | None]:
    return {"expression": spec.expression, "valid": spec.valid}


def _with_columns(planned: PlannedRequest, columns: Mapping[str, ColumnSpec]) -> Survey:
    lead = planned.request.relation.lead.survey
    return Survey(name=lead.name, title=lead.title, kind=lead.kind, id=lead.id, columns=dict(columns))


def _names(planned: PlannedRequest, number: int) -> dict[str, str]:
    """Return the names of a member's columns in the delivered table, with those that are computed there."""
    members = planned.request.relation.members
    taken = {output for member in members for output in member.output.values()}
    survey = members[number].survey
    free = {name: name if number == 0 or name not in taken else f"{name}_{survey.name}" for name in survey.columns}
    return free | dict(members[number].output)


def local_cuts(planned: PlannedRequest) -> list[Cut]:
    """Return the cuts to apply after the download, in the column names of the delivered table."""
    return [
        cut.model_copy(update={"keep": rename_columns(cut.keep, _names(planned, number))})
        for number, cut in planned.local
    ]


def frames(planned: PlannedRequest, manifest: Manifest) -> Iterator[tuple[pl.DataFrame, dict[str, Column], int]]:
    """Yield the pieces, standardised and sorted by identifier.

    Each comes with the archive's description of its columns, and the number of rows that the archive delivered.
    """
    survey = delivered_survey(planned)
    names = list(planned.request.relation.columns())
    # A source near positions of two slices of the uploaded list is delivered twice.
    repeated = planned.request.upload is not None and planned.request.parts > 1
    seen: pl.Series | None = None
    for stored, path in manifest.tables():
        raw, about = _in_spelling(*manifest.read(path), names)
        require(raw.columns, names, f"{manifest.folder.name}/{stored.file}", "the request")
        table = standardise(raw, survey, where=str(path), found_columns=about, whole=False).select(names)
        table = table.sort(survey.id.column, nulls_last=True)
        if repeated:
            ids = table[survey.id.column]
            if seen is not None and survey.id.unique:
                table = table.filter(~ids.is_in(seen.implode()))
            seen = ids if seen is None else seen.append(ids)
        yield table, about, raw.height


def _in_spelling(
    raw: pl.DataFrame, about: Mapping[str, Column], names: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, Column]]:
    """Rename columns to the spelling of the request; services change the case of names."""
    spelled = {name.lower(): name for name in names}
    raw = raw.rename({c: spelled[c.lower()] for c in raw.columns if c.lower() in spelled})
    return raw, {spelled.get(name.lower(), name): column for name, column in about.items()}


def assemble(
    planned: PlannedRequest, manifest: Manifest, outputs: Mapping[Path, list[str]], provenance: Mapping[str, Any]
) -> Assembled:
    """Write the table, piece by piece.

    Parameters
    ----------
    planned : PlannedRequest
    manifest : Manifest
        With every piece stored.
    outputs : mapping of Path to list of str
        Columns of each file.
    provenance : mapping
        Written into every file, with the numbers of rows received and written added under "fetch".

    Returns
    -------
    Assembled
    """
    survey, cuts = delivered_survey(planned), local_cuts(planned)
    judged = judged_survey(planned) if cuts else survey
    schema: pl.Schema | None = None
    attrition: Attrition | None = None
    delivered = received = written = 0
    with ExitStack() as stack:
        writers: list[tuple[io.Writer, list[str]]] = []
        for table, about, rows in frames(planned, manifest):
            delivered, received = delivered + rows, received + table.height
            if cuts:
                mask, counts = apply_cuts(derive(table, judged, where=survey.name), cuts, where=survey.name)
                attrition = counts if attrition is None else attrition + counts
                table = table.filter(mask)
            if schema is None:
                schema = _schema(table, survey)
                writers = _open_writers(stack, outputs, schema, {**about, **survey.described()})
            table = table.cast(schema)
            for writer, columns in writers:
                writer.append(table.select(columns))
            written += table.height
        by_cut = [] if attrition is None else [(row.name, row.in_sequence) for row in attrition.rows]
        removed = removed_for(("delivered twice", delivered - received), *by_cut)
        account = RowAccount(delivered, written, removed)
        counted = {"rows_received": received, "rows_written": written}
        made = {**provenance, "fetch": {**provenance["fetch"], **counted}, "rows": account.document()}
        text = json.dumps(made, default=str)
        for writer, _ in writers:
            RowAccount(account.rows_out, writer.n_rows)
            writer.metadata[PROVENANCE_KEY] = text
    return Assembled(received, written, attrition, account)


def _open_writers(
    stack: ExitStack, outputs: Mapping[Path, list[str]], schema: pl.Schema, known: Mapping[str, Column]
) -> list[tuple[io.Writer, list[str]]]:
    """Open a writer for every output; `stack` closes them."""
    writers = []
    for path, columns in outputs.items():
        chosen = pl.Schema({name: schema[name] for name in columns})
        writer = io.open_writer(path, chosen, columns={c: known[c] for c in columns if c in known})
        writers.append((stack.enter_context(writer), columns))
    return writers


def _schema(table: pl.DataFrame, survey: Survey) -> pl.Schema:
    """Return the types of the survey file, and the archive's types for columns that it does not describe."""
    described = {name: POLARS_TYPE[spec.dtype]() for name, spec in survey.columns.items()}
    return pl.Schema({name: described.get(name, dtype) for name, dtype in table.schema.items()})
