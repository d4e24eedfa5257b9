"""Clean a catalogue of any size: read, join, cut and write piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path

import polars as pl

from starscale.catalogue.cuts import Attrition, apply_cuts, choose_cuts
from starscale.catalogue.joins import as_joined
from starscale.io import Writer, open_table, open_writer, work_folder
from starscale.io.joining import join_frames
from starscale.surveys import Survey
from starscale.surveys.schema import Cut
from starscale.use.stream import checked_ids, pieces
from starscale.vocabulary.columns import Column
from starscale.vocabulary.config import Cuts
from starscale.vocabulary.errors import InputError, Problem


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
