"""Clean a catalogue of any size: read, join, cut and write piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.io import Writer, open_table, open_writer, work_folder
from starscale.io.bars import Bar
from starscale.io.joining import join_frames
from starscale.surveys import Survey, load_survey
from starscale.surveys.schema import Cut
from starscale.tables.api import (
    PROVENANCE_KEY,
    AnyTable,
    about_positions,
    described,
    is_mock,
    read,
    refuse_same,
)
from starscale.tables.cuts import Attrition, apply_cuts, choose_cuts
from starscale.tables.joins import as_joined, join_by_id
from starscale.tables.stream import checked_ids, columns_of, pieces
from starscale.vocabulary.columns import (
    Column,
)
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.run import Cuts


def cuts_of_survey(survey: Survey, cuts: Cuts, where: str) -> list[Cut]:
    """The cuts of a survey as they were chosen, after the one that asks for an identifier."""
    has_identifier = Cut(name="identifier", keep=f'"{survey.id.column}" IS NOT NULL', description="has an id")
    return [has_identifier, *choose_cuts(survey.cuts, cuts, where)]


def clean_on_disk(
    source: Path,
    target: Path,
    *,
    survey: Survey,
    join: Sequence[tuple[Path, Survey]],
    cuts: Cuts,
    columns: Mapping[str, Column],
    metadata: Callable[[Attrition], Mapping[str, str]],
    report: Callable[[int], None] = lambda _: None,
) -> Attrition:
    """Apply cuts to a table on disk, whatever its size; the rows are those of the verb `clean`.

    Parameters
    ----------
    source, target : Path
        Any format that :mod:`starscale.io` reads and writes.
    survey : Survey
    join : sequence of (Path, Survey)
        Tables that share the identifier and bring columns that a cut needs (distances, ...).
    cuts : Cuts
    columns : mapping of str to Column
        Descriptions of the columns that are written.
    metadata : callable
        Gives the texts for the file, when all rows are done.
    report : callable, optional
        Told how many rows of `source` were done.

    Returns
    -------
    Attrition

    Raises
    ------
    InputError
        No rows, a column that a cut needs is missing, an identifier is damaged or repeated, ...
    StarscaleError
        An output that cannot be written; no half-written file is left.
    """
    where = str(source)
    if open_table(source).n_rows == 0:
        raise InputError(Problem(where, "has no rows", "one or more"))
    chosen = cuts_of_survey(survey, cuts, where)
    attritions: list[Attrition] = []
    with work_folder(target) as folder, ExitStack() as stack:
        frames = pieces(source, survey)
        frames = checked_ids(frames, source, survey, folder / "ids", unique=survey.id.unique)
        for number, (path, other) in enumerate(join):
            frames = _joined(frames, path, other, survey, folder / f"join{number}")
        writer: Writer | None = None
        for frame in frames:
            mask, found = apply_cuts(frame, chosen, where=where)
            if writer is None:
                writer = stack.enter_context(open_writer(target, frame.schema, columns=columns))
            writer.append(frame.filter(mask))
            attritions.append(found)
            report(frame.height)
        attrition = reduce(add, attritions)
        if writer is not None:
            writer.metadata |= metadata(attrition)
    return attrition


def _joined(
    frames: Iterator[pl.DataFrame], path: Path, survey: Survey, lead: Survey, folder: Path
) -> Iterator[pl.DataFrame]:
    """Append the columns of a table that shares the identifier; a star without a row there gets nulls."""
    folder.mkdir()
    first = next(frames)
    others = pieces(path, survey, list(survey.columns))
    others = checked_ids(others, path, survey, folder / "ids", unique=True)
    yield from join_frames(
        chain([first], frames),
        (as_joined(frame, first.columns, lead=lead, survey=survey) for frame in others),
        left_on=lead.id.column,
        right_on=lead.id.column,
        how="left",
        n_right=open_table(path).n_rows,
        folder=folder,
    )


def clean_file(
    source: str | Path,
    output: str | Path,
    *,
    survey: str | Path | Survey,
    join: Sequence[tuple[str | Path, str | Path | Survey]] = (),
    cuts: Cuts = Cuts(),  # noqa: B008  frozen
) -> Attrition:
    """Apply the cuts of a survey file to a table of any size: `clean`, from file to file.

    Parameters
    ----------
    source, output : path
        Any format that `read` reads and `write` writes; rows keep their order.
    survey : str, Path or Survey
        Whose cuts apply.
    join : sequence of (path, survey)
        Tables that share the identifier and bring columns that a cut needs (distances, ...).
    cuts : Cuts
        Cuts to leave out, and cuts of one's own.

    Returns
    -------
    Attrition
        What each cut removed.

    Raises
    ------
    StarscaleError
        Bad input, or an output that cannot be written; no half-written file is left.
    """
    joins = [(Path(path), load_survey(other)) for path, other in join]
    paths, description = [Path(source), *(path for path, _ in joins)], load_survey(survey)
    refuse_same(output, *paths)

    def provenance(attrition: Attrition) -> Mapping[str, Any]:
        return record(
            command="clean",
            mock=is_mock(*paths),
            settings={
                "survey": description.name,
                "join": {other.name: str(path) for path, other in joins},
                "cuts": cuts.model_dump(mode="json"),
                "attrition": asdict(attrition),
            },
            inputs={str(path): {"sha256": io.checksum(path)} for path in paths},
        )

    return clean_with(Path(source), Path(output), description, joins, cuts, provenance)


def clean_with(
    source: Path,
    output: Path,
    survey: Survey,
    join: Sequence[tuple[Path, Survey]],
    cuts: Cuts,
    provenance: Callable[[Attrition], Mapping[str, Any]],
) -> Attrition:
    """Do what :func:`clean_file` does, with a provenance of the caller's."""
    with Bar(f"cleaning {survey.name}", io.open_table(source).n_rows) as bar:
        return clean_on_disk(
            source,
            output,
            survey=survey,
            join=join,
            cuts=cuts,
            columns=described(survey, *(other for _, other in join)),
            metadata=lambda attrition: {
                **about_positions(columns_of(source, survey), [survey]),
                PROVENANCE_KEY: json.dumps(provenance(attrition), default=str),
            },
            report=bar.advance,
        )


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Result of :func:`clean`: the rows that passed, and what each cut removed."""

    table: pl.DataFrame
    attrition: Attrition


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
