"""The verb `clean`: join tables by identifier and apply quality cuts, in memory or from file to file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.io import Writer, open_writer, work_folder
from starscale.io.joining import join_frames
from starscale.io.progress import progress_of
from starscale.surveys import Survey, load_survey
from starscale.surveys.derived import unjudged
from starscale.surveys.schema import Cut
from starscale.surveys.spelling import with_rename
from starscale.tables.api import (
    PROVENANCE_KEY,
    AnyTable,
    about_positions,
    carried,
    described,
    is_mock,
    name_of,
    read_counted,
    refuse_same,
    write,
)
from starscale.tables.columns.typed import Discarded
from starscale.tables.cuts import Attrition, choose_cuts
from starscale.tables.joins import as_joined, join_by_id
from starscale.tables.labels import cut_rows
from starscale.tables.opening import open_for
from starscale.tables.stream import checked_ids, columns_of, pieces
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import SILENT, Progress, Task
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.cuts import Cuts

#: Provenance of a cleaned table, computed when the attrition is known.
Provenance = Callable[[Attrition], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Result of :func:`clean`: the rows that passed all cuts, and the number that each cut removed.

    Attributes
    ----------
    table : polars.DataFrame or None
        The remaining rows, standardised; None when they were written to `output`.
    attrition : Attrition
    outside : dict of str to int
        Numbers of values outside the plausible range of their column, which became missing, by column.
    invalid : dict of str to int
        Numbers of values that became missing because `valid` of their column, or `keep` of their band, is not
        true, by column.
    """

    table: pl.DataFrame | None
    attrition: Attrition
    outside: Mapping[str, int] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)

    @property
    def account(self) -> RowAccount:
        """Rows that were read and that are left, and those that each cut removed."""
        return self.attrition.account(self.attrition.n_out if self.table is None else self.table.height)


def clean(
    table: AnyTable,
    *,
    survey: str | Path | Survey,
    join: Sequence[tuple[AnyTable, str | Path | Survey]] = (),
    cuts: Cuts = Cuts(),  # noqa: B008  frozen
    rename: Mapping[str, str] | None = None,
    output: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> Cleaned:
    """Apply the quality cuts of a survey to a table.

    Parameters
    ----------
    table : path or table
        Anything that :func:`read` takes.
    survey : str, Path or Survey
        The survey whose cuts apply.
    join : sequence of (table, survey)
        Tables with the same identifiers whose columns are appended before the cuts (distances, ...).
    cuts : Cuts
        Cuts to leave out, and additional cuts.
    rename : mapping of str to str, optional
        Names in the table, by column of the survey, where the table has names that the survey file does not know.
    output : path, optional
        Write the remaining rows to this file instead of returning them. A table on disk is then processed
        in pieces, so its size does not matter; rows keep their order.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Cleaned

    Raises
    ------
    InputError
        No rows, a column that a cut needs is missing, an identifier is damaged or repeated, ...
    StarscaleError
        `output` cannot be written; no partial file remains.
    """
    description, joins = with_rename(load_survey(survey), rename), [(other, load_survey(of)) for other, of in join]
    display = progress_of(progress)
    if output is None:
        return _clean_in_memory(table, description, joins, cuts, display)
    tables = [table, *(other for other, _ in joins)]
    refuse_same(output, *tables)
    paths = [Path(other) for other in tables if isinstance(other, str | Path)]

    def provenance(attrition: Attrition) -> Mapping[str, Any]:
        return record(
            command="clean",
            mock=is_mock(*paths),
            settings={
                "survey": description.name,
                "join": {of.name: name_of(other, of.name) for other, of in joins},
                "cuts": cuts.model_dump(mode="json"),
                "attrition": asdict(attrition),
            },
            inputs={str(path): {"sha256": io.checksum(path)} for path in paths},
        )

    if len(paths) == len(tables):
        on_disk = [(Path(other), of) for other, of in joins]
        discarded = Discarded()
        attrition = clean_file(
            paths[0], Path(output), description, on_disk, cuts, provenance, progress=display, discarded=discarded
        )
        return Cleaned(None, attrition, dict(discarded.outside), dict(discarded.invalid))
    cleaned = _clean_in_memory(table, description, joins, cuts, display)
    surveys = [description, *(of for _, of in joins)]
    stated = carried(open_for(table, description, choose=lambda _: ()).columns, description)
    about = {**provenance(cleaned.attrition), "rows": cleaned.account.document()}
    write(cleaned.table, output, surveys=surveys, columns=stated, provenance=about)
    return Cleaned(None, cleaned.attrition, cleaned.outside, cleaned.invalid)


def _clean_in_memory(
    table: AnyTable, survey: Survey, join: Sequence[tuple[AnyTable, Survey]], cuts: Cuts, progress: Progress
) -> Cleaned:
    where, discarded = name_of(table), Discarded()
    stars = read_counted(table, survey, discarded=discarded)
    if stars.height == 0:
        raise no_rows(where)
    for other, of in join:
        stars = _join_in_memory(stars, other, of, survey, discarded)
    chosen = cuts_of_survey(survey, cuts, where)
    read = stars.height
    stars, attrition = cut_rows(stars, chosen, survey, where)
    account_of(attrition, read, stars.height)
    say_discarded(discarded, stars.columns, survey, progress)
    return Cleaned(stars, attrition, dict(discarded.outside), dict(discarded.invalid))


def account_of(attrition: Attrition, rows_in: int, rows_out: int) -> RowAccount:
    """Return the account of the rows of a table that was read and cut.

    Raises
    ------
    UnaccountedRowsError
        Rows were lost or made on the way.
    """
    RowAccount(rows_in, attrition.n_in)
    return attrition.account(rows_out)


def say_discarded(discarded: Discarded, columns: Sequence[str], survey: Survey, progress: Progress) -> None:
    """Tell which values became missing, and which may be invalid because nothing says whether they are."""
    for name, lacking in unjudged(survey.columns, columns).items():
        progress.message(f"note: whether {name} is valid is unknown: the table has no {', '.join(lacking)}")
    for sentence in discarded.sentences():
        progress.message(f"note: {sentence}")


def _join_in_memory(
    stars: pl.DataFrame, table: AnyTable, survey: Survey, lead: Survey, discarded: Discarded
) -> pl.DataFrame:
    """Append the columns of a table with the same identifiers; a star that is not in it gets nulls."""
    extra = read_counted(table, survey, list(survey.columns), discarded)
    if repeated := extra.height - extra[survey.id.column].n_unique():
        where = name_of(table, f"table of {survey.name}")
        found = f"{repeated} rows repeat the identifier of another row"
        raise InputError(
            Problem(where, found, "one row per star in a joined table", "Merge or remove the repeated rows first.")
        )
    return join_by_id(stars, extra, lead=lead, survey=survey)


def no_rows(where: str) -> InputError:
    """Return the error for a table without rows."""
    return InputError(Problem(where, "has no rows", "one or more"))


def cuts_of_survey(survey: Survey, cuts: Cuts, where: str) -> list[Cut]:
    """Return the selected cuts of a survey, preceded by the cut that requires an identifier."""
    has_identifier = Cut(
        name="identifier", keep=f'"{survey.id.column}" IS NOT NULL', description="has an id", of="star"
    )
    return [has_identifier, *choose_cuts(survey.cuts, cuts, where)]


def clean_file(
    table: Path,
    output: Path,
    survey: Survey,
    join: Sequence[tuple[Path, Survey]],
    cuts: Cuts,
    provenance: Provenance,
    *,
    progress: Progress = SILENT,
    discarded: Discarded | None = None,
) -> Attrition:
    """Clean a table on disk piece by piece; the rows are those that :func:`clean` returns in memory.

    Parameters
    ----------
    table, output : Path
        Any format that :mod:`starscale.io` reads and writes.
    survey : Survey
        The survey whose cuts apply.
    join : sequence of (Path, Survey)
        Tables with the same identifiers whose columns are appended before the cuts.
    cuts : Cuts
    provenance : callable
        Returns the provenance to store in `output`, given the attrition.
    progress : Progress
    discarded : Discarded, optional
        Receives the numbers of values that became missing.

    Returns
    -------
    Attrition

    Raises
    ------
    InputError
        See :func:`clean`.
    StarscaleError
        `output` cannot be written; no partial file remains.
    """
    source = open_for(table, survey)
    if source.n_rows == 0:
        raise no_rows(str(table))
    chosen = cuts_of_survey(survey, cuts, str(table))
    columns = described(survey, *(other for _, other in join)) | carried(source.columns, survey)
    counts = Discarded() if discarded is None else discarded
    with (
        progress.task(f"cleaning {survey.name}", source.n_rows) as task,
        work_folder(output) as folder,
        ExitStack() as stack,
    ):
        frames = checked_ids(
            pieces(table, survey, discarded=counts), table, survey, folder / "ids", unique=survey.id.unique
        )
        for number, (path, other) in enumerate(join):
            frames = _join_stream(frames, path, other, survey, folder / f"join{number}", counts)
        writer: Writer | None = None
        attritions = []
        for frame, found in _cut_frames(frames, chosen, str(table), survey, task):
            # The columns are known only now that the joined tables have been opened.
            if writer is None:
                writer = stack.enter_context(open_writer(output, frame.schema, columns=columns))
            writer.append(frame)
            attritions.append(found)
        attrition = reduce(add, attritions)
        if writer is not None:
            writer.metadata |= about_positions(columns_of(table, survey), [survey])
            account = account_of(attrition, source.n_rows, writer.n_rows)
            about = {**provenance(attrition), "rows": account.document()}
            writer.metadata[PROVENANCE_KEY] = json.dumps(about, default=str)
    say_discarded(counts, columns_of(table, survey), survey, progress)
    return attrition


def _cut_frames(
    frames: Iterator[pl.DataFrame], cuts: Sequence[Cut], where: str, survey: Survey, task: Task
) -> Iterator[tuple[pl.DataFrame, Attrition]]:
    """Yield the rows of each frame that pass the cuts, with the attrition of the frame."""
    for frame in frames:
        yield cut_rows(frame, cuts, survey, where)
        task.advance(frame.height)


def _join_stream(
    frames: Iterator[pl.DataFrame],
    path: Path,
    survey: Survey,
    lead: Survey,
    folder: Path,
    discarded: Discarded,
) -> Iterator[pl.DataFrame]:
    """Append the columns of a table with the same identifiers; a star that is not in it gets nulls."""
    folder.mkdir()
    first = next(frames)
    others = pieces(path, survey, list(survey.columns), discarded=discarded)
    others = checked_ids(others, path, survey, folder / "ids", unique=True)
    yield from join_frames(
        chain([first], frames),
        (as_joined(frame, first.columns, lead=lead, survey=survey) for frame in others),
        left_on=lead.id.column,
        right_on=lead.id.column,
        how="left",
        n_right=open_for(path, survey).n_rows,
        folder=folder,
    )
