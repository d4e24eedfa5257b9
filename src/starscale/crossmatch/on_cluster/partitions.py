"""A catalogue of a match in HATS partitions, processed by the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dask import delayed
from numpy.typing import NDArray

from starscale.cluster.catalogue import HatsCatalogue, spatial_index
from starscale.cluster.cluster import finished
from starscale.cluster.writing import INDEX_ORDER
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.inputs import Curation, match_columns
from starscale.crossmatch.kernel.pieces import SORT_ORDER, in_ranges, ranges_around
from starscale.crossmatch.kernel.stores import PieceResult, Step, T
from starscale.crossmatch.on_cluster.algorithm import ROW, Reader, SharedCuration, SharedDensity
from starscale.surveys import Survey
from starscale.tables.opening import refuse_elements
from starscale.tables.standardise import to_read
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Task


class PartitionedCatalogue:
    """One catalogue in partitions on a cluster.

    Parameters
    ----------
    sky : HatsCatalogue
    survey : Survey
    client : distributed.Client
    folder : Path
        Folder for files that every worker must be able to read.
    """

    undivided = False

    def __init__(self, sky: HatsCatalogue, survey: Survey, client: Any, folder: Path) -> None:
        refuse_elements(list(sky.schema), survey, sky.name)
        names = to_read(list(sky.schema), survey, match_columns(survey))
        self.survey, self.rows = survey, 0
        self._sky = sky.choose(list(dict.fromkeys([*names, *sky.position])))
        self._client, self._folder = client, folder
        columns = {name: sky.columns[name] for name in names if name in sky.columns}
        self._reader = Reader(sky.name, survey, tuple(names), columns)
        self._cells = [(int(pixel.order), int(pixel.pixel)) for pixel in sky.pixels]
        if any(order > SORT_ORDER for order, _ in self._cells):
            raise InputError(Problem(sky.name, "has partitions finer than order 12", "coarser partitions"))
        self._names = [sky.partition_name(pixel) for pixel in sky.pixels]
        self._counts = np.zeros(len(self._cells), dtype=np.int64)
        self._partitions: list[Any] = []
        folder.mkdir()

    def read(self, task: Task) -> None:
        """Count the rows of the partitions, so that every row has its number in the whole catalogue."""
        parts, counts = self._sky.catalogue.to_delayed(), self._counts
        for i, n in self._finished([delayed(len)(part) for part in parts]):
            counts[i] = n
            task.advance(n, f"reading {Path(self._sky.name).name}")
        # The order of the sky is that of the rows when the files are read one after the other.
        by_sky = np.argsort([pixel << (2 * (SORT_ORDER - order)) for order, pixel in self._cells], kind="stable")
        first = np.zeros(len(parts), dtype=np.int64)
        first[by_sky] = np.cumsum(counts[by_sky]) - counts[by_sky]
        self.rows = int(counts.sum())
        if self.rows == 0:
            raise InputError(Problem(self._sky.name, "has no rows", "one or more"))
        self._partitions = [delayed(_numbered)(part, int(start)) for part, start in zip(parts, first, strict=True)]

    def each(
        self,
        step: Step[T],
        near: PartitionedCatalogue | None = None,
        margin: Callable[[int], float] | None = None,
    ) -> Iterator[PieceResult[T]]:
        """Apply a step to every partition, on the workers; the results come in the order of completion."""
        shared = delayed(step, traverse=False)
        tasks = []
        for i, (part, cell) in enumerate(zip(self._partitions, self._cells, strict=True)):
            around = None if near is None else near.around(cell, 0.0 if margin is None else margin(i))
            tasks.append(delayed(_apply)(shared, self._reader, part, near and near._reader, around))
        for i, result in self._finished(tasks):
            yield PieceResult(i, int(self._counts[i]), result)

    def around(self, cell: tuple[int, int], margin: float) -> Any:
        """Return the task that reads the rows of a cell and of a margin (arcsec) around it."""
        ranges = ranges_around(cell[1], cell[0], margin)
        parts = [
            part
            for part, (order, pixel) in zip(self._partitions, self._cells, strict=True)
            if _overlap(pixel << (2 * (SORT_ORDER - order)), (pixel + 1) << (2 * (SORT_ORDER - order)), ranges)
        ]
        # Where the catalogue has no rows, any partition provides the columns.
        return delayed(_around)(parts or self._partitions[:1], ranges, self._sky.position)

    def curate(self, curation: Curation) -> None:
        """Apply the curation to all rows passed to later steps."""
        self._reader = replace(self._reader, curation=SharedCuration(curation, self._folder / "curation.npz"))

    def share(self, density: DensityMap) -> DensityMap:
        """Write the density map to a file, which the workers read."""
        return SharedDensity(density, self._folder / "density.npz")

    def _finished(self, tasks: list[Any]) -> Iterator[tuple[int, Any]]:
        return finished(self._client, tasks, self._names)


def _apply(step: Step[T], reader: Reader, partition: Any, near_reader: Reader | None, near: Any) -> T:
    """Apply a step to a partition and the rows around it; on a worker."""
    return step(reader.rows(partition), None if near_reader is None else near_reader.rows(near))


def _numbered(partition: Any, first: int) -> Any:
    return partition.assign(**{ROW: np.arange(first, first + len(partition), dtype=np.int64)})


def _overlap(first: int, end: int, ranges: NDArray[np.int64]) -> bool:
    return bool(np.any((ranges[:, 0] < end) & (ranges[:, 1] > first)))


def _around(partitions: list[Any], ranges: NDArray[np.int64], position: tuple[str, str]) -> Any:
    """Return the rows of some partitions within ranges of cells, in the order of the catalogue; on a worker."""
    kept = []
    for partition in partitions:
        cells = spatial_index(partition, position) >> (2 * (INDEX_ORDER - SORT_ORDER))
        kept.append(partition[in_ranges(cells, ranges)])
    return pd.concat(kept).sort_values(ROW)
