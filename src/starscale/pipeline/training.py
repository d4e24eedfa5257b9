"""The verbs on models: train, load, predict, evaluate."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from starscale import io
from starscale.features.measurements import reddening_column
from starscale.features.split_rule import split_rule, with_clusters
from starscale.learn.checkpoint import Checkpoint
from starscale.model.evaluate import evaluate as compare
from starscale.model.evaluate import summarise
from starscale.model.missing import cost_of_missing
from starscale.model.model import Model
from starscale.pipeline.comparing import Trials, trial
from starscale.pipeline.learnable import TrainingArrays
from starscale.pipeline.plan import RunPlan, all_cuts, inputs_survey, magnitude_column
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare import prepare
from starscale.pipeline.runfile import load_run
from starscale.reports.model_card import model_card
from starscale.tables.api import AnyTable
from starscale.tables.standardise import require
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.provenance import fingerprint, program, record


@dataclass(frozen=True)
class Trained:
    """Result of :func:`train_plan`.

    Attributes
    ----------
    model : Model
        Of the first repeat.
    figures : polars.DataFrame
        Figures of merit on the test parts: mean over the repeats and spread.
    test : polars.DataFrame
        Predictions and labels of the first repeat's test part.
    counts : mapping
        Stars in each part of the first repeat.
    trials : Trials or None
        Every repeat scored, where that was asked for.
    """

    model: Model
    figures: pl.DataFrame
    test: pl.DataFrame
    counts: Mapping[str, int]
    trials: Trials | None = None

    def save(self, path: str | Path) -> None:
        """Write the bundle of the model, with its card."""
        self.model.save(path, card=model_card(self.model, self.figures))


def train_plan(
    run: RunPlan,
    table: pl.DataFrame,
    *,
    provenance: Mapping[str, Any] | None = None,
    checkpoints: Path | None = None,
    scored: bool = False,
) -> Trained:
    """Train the model of a run on its training table, once for every repeat.

    Every repeat has its own split and initial weights. The first repeat's model is kept; the
    others say how much its figures depend on chance. In the folder `checkpoints`, if one is given, the state of
    the training is kept until all is done: after a kill the next call goes on from there. With `scored`, every
    repeat is also scored on its test part, as a comparison of models wants it.
    """
    config = run.config
    stars = TrainingArrays.of(run, table)
    cuts = all_cuts(run, stars.members)
    shared: dict[str, Any] = {
        "features": stars.features,
        "inputs": inputs_survey(run, stars.members, stars.features, cuts, table),
        "labels": config.target,
        "cuts": cuts,
        "measurements": stars.measurements,
        "reddening": reddening_column(stars.features, stars.members),
        "mock": config.mock,
    }
    key = fingerprint(
        {"program": program(), "settings": settings(run), "stars": _digest(stars.x, stars.y, stars.y_error)}
    )
    repeats = []
    for repeat in range(config.repeats):
        kept = Checkpoint(None if checkpoints is None else checkpoints / f"repeat{repeat}", key)
        repeats.append(_repeat(stars, repeat, shared, kept, scored=scored))
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
    first, figures = repeats[0], summarise([repeat.figures for repeat in repeats])
    missing = cost_of_missing(first.model, table[stars.rows(0)["test"]]).with_columns(cs.float().fill_nan(None))
    information = {
        "title": config.title,
        "split": first.counts,
        "split_rule": split_rule(config.split, config.seed, [survey.name for survey in run.label_surveys]),
        "repeats": config.repeats,
        "figures": json.loads(figures.write_json()),
        "missing_bands": json.loads(missing.write_json()),
        "warnings": list(first.model.predictor.warnings),
        "provenance": dict(provenance or record(command="train", mock=config.mock, settings=settings(run))),
    }
    trials = [one for repeat in repeats if repeat.trials for one in repeat.trials.repeats]
    return replace(
        first,
        model=replace(first.model, information=information),
        figures=figures,
        trials=replace(first.trials, repeats=tuple(trials)) if first.trials else None,
    )


def _repeat(
    stars: TrainingArrays, repeat: int, shared: Mapping[str, Any], checkpoint: Checkpoint, *, scored: bool
) -> Trained:
    """One training with its own split and seed, and its figures on its own test part."""
    config, table = stars.run.config, stars.table
    magnitude = magnitude_column(stars.members, table.columns)
    rows = stars.rows(repeat)
    started = time.perf_counter()
    predictor = stars.fit(rows, repeat, "training", checkpoint)
    seconds = None if checkpoint.resumed else time.perf_counter() - started
    model = Model(
        predictor=predictor,
        label_ranges=_ranges(config.target, stars.y[rows["train"]]),
        **shared,
        **_magnitudes(table[rows["train"]], magnitude),
    )
    test = table[rows["test"]]
    predicted = model.predict(test, where="test part")
    brightness = test[magnitude].alias("magnitude") if magnitude else None
    reference = test.select(pl.col(name).alias(f"{name}_label") for name in config.target)
    if brightness is not None:
        reference = reference.with_columns(brightness)
    return Trained(
        model=model,
        figures=compare(predicted, test, config.target, magnitude=brightness),
        test=pl.concat([predicted, reference], how="horizontal"),
        counts={name: len(r) for name, r in rows.items()},
        trials=Trials(config.model.kind, len(stars.features), (trial(stars, predictor, rows, seconds),))
        if scored
        else None,
    )


def settings(run: RunPlan) -> dict[str, Any]:
    """The settings of a run as plain data."""
    return run.config.model_dump(mode="json")


def _magnitudes(training: pl.DataFrame, column: str | None) -> dict[str, Any]:
    """What a model knows about the brightness of its training stars."""
    values = training[column].drop_nulls() if column is not None else pl.Series(dtype=pl.Float64)
    if values.is_empty():
        return {}
    return {"magnitude": column, "magnitude_range": (float(values.min()), float(values.max()))}  # type: ignore[arg-type]


def _digest(*arrays: FloatArray) -> str:
    """Checksum of numbers."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def _ranges(labels: Sequence[str], y: FloatArray) -> dict[str, tuple[float, float]]:
    return {name: (float(np.nanmin(y[:, i])), float(np.nanmax(y[:, i]))) for i, name in enumerate(labels)}


def train(
    run_file: str | Path, *, table: AnyTable | None = None, checkpoints: str | Path | None = None
) -> Trained:
    """Train the model of a run file.

    Parameters
    ----------
    run_file : path
        TOML.
    table : path or table, optional
        A training table, as `run` writes it; default: made from the tables that the run file names.
    checkpoints : path, optional
        Folder for the state of the training; one that was killed goes on from there when it is started again.

    Returns
    -------
    Trained
        ``.model`` predicts; ``.save(path)`` writes the bundle.

    Raises
    ------
    InputError
        Everything that is wrong with the settings or the tables, before training starts.
    """
    config, base = load_run(run_file)
    the_plan = plan(config, base)
    if table is None:
        training = prepare(the_plan, None if checkpoints is None else Path(checkpoints))
    else:
        training = io.read(table)
        target = (c for name in config.target for c in (name, f"{name}_error"))
        require(training.columns, target, str(table) if isinstance(table, str | Path) else "table", "training")
        training = with_clusters(training, the_plan.lead, config.split, base)
    return train_plan(the_plan, training, checkpoints=None if checkpoints is None else Path(checkpoints))
