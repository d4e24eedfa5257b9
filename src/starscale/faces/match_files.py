"""The verb `match_files`: a match of catalogues that are larger than memory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from starscale import io
from starscale.catalogue.crossmatch.engine import Statistics
from starscale.faces.distributed import match_on_cluster, on_cluster
from starscale.faces.progress import Bar
from starscale.faces.tables import PROVENANCE_KEY, described, is_mock, match, refuse_same, write
from starscale.surveys import Survey, load_survey
from starscale.use.match_files import Outputs, match_on_disk
from starscale.vocabulary.config import MatchConfig
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.provenance import record

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
