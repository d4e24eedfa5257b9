"""Clean a HATS catalogue, partition by partition, on the workers of a Dask cluster.

Every partition goes through the functions of :func:`starscale.tables.clean.clean`: rows and counts are the same.
Tables with the same identifiers need no partitions: this process finds the partition of every row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import polars as pl
from dask import delayed

from starscale.cluster.catalogue import HEALPIX, HatsCatalogue, spatial_index, table_of
from starscale.cluster.cluster import finished
from starscale.cluster.identifiers import PARTITION, identifiers, store
from starscale.cluster.writing import Partition, finish_catalogue, write_partition
from starscale.io import atomic_directory, work_folder
from starscale.io.joining import join_frames
from starscale.io.scatter import Scatter
from starscale.surveys import Survey
from starscale.surveys.schema import Cut
from starscale.tables.api import PROVENANCE_KEY, about_positions, carried, described
from starscale.tables.clean import cuts_of_survey, no_rows, say_discarded
from starscale.tables.columns.typed import Discarded
from starscale.tables.cuts import Attrition
from starscale.tables.frames import refuse_frame
from starscale.tables.joins import join_by_id
from starscale.tables.labels import cut_rows
from starscale.tables.opening import open_for, refuse_elements
from starscale.tables.standardise import standardise
from starscale.tables.stream import checked_ids, columns_of, pieces, rows_of
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Progress, Task
from starscale.vocabulary.settings.cuts import Cuts


@dataclass(frozen=True)
class _Cleaning:
    """What every partition needs to know."""

    where: str
    survey: Survey
    cuts: Sequence[Cut]
    joins: Sequence[tuple[Survey, Scatter]]
    position: tuple[str, str]
    names: Sequence[str]
    stated: Mapping[str, Column]
    folder: str
    columns: Mapping[str, Column]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Cleaned:
    """What comes back of a partition."""

    partition: Partition
    attrition: Attrition
    discarded: Discarded


def clean_sky(
    client: Any,
    sky: HatsCatalogue,
    target: Path,
    survey: Survey,
    join: Sequence[tuple[Path, Survey]],
    cuts: Cuts,
    provenance: Mapping[str, Any],
    *,
    where: str,
    progress: Progress,
    discarded: Discarded,
) -> Attrition:
    """Clean a HATS catalogue into another one; the rows are those of :func:`starscale.tables.clean.clean_file`.

    Parameters
    ----------
    client : distributed.Client
    sky : HatsCatalogue
        On a disk.
    target : Path
        Folder of the new catalogue, on a disk that the workers share with this process.
    survey : Survey
        The survey whose cuts apply.
    join : sequence of (Path, Survey)
        Tables of any format with the same identifiers, whose columns are appended before the cuts.
    cuts : Cuts
    provenance : mapping
    where : str
        Name of the catalogue in error messages.
    progress : Progress
    discarded : Discarded
        Receives the numbers of values that became missing.

    Raises
    ------
    StarscaleError
        Bad input, no row that passes the cuts, a partition that fails (it is named), a disk that refuses; no
        half-written catalogue is left.
    """
    path, position = Path(sky.name), _position(survey)
    source = open_for(path, survey)
    if source.n_rows == 0:
        raise no_rows(where)
    refuse_frame(source, survey, where)
    refuse_elements(list(sky.schema), survey, where)
    columns = described(survey, *(of for _, of in join)) | carried(source.columns, survey)
    metadata = about_positions(columns_of(path, survey), [survey])
    metadata[PROVENANCE_KEY] = json.dumps(provenance, default=str)
    with work_folder(target) as work, atomic_directory(target, marker="hats.properties") as folder:
        found = identifiers(client, sky, survey, where, source.columns)
        n_ids = store(
            checked_ids(found, Path(where), survey, work / "ids", unique=survey.id.unique), work / "ids.parquet"
        )
        shared = _Cleaning(
            where=where,
            survey=survey,
            cuts=cuts_of_survey(survey, cuts, where),
            joins=[
                (of, _distributed(work / "ids.parquet", survey, table, of, work / f"join{number}", discarded))
                for number, (table, of) in enumerate(join)
            ],
            position=sky.position,
            # LSDB takes the index of HATS out of the columns; a catalogue without one gets it.
            names=[*({HEALPIX.name} - set(source.schema)), *source.schema],
            stated=source.columns,
            folder=str(folder.resolve()),
            columns={**columns, HEALPIX.name: HEALPIX},
            metadata=metadata,
        )
        with progress.task(f"cleaning {survey.name}", n_ids) as task:
            results = _cleaned(client, sky, shared, task)
        attrition = reduce(add, (result.attrition for result in results))
        if attrition.n_out == 0:
            raise InputError(_none_left(where, attrition))
        for result in results:
            discarded.outside.update(result.discarded.outside)
            discarded.invalid.update(result.discarded.invalid)
        finish_catalogue(folder, target.stem, [r.partition for r in results], HEALPIX, position, metadata)
    say_discarded(discarded, columns_of(path, survey), survey, progress)
    return attrition


def _position(survey: Survey) -> tuple[str, str]:
    """Return the columns of the position of a survey."""
    if survey.position is None:
        found = "has no position, and HATS is a map of the sky"
        raise InputError(Problem(f"survey {survey.name}", found, "a section [position]"))
    return survey.position.ra, survey.position.dec


def _none_left(where: str, attrition: Attrition) -> Problem:
    """Return the error for a catalogue of which the cuts leave nothing."""
    most = max(attrition.rows, key=lambda row: row.in_sequence)
    found = f"none of its {attrition.n_in:,} rows passes the cuts ({most.name} removes {most.in_sequence:,})"
    return Problem(where, found, "one or more", "Is this the right table, and do the cuts suit it?")


def _distributed(
    ids: Path, lead: Survey, table: Path, survey: Survey, folder: Path, discarded: Discarded
) -> Scatter:
    """Distribute the rows of a table with the same identifiers over the partitions of the leading catalogue."""
    folder.mkdir()
    key, rows = survey.id.column, Scatter(folder / "rows")
    others = pieces(table, survey, list(survey.columns), discarded=discarded)
    # Stars in the order of partitions, so that few files are open for each frame.
    found = join_frames(
        (frame.rename({lead.id.column: "__id"}) for frame in rows_of(ids)),
        checked_ids(others, table, survey, folder / "ids", unique=True),
        left_on="__id",
        right_on=key,
        how="inner",
        n_right=open_for(table, survey).n_rows,
        folder=folder,
    )
    for frame in found:
        rows.append(frame.drop(PARTITION).rename({"__id": key}), frame[PARTITION].to_numpy())
    return rows


def _cleaned(client: Any, sky: HatsCatalogue, work: _Cleaning, task: Task) -> list[_Cleaned]:
    """Return the result of every partition, in their order."""
    shared, done = delayed(work, traverse=False), {}
    cells = [(int(pixel.order), int(pixel.pixel)) for pixel in sky.pixels]
    parts = enumerate(zip(sky.catalogue.to_delayed(), cells, strict=True))
    tasks = [delayed(_clean_partition)(i, part, cell, shared) for i, (part, cell) in parts]
    for i, result in finished(client, tasks, [sky.partition_name(pixel) for pixel in sky.pixels]):
        done[i] = result
        task.advance(result.attrition.n_in)
    return [done[i] for i in sorted(done)]


def _clean_partition(number: int, partition: Any, cell: tuple[int, int], work: _Cleaning) -> _Cleaned:
    """Clean a partition and write its data file; on a worker."""
    discarded = Discarded()
    index = pl.Series(HEALPIX.name, spatial_index(partition, work.position), dtype=pl.Int64)
    table = table_of(partition, [name for name in work.names if name != HEALPIX.name])
    stars = standardise(
        table.with_columns(index).select(work.names),
        work.survey,
        where=work.where,
        found_columns=work.stated,
        whole=False,
        discarded=discarded,
    )
    for survey, rows in work.joins:
        # A star that occurs in several rows of the partition has as many here, all the same.
        extra = rows.read(number).unique(survey.id.column, keep="first")
        stars = join_by_id(stars, extra, lead=work.survey, survey=survey)
    kept, attrition = cut_rows(stars, work.cuts, work.survey, work.where)
    part = write_partition(kept, HEALPIX, Path(work.folder), cell, work.columns, work.metadata)
    return _Cleaned(part, attrition, discarded)
