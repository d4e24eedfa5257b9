"""The step of a run that measures the importance of the inputs."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from starscale import io
from starscale.model.importance import importance_of
from starscale.model.model import Model
from starscale.pipeline.folder import RunFolder
from starscale.reports.importance_text import importance_json
from starscale.vocabulary.settings.run import RunConfig

#: File of a run.
IMPORTANCE = "importance.json"


def importance_step(folder: RunFolder, config: RunConfig, model: str, training: str) -> None:
    """Measure the importance on the test part of the first repeat, or skip the step if its inputs are unchanged.

    Parameters
    ----------
    folder : RunFolder
    config : RunConfig
    model, training : str
        Names of the model bundle and of the training table in the folder.
    """
    settings = config.importance

    def work() -> dict[str, Any]:
        bundle = Model.load(folder.file(model))
        test = io.read(folder.file(training)).filter(part="test")
        known = [name for name in bundle.labels if test[name].drop_nulls().len() > 1]
        table = pl.DataFrame()
        if known:
            table = importance_of(bundle, test, known, settings, where=training, progress=folder.progress)
        document = importance_json(table)
        io.atomic_text(folder.file(IMPORTANCE), document)
        return {**settings.model_dump(), "rows": json.loads(document)}

    folder.step(
        "importance",
        settings=settings.model_dump(),
        reads={name: folder.checksum(name) for name in (model, training)},
        writes=[IMPORTANCE],
        work=work,
    )
