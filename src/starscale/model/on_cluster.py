"""Predict a HATS catalogue, partition by partition, on the workers of a Dask cluster.

Every partition goes through :meth:`starscale.model.model.Model.predict`, the kernel of the path on one
machine, so that rows and values are the same.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from dask import delayed

from starscale.cluster.catalogue import HEALPIX, HatsCatalogue, open_hats, spatial_index, table_of
from starscale.cluster.cluster import Group, Where, connected, finished_groups
from starscale.cluster.writing import Partition, finish_catalogue, write_partition
from starscale.io import atomic_directory, work_folder
from starscale.model.asked import Asked
from starscale.model.model import Model, loaded_once
from starscale.model.predict import CHUNK, SLICE, Predicted, RepeatedStars, repeated_stars
from starscale.tables.opening import refuse_elements
from starscale.tables.repeated import RepeatedIds
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flags import CatalogueFlag
from starscale.vocabulary.progress import SilentTask, Task

#: Tasks for every worker, at least, as long as they have this many stars: fewer take as long.
_TASKS, _FEWEST = 4, 4096


@dataclass(frozen=True)
class _Task:
    """What every partition needs to know; small, since it travels with each."""

    bundle: str
    sha256: str
    folder: str
    where: str
    chunk: int
    columns: tuple[str, ...]
    found_columns: Mapping[str, Column]
    metadata: Mapping[str, str]
    position: tuple[str, str]
    asked: Asked


@dataclass(frozen=True, slots=True)
class _Done:
    """What comes back of a partition."""

    partition: Partition
    predicted: int
    flags: tuple[int, ...]


def predict_sky(
    model: Model,
    bundle: Path | None,
    sky: HatsCatalogue,
    target: Path,
    where: Where,
    *,
    metadata: Mapping[str, str] | None = None,
    chunk: int = CHUNK,
    task: Task | None = None,
) -> Predicted:
    """Predict the stars of a HATS catalogue into a HATS catalogue.

    Parameters
    ----------
    model : Model
    bundle : Path, optional
        Where the model was loaded from; None: from nowhere.
    sky : HatsCatalogue
    target : Path
        Folder of the new catalogue, on a disk that the workers share with this process.
    where : Where
    metadata : mapping of str to str, optional
        Provenance, for the properties and for every data file.
    chunk : int
        Rows that a worker predicts at a time.
    task : Task, optional
        Counts the rows of every finished partition.

    Returns
    -------
    Predicted

    Raises
    ------
    StarscaleError
        Bad input, a partition that fails (it is named), a disk that refuses; no half-written catalogue is left.
    """
    if model.inputs.position is None:
        found = "does not know the position of a star, and HATS is a map of the sky"
        raise InputError(Problem("model", found, "a model whose inputs have a position"))
    refuse_elements(list(sky.schema), model.inputs, sky.name)
    columns = model.input_columns(list(sky.schema))
    # An empty prediction refuses a wrong table before anything is started.
    empty = pl.DataFrame(schema={name: sky.schema[name] for name in columns})
    model.predict(empty, where=sky.name, found_columns=sky.columns)
    chosen = sky.choose(list(dict.fromkeys([*columns, *sky.position])))
    metadata = dict(metadata or {})
    with (
        work_folder(target) as work,
        atomic_directory(target, marker="hats.properties") as folder,
        connected(where, work / "dask") as client,
    ):
        # The workers load the model from a copy, so that changes of the original have no effect.
        _keep(model, bundle, work / "bundle")
        piece = _Task(
            bundle=str((work / "bundle").resolve()),
            sha256=model.digest(),
            folder=str(folder.resolve()),
            where=sky.name,
            chunk=chunk,
            columns=tuple(columns),
            found_columns={name: sky.columns[name] for name in columns if name in sky.columns},
            metadata=metadata,
            position=sky.position,
            asked=model.asked,
        )
        parts, counts = _collected(client, chosen, _groups(sky, client), piece, work, task or SilentTask())
        if not counts.rows:
            raise InputError(Problem(sky.name, "has no rows", "one or more"))
        name = target.name.removesuffix(".hats")
        finish_catalogue(folder, name, [p.partition for p in parts], HEALPIX, ("ra", "dec"), metadata)
    return counts


def lazy_catalogue(model: Model, bundle: Path, stars: Path) -> Any:
    """Return a catalogue of LSDB whose partitions are predicted when they are computed.

    Parameters
    ----------
    model : Model
    bundle : Path
        Where to keep the model for the workers.
    stars : Path
        A HATS catalogue with the columns of the model. Both must stay.

    Returns
    -------
    lsdb.catalog.Catalog
        The columns of :meth:`starscale.model.model.Model.predict`; the position has the names of `stars`.
    """
    sky = open_hats(stars)
    columns = model.input_columns(list(sky.schema))
    model.save(bundle, card="")
    chosen = sky.choose(list(dict.fromkeys([*columns, *sky.position]))).catalogue
    found = {name: sky.columns[name] for name in columns if name in sky.columns}
    about = (model.asked, columns, found, sky.name, sky.position)
    return chosen.map_partitions(_predicted_partition, Model.load(bundle), *about)


def _predicted_partition(
    partition: Any,
    model: Model,
    asked: Asked,
    columns: Sequence[str],
    found: Mapping[str, Column],
    where: str,
    position: tuple[str, str],
) -> Any:
    """Predict a partition; on a worker, and for the columns of the catalogue without rows."""
    # The model travels as the path of its bundle, which does not hold what is asked of it.
    model = replace(model, asked=asked)
    catalogue = model.predict(table_of(partition, columns), where=where, found_columns=found)
    # LSDB looks for the position under the names that it had.
    catalogue = catalogue.rename(dict(zip(("ra", "dec"), position, strict=True)))
    predicted = catalogue.to_pandas(use_pyarrow_extension_array=True)
    predicted.index = partition.index
    return predicted


def _collected(
    client: Any, sky: HatsCatalogue, groups: Sequence[Group], piece: _Task, work: Path, task: Task
) -> tuple[list[_Done], Predicted]:
    """Wait for all partitions; return them in the order of the sky, and what they hold together."""
    cells = [(int(pixel.order), int(pixel.pixel)) for pixel in sky.pixels]
    partitions, shared = sky.catalogue.to_delayed(), delayed(piece, traverse=False)

    def predicted(group: Group) -> Any:
        return delayed(_predict_partitions)([partitions[i] for i in group], [cells[i] for i in group], shared)

    done: dict[int, _Done] = {}
    ids, folder = RepeatedIds(work / "identifiers"), Path(piece.folder)
    try:
        names = [sky.partition_name(pixel) for pixel in sky.pixels]
        for group, results in finished_groups(client, groups, predicted, names):
            for i, result in zip(group, results, strict=True):
                done[i] = result
                if result.partition.rows:
                    ids.add(_ids(folder, result.partition))
                task.advance(result.partition.rows)
        parts = [done[i] for i in sorted(done)]
        return parts, _count(parts, repeated_stars(ids, _id_columns(folder, parts)))
    finally:
        ids.close()


def _groups(sky: HatsCatalogue, client: Any) -> list[Group]:
    """Choose the partitions that are predicted together: networks see blocks of stars, and fill up the last.

    A partition of some hundred stars takes as long as one of thousands. Every worker gets several tasks, so that
    all finish at about the same time.
    """
    n = len(sky.pixels)
    # A search does not know how many rows are left, and they may be all.
    rows = math.ceil(sky.rows / n) if sky.rows else SLICE
    wanted = min(SLICE, max(_FEWEST, (sky.rows or 0) // (_TASKS * max(1, sum(client.nthreads().values())))))
    size = max(1, wanted // max(1, rows))
    return [tuple(range(i, min(i + size, n))) for i in range(0, n, size)]


def _keep(model: Model, bundle: Path | None, copy: Path) -> None:
    if bundle is None:
        model.save(copy, card="")
    else:
        shutil.copytree(bundle, copy)


def _ids(folder: Path, partition: Partition) -> pl.Series:
    return pl.read_parquet(folder / partition.file, columns=["source_id"])["source_id"]


def _id_columns(folder: Path, parts: list[_Done]) -> Iterator[pl.Series]:
    return (_ids(folder, part.partition) for part in parts if part.partition.rows)


def _count(parts: list[_Done], repeated: RepeatedStars | None) -> Predicted:
    flags = np.sum([part.flags for part in parts], axis=0)
    return Predicted(
        sum(part.partition.rows for part in parts),
        sum(part.predicted for part in parts),
        {str(bit.name): int(n) for bit, n in zip(CatalogueFlag, flags, strict=True)},
        repeated,
    )


def _predict_partitions(partitions: Sequence[Any], cells: Sequence[tuple[int, int]], task: _Task) -> list[_Done]:
    """Predict some partitions together, and write the data file of each; on a worker."""
    model = replace(loaded_once(task.bundle, task.sha256), asked=task.asked)
    tables = [table_of(partition, task.columns) for partition in partitions]
    table = pl.concat(tables)
    pieces = [
        model.predict(piece, where=task.where, found_columns=task.found_columns)
        for piece in (table.iter_slices(task.chunk) if table.height else (table,))
    ]
    catalogue, start, done = pl.concat(pieces), 0, []
    for partition, cell in zip(partitions, cells, strict=True):
        done.append(_written(catalogue.slice(start, len(partition)), partition, cell, model, task))
        start += len(partition)
    return done


def _written(catalogue: pl.DataFrame, partition: Any, cell: tuple[int, int], model: Model, task: _Task) -> _Done:
    """Write the data file of a predicted partition."""
    index = pl.Series(HEALPIX.name, spatial_index(partition, task.position), dtype=pl.Int64)
    part = write_partition(
        catalogue.insert_column(0, index),
        HEALPIX,
        Path(task.folder),
        cell,
        {HEALPIX.name: HEALPIX, **model.columns},
        task.metadata,
    )
    predicted = catalogue.height - catalogue[model.labels[0]].null_count()
    flags = tuple(int((catalogue["flags"] & int(bit) > 0).sum()) for bit in CatalogueFlag)
    return _Done(part, predicted, flags)
