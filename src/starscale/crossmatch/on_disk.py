"""The cross-match of catalogues that are larger than memory, in tiles on disk.

Both tables are read once and sorted into tiles. Every tile is then processed with its margin, twice: to learn the
errors, and to find the neighbours. Over the whole sky, only two integers for every searched source are kept in
memory. The result is that of the match in memory, row for row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from starscale.crossmatch.kept import CandidatesOnDisk
from starscale.crossmatch.kernel.driver import MatchJob
from starscale.crossmatch.kernel.select import choose_pairs
from starscale.crossmatch.kernel.stores import Results
from starscale.crossmatch.tiles import TiledCatalogue
from starscale.io import Writer, open_writer, work_folder
from starscale.io.scatter import Scatter
from starscale.surveys import Survey
from starscale.tables.api import PROVENANCE_KEY
from starscale.vocabulary.columns import Column
from starscale.vocabulary.progress import Task
from starscale.vocabulary.settings.match import MatchConfig

#: Leading rows that are written at a time.
CHUNK = 1_000_000


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files to write; None: not written."""

    pairs: Path
    neighbours: Path | None = None
    unmatched: Path | None = None
    duplicates: Path | None = None


class TableOnDisk:
    """A result table on disk, in groups of :data:`CHUNK` leading rows."""

    def __init__(self, folder: Path) -> None:
        self._scatter = Scatter(folder)

    @property
    def groups(self) -> list[int]:
        """Groups that have rows, in order."""
        return self._scatter.groups

    def append(self, frame: pl.DataFrame) -> None:
        """Add rows."""
        self._scatter.append(frame, frame["leading"].to_numpy() // CHUNK)

    def read(self, group: int) -> pl.DataFrame:
        """Return the rows of a group."""
        return self._scatter.read(group)

    def take(self, group: int) -> pl.DataFrame:
        """Return the rows of a group and remove them."""
        return self._scatter.take(group)


def results_on_disk(folder: Path) -> Results:
    """Return result tables below a folder."""
    neighbours, nearest, sources = (TableOnDisk(folder / name) for name in ("neighbours", "nearest", "sources"))
    return Results(neighbours, nearest, sources)


def match_on_disk(
    left: Path,
    right: Path,
    outputs: Outputs,
    *,
    left_survey: Survey,
    right_survey: Survey,
    config: MatchConfig,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str] | None = None,
    order: int = 4,
    task: Task | None = None,
) -> MatchJob:
    """Match two tables on disk, whatever their size.

    Parameters
    ----------
    left, right : Path
        Gaia, and the catalogue to match it with.
    outputs : Outputs
    left_survey, right_survey : Survey
    config : MatchConfig
    columns : mapping of str to Column
        Descriptions of the columns that are written.
    metadata : mapping of str to str, optional
        Metadata of the files.
    order : int
        HEALPix order of the tiles. A tile with its margin must fit in memory.
    task : Task, optional
        Counts the rows.

    Returns
    -------
    MatchJob
        The finished job with its counts and its model.

    Raises
    ------
    InputError
        As the match in memory.
    """
    with work_folder(outputs.pairs) as folder:
        job = MatchJob(
            TiledCatalogue(left, left_survey, folder / "left", order),
            TiledCatalogue(right, right_survey, folder / "right", order),
            config,
            config.mode or right_survey.match_mode,
            replace(results_on_disk(folder), candidates=CandidatesOnDisk(folder / "candidates")),
            curate=config.curate,
            task=task,
        )
        write_matches(job, outputs, columns, metadata or {})
    return job


def write_matches(
    job: MatchJob, outputs: Outputs, columns: Mapping[str, Column], metadata: Mapping[str, str]
) -> None:
    """Run a job and write its result in the order of the leading catalogue, some rows at a time."""
    writers: dict[Path, Writer] = {}
    with ExitStack() as stack:

        def append(path: Path | None, frame: pl.DataFrame) -> None:
            if path is None:
                return
            if path not in writers:
                writer = open_writer(path, frame.schema, columns=columns, metadata=metadata)
                writers[path] = stack.enter_context(writer)
            writers[path].append(frame)

        for rows in job.run():
            append(outputs.pairs, choose_pairs(rows.best, job.config.pairs))
            append(outputs.neighbours, rows.neighbours)
            append(outputs.unmatched, rows.unmatched)
        append(outputs.duplicates, job.duplicates)
        account = {"rows": job.account.document()}
        for writer in writers.values():
            about = json.loads(writer.metadata.get(PROVENANCE_KEY, "{}"))
            writer.metadata[PROVENANCE_KEY] = json.dumps({**about, **account})
