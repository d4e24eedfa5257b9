"""What a run asks of an engine, and the engine that is this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from starscale.cluster.engine import on_cluster
from starscale.cluster.extra import engine_module
from starscale.crossmatch.api import Matched, match_files
from starscale.crossmatch.join import Counterparts, join_on_disk
from starscale.crossmatch.on_disk import Outputs
from starscale.io import work_folder
from starscale.model.model import Model
from starscale.model.predict import Predicted, predict_file
from starscale.surveys import Survey
from starscale.tables.clean import clean_file
from starscale.tables.columns.typed import Discarded
from starscale.tables.cuts import Attrition
from starscale.vocabulary.columns import Column
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.match import MatchConfig


class Engine(Protocol):
    """Works from table to table; all engines write the same rows.

    Attributes
    ----------
    suffix : str
        Of the tables of stars that it writes.
    about : mapping of str to value
        What the provenance says of it; empty for this process.
    """

    suffix: str
    about: Mapping[str, Any]

    def clean(
        self,
        table: Path,
        output: Path,
        survey: Survey,
        join: Sequence[tuple[Path, Survey]],
        cuts: Cuts,
        provenance: Mapping[str, Any],
        *,
        progress: Progress,
        discarded: Discarded,
    ) -> Attrition:
        """Do what :func:`starscale.tables.clean.clean_file` does."""

    def match(
        self,
        paths: Sequence[Path],
        surveys: Sequence[Survey],
        settings: MatchConfig,
        outputs: Outputs,
        provenance: Mapping[str, Any],
    ) -> Matched:
        """Do what :func:`starscale.crossmatch.api.match_files` does."""

    def join(
        self,
        lead: Path,
        lead_survey: Survey,
        photometry: Sequence[Counterparts],
        target: Path,
        *,
        columns: Mapping[str, Column],
        metadata: Mapping[str, str],
        absent: Mapping[str, pl.DataType],
    ) -> int:
        """Do what :func:`starscale.crossmatch.join.join_on_disk` does."""

    def predict(
        self, model: Model, table: Path, output: Path, *, bundle: Path | None, progress: Progress
    ) -> Predicted:
        """Do what :func:`starscale.model.predict.predict_file` does."""


#: Bytes that the match of a run takes before it works in tiles: the memory of a run has a bound on any machine.
MATCH_MEMORY = 1.5e9


class ThisProcess:
    """The engine ``local``: any format, one process, pieces that fit into memory."""

    suffix = ".parquet"
    about: Mapping[str, Any] = {}
    match = staticmethod(partial(match_files, most=MATCH_MEMORY))
    join = staticmethod(join_on_disk)

    def clean(
        self,
        table: Path,
        output: Path,
        survey: Survey,
        join: Sequence[tuple[Path, Survey]],
        cuts: Cuts,
        provenance: Mapping[str, Any],
        *,
        progress: Progress,
        discarded: Discarded,
    ) -> Attrition:
        """Clean a table piece by piece."""
        return clean_file(
            table, output, survey, join, cuts, lambda _: provenance, progress=progress, discarded=discarded
        )

    def predict(
        self, model: Model, table: Path, output: Path, *, bundle: Path | None, progress: Progress
    ) -> Predicted:
        """Predict a table; an interrupted prediction resumes."""
        # Completed parts of a catalogue with other settings cannot be used.
        return predict_file(model, table, output, bundle=bundle, leftover="renew", progress=progress)


LOCAL = ThisProcess()


def check_engine(engine: str, **cluster: Any) -> bool:
    """Check the engine and its cluster before anything is done, and say whether it is that of a cluster.

    Raises
    ------
    InputError
        An unknown engine, a cluster without one or two of them, or LSDB is not installed.
    """
    if not on_cluster(engine, **cluster):
        return False
    engine_module("cluster.cluster").Where(**cluster)
    return True


@contextmanager
def opened_engine(engine: str, folder: Path, **cluster: Any) -> Iterator[Engine]:
    """Yield an engine; a cluster on this machine lives as long as the context.

    Parameters
    ----------
    engine : {"local", "lsdb"}
    folder : Path
        Folder of the run, on a disk that the workers share with this process.
    **cluster
        See :class:`starscale.cluster.cluster.Where`.

    Raises
    ------
    StarscaleError
        An unknown engine, LSDB is not installed, no cluster.
    """
    if not on_cluster(engine, **cluster):
        yield LOCAL
        return
    module = engine_module("cluster.cluster")
    where = module.Where(**cluster)
    with work_folder(folder / "cluster") as scratch, module.connected(where, scratch) as client:
        yield engine_module("pipeline.engines.on_cluster").OnCluster(client, scratch)
