"""The steps of a run that compare models: one step for each model, and one for the comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from starscale import io
from starscale.pipeline.comparing import (
    Comparison,
    Entry,
    Trials,
    assembled,
    entries_of,
    reference_of,
    train_entry,
)
from starscale.pipeline.folder import RunFolder
from starscale.pipeline.plan import RunPlan
from starscale.tables.api import PROVENANCE_KEY
from starscale.vocabulary.comparison_columns import COMPARED, COMPARED_CSV, COMPARISON_COLUMNS, STEP, scored_file
from starscale.vocabulary.settings.run import OWN_MODEL


def _step_name(name: str) -> str:
    return f"model {name}"


def own_step(folder: RunFolder, run: RunPlan, training: str, trials: Trials) -> dict[str, Any]:
    """Record the trainings of the model of the run for the comparison.

    Parameters
    ----------
    folder : RunFolder
    run : RunPlan
    training : str
        The training table in that folder.
    trials : Trials
        The trainings of the model of the run on that table.

    Returns
    -------
    dict
        The cost of the trainings, for :func:`compare_step`.
    """
    return _entry_step(folder, Entry(OWN_MODEL, run), training, trials)


def compare_step(
    folder: RunFolder,
    run: RunPlan,
    training: str,
    only: Sequence[str] = (),
    own: Mapping[str, Any] | None = None,
) -> Comparison:
    """Train and score every model that was not trained in this folder, and compare all models.

    Parameters
    ----------
    folder : RunFolder
    run : RunPlan
    training : str
        The training table in that folder.
    only : sequence of str, optional
        Names of the models to compare; the records of the others are kept.
    own : mapping, optional
        The result of :func:`own_step`, if this run has trained its own model.
    """
    costs: dict[str, Mapping[str, Any]] = {}
    entries = entries_of(run, only)
    for name in (OWN_MODEL, *(item.name for item in run.config.models)):
        folder.carry(_step_name(name))
    for entry in entries:
        if entry.name == OWN_MODEL and own is not None:
            costs[entry.name] = own
        else:
            costs[entry.name] = _entry_step(folder, entry, training)
    files = [scored_file(entry.name) for entry in entries]
    found: list[Comparison] = []

    def work() -> dict[str, Any]:
        models = {entry.name: _repeats(folder, entry.name) for entry in entries}
        found.append(assembled(run, reference_of(run, entries), models, costs))
        _write(folder, found[0])
        return {"reference": found[0].reference, "costs": json.loads(found[0].costs.write_json())}

    result = folder.step(
        STEP,
        settings=[[entry.name for entry in entries], reference_of(run, entries)],
        reads={**{name: folder.checksum(name) for name in files}, "costs": json.dumps(costs, sort_keys=True)},
        writes=[COMPARED, COMPARED_CSV],
        work=work,
    )
    if found:
        return found[0]
    return Comparison(
        io.read(folder.file(COMPARED)),
        pl.DataFrame(result["costs"], infer_schema_length=None),
        result["reference"],
        run.config.target,
        run.config.mock,
    )


def _entry_step(folder: RunFolder, entry: Entry, training: str, trials: Trials | None = None) -> dict[str, Any]:
    """Train and score one model, unless its `trials` are given."""
    config = entry.run.config

    def work() -> dict[str, Any]:
        done = (
            trials if trials is not None else train_entry(entry, io.read(folder.file(training)), folder.progress)
        )
        numbered = [
            each.scored.with_columns(pl.lit(i, pl.Int32).alias("repeat")) for i, each in enumerate(done.repeats)
        ]
        io.write(pl.concat(numbered), folder.file(scored_file(entry.name)), metadata=_metadata(folder))
        return done.cost

    return folder.step(
        _step_name(entry.name),
        settings=[
            config.model.model_dump(mode="json"),
            config.features.model_dump(mode="json"),
            entry.run.feature_set.model_dump(mode="json"),
            config.split.model_dump(mode="json"),
            [config.seed, config.repeats, config.target, config.mock],
        ],
        reads={training: folder.checksum(training)},
        writes=[scored_file(entry.name)],
        work=work,
    )


def _repeats(folder: RunFolder, name: str) -> list[pl.DataFrame]:
    """Return the scored stars of each repeat."""
    table = io.read(folder.file(scored_file(name)))
    return table.partition_by("repeat", maintain_order=True, include_key=False)


def _write(folder: RunFolder, comparison: Comparison) -> None:
    columns, metadata = COMPARISON_COLUMNS, _metadata(folder)
    io.write(comparison.figures, folder.file(COMPARED), columns=columns, metadata=metadata)
    io.write(comparison.figures, folder.file(COMPARED_CSV))


def _metadata(folder: RunFolder) -> dict[str, str]:
    return {PROVENANCE_KEY: json.dumps({k: v for k, v in folder.record.items() if k != "steps"}, default=str)}
