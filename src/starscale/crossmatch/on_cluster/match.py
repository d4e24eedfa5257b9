"""Match two HATS catalogues on the workers of a Dask cluster: the pairs of :mod:`starscale.crossmatch.on_disk`.

The steps are those of a match on disk, with the partitions of the leading catalogue in the place of tiles.
Workers read partitions with their surroundings and return what was found; what can only be counted over the
whole sky is counted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from dask import delayed

from starscale.cluster.catalogue import HatsCatalogue
from starscale.cluster.cluster import Where, connected
from starscale.crossmatch.kernel.density import DensitySum
from starscale.crossmatch.kernel.matcher import Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import Epochs
from starscale.crossmatch.kernel.sample import Sample
from starscale.crossmatch.kernel.select import Mode
from starscale.crossmatch.on_cluster.algorithm import StarscaleCrossmatch, save_density
from starscale.crossmatch.on_cluster.tables import PartitionedTable
from starscale.crossmatch.on_disk import MatchJob, OnDisk, Outputs
from starscale.crossmatch.sky_table import Report
from starscale.io import work_folder
from starscale.surveys import Survey
from starscale.vocabulary.columns import Column
from starscale.vocabulary.settings.run import MatchConfig


def match_skies(
    left: HatsCatalogue,
    right: HatsCatalogue,
    outputs: Outputs,
    where: Where,
    *,
    left_survey: Survey,
    right_survey: Survey,
    config: MatchConfig,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str] | None = None,
    report: Report = lambda *_: None,
) -> OnDisk:
    """Match two HATS catalogues.

    Parameters
    ----------
    left, right : HatsCatalogue
        Gaia, and the catalogue to match it with.
    outputs : Outputs
        On a disk that the workers share with this process.
    where : Where
    left_survey, right_survey : Survey
    config : MatchConfig
    columns : mapping of str to Column
        Descriptions of the columns that are written.
    metadata : mapping of str to str, optional
        Texts for the files.
    report : callable, optional
        Told what is done and how many rows that was.

    Returns
    -------
    OnDisk

    Raises
    ------
    StarscaleError
        As the match in memory; a partition that fails is named.
    """
    with work_folder(outputs.pairs) as folder, connected(where, folder / "dask") as client:
        for name in ("left", "right"):
            (folder / name).mkdir()
        job = ClusterJob(
            PartitionedTable(left, left_survey, client, folder / "left"),
            PartitionedTable(right, right_survey, client, folder / "right"),
            config,
            config.mode or right_survey.match_mode,
            folder,
            report,
        )
        return job.run(outputs, columns, metadata or {})


class ClusterJob(MatchJob):
    """The steps of one match, with workers for those that look at rows."""

    moving: PartitionedTable
    standing: PartitionedTable
    leading: PartitionedTable
    searched: PartitionedTable

    def __init__(
        self,
        moving: PartitionedTable,
        standing: PartitionedTable,
        config: MatchConfig,
        mode: Mode,
        folder: Path,
        report: Report,
    ) -> None:
        super().__init__(moving, standing, config, mode, folder, report)
        self._density_file = folder / "density.npz"
        self._ways: dict[int, float] = {}

    def _curate(self) -> None:
        catalogue = self.standing
        links, keys = [], []
        for imprecise, found, linked in catalogue.repeats_around():
            catalogue.imprecise += imprecise
            if found is not None and linked is not None:
                keys.append(found)
                links.append(linked)
        if links:
            self._collapse(links, keys)
        catalogue.curation_is_known()

    def _survey_the_sky(self) -> None:
        counts = DensitySum()
        self.epochs = Epochs(np.nan, np.nan)
        for catalogue in (self.standing, self.moving):
            known = None if catalogue is self.standing else self.epochs
            for i, density, epochs, way in catalogue.surveyed(known):
                if catalogue is self.searched:
                    counts.add(density)
                if catalogue is self.standing:
                    self.epochs |= epochs
                else:
                    self._ways[i] = way
                    self.longest_way = max(self.longest_way, way)
        self.density = counts.total()
        save_density(self._density_file, self.density)

    def _tasks(self, step: str, model: PairModel) -> list[Any]:
        """A step of the algorithm for every partition of the leading catalogue and what surrounds it."""
        algorithm = StarscaleCrossmatch(
            self.leading.reader,
            self.searched.reader,
            self.config,
            self.mode,
            str(self._density_file.resolve()),
            model,
        )
        shared = delayed(algorithm, traverse=False)
        tasks = []
        for i, (part, cell) in enumerate(zip(self.leading.partitions, self.leading.cells, strict=True)):
            way = self._ways[i] if self.mode == "dense" else self.longest_way
            near = self.searched.near(cell, self.config.search_radius + way)
            tasks.append(delayed(_step)(shared, step, part, near))
        return tasks

    def _samples(self, matcher: Matcher) -> Iterator[Sample]:
        del matcher
        for _, sample in self.leading.done(self._tasks("sample", PairModel())):
            self.report("learning", len(sample[0].hashes))
            yield sample

    def _matches(
        self, matcher: Matcher, model: PairModel
    ) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
        del matcher
        for _, found in self.leading.done(self._tasks("match", model)):
            self.report("matching", found[0].height)
            yield found


def _step(algorithm: StarscaleCrossmatch, step: str, partition: Any, near: Any) -> Any:
    return getattr(algorithm, step)(partition, near)
