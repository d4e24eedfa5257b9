"""The verb `distil`: a small model that predicts what an ensemble predicts, several times as fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from starscale.io.progress import progress_of
from starscale.model.api import opened_model
from starscale.model.model import Model
from starscale.model.scores import PROBABILITIES, crps
from starscale.pipeline.learnable import TrainingArrays
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import prepare
from starscale.pipeline.runfile import load_run
from starscale.pipeline.training import Trained, train_plan, training_table_of
from starscale.tables.api import AnyTable
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.progress import Progress

#: Largest CRPS of the small model over that of the ensemble, minus 1, with which it is kept.
LIMIT = 0.01


@dataclass(frozen=True)
class Distilled(Trained):
    """Result of :func:`distil`.

    Attributes
    ----------
    crps_ratio : mapping of str to float
        CRPS of the small model over that of the ensemble, by label, on the validation stars.
    """

    crps_ratio: dict[str, float] | None = None


def distil(
    run_file: str | Path,
    model: Model | str | Path,
    *,
    table: AnyTable | None = None,
    output: str | Path | None = None,
    limit: float = LIMIT,
    progress: Progress | bool | None = None,
) -> Distilled:
    """Train a small model on the predictions of an ensemble.

    It has one small network in place of each group of networks, and its own calibration. It is a model like any
    other: :func:`predict`, :func:`apply` and :func:`evaluate` take it.

    Parameters
    ----------
    run_file : path
        The run file (TOML) of the model.
    model : Model or path
        The ensemble: a model of the kind ``mixture``, or its bundle.
    table : path or table, optional
        The training table written by `run`; default: it is made from the tables that the run file names.
    output : path, optional
        Folder for the bundle of the small model. An interrupted training resumes when the call is repeated.
    limit : float
        Largest loss of accuracy: the continuous ranked probability score of each label on the validation stars may
        be larger than that of the ensemble by this fraction.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Distilled
        ``.model`` predicts; ``.crps_ratio`` says what it loses.

    Raises
    ------
    InputError
        The model is not an ensemble, or not one of this run file and table; or the small model loses more than
        `limit`, and is not written.

    Notes
    -----
    Hinton, Vinyals & Dean 2015, arXiv 1503.02531, with draws from the predicted density in place of soft classes.
    """
    if not 0 <= limit < np.inf:
        raise InputError(Problem("limit", str(limit), "a fraction of 0 or more, such as 0.01"))
    teacher, _ = opened_model(model)
    config, base = load_run(run_file)
    the_plan, display = plan(config.model_copy(update={"repeats": 1}), base), progress_of(progress)
    folder = None if output is None else Path(output).with_name(f".{Path(output).name}.checkpoints")
    training = prepare(the_plan, folder, display) if table is None else training_table_of(the_plan, table)
    stars = TrainingArrays.of(the_plan, training)
    _check(teacher, stars, str(run_file))
    trained = train_plan(the_plan, training, checkpoints=folder, teacher=teacher, progress=display)
    ratio = _crps_ratio(stars, trained.model, teacher)
    _refuse_loss(ratio, limit)
    distilled = {"model": teacher.digest(), "crps_ratio": ratio}
    small = replace(trained.model, information={**trained.model.information, "distilled": distilled})
    result = Distilled(small, trained.figures, trained.test, trained.counts, crps_ratio=ratio)
    if output is not None:
        result.save(output)
    return result


def _check(teacher: Model, stars: TrainingArrays, where: str) -> None:
    """Refuse a model that was not trained with a run file and training table."""
    problems, run, table = Problems(), stars.run, stars.table
    kind = teacher.predictor.regressor.kind
    if kind != "mixture":
        problems.add("model", f"is of the kind {kind}", "an ensemble of the kind mixture")
    for what, found, wanted in (
        ("labels", teacher.labels, run.config.target),
        ("inputs", [f.name for f in teacher.features], [f.name for f in stars.features]),
    ):
        if list(found) != list(wanted):
            others = sorted({*found} ^ {*wanted})[:5] or "another order"
            problems.add(f"model: {what}", f"are not those of {where} ({others})", "the run file of the model")
    part = teacher.part_of(table[run.lead.id.column])
    unseen = sum(int((part[rows] != name).fill_null(value=True).sum()) for name, rows in stars.rows(0).items())
    if teacher.stars is not None and unseen:
        problems.add(
            f"{where}: split",
            f"{unseen} of {table.height} stars are in another part than in the training of the model",
            "the same stars, split and seed",
            "Give the run file and the training table of the model.",
        )
    problems.raise_if_any()


def _crps_ratio(stars: TrainingArrays, small: Model, teacher: Model) -> dict[str, float]:
    """Return the CRPS of the small model over that of the ensemble on the validation stars, by label."""
    rows = stars.rows(0)["validation"]
    found = [model.predictor.quantiles(stars.x[rows], PROBABILITIES) for model in (small, teacher)]
    ratios: dict[str, float] = {}
    for i, label in enumerate(stars.run.config.target):
        mine, of_teacher = (np.nanmean(crps(quantiles[:, i], stars.y[rows, i])) for quantiles in found)
        ratios[label] = float(mine / of_teacher)
    return ratios


def _refuse_loss(ratio: dict[str, float], limit: float) -> None:
    problems = Problems()
    for label, value in ratio.items():
        if value > 1 + limit:
            problems.add(
                f"small model: {label}",
                f"has a CRPS {value:.4f} times that of the ensemble on the validation stars",
                f"at most {1 + limit:.4f}",
                "Nothing is written. Use the ensemble, or accept the loss with a larger limit.",
            )
    problems.raise_if_any()
