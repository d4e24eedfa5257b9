"""Turn a training table into the arrays of a learner, and fit the learner on the parts of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.features.checks import Check, find_checks, observed
from starscale.features.families import Feature, SurveyColumns
from starscale.features.features import evaluate_features, redder_features
from starscale.features.measurements import (
    Measurement,
    feature_noise,
    find_measurements,
    reddening_column,
    spectra_features,
    uses,
    without_noise,
)
from starscale.features.splits import PARTS
from starscale.pipeline.plan import RunPlan, features_of, members_in
from starscale.pipeline.training_set import parts
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later
from starscale.vocabulary.progress import SILENT, Progress

if TYPE_CHECKING:
    from starscale.learn.observations import Measurements
    from starscale.learn.predictor import Predictor
    from starscale.learn.sample import Sample
    from starscale.learn.training.checkpoint import Checkpoint

checkpoints, observations = Later("starscale.learn.training.checkpoint"), Later("starscale.learn.observations")
predictors, regressors = Later("starscale.learn.predictor"), Later("starscale.learn.regressor")
samples, slopes = Later("starscale.learn.sample"), Later("starscale.learn.taught.slopes")

Rows = Mapping[str, NDArray[np.intp]]


@dataclass(frozen=True)
class TrainingArrays:
    """The stars of a training table as arrays.

    Attributes
    ----------
    run : RunPlan
    table : polars.DataFrame, (n, any)
    members : tuple of SurveyColumns
        The surveys of the run, with their columns in the table.
    features : tuple of Feature
    measurements : tuple of Measurement
        The measurements that the features are computed from.
    checks : tuple of Check
        What else says whether they are right.
    x, y, y_error : ndarray, (n, n_features) and (n, n_labels)
        Features, labels and their errors; NaN where missing.
    observed : ndarray, (2, n, n_observed)
        Values and errors of measurements and checks.
    """

    run: RunPlan
    table: pl.DataFrame
    members: tuple[SurveyColumns, ...]
    features: tuple[Feature, ...]
    measurements: tuple[Measurement, ...]
    checks: tuple[Check, ...]
    x: FloatArray
    y: FloatArray
    y_error: FloatArray
    observed: FloatArray

    @classmethod
    def of(cls, run: RunPlan, table: pl.DataFrame) -> TrainingArrays:
        """Evaluate the features of a run on its training table."""
        members = members_in(run, table.columns)
        features = without_noise(table, features_of(run, members), members)
        x = evaluate_features(table, features, where="training table")
        labels = run.config.target
        y, y_error = _numbers(table, labels), _numbers(table, [f"{name}_error" for name in labels])
        measurements, checks = find_measurements(features, members), find_checks(features, members)
        values = observed(table, measurements, checks)
        return cls(run, table, members, features, measurements, checks, x, y, y_error, values)

    def rows(self, repeat: int) -> Rows:
        """Return the row numbers of each part, for one repeat of the training."""
        part = parts(self.run, self.table, self.run.config.seed + repeat)
        return {name: np.flatnonzero((part == name).to_numpy()) for name in PARTS}

    def sample(self, rows: NDArray[np.intp]) -> Sample:
        """Return the stars of some rows."""
        stars: Sample = samples.Sample(
            self.x[rows],
            self.y[rows],
            self.y_error[rows],
            measured=self.observed[:, rows],
            n_checks=len(self.checks),
        )
        return stars

    def fit(
        self,
        rows: Rows,
        repeat: int,
        title: str,
        checkpoint: Checkpoint | None = None,
        progress: Progress = SILENT,
        teacher: Predictor | None = None,
    ) -> Predictor:
        """Train the run's model on the training part; every phase of the training is a task of `progress`.

        With a `teacher`, small networks are trained on its predictions.
        """
        config, stars = self.run.config, rows["train"]
        seed = config.seed + repeat
        title = f"{title} {repeat + 1} of {config.repeats}" if config.repeats > 1 else title
        context: dict[str, Any] = {
            "seed": seed,
            "progress": progress,
            "title": title,
            "checkpoint": checkpoint or checkpoints.Checkpoint(),
        }
        predictor: Predictor = predictors.fit_predictor(
            config.model,
            config.target,
            self.noisy_sample(stars, seed),
            self.sample(rows["validation"]),
            features=[feature.name for feature in self.features],
            measurements=self.made_of,
            optional=spectra_features(self.features, self.members),
            teacher=teacher,
            **context,
        )
        # Models of further repeats are measured, no more.
        taught = repeat == 0 and (teacher is not None or config.model.teaches_slopes)
        return self._with_slopes(predictor, stars, context) if taught else predictor

    def _with_slopes(self, predictor: Predictor, stars: NDArray[np.intp], context: Mapping[str, Any]) -> Predictor:
        """Return a model with a network that has learnt its slopes with E(B-V), unless that is no input."""
        reddening = reddening_column(self.features, self.members)
        if reddening is None:
            return predictor
        stars = np.random.default_rng(context["seed"]).permutation(stars)[: slopes.MOST_STARS]
        x, usable = self.x[stars], predictor.preparation.usable
        redder = redder_features(self.table[stars], self.features, x, reddening, where="training table")
        sample = self.noisy_sample(stars, context["seed"])
        seen = observations.Observations(sample, predictor.preparation, self.made_of.of(usable))
        learnt = slopes.SlopeNetwork.fit(
            predictor.regressor, redder - x, regressors.FitContext(observations=seen, **context)
        )
        return replace(predictor, slopes=learnt)

    @property
    def made_of(self) -> Measurements:
        """The measurements, as a learner knows them."""
        made_of: Measurements = observations.Measurements(
            tuple(m.name for m in self.measurements),
            uses(self.features, self.measurements),
            np.array([feature.log_error for feature in self.features]),
        )
        return made_of

    def noisy_sample(self, rows: NDArray[np.intp], seed: int) -> Sample:
        """Return the stars of some rows, and the noise of their inputs."""
        noise = feature_noise(self.table[rows], self.features, self.measurements, self.x[rows], seed)
        return replace(self.sample(rows), noise=noise)


def _numbers(table: pl.DataFrame, names: Sequence[str]) -> FloatArray:
    """Return columns as float64, NaN where null. Shape (n_rows, n_names)."""
    return table.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
