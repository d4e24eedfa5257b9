"""The engine ``lsdb``: HATS catalogues, partition by partition, on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from starscale.cluster.catalogue import library_versions, open_hats
from starscale.cluster.cleaning import clean_sky
from starscale.cluster.engine import is_hats
from starscale.cluster.placing import place
from starscale.crossmatch.api import Matched, match_skies
from starscale.crossmatch.join import Counterparts
from starscale.crossmatch.on_cluster.join import join_sky
from starscale.crossmatch.on_disk import Outputs
from starscale.model.api import predict_on_cluster
from starscale.model.model import Model
from starscale.model.predict import CHUNK, Predicted
from starscale.surveys import Survey
from starscale.tables.columns.typed import Discarded
from starscale.tables.cuts import Attrition
from starscale.vocabulary.columns import Column
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.match import MatchConfig


class OnCluster:
    """Does the work of a run on a cluster; the workers get absolute paths, since they may run in another folder.

    Parameters
    ----------
    client : distributed.Client
    scratch : Path
        Folder for temporary catalogues, on a disk that the workers share with this process.
    """

    suffix = ".hats"

    def __init__(self, client: Any, scratch: Path) -> None:
        self._client, self._scratch = client, scratch.resolve()
        self._placed: dict[Path, Path] = {}
        self.about: Mapping[str, Any] = {"engine": {"name": "lsdb", **library_versions()}}

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
        """Clean a catalogue on its partitions."""
        sky = open_hats(self._hats(table, survey))
        return clean_sky(
            self._client,
            sky,
            output.resolve(),
            survey,
            join,
            cuts,
            provenance,
            where=str(table),
            progress=progress,
            discarded=discarded,
        )

    def match(
        self,
        paths: Sequence[Path],
        surveys: Sequence[Survey],
        settings: MatchConfig,
        outputs: Outputs,
        provenance: Mapping[str, Any],
    ) -> Matched:
        """Match two catalogues on their partitions."""
        skies = [open_hats(self._hats(path, survey)) for path, survey in zip(paths, surveys, strict=True)]
        return match_skies(skies, outputs, surveys, settings, provenance, SILENT, client=self._client)

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
        """Join stars with their counterparts on the partitions of the stars."""
        return join_sky(
            self._client,
            lead.resolve(),
            lead_survey,
            [replace(one, table=one.table.resolve()) for one in photometry],
            target.resolve(),
            columns=columns,
            metadata=metadata,
            absent=absent,
        )

    def predict(
        self, model: Model, table: Path, output: Path, *, bundle: Path | None, progress: Progress
    ) -> Predicted:
        """Predict a catalogue on its partitions."""
        return predict_on_cluster(
            model,
            table.resolve(),
            output.resolve(),
            chunk=CHUNK,
            progress=progress,
            made_from=bundle,
            client=self._client,
        )

    def _hats(self, table: Path, survey: Survey) -> Path:
        """Return the HATS catalogue of a table, which is made if the table is none."""
        if is_hats(table):
            return table.resolve()
        if table not in self._placed:
            target = self._scratch / f"{len(self._placed)}.hats"
            place(table, survey, target)
            self._placed[table] = target
        return self._placed[table]
