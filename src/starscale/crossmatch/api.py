"""The verb `match`: a cross-match of two catalogues in memory, on disk, or on a cluster."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from starscale import io
from starscale.cluster.engine import hats_is_mock, hats_provenance, on_cluster
from starscale.cluster.extra import engine_module
from starscale.crossmatch.free_memory import free_memory
from starscale.crossmatch.kernel.driver import MatchJob
from starscale.crossmatch.kernel.engine import Match, match_in_memory
from starscale.crossmatch.kernel.select import choose_pairs
from starscale.crossmatch.kernel.tally import MatchStatistics
from starscale.crossmatch.on_disk import Outputs, match_on_disk
from starscale.crossmatch.reading import catalogue_in_memory
from starscale.io.progress import progress_of
from starscale.surveys import Survey, load_survey
from starscale.surveys.spelling import with_rename
from starscale.tables.api import (
    PROVENANCE_KEY,
    AnyTable,
    described,
    is_mock,
    refuse_same,
    write,
)
from starscale.tables.opening import open_for
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.match import MatchConfig
from starscale.vocabulary.summary import Figures, Summarised

#: Fewest and most rows of both tables in a tile, averaged over the whole sky: fewer take more time, more take more
#: memory.
TILE = (20_000, 80_000)
#: How many times fuller than the average a tile can be that still fits in memory: in a crowd, or in a small field.
FULL = 50
#: Rows of both tables together that are matched in memory whatever is free.
IN_MEMORY = 2_000_000
#: Memory that a row needs at most in a usual field, bytes, and the share of the free memory that a match takes.
ROW_BYTES, SHARE = 400, 0.5


@dataclass(frozen=True, slots=True, repr=False)
class Matched(Summarised):
    """Result of :func:`match`. The tables are None when they were written to files.

    Attributes
    ----------
    n_pairs : int
        Pairs kept.
    statistics : MatchStatistics
        Counts.
    model : mapping of str to value
        What was learnt about errors, offsets, blends and completeness.
    losses : mapping of str to int
        Leading sources without a pair, by reason.
    account : RowAccount
        Leading sources that were read, those with a kept pair, and the others by reason.
    pairs : polars.DataFrame or None
        The pairs kept.
    best : polars.DataFrame or None
        The best pair of every leading source that has one, kept or not.
    neighbours : polars.DataFrame or None
        All good neighbours.
    unmatched : polars.DataFrame or None
        Leading sources without a pair, with the reason.
    duplicates : polars.DataFrame or None
        Rows of the external catalogue that repeat another row, and the row that represents them.
    """

    n_pairs: int
    statistics: MatchStatistics
    model: Mapping[str, Any]
    losses: Mapping[str, int]
    account: RowAccount
    pairs: pl.DataFrame | None = None
    best: pl.DataFrame | None = None
    neighbours: pl.DataFrame | None = None
    unmatched: pl.DataFrame | None = None
    duplicates: pl.DataFrame | None = None

    def _key_figures(self) -> Figures:
        known, found = self.statistics, [(f"lost: {reason}", n) for reason, n in self.losses.items() if n]
        rows: list[tuple[str, object]] = [
            ("leading sources", known.n_lead),
            ("external sources", known.n_external),
        ]
        rows += [
            ("radius", f"{known.radius:.4g} arcsec"),
            ("median separation", f"{known.median_distance:.3g} arcsec"),
        ]
        where = "written to files" if self.pairs is None else "in memory"
        return f"Matched: {self.n_pairs:,} pairs ({known.mode}, {known.method}), {where}", [*rows, *found]


def match(
    left: AnyTable,
    right: AnyTable,
    *,
    left_survey: str | Path | Survey,
    right_survey: str | Path | Survey,
    left_rename: Mapping[str, str] | None = None,
    right_rename: Mapping[str, str] | None = None,
    settings: MatchConfig = MatchConfig(),  # noqa: B008  frozen
    output: str | Path | None = None,
    neighbours: str | Path | None = None,
    unmatched: str | Path | None = None,
    duplicates: str | Path | None = None,
    order: int | None = None,
    engine: str = "local",
    client: Any = None,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Progress | bool | None = None,
) -> Matched:
    """Match two catalogues by position, proper motion, errors and local density.

    Parameters
    ----------
    left, right : path or table
        Gaia, whose stars are moved to the epoch of each candidate, and the catalogue to match it with. With the
        engine ``lsdb``: HATS catalogues, as paths, URLs, or catalogues that LSDB has opened.
    left_survey, right_survey : str, Path or Survey
        Surveys that describe the identifiers, positions, errors, epochs and proper motions.
    left_rename, right_rename : mapping of str to str, optional
        Names in the table, by column of its survey, where the table has names that the survey file does not know.
    settings : MatchConfig
        Method, radius (arcsec), choice of pairs, ...
    output : path, optional
        Write the pairs to this file instead of returning tables. Tables on disk can then be of any size.
    neighbours, unmatched, duplicates : path, optional
        Files for the other tables of :class:`Matched`; they need `output`.
    order : int, optional
        Match in tiles of this HEALPix order, 0 to 10, with only one tile and its margin in memory; needs tables
        on disk and `output`. Default: tables are matched in memory as long as half of the free memory holds them,
        otherwise in tiles of an order that suits the number of rows. The rows are the same.
    engine : {"local", "lsdb"}
        Match in this process, or with LSDB on a Dask cluster (extra ``lsdb``; needs `output`).
    client : distributed.Client, optional
        Your own cluster, for the engine ``lsdb``.
    scheduler : str, optional
        Address of a running Dask scheduler, instead of `client`.
    workers : int, optional
        Worker processes to start on this machine, instead of `client`; default: one per core.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Matched

    Raises
    ------
    InputError
        Positions missing or out of range, identifiers damaged or repeated, no rows, contradictory options.
    StarscaleError
        An output that cannot be written; no partial file remains.
    """
    given_surveys = ((left_survey, left_rename), (right_survey, right_rename))
    surveys = [with_rename(load_survey(survey), rename) for survey, rename in given_surveys]
    display = progress_of(progress)
    cluster = {"client": client, "scheduler": scheduler, "workers": workers}
    distributed = on_cluster(engine, **cluster)
    others = {"neighbours": neighbours, "unmatched": unmatched, "duplicates": duplicates}
    if output is None:
        _require_output({**others, "order": order, "engine": engine if distributed else None})
        return _as_tables(_match_tables([left, right], surveys, settings, display), settings)
    given = {name: Path(path) for name, path in others.items() if path is not None}
    outputs = Outputs(Path(output), **{name: given.get(name) for name in others})
    _check_outputs(outputs, left, right)
    if order is not None and not 0 <= order <= 10:
        raise InputError(Problem("order", f"{order}", "a HEALPix order of tiles, 0 to 10"))
    if distributed:
        return _match_on_cluster(left, right, outputs, surveys, settings, display, **cluster)
    return _match_to_files([left, right], surveys, settings, outputs, order, display)


def _match_to_files(
    tables: list[AnyTable],
    surveys: list[Survey],
    settings: MatchConfig,
    outputs: Outputs,
    order: int | None,
    display: Progress,
) -> Matched:
    """Match on this machine, and write what is asked for; tables on disk may be of any size."""
    paths = [Path(table) for table in tables if isinstance(table, str | Path)]
    provenance = record(
        command="match",
        mock=is_mock(*paths),
        settings={"left": surveys[0].name, "right": surveys[1].name, **settings.model_dump(), "tiles": order},
        inputs={str(path): {"sha256": io.checksum(path)} for path in paths},
    )
    if len(paths) == len(tables):
        return match_files(paths, surveys, settings, outputs, provenance, order=order, progress=display)
    if order is not None:
        raise InputError(Problem("order", "is given for a table in memory", "tables on disk"))
    return _write(_match_tables(tables, surveys, settings, display), settings, outputs, provenance)


def match_files(
    paths: Sequence[Path],
    surveys: Sequence[Survey],
    settings: MatchConfig,
    outputs: Outputs,
    provenance: Mapping[str, Any],
    *,
    order: int | None = None,
    most: float = math.inf,
    progress: Progress = SILENT,
) -> Matched:
    """Match two tables on disk and write the result; in memory where they fit there and no `order` is given.

    A match in memory takes at most half of what is free, and `most` bytes.
    """
    rows = [open_for(path, survey).n_rows for path, survey in zip(paths, surveys, strict=True)]
    if order is None:
        order = _tiles_of(sum(rows), progress, most)
    if order is None:
        return _write(_match_tables(paths, surveys, settings, progress), settings, outputs, provenance)
    with progress.task("match", sum(rows) + _counted(rows, surveys[1], settings)) as task:
        job = match_on_disk(
            paths[0],
            paths[1],
            outputs,
            left_survey=surveys[0],
            right_survey=surveys[1],
            config=settings,
            columns=described(),
            metadata={PROVENANCE_KEY: json.dumps(provenance, default=str)},
            order=order,
            task=task,
        )
    return _without_tables(job)


def _tiles_of(rows: int, progress: Progress, most: float = math.inf) -> int | None:
    """Return the order of the tiles for so many rows, and say why; None: they are matched in memory."""
    if rows <= IN_MEMORY:
        return None
    needed, free = rows * ROW_BYTES, free_memory()
    memory = 0.0 if free is None else min(SHARE * free, most)
    order = None if needed <= memory else order_for(rows, memory)
    how = "in memory" if order is None else f"in tiles of HEALPix order {order}, on disk"
    have = "what is free is not known" if free is None else f"{free / 1e9:.1f} GB are free"
    bound = f", of which it may take {most / 1e9:.1f}" if math.isfinite(most) else ""
    progress.message(f"match {how}: {rows:,} rows need about {needed / 1e9:.1f} GB, and {have}{bound}")
    return order


def order_for(rows: int, memory: float) -> int:
    """Return the HEALPix order of tiles for so many rows of both tables and so much memory (bytes)."""
    rows_of_tile = float(np.clip(memory / ROW_BYTES / FULL, *TILE))
    return int(np.clip(round(math.log(rows / (12 * rows_of_tile), 4)), 0, 10))


def _require_output(options: Mapping[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        fix = "Give the file for the pairs."
        raise InputError(Problem(", ".join(given), "without output", "output as well", fix))


def _check_outputs(outputs: Outputs, *tables: AnyTable) -> None:
    """Refuse outputs that overwrite each other or an input."""
    paths = [path for field in fields(outputs) if (path := getattr(outputs, field.name)) is not None]
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError(Problem("outputs", "two of them are the same file", "a file for each"))
    for path in paths:
        refuse_same(path, *tables)


def _counted(rows: Sequence[int], survey: Survey, settings: MatchConfig) -> int:
    """Return the number of leading rows that the steps of a match count together."""
    dense = (settings.mode or survey.match_mode) == "dense"
    return (2 if settings.method == "figure_of_merit" else 1) * rows[0 if dense else 1]


def _match_tables(
    tables: Sequence[AnyTable], surveys: Sequence[Survey], settings: MatchConfig, progress: Progress
) -> Match:
    """Match two tables in memory."""
    moving = catalogue_in_memory(tables[0], surveys[0], curated=False)
    standing = catalogue_in_memory(tables[1], surveys[1], curated=settings.curate)
    with progress.task("match", _counted((moving.rows, standing.rows), surveys[1], settings)) as task:
        mode = settings.mode or surveys[1].match_mode
        return match_in_memory(moving, standing, settings, mode, curate=settings.curate, task=task)


def _as_tables(found: Match, settings: MatchConfig) -> Matched:
    pairs = choose_pairs(found.best, settings.pairs)
    return Matched(
        pairs.height,
        found.statistics,
        found.model.summary(),
        found.losses,
        found.account,
        pairs,
        found.best,
        found.neighbours,
        found.unmatched,
        found.duplicates,
    )


def _write(found: Match, settings: MatchConfig, outputs: Outputs, provenance: Mapping[str, Any]) -> Matched:
    """Write the tables of a match in memory."""
    matched = _as_tables(found, settings)
    for field in fields(outputs):
        path = getattr(outputs, field.name)
        if path is not None:
            about = {**provenance, "rows": matched.account.document()}
            write(getattr(matched, field.name), path, provenance=about)
    return Matched(matched.n_pairs, matched.statistics, matched.model, matched.losses, matched.account)


def _without_tables(job: MatchJob) -> Matched:
    return Matched(job.tally.kept, job.statistics, job.model.summary(), job.tally.losses, job.account)


def _match_on_cluster(
    left: Any,
    right: Any,
    outputs: Outputs,
    surveys: Sequence[Survey],
    settings: MatchConfig,
    progress: Progress,
    **cluster: Any,
) -> Matched:
    """Match two HATS catalogues, given by their paths, URLs, or as LSDB has opened them, on a cluster."""
    # Before anything is read.
    engine_module("cluster.cluster").Where(**cluster)
    catalogue = engine_module("cluster.catalogue")
    skies = [catalogue.open_hats(source) for source in (left, right)]
    provenance = record(
        command="match",
        mock=any(map(hats_is_mock, (left, right))),
        settings={"left": surveys[0].name, "right": surveys[1].name, **settings.model_dump(), "engine": "lsdb"},
        inputs={sky.name: hats_provenance(sky) for sky in skies},
    )
    provenance["versions"] |= catalogue.library_versions()
    return match_skies(skies, outputs, surveys, settings, provenance, progress, **cluster)


def match_skies(
    skies: Sequence[Any],
    outputs: Outputs,
    surveys: Sequence[Survey],
    settings: MatchConfig,
    provenance: Mapping[str, Any],
    progress: Progress,
    **cluster: Any,
) -> Matched:
    """Match two HATS catalogues on a cluster given by the fields of :class:`starscale.cluster.cluster.Where`."""
    rows = [sky.rows for sky in skies]
    total = None if None in rows else sum(rows) + _counted(rows, surveys[1], settings)
    with progress.task("match", total) as task:
        job: MatchJob = engine_module("crossmatch.on_cluster.match").match_hats(
            *skies,
            outputs,
            engine_module("cluster.cluster").Where(**cluster),
            left_survey=surveys[0],
            right_survey=surveys[1],
            config=settings,
            columns=described(),
            metadata={PROVENANCE_KEY: json.dumps(provenance, default=str)},
            task=task,
        )
    return _without_tables(job)
