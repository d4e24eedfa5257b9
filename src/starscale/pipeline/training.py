"""The verb `train`: train the model of a run file, once for every repeat."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import polars.selectors as cs

from starscale.features.measurements import reddening_column
from starscale.features.split_rule import split_rule, with_clusters
from starscale.homogenization.kernel.whole import anchor_of
from starscale.io.job_folder import FolderLock
from starscale.io.progress import progress_of
from starscale.model.evaluate import summarise
from starscale.model.label_scale import LabelNoise, LabelScale, Residuals
from starscale.model.missing import cost_of_missing
from starscale.model.model import Model
from starscale.model.training_stars import TrainingStars
from starscale.pipeline.comparing import Trials, trial
from starscale.pipeline.learnable import TrainingArrays
from starscale.pipeline.plan import (
    RunPlan,
    all_cuts,
    inputs_survey,
    joined_survey,
    magnitude_column,
    members_in,
    recipe_of,
)
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import prepare
from starscale.pipeline.runfile import load_run
from starscale.pipeline.tested import predicted_test
from starscale.reports.model_card import model_card
from starscale.tables.api import AnyTable, name_of, read_in_units
from starscale.tables.own import own_columns
from starscale.tables.standardise import require, standardise
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS, Column
from starscale.vocabulary.later import Later
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.provenance import fingerprint, program, record

if TYPE_CHECKING:
    from starscale.learn.training.checkpoint import Checkpoint

learnt = Later("starscale.learn.training.checkpoint")

#: Training stars whose residuals are looked at.
_RESIDUALS = 20_000
_ANOTHER_TRAINING = "holds the state of a training with other data, settings or another version of the program"


@dataclass(frozen=True)
class Trained:
    """Result of :func:`train_plan`.

    Attributes
    ----------
    model : Model
        The model of the first repeat.
    figures : polars.DataFrame
        Figures of merit on the test parts: mean and spread over the repeats.
    test : polars.DataFrame
        Predictions and labels of the first repeat's test part.
    counts : mapping
        Number of stars in each part of the first repeat.
    trials : Trials or None
        The scores of every repeat, if they were requested.
    """

    model: Model
    figures: pl.DataFrame
    test: pl.DataFrame
    counts: Mapping[str, int]
    trials: Trials | None = None

    def save(self, path: str | Path) -> None:
        """Write the bundle of the model, with its model card."""
        self.model.save(path, card=model_card(self.model, self.figures, self.test))


def train_plan(
    run: RunPlan,
    table: pl.DataFrame,
    *,
    provenance: Mapping[str, Any] | None = None,
    checkpoints: Path | None = None,
    scored: bool = False,
    teacher: Model | None = None,
    progress: Progress = SILENT,
) -> Trained:
    """Train the model of a run on its training table, once for every repeat.

    Every repeat has its own split and initial weights. The model of the first repeat is returned; the others
    measure how much its figures depend on chance.

    Parameters
    ----------
    run : RunPlan
    table : polars.DataFrame
        The training table.
    provenance : mapping, optional
        Provenance for the bundle; default: that of the verb `train`.
    checkpoints : Path, optional
        Folder for the state of the training, until the last repeat is complete. After an interruption the next
        call resumes there.
    scored : bool
        Whether every repeat is also scored on its test part, for a comparison of models.
    teacher : Model, optional
        An ensemble that was trained on the same stars; small networks are trained on its predictions.
    progress : Progress
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
        "checks": stars.checks,
        "reddening": reddening_column(stars.features, stars.members),
        "mock": config.mock,
        "recipe": recipe_of(run, stars.members),
        "label_scale": _label_scale(run, table),
        "label_noise": LabelNoise.of(table, config.target),
    }
    repeats = _repeats(stars, shared, checkpoints, progress, teacher, scored=scored)
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
    noise = _with_residuals(first.model, stars)
    model = replace(first.model, information=information, label_noise=noise)
    return replace(first, model=model, figures=figures, trials=_all_trials(repeats))


def _with_residuals(model: Model, stars: TrainingArrays) -> LabelNoise | None:
    """Return what errors of labels leave of the errors of the first repeat's model, with its residuals."""
    noise, parts = model.label_noise, stars.rows(0)
    if noise is None:
        return None
    # Many are enough; those held out are never left out.
    train = parts["train"][:: max(len(parts["train"]) // _RESIDUALS, 1)]
    rows = np.concatenate([train, parts["validation"]])
    found = model.predictor.predict(stars.x[rows], measured=stars.observed[:, rows])
    residuals = Residuals(
        value=found.value,
        error=found.error,
        label=stars.y[rows],
        label_error=stars.y_error[rows],
        held_out=np.arange(len(rows)) >= len(train),
    )
    return noise.with_residuals(model.labels, residuals)


def _label_scale(run: RunPlan, table: pl.DataFrame) -> LabelScale:
    """Return the scale of the labels of a training table, with its error."""
    names, several = [survey.name for survey in run.label_surveys], run.config.homogenize
    if len(names) == 1:
        return LabelScale.of(table, run.config.target, names, names[0])
    scale = anchor_of(names, several)
    if several.reference is not None and several.reference.use == "zero_point":
        scale = f"{scale}, with the zero point of {several.reference.survey}"
    return LabelScale.of(table, run.config.target, names, scale)


def _all_trials(repeats: Sequence[Trained]) -> Trials | None:
    """Combine the scores of all repeats, if there are any."""
    scored = [repeat.trials for repeat in repeats if repeat.trials]
    if not scored:
        return None
    return replace(scored[0], repeats=tuple(trial for trials in scored for trial in trials.repeats))


def _repeats(
    stars: TrainingArrays,
    shared: Mapping[str, Any],
    checkpoints: Path | None,
    progress: Progress,
    teacher: Model | None,
    *,
    scored: bool,
) -> list[Trained]:
    """Do all repeats; one process at a time uses the folder of the checkpoints, which is removed afterwards."""
    repeats = range(stars.run.config.repeats)

    def one(repeat: int, checkpoint: Checkpoint) -> Trained:
        return _repeat(stars, repeat, shared, checkpoint, progress, teacher, scored=scored)

    if checkpoints is None:
        return [one(repeat, learnt.Checkpoint()) for repeat in repeats]
    key = fingerprint(
        {
            "program": program(),
            "settings": settings(stars.run),
            "stars": _digest(stars.x, stars.y, stars.y_error),
            "teacher": None if teacher is None else teacher.digest(),
        }
    )
    with FolderLock(checkpoints, checkpoints, "Wait for it, or give another folder for the checkpoints."):
        kept = [learnt.Checkpoint(checkpoints / f"repeat{repeat}", key) for repeat in repeats]
        if any(checkpoint.foreign for checkpoint in kept):
            progress.message(f"note: training starts anew: {checkpoints} {_ANOTHER_TRAINING}")
        trained = [one(repeat, kept[repeat]) for repeat in repeats]
        for checkpoint in kept:
            checkpoint.done()
    return trained


def _repeat(
    stars: TrainingArrays,
    repeat: int,
    shared: Mapping[str, Any],
    checkpoint: Checkpoint,
    progress: Progress,
    teacher: Model | None,
    *,
    scored: bool,
) -> Trained:
    """Train once, with the split and the seed of this repeat, and evaluate on its test part."""
    config, table, key = stars.run.config, stars.table, stars.run.lead.id.column
    magnitude = magnitude_column(stars.members, table.columns)
    rows = stars.rows(repeat)
    started = time.perf_counter()
    teaching = None if teacher is None else teacher.predictor
    predictor = stars.fit(rows, repeat, "training", checkpoint, progress, teaching)
    seconds = None if checkpoint.resumed else time.perf_counter() - started
    model = Model(
        predictor=predictor,
        label_ranges=_ranges(config.target, stars.y[rows["train"]]),
        stars=TrainingStars.of(table[key], rows, shared["inputs"].columns[key].dtype),
        **shared,
        **_magnitudes(table[rows["train"]], magnitude),
    )
    figures, test = predicted_test(model, table[rows["test"]])
    return Trained(
        model=model,
        figures=figures,
        test=test,
        counts={name: len(r) for name, r in rows.items()},
        trials=Trials(config.model.kind, len(stars.features), (trial(stars, predictor, rows, seconds),))
        if scored
        else None,
    )


def settings(run: RunPlan) -> dict[str, Any]:
    """Return the settings of a run as plain data."""
    return run.config.model_dump(mode="json")


def _magnitudes(training: pl.DataFrame, column: str | None) -> dict[str, Any]:
    """Return the column and the range of the magnitudes of the training stars, for the model."""
    values = training[column].drop_nulls() if column is not None else pl.Series(dtype=pl.Float64)
    if values.is_empty():
        return {}
    return {"magnitude": column, "magnitude_range": (float(values.min()), float(values.max()))}  # type: ignore[arg-type]


def _digest(*arrays: FloatArray) -> str:
    """Return the SHA-256 of arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def _ranges(labels: Sequence[str], y: FloatArray) -> dict[str, tuple[float, float]]:
    return {name: (float(np.nanmin(y[:, i])), float(np.nanmax(y[:, i]))) for i, name in enumerate(labels)}


def train(
    run_file: str | Path,
    *,
    table: AnyTable | None = None,
    output: str | Path | None = None,
    checkpoints: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> Trained:
    """Train the model of a run file.

    Parameters
    ----------
    run_file : path
        TOML.
    table : path or table, optional
        A training table written by `run`; default: it is made from the tables that the run file names.
    output : path, optional
        Folder for the model bundle.
    checkpoints : path, optional
        Folder for the state of the training, which is removed afterwards: an interrupted training resumes when
        the call is repeated. Default: a hidden folder next to `output`; without `output`, no state is stored.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Trained
        ``.model`` predicts; ``.save(path)`` writes the bundle.

    Raises
    ------
    InputError
        Everything that is wrong with the settings or the tables, before training starts. Also when another
        process trains with the same folder of checkpoints.
    """
    config, base = load_run(run_file)
    the_plan, display = plan(config, base), progress_of(progress)
    folder = None if checkpoints is None else Path(checkpoints)
    if output is not None and folder is None:
        folder = Path(output).with_name(f".{Path(output).name}.checkpoints")
    training = prepare(the_plan, folder, display) if table is None else training_table_of(the_plan, table)
    trained = train_plan(the_plan, training, checkpoints=folder, progress=display)
    if output is not None:
        trained.save(output)
    return trained


def training_table_of(run: RunPlan, table: AnyTable) -> pl.DataFrame:
    """Read a training table that the user gives, as a prediction reads its table.

    Values that mean "missing" become null, and the computed columns that it lacks are computed.
    """

    def described(columns: Sequence[str]) -> dict[str, Column]:
        known = own_columns()
        for member in reversed(members_in(run, columns)):
            specs = member.survey.columns.items()
            known |= {member.names.get(name, name): spec.column(name) for name, spec in specs}
        scales = {name: replace(known[name], unit=label.scale) for name, label in LABELS.items() if name in known}
        return known | scales

    training, config = read_in_units(table, described), run.config
    target = (c for name in config.target for c in (name, f"{name}_error"))
    require(training.columns, target, name_of(table), "training")
    survey = joined_survey(run, members_in(run, training.columns))
    training = standardise(training, survey, where=name_of(table), found_columns=survey.described(), whole=False)
    return with_clusters(training, run.lead, config.split, run.base)
