"""Train models on the splits and seeds of a run, and score them on its test parts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from starscale.features.families import SurveyColumns
from starscale.features.features import load_feature_set
from starscale.model.scores import PROBABILITIES, compare, scored_stars
from starscale.pipeline.learnable import Rows, TrainingArrays
from starscale.pipeline.plan import RunPlan, features_of, magnitude_column, members_in
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problems, did_you_mean
from starscale.vocabulary.libraries import missing_library
from starscale.vocabulary.paths import must_exist
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.settings.run import OWN_MODEL, ModelEntry
from starscale.vocabulary.summary import Figures, Summarised

if TYPE_CHECKING:
    from starscale.learn.predictor import Predictor


#: Smallest number of stars for the timing of a prediction.
TIMED = 4096
_COSTS = ("fit_seconds", "stars_per_second")


@dataclass(frozen=True)
class Entry:
    """A model to be compared: its name, and the plan of a run with this model."""

    name: str
    run: RunPlan


@dataclass(frozen=True, repr=False)
class Comparison(Summarised):
    """Models compared on the same stars.

    Attributes
    ----------
    figures : polars.DataFrame
        One row for each model, label and bin: see :func:`starscale.model.scores.compare`.
    costs : polars.DataFrame
        One row for each model: `kind`, `n_features`, `repeats`, seconds of a fit and stars predicted per
        second (mean and spread over the repeats).
    reference : str
        The model that the others are compared with; ``model`` is the model of the run.
    labels : tuple of str
    mock : bool
        Whether the stars are simulated.
    """

    figures: pl.DataFrame
    costs: pl.DataFrame
    reference: str
    labels: tuple[str, ...]
    mock: bool

    def _key_figures(self) -> Figures:
        title = (
            f"Comparison{' (MOCK stars)' * self.mock}: MAD on the test part, and its ratio to {self.reference!r}"
        )
        rows: dict[str, list[str]] = {}
        for row in self.figures.filter(by="all").iter_rows(named=True):
            ratio = "" if row["mad_ratio"] is None else f" ({row['mad_ratio']:.3f})"
            rows.setdefault(str(row["model"]), []).append(f"{row['label']} {row['mad']:.3g}{ratio}")
        return title, [(model, ", ".join(errors)) for model, errors in rows.items()]


def entries_of(run: RunPlan, only: Sequence[str] = ()) -> list[Entry]:
    """Load and check the models to be compared: the model of the run, then the others (or `only` some).

    Raises
    ------
    InputError
        Unknown names or feature sets, libraries that are not installed: all problems at once.
    """
    problems, entries = Problems(), []
    _check_names(run, only, problems)
    if not only or OWN_MODEL in only:
        entries.append(Entry(OWN_MODEL, run))
    for item in run.config.models:
        if only and item.name not in only:
            continue
        try:
            entries.append(Entry(item.name, _with_model(run, item)))
        except InputError as error:
            problems.items.extend(replace(p, where=f"models {item.name!r}: {p.where}") for p in error.problems)
    for entry in entries:
        _check_library(entry.run, problems)
    problems.raise_if_any()
    return entries


def _check_names(run: RunPlan, only: Sequence[str], problems: Problems) -> None:
    names = [OWN_MODEL, *(item.name for item in run.config.models)]
    for name in only:
        if name not in names:
            problems.add(
                f"model {name!r}",
                "is not in the run file",
                f"one of {', '.join(names)} ({OWN_MODEL}: the model of the run)",
                did_you_mean(name, names),
            )


def _with_model(run: RunPlan, item: ModelEntry) -> RunPlan:
    """Return the plan of a run with the model, features and repeats of an entry."""
    features, repeats = item.features or run.config.features, item.repeats or run.config.repeats
    model = item.model.placed(run.base)
    for path in model.files:
        must_exist(path, "the weights of the model")
    config = run.config.model_copy(update={"model": model, "features": features, "repeats": repeats})
    changed = replace(run, config=config, feature_set=load_feature_set(features.set, base=run.base))
    # Built here only to be checked: the names of columns in the joined table are not known yet.
    features_of(changed, members_in(changed, ()))
    return changed


def _check_library(run: RunPlan, problems: Problems) -> None:
    problem = missing_library(run.config.model.kind)
    if problem is not None and problem not in problems.items:
        problems.items.append(problem)


def reference_of(run: RunPlan, entries: Sequence[Entry]) -> str:
    """Return the name of the reference model: that of the run file, if it is compared, or the first one."""
    names = [entry.name for entry in entries]
    chosen = next((item.name for item in run.config.models if item.reference), OWN_MODEL)
    return chosen if chosen in names else names[0]


@dataclass(frozen=True)
class Trial:
    """One training of a model: its scored test stars and its cost.

    `fit_seconds` is None if the training resumed from a checkpoint, because its total time is then unknown.
    """

    scored: pl.DataFrame
    fit_seconds: float | None
    stars_per_second: float


@dataclass(frozen=True)
class Trials:
    """The trainings of one model, one for each repeat."""

    kind: str
    n_features: int
    repeats: tuple[Trial, ...]

    @property
    def cost(self) -> dict[str, Any]:
        """Return `kind`, `n_features`, and the lists of `fit_seconds` and `stars_per_second` over the repeats."""
        costs = {name: [getattr(trial, name) for trial in self.repeats] for name in _COSTS}
        return {"kind": self.kind, "n_features": self.n_features, **costs}


def train_entry(entry: Entry, table: pl.DataFrame, progress: Progress = SILENT) -> Trials:
    """Train a model on a training table, once for every repeat, and score it on the test parts.

    Parameters
    ----------
    entry : Entry
    table : polars.DataFrame
        The result of :func:`starscale.pipeline.training_set.training_table`.
    progress : Progress
    """
    stars = TrainingArrays.of(entry.run, table)
    trials = []
    for repeat in range(entry.run.config.repeats):
        rows = stars.rows(repeat)
        started = time.perf_counter()
        predictor = stars.fit(rows, repeat, f"{entry.name}, training", progress=progress)
        trials.append(trial(stars, predictor, rows, time.perf_counter() - started))
    return Trials(entry.run.config.model.kind, len(stars.features), tuple(trials))


def trial(stars: TrainingArrays, predictor: Predictor, rows: Rows, fit_seconds: float | None) -> Trial:
    """Score a trained model on the test part of its repeat, and time its predictions.

    Parameters
    ----------
    stars : TrainingArrays
        The stars that it was trained on.
    predictor : Predictor
    rows : mapping of str to ndarray
        Row numbers of each part.
    fit_seconds : float or None
        Duration of the training.
    """
    test = rows["test"]
    truth = _truth(stars.run, stars.members, stars.table)[test]
    speed = prediction_speed(predictor, stars.x[test])
    scored = score_test_part(predictor, stars.x[test], truth, stars.run.config.target)
    return Trial(scored, None if fit_seconds is None else round(fit_seconds, 3), speed)


def score_test_part(
    predictor: Predictor, x: FloatArray, truth: pl.DataFrame, labels: Sequence[str]
) -> pl.DataFrame:
    """Score the stars of a test part; `truth` has the columns `source_id`, `magnitude`, `ebv` and the labels."""
    prediction = predictor.predict(x)
    quantiles = np.full((len(x), len(labels), len(PROBABILITIES)), np.nan)
    if prediction.predicted.any():
        quantiles[prediction.predicted] = predictor.quantiles(x[prediction.predicted], PROBABILITIES)
    return scored_stars(prediction, quantiles, truth, labels)


def prediction_speed(predictor: Predictor, x: FloatArray) -> float:
    """Return the stars predicted per second, without the time of compilation; NaN without stars."""
    if not len(x):
        return float("nan")
    repeated = np.tile(x, (-(-TIMED // len(x)), 1))
    predictor.predict(repeated)
    started = time.perf_counter()
    predictor.predict(repeated)
    return round(len(repeated) / (time.perf_counter() - started), 1)


def assembled(
    run: RunPlan,
    reference: str,
    models: Mapping[str, Sequence[pl.DataFrame]],
    costs: Mapping[str, Mapping[str, Any]],
) -> Comparison:
    """Combine the scored stars and costs of all models."""
    rows = [
        {
            "model": name,
            "kind": cost["kind"],
            "n_features": cost["n_features"],
            "repeats": len(cost[_COSTS[0]]),
            **{key: value for name in _COSTS for key, value in _statistics(name, cost[name]).items()},
        }
        for name, cost in costs.items()
    ]
    labels = run.config.target
    return Comparison(
        compare(models, labels, reference),
        pl.DataFrame(rows, infer_schema_length=None),
        reference,
        labels,
        run.config.mock,
    )


def _statistics(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return {name: float(np.mean(known)) if known else None, f"{name}_spread": spread}


def _truth(run: RunPlan, members: Sequence[SurveyColumns], table: pl.DataFrame) -> pl.DataFrame:
    """Return identifier, magnitude, reddening and labels of the stars of a training table."""
    reddening = (m.names.get(r.column, r.column) for m in members if (r := m.survey.reddening))
    columns = {
        "magnitude": magnitude_column(members, table.columns),
        "ebv": next((name for name in reddening if name in table.columns), None),
    }
    optional = (
        (pl.col(column).cast(pl.Float64) if column else pl.lit(None, dtype=pl.Float64)).alias(name)
        for name, column in columns.items()
    )
    return table.select(pl.col(run.lead.id.column).alias("source_id"), *optional, *run.config.target)
