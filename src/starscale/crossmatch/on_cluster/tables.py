"""A catalogue of a match whose rows stay in its HATS partitions, to be looked at by workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from dask import delayed
from numpy.typing import NDArray

from starscale.cluster.catalogue import HatsCatalogue, spatial_index
from starscale.cluster.cluster import finished
from starscale.cluster.writing import INDEX_ORDER
from starscale.crossmatch.kernel.curate import duplicate_pairs, is_imprecise, rank_keys, take_out
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.inputs import error_ceiling, evidence, match_columns
from starscale.crossmatch.kernel.pieces import SORT_ORDER, Epochs, in_ranges, ranges_around
from starscale.crossmatch.on_cluster.algorithm import ROW, Reader, save_curation
from starscale.crossmatch.sky_table import Report, SkyTable
from starscale.io.scatter import Scatter
from starscale.surveys import Survey
from starscale.tables.standardise import spelling
from starscale.vocabulary.errors import InputError, Problem


class PartitionedTable(SkyTable):
    """One catalogue of a match, in partitions.

    Parameters
    ----------
    sky : HatsCatalogue
    survey : Survey
    client : distributed.Client
    folder : Path
        For what every worker must be able to read.
    """

    def __init__(self, sky: HatsCatalogue, survey: Survey, client: Any, folder: Path) -> None:
        super().__init__(Path(sky.name), survey, Scatter(folder / "tiles"), order=0)
        found = spelling(list(sky.schema), survey)
        names = [found[name] for name in match_columns(survey) if name in found]
        self.sky = sky.choose(list(dict.fromkeys([*names, *sky.position])))
        self.client, self.folder = client, folder
        self.reader = Reader(
            sky.name, survey, tuple(names), {name: sky.columns[name] for name in names if name in sky.columns}
        )
        self.cells = [(int(pixel.order), int(pixel.pixel)) for pixel in sky.pixels]
        if any(order > SORT_ORDER for order, _ in self.cells):
            raise InputError(Problem(sky.name, "has partitions finer than order 12", "coarser partitions"))
        self.names = [sky.partition_name(pixel) for pixel in sky.pixels]
        self.partitions: list[Any] = []

    def scatter(self, report: Report) -> None:
        """Count the rows of the partitions, so that every row has its number in the whole catalogue."""
        parts = self.sky.catalogue.to_delayed()
        counts = np.zeros(len(parts), dtype=np.int64)
        for i, n in self.done([delayed(len)(part) for part in parts]):
            counts[i] = n
            report(f"reading {self.path.name}", n)
        # In the order of the sky, which is the order of the rows when the files are read one after the other.
        by_sky = np.argsort([pixel << (2 * (SORT_ORDER - order)) for order, pixel in self.cells], kind="stable")
        first = np.zeros(len(parts), dtype=np.int64)
        first[by_sky] = np.cumsum(counts[by_sky]) - counts[by_sky]
        self.rows = int(counts.sum())
        if self.rows == 0:
            raise InputError(Problem(self.sky.name, "has no rows", "one or more"))
        self.partitions = [delayed(_numbered)(part, int(start)) for part, start in zip(parts, first, strict=True)]

    def done(self, tasks: list[Any]) -> Iterator[tuple[int, Any]]:
        """Run a task for every partition; results in the order in which they come."""
        return finished(self.client, tasks, self.names)

    def near(self, cell: tuple[int, int], margin: float) -> Any:
        """Rows of a cell and of a margin (arcsec) around it, to be read by a worker."""
        ranges = ranges_around(cell[1], cell[0], margin)
        parts = [
            part
            for part, (order, pixel) in zip(self.partitions, self.cells, strict=True)
            if _overlap(pixel << (2 * (SORT_ORDER - order)), (pixel + 1) << (2 * (SORT_ORDER - order)), ranges)
        ]
        # A catalogue that does not reach here gives its columns.
        return delayed(_around)(parts or self.partitions[:1], ranges, self.sky.position)

    def repeats_around(self) -> Iterator[tuple[int, pl.DataFrame | None, NDArray[np.int64] | None]]:
        """Imprecise rows of every partition, and rows that may repeat another with what links them."""
        rule = self.survey.duplicates
        tasks = [
            delayed(_examine)(self.reader, part, None if rule is None else self.near(cell, rule.radius))
            for part, cell in zip(self.partitions, self.cells, strict=True)
        ]
        for _, result in self.done(tasks):
            yield result

    def curation_is_known(self) -> None:
        """Let every worker know what curation found."""
        path = self.folder / "curation.npz"
        save_curation(path, self.repeats, self.stand_ins)
        self.curated = True
        self.reader = replace(self.reader, curated=str(path.resolve()))

    def surveyed(self, epochs: Epochs | None) -> Iterator[tuple[int, DensityMap, Epochs, float]]:
        """Every partition's number, density and epochs, and the longest way of its stars between `epochs`."""
        yield from (
            (i, *found)
            for i, found in self.done([delayed(_survey)(self.reader, part, epochs) for part in self.partitions])
        )


def _numbered(partition: Any, first: int) -> Any:
    return partition.assign(**{ROW: np.arange(first, first + len(partition), dtype=np.int64)})


def _overlap(first: int, end: int, ranges: NDArray[np.int64]) -> bool:
    return bool(np.any((ranges[:, 0] < end) & (ranges[:, 1] > first)))


def _around(partitions: list[Any], ranges: NDArray[np.int64], position: tuple[str, str]) -> Any:
    """Rows of some partitions within ranges of cells, in the order of the catalogue; on a worker."""
    kept = []
    for partition in partitions:
        cells = spatial_index(partition, position) >> (2 * (INDEX_ORDER - SORT_ORDER))
        kept.append(partition[in_ranges(cells, ranges)])
    return pd.concat(kept).sort_values(ROW)


def _examine(
    reader: Reader, partition: Any, near: Any
) -> tuple[int, pl.DataFrame | None, NDArray[np.int64] | None]:
    """Count imprecise rows, and look for repeated ones with their surroundings; on a worker."""
    ceiling, rule = error_ceiling(reader.survey), reader.survey.duplicates
    own = reader.side(reader.table(partition))
    imprecise = int(is_imprecise(own.positions, ceiling).sum())
    if rule is None or near is None:
        return imprecise, None, None
    table = reader.table(near)
    side, known = reader.side(table), evidence(table, reader.survey)
    precise = take_out(side.positions, is_imprecise(side.positions, ceiling))
    pairs = duplicate_pairs(precise, rule, known)
    keys = rank_keys(side.positions, side.ids, known, np.unique(pairs))
    return imprecise, keys.with_columns(pl.Series("row", side.rows[keys["row"].to_numpy()])), side.rows[pairs]


def _survey(reader: Reader, partition: Any, epochs: Epochs | None) -> tuple[DensityMap, Epochs, float]:
    """Count a partition, and find its epochs and its fastest star; on a worker."""
    side = reader.side(reader.table(partition))
    way = 0.0 if epochs is None else epochs.longest_way(side.positions)
    return DensityMap.count(side.pixels), Epochs.of(side.positions), way
