"""The cross-match of two HATS catalogues on the workers of a Dask cluster.

The partitions of the catalogues take the place of the tiles of :mod:`starscale.crossmatch.on_disk`: workers read
them with their margins, and this process collects what must be counted over the whole sky.
"""

from __future__ import annotations

from collections.abc import Mapping

from starscale.cluster.catalogue import HatsCatalogue
from starscale.cluster.cluster import Where, connected
from starscale.crossmatch.kernel.driver import MatchJob
from starscale.crossmatch.on_cluster.partitions import PartitionedCatalogue
from starscale.crossmatch.on_disk import Outputs, results_on_disk, write_matches
from starscale.io import work_folder
from starscale.surveys import Survey
from starscale.vocabulary.columns import Column
from starscale.vocabulary.progress import Task
from starscale.vocabulary.settings.match import MatchConfig


def match_hats(
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
    task: Task | None = None,
) -> MatchJob:
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
        Metadata of the files.
    task : Task, optional
        Counts the rows.

    Returns
    -------
    MatchJob
        The finished job with its counts and its model.

    Raises
    ------
    StarscaleError
        As the match in memory; the message names a partition that fails.
    """
    with work_folder(outputs.pairs.resolve()) as folder, connected(where, folder / "dask") as client:
        job = MatchJob(
            PartitionedCatalogue(left, left_survey, client, folder / "left"),
            PartitionedCatalogue(right, right_survey, client, folder / "right"),
            config,
            config.mode or right_survey.match_mode,
            results_on_disk(folder),
            curate=config.curate,
            task=task,
        )
        write_matches(job, outputs, columns, metadata or {})
    return job
