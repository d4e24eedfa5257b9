"""Which partition an identifier is in: tables without partitions find the rows of the sky that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from dask import delayed

from starscale.cluster.catalogue import HatsCatalogue, table_of
from starscale.cluster.cluster import finished
from starscale.io import open_table, open_writer
from starscale.io.joining import join_frames
from starscale.surveys import Survey
from starscale.tables.standardise import standardise, to_read
from starscale.tables.stream import rows_of
from starscale.vocabulary.columns import Column

#: The number of the partition of an identifier.
PARTITION = "__partition"


def identifiers(
    client: Any, sky: HatsCatalogue, survey: Survey, where: str, stated: Mapping[str, Column]
) -> Iterator[pl.DataFrame]:
    """Yield the identifiers of every partition, as the workers read them, with the number of the partition.

    Parameters
    ----------
    client : distributed.Client
    sky : HatsCatalogue
    survey : Survey
        The column of identifiers has the name that it has there.
    where : str
        Name of the catalogue in error messages.
    stated : mapping of str to Column
        Its columns as the files describe them.

    Raises
    ------
    InputError
        No identifiers, or damaged ones.
    """
    names = to_read(list(sky.schema), survey, [survey.id.column])
    partitions = sky.choose([*names, *sky.position]).catalogue.to_delayed()
    shared = delayed((names, survey, where, dict(stated)), traverse=False)
    tasks = [delayed(_identifiers)(partition, shared) for partition in partitions]
    for i, ids in finished(client, tasks, [sky.partition_name(pixel) for pixel in sky.pixels]):
        yield ids.to_frame().with_columns(pl.lit(i, dtype=pl.Int64).alias(PARTITION))


def _identifiers(partition: Any, shared: tuple[list[str], Survey, str, dict[str, Column]]) -> pl.Series:
    """Return the identifiers of a partition; on a worker."""
    names, survey, where, stated = shared
    table = table_of(partition, names)
    return standardise(table, survey, where=where, found_columns=stated, whole=False)[survey.id.column]


def store(frames: Iterable[pl.DataFrame], target: Path) -> int:
    """Write frames to a file, and return the number of rows."""
    frames = iter(frames)
    first = next(frames)
    with open_writer(target, first.schema, columns={}) as writer:
        writer.append(first)
        for frame in frames:
            writer.append(frame)
        return writer.n_rows


def with_partitions(
    frames: Iterable[pl.DataFrame], key: str, ids: Path, folder: Path, *, name: str = PARTITION
) -> Iterator[pl.DataFrame]:
    """Append the partition of the star to the rows of a table; rows whose identifier is unknown are left out.

    Parameters
    ----------
    frames : iterable of polars.DataFrame
        The rows.
    key : str
        Their column of identifiers.
    ids : Path
        File with identifiers and their partitions.
    folder : Path
        For temporary files, removed by the caller.
    name : str
        What to call the column.
    """
    known = (frame.select(pl.first().alias("__key"), pl.col(PARTITION).alias(name)) for frame in rows_of(ids))
    yield from join_frames(
        frames, known, left_on=key, right_on="__key", how="inner", n_right=open_table(ids).n_rows, folder=folder
    )
