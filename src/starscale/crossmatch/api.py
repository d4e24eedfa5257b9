"""The verb `match_files`: a match of catalogues that are larger than memory."""

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
from starscale.cluster.engine import _about, _is_mock, on_cluster
from starscale.cluster.extra import engine_module
from starscale.crossmatch.kernel.engine import Statistics, crossmatch, statistics
from starscale.crossmatch.kernel.inputs import curated, match_columns, side_of
from starscale.crossmatch.kernel.select import choose_pairs
from starscale.crossmatch.on_disk import OnDisk, Outputs, match_on_disk
from starscale.io.bars import Bar
from starscale.surveys import Survey, load_survey
from starscale.tables.api import PROVENANCE_KEY, AnyTable, described, is_mock, read, refuse_same, write
from starscale.vocabulary.columns import DUPLICATE_COLUMNS
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.run import MatchConfig

#: Rows of both tables in a tile, on average over the whole sky: fewer cost time, more cost memory.
TILE = 20_000


#: Rows of both tables together above which tiles are used without being asked for.
IN_MEMORY = 2_000_000


@dataclass(frozen=True, slots=True)
class FilesMatched:
    """Result of :func:`match_files`: pairs kept, counts, what was learnt, and losses by reason."""

    pairs: int
    statistics: Statistics
    model: Mapping[str, Any]
    losses: Mapping[str, int]


def match_files(
    left: str | Path,
    right: str | Path,
    output: str | Path,
    *,
    left_survey: str | Path | Survey,
    right_survey: str | Path | Survey,
    settings: MatchConfig = MatchConfig(),  # noqa: B008  frozen
    neighbours: str | Path | None = None,
    unmatched: str | Path | None = None,
    duplicates: str | Path | None = None,
    order: int | None = None,
    engine: str = "local",
    client: Any = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> FilesMatched:
    """Match two catalogues on disk, whatever their size: :func:`match`, from files to files.

    Parameters
    ----------
    left, right : path
        Gaia, and the catalogue to match it with.
    output : path
        File for the pairs. The tiles are kept beside it while the match runs.
    left_survey, right_survey : str, Path or Survey
    settings : MatchConfig
    neighbours, unmatched, duplicates : path, optional
        Files for the other tables of :func:`match`.
    order : int, optional
        Match tile by tile, and keep no more than a tile with its margin in memory: HEALPix order of
        the tiles, 0 to 10. By default one that suits the number of rows, for tables of more than two million rows
        together, and no tiles for smaller ones.
    engine : {"local", "lsdb"}
        Where the work is done: in this process, or by LSDB on a Dask cluster (extra ``lsdb``). Both catalogues are
        then HATS: paths, URLs, or catalogues that LSDB has opened.
    client : distributed.Client, optional
        Your own cluster, for the engine ``lsdb``.
    scheduler : str, optional
        Address of a running Dask scheduler, in its place.
    workers : int, optional
        Worker processes to start on this machine, in its place; default: one a core.

    Returns
    -------
    FilesMatched
        The rows of the files are those of :func:`match`.

    Raises
    ------
    StarscaleError
        Bad input, or an output that cannot be written; no half-written file is left.
    """
    if order is not None and not 0 <= order <= 10:
        raise InputError(Problem("order", f"{order}", "a HEALPix order of tiles, 0 to 10"))
    outputs = [Path(path) for path in (output, neighbours, unmatched, duplicates) if path is not None]
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise InputError(Problem("outputs", "two of them are the same file", "a file for each"))
    for path in outputs:
        refuse_same(path, left, right)
    surveys = [load_survey(left_survey), load_survey(right_survey)]
    others = [None if path is None else Path(path) for path in (neighbours, unmatched, duplicates)]
    cluster = {"client": client, "scheduler": scheduler, "workers": workers}
    if on_cluster(engine, **cluster):
        spread = match_on_cluster(left, right, Outputs(Path(output), *others), surveys, settings, **cluster)
        return FilesMatched(spread.pairs, spread.statistics, spread.model.summary(), spread.losses)
    paths = [Path(left), Path(right)]
    provenance = record(
        command="match",
        mock=is_mock(*paths),
        settings={"left": surveys[0].name, "right": surveys[1].name, **settings.model_dump(), "tiles": order},
        inputs={str(path): {"sha256": io.checksum(path)} for path in paths},
    )
    return match_with(paths, surveys, settings, Outputs(Path(output), *others), provenance, order)


def match_with(
    paths: Sequence[Path],
    surveys: Sequence[Survey],
    settings: MatchConfig,
    outputs: Outputs,
    provenance: Mapping[str, Any],
    order: int | None = None,
) -> FilesMatched:
    """Do what :func:`match_files` does on this machine, with a provenance of the caller's."""
    rows = [io.open_table(path).n_rows for path in paths]
    if order is None and sum(rows) > IN_MEMORY:
        order = order_for(sum(rows))
    if order is None:
        return _in_memory(paths, surveys, settings, outputs, provenance)
    dense = (settings.mode or surveys[1].match_mode) == "dense"
    passes = 2 if settings.method == "figure_of_merit" else 1
    with Bar("match", sum(rows) + passes * rows[0 if dense else 1]) as bar:

        def tell(doing: str, done: int) -> None:
            if doing in ("learning", "matching") or doing.startswith("reading"):
                bar.advance(done, doing)

        found = match_on_disk(
            paths[0],
            paths[1],
            outputs,
            left_survey=surveys[0],
            right_survey=surveys[1],
            config=settings,
            columns=described(),
            metadata={PROVENANCE_KEY: json.dumps(provenance, default=str)},
            order=order,
            report=tell,
        )
    return FilesMatched(found.pairs, found.statistics, found.model.summary(), found.losses)


def order_for(rows: int) -> int:
    """HEALPix order at which a tile of the sky has about :data:`TILE` of so many rows."""
    return int(np.clip(round(math.log(rows / (12 * TILE), 4)), 0, 10))


def _in_memory(
    paths: Sequence[Path],
    surveys: Sequence[Survey],
    settings: MatchConfig,
    outputs: Outputs,
    provenance: Mapping[str, Any],
) -> FilesMatched:
    """Match with both tables in memory, and write what is wanted."""
    matched = match(*paths, left_survey=surveys[0], right_survey=surveys[1], settings=settings)
    for field in fields(outputs):
        path = getattr(outputs, field.name)
        if path is not None:
            write(getattr(matched, field.name), path, provenance=provenance)
    losses = dict(matched.unmatched["reason"].value_counts(sort=True).iter_rows())
    return FilesMatched(matched.pairs.height, matched.statistics, matched.model, losses)


def match_on_cluster(
    left: Any, right: Any, outputs: Outputs, surveys: Sequence[Survey], settings: MatchConfig, **cluster: Any
) -> OnDisk:
    """Match two HATS catalogues (paths, URLs, or ones that LSDB has opened) as :func:`match_files` does.

    Parameters
    ----------
    left, right : path, URL, or lsdb.catalog.Catalog
    outputs : Outputs
    surveys : sequence of Survey
        Of both.
    settings : MatchConfig
    **cluster
        See :class:`starscale.cluster.cluster.Where`.

    Raises
    ------
    StarscaleError
        LSDB is not installed, bad input, a partition that fails; no half-written file is left.
    """
    where = engine_module("cluster.cluster").Where(**cluster)
    catalogue = engine_module("cluster.catalogue")
    skies = [catalogue.open_sky(source) for source in (left, right)]
    provenance = record(
        command="match",
        mock=any(map(_is_mock, (left, right))),
        settings={"left": surveys[0].name, "right": surveys[1].name, **settings.model_dump(), "engine": "lsdb"},
        inputs={sky.name: _about(sky) for sky in skies},
    )
    provenance["versions"] |= catalogue.library_versions()
    rows = [sky.rows for sky in skies]
    with Bar("match", None if None in rows else sum(rows)) as bar:

        def tell(doing: str, done: int) -> None:
            if doing.startswith("reading"):
                bar.advance(done, doing)

        found: OnDisk = engine_module("crossmatch.on_cluster.match").match_skies(
            *skies,
            outputs,
            where,
            left_survey=surveys[0],
            right_survey=surveys[1],
            config=settings,
            columns=described(),
            metadata={PROVENANCE_KEY: json.dumps(provenance, default=str)},
            report=tell,
        )
    return found


@dataclass(frozen=True, slots=True)
class Matched:
    """Result of :func:`match`.

    Attributes
    ----------
    pairs : polars.DataFrame
        The chosen pairs.
    best : polars.DataFrame
        The best pair of every leading source that has one, chosen or not.
    neighbours : polars.DataFrame
        All good neighbours.
    unmatched : polars.DataFrame
        Leading sources without a chosen pair, and what they lost it to.
    duplicates : polars.DataFrame
        Entries of the external catalogue that repeat another, and the one that stands for them.
    statistics : Statistics
        Counts.
    model : dict
        What was learnt of errors, offsets, blends and completeness.
    """

    pairs: pl.DataFrame
    best: pl.DataFrame
    neighbours: pl.DataFrame
    unmatched: pl.DataFrame
    duplicates: pl.DataFrame
    statistics: Statistics
    model: dict[str, Any]


def match(
    left: AnyTable,
    right: AnyTable,
    *,
    left_survey: str | Path | Survey,
    right_survey: str | Path | Survey,
    settings: MatchConfig = MatchConfig(),  # noqa: B008  frozen
) -> Matched:
    """Match two catalogues by position.

    Parameters
    ----------
    left, right : path or table
        Gaia, whose stars move to the epoch of each candidate, and the catalogue to match it with.
    left_survey, right_survey : str, Path or Survey
        Which columns hold identifiers, positions, errors, epochs and proper motions.
    settings : MatchConfig
        Method, radius, choice of pairs, ...

    Returns
    -------
    Matched

    Raises
    ------
    InputError
        Positions missing or off the sphere, identifiers damaged or repeated, no rows.
    """
    tables, sides = [], []
    for source, survey in ((left, load_survey(left_survey)), (right, load_survey(right_survey))):
        where = str(source) if isinstance(source, str | Path) else f"table of {survey.name}"
        table = read(source, survey=survey, columns=match_columns(survey))
        if table.height == 0:
            raise InputError(Problem(where, "has no rows", "one or more"))
        tables.append(table)
        sides.append(side_of(table, survey, where))
    moving, standing = sides
    survey = load_survey(right_survey)
    mode = settings.mode or survey.match_mode
    imprecise = duplicate = None
    join_table = pl.DataFrame(schema=dict.fromkeys(DUPLICATE_COLUMNS, standing.ids.dtype))
    if settings.curate:
        standing, found = curated(standing, tables[1], survey)
        imprecise, duplicate, join_table = found.imprecise, found.duplicate, found.table(standing.ids)
    result = crossmatch(moving, standing, settings, mode, duplicate=duplicate)
    taken_out = (0 if imprecise is None else int(imprecise.sum()), join_table.height)
    counts = statistics(result, settings, mode, rows=(len(moving), len(standing)), curated=taken_out)
    return Matched(
        choose_pairs(result.best, settings.pairs),
        result.best,
        result.neighbours,
        result.unmatched,
        join_table,
        counts,
        result.model.summary(),
    )
