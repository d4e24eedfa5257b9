"""A trained model as a whole: preparation, regressor, calibration and domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays, entry, prefixed, take, under
from starscale.learn.checkpoint import Checkpoint
from starscale.learn.compilation import keep_compiled
from starscale.learn.learners import learner
from starscale.learn.observations import Measurements, Observations
from starscale.learn.preparation import InputPreparation
from starscale.learn.regressor import (
    FitContext,
    LabelTargets,
    Progress,
    RawPrediction,
    Regressor,
    Threshold,
    silent,
)
from starscale.learn.sample import Sample, check_finite_or_missing, check_samples
from starscale.learn.uncertainty.calibration import (
    IntervalCalibration,
    Intervals,
    ResidualConformal,
    calibrate,
    calibration_from_state,
)
from starscale.learn.uncertainty.domain import Domain
from starscale.learn.uncertainty.label_domain import LabelDomain
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem, StarscaleError
from starscale.vocabulary.settings.models import ModelConfig

#: Least share of the usable features that a star must have to be predicted.
MIN_PRESENT = 0.5
#: Share of the held-out stars whose intervals are called uncertain.
UNCERTAIN = 0.05
#: Fewer validation stars than this say little about a 99th percentile.
FEW = 100
GRAVITY = "logg"


@dataclass(frozen=True)
class Prediction:
    """Predicted labels of n stars, in the units of the vocabulary.

    Parameters
    ----------
    value : ndarray, shape (n, n_labels)
        The median where the learner predicts a distribution, so that it always lies inside the intervals
        (it has the smallest absolute error, but a bias where errors are skewed); the network's output else.
    mean : ndarray, shape (n, n_labels)
        Mean of the distribution (the smallest squared error, no bias on average); equal to `value` for a
        learner that predicts a point.
    error : ndarray, shape (n, n_labels)
        Half of the width of the 68 % interval.
    lower, upper, lower95, upper95 : ndarray, shape (n, n_labels)
        Ends of the intervals of 68.27 % and 95.45 %.
    p_giant : ndarray, shape (n,)
        Probability that logg is below the limit of the model (3.5 by default); NaN without logg.
    correlation : ndarray, shape (n, n_labels, n_labels)
        Correlation of the errors of the labels; with `error` it gives their covariance. NaN from a learner that
        predicts a point.
    below, above : ndarray, shape (n, n_labels)
        The two solutions: mean labels of the star as a giant and as a dwarf. NaN as above, or without logg.
    domain_score : ndarray, shape (n,)
        Distance from the training stars' inputs; above 1: farther than 99 % of held-out ones.
    label_score : ndarray, shape (n,)
        The same for predicted labels.
    rare : ndarray of bool, shape (n,)
        Whether inputs are missing in a way that has no networks of its own, so that gaps were filled.
    n_missing : ndarray of int, shape (n,)
        Usable inputs that are missing.
    predicted : ndarray of bool, shape (n,)
        False where too few inputs are there; everything else but `n_missing` is NaN then.
    uncertain : ndarray of bool, shape (n,)
        Whether the 95.45 % interval of a label is wider than usual: of held-out stars, 5 % are.
    """

    value: FloatArray
    mean: FloatArray
    error: FloatArray
    lower: FloatArray
    upper: FloatArray
    lower95: FloatArray
    upper95: FloatArray
    p_giant: FloatArray
    correlation: FloatArray
    below: FloatArray
    above: FloatArray
    domain_score: FloatArray
    label_score: FloatArray
    rare: NDArray[np.bool_]
    n_missing: NDArray[np.int64]
    predicted: NDArray[np.bool_]
    uncertain: NDArray[np.bool_]


@dataclass(frozen=True)
class Predictor:
    """A trained model.

    Parameters
    ----------
    labels, features : tuple of str
        Names of the columns of the result and of the input.
    preparation, regressor, calibration, domain, label_domain
        The parts, in the order in which they are used.
    label_range : ndarray, shape (n_labels, 2)
        Smallest and largest training label.
    wide : ndarray, shape (n_labels,)
        Widths of the 95.45 % interval above which a star is called uncertain (:func:`_wide`).
    giant_logg : float
        Stars below this surface gravity count as giants.
    min_present : float
        Least share of the usable features that a star must have to be predicted.
    warnings : tuple of str
        What a user should know: features that are not used, labels that were not calibrated.
    """

    labels: tuple[str, ...]
    features: tuple[str, ...]
    preparation: InputPreparation
    regressor: Regressor
    calibration: IntervalCalibration
    domain: Domain
    label_domain: LabelDomain
    label_range: FloatArray
    wide: FloatArray
    giant_logg: float
    min_present: float
    warnings: tuple[str, ...]

    def predict(self, x: FloatArray, batch: int = 65536) -> Prediction:
        """Predict stars.

        Parameters
        ----------
        x : ndarray, shape (n, n_features)
            Inputs; NaN: missing.
        batch : int
            Stars that are worked on at a time; it bounds the memory and does not change the result
            (beyond single-precision rounding).

        Raises
        ------
        InputError
            When `x` has another number of columns, or infinities.
        """
        x = self._checked(x)
        if batch < 1:
            raise InputError(Problem("batch", str(batch), "a positive number"))
        parts = [self._predict_batch(x[i : i + batch]) for i in range(0, max(len(x), 1), batch)]
        return Prediction(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Prediction)}
        )

    def means(self, x: FloatArray) -> FloatArray:
        """Mean of every label alone, shape (n, n_labels): what :meth:`predict` gives as `mean`, but cheaper.

        A star with too few inputs has one as well.
        """
        return self.regressor.means(self.preparation.apply(self._checked(x)))

    def _checked(self, x: FloatArray) -> FloatArray:
        keep_compiled()
        x = np.asarray(x, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.features):
            raise InputError(
                Problem(
                    "inputs",
                    f"have shape {x.shape}",
                    f"(n, {len(self.features)}): {', '.join(self.features[:5])}, ...",
                )
            )
        check_finite_or_missing(x, "inputs", self.features)
        return x

    def quantiles(self, x: FloatArray, probabilities: FloatArray) -> FloatArray:
        """Quantiles of every label as the learner has them, for scores of whole distributions.

        Parameters
        ----------
        x : ndarray, shape (n, n_features)
            Inputs; NaN: missing.
        probabilities : ndarray, shape (n_probabilities,)

        Returns
        -------
        ndarray, shape (n, n_labels, n_probabilities)
            Of a learner that predicts a point: its value plus the quantiles of the validation stars' residuals.
        """
        inputs = self.preparation.apply(np.asarray(x, dtype=np.float64))
        found = self.regressor.quantiles(inputs, probabilities)
        if found is None:
            if not isinstance(self.calibration, ResidualConformal):
                raise TypeError("a learner that predicts a point is calibrated by its residuals")
            found = self.regressor.predict(inputs).value[:, :, None] + self.calibration.quantiles(probabilities)
        return found

    def _predict_batch(self, x: FloatArray) -> Prediction:
        usable = x[:, self.preparation.usable]
        n_missing = np.isnan(usable).sum(axis=1)
        predicted = n_missing <= (1 - self.min_present) * usable.shape[1]
        n_labels = len(self.labels)
        value, mean, error, low, high, low95, high95 = np.full((7, len(x), n_labels), np.nan)
        below, above = np.full((2, len(x), n_labels), np.nan)
        correlation = np.full((len(x), n_labels, n_labels), np.nan)
        p_giant, score, label_score = np.full((3, len(x)), np.nan)
        rare = np.zeros(len(x), dtype=bool)
        if predicted.any():
            inputs = self.preparation.apply(x[predicted])
            raw = self.regressor.predict(inputs, self._threshold())
            ends = self.calibration.intervals(raw, self._threshold())
            value[predicted], mean[predicted] = raw.value, raw.mean
            (low[predicted], low95[predicted]), (high[predicted], high95[predicted]) = (
                np.moveaxis(end, 2, 0) for end in (ends.lower, ends.upper)
            )
            error[predicted] = (high[predicted] - low[predicted]) / 2
            if ends.below is not None:
                p_giant[predicted] = ends.below
            if raw.correlation is not None:
                correlation[predicted] = raw.correlation
            if raw.sides is not None:
                below[predicted], above[predicted] = raw.sides[:, 0], raw.sides[:, 1]
            score[predicted] = self.domain.score(usable[predicted], inputs)
            label_score[predicted] = self.label_domain.score(raw.value)
            rare[predicted] = raw.imputed(inputs)
        with np.errstate(invalid="ignore"):
            uncertain = (high95 - low95 > self.wide).any(axis=1)
        return Prediction(
            value,
            mean,
            error,
            low,
            high,
            low95,
            high95,
            p_giant,
            correlation,
            below,
            above,
            score,
            label_score,
            rare,
            n_missing,
            predicted,
            uncertain,
        )

    def _threshold(self) -> Threshold | None:
        return Threshold(self.labels.index(GRAVITY), self.giant_logg) if GRAVITY in self.labels else None

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return the model as a JSON-able document and named arrays."""
        preparation, preparation_arrays = self.preparation.state()
        regressor, regressor_arrays = self.regressor.state()
        document = {
            "labels": list(self.labels),
            "features": list(self.features),
            "giant_logg": self.giant_logg,
            "min_present": self.min_present,
            "warnings": list(self.warnings),
            "preparation": preparation,
            "regressor": {"kind": self.regressor.kind, **regressor},
            "calibration": {"kind": self.calibration.kind},
        }
        return document, {
            "label_range": self.label_range,
            "wide": self.wide,
            **prefixed("preparation", preparation_arrays),
            **prefixed("regressor", regressor_arrays),
            **prefixed("calibration", self.calibration.state()),
            **prefixed("domain", self.domain.state()),
            **prefixed("label_domain", self.label_domain.state()),
        }

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Predictor:
        """Rebuild a model from :meth:`state`.

        Raises
        ------
        InputError
            When a setting or an array is missing, or an array has not the shape or type that the settings ask for.
        """
        keys = ("labels", "features", "giant_logg", "min_present", "warnings", "preparation", "regressor")
        stored = {key: entry(document, key, "model") for key in (*keys, "calibration")}
        n_labels = len(stored["labels"])
        preparation = InputPreparation.from_state(stored["preparation"], under("preparation", arrays))
        regressor_class = learner(entry(stored["regressor"], "kind", "regressor"))
        return cls(
            labels=tuple(stored["labels"]),
            features=tuple(stored["features"]),
            preparation=preparation,
            regressor=regressor_class.from_state(stored["regressor"], under("regressor", arrays)),
            calibration=calibration_from_state(stored["calibration"], under("calibration", arrays), n_labels),
            domain=Domain.from_state(under("domain", arrays), int(preparation.usable.sum())),
            label_domain=LabelDomain.from_state(under("label_domain", arrays), n_labels),
            label_range=take(arrays, "model", "label_range", (n_labels, 2)),
            wide=take(arrays, "model", "wide", (n_labels,)),
            giant_logg=float(stored["giant_logg"]),
            min_present=float(stored["min_present"]),
            warnings=tuple(stored["warnings"]),
        )


def fit_predictor(
    config: ModelConfig,
    labels: Sequence[str],
    train: Sample,
    validation: Sample,
    *,
    seed: int,
    progress: Progress | None = None,
    giant_logg: float = 3.5,
    features: Sequence[str] | None = None,
    measurements: Measurements | None = None,
    checkpoint: Checkpoint | None = None,
) -> Predictor:
    """Train a model, calibrate its intervals and learn its domain.

    Parameters
    ----------
    config : Turchi2024Config or MixtureConfig
        Settings of the learner.
    labels : sequence of str
        Names of the columns of `y`.
    train : Sample
        Stars to learn from. Scaling, imputation and weights come from these alone.
    validation : Sample
        Stars kept aside. The mixture uses them for the calibration and the edge of the domain only. The paper's
        network uses them before that to decide when to stop, so that its intervals come out mildly too narrow.
    seed : int
        The same seed gives the same model on the same machine, bit for bit.
    progress : callable, optional
        Told about every epoch.
    giant_logg : float
        Stars below this surface gravity count as giants in `p_giant`.
    features : sequence of str, optional
        Names of the columns of `x`, for messages.
    measurements : Measurements, optional
        What the features are made of; by default each is a measurement of its own.
    checkpoint : Checkpoint, optional
        Where the state of the training is kept, so that one that was killed can go on.

    Raises
    ------
    InputError
        When the samples cannot be learnt from; all problems at once.
    StarscaleError
        When the training diverges.
    """
    keep_compiled()
    labels = tuple(labels)
    names = check_samples(labels, train, validation, features)
    learner_class = learner(config.kind)
    preparation = InputPreparation.fit(train.x, learner_class.scaling, seed)
    inputs, held_out = preparation.apply(train.x), preparation.apply(validation.x)
    known = measurements or Measurements.alone(names)
    regressor = learner_class.fit(
        config,
        (inputs, LabelTargets(labels, train.y)),
        (held_out, LabelTargets(labels, validation.y)),
        FitContext(
            seed,
            Observations(train, preparation, known.of(preparation.usable)),
            progress or silent,
            checkpoint or Checkpoint(),
        ),
    )
    raw = regressor.predict(held_out)
    if not np.isfinite(raw.value).all():
        raise StarscaleError(
            "the trained model predicts values that are not finite. "
            "Try a smaller learning_rate, and look for wild values in the features."
        )
    observations = Observations(validation, preparation, known.of(preparation.usable))
    rehearsed, y, star = _rehearsed(regressor, raw, observations, seed)
    calibration, notes = calibrate(rehearsed, y, labels, star)
    if len(validation.x) < FEW:
        notes.append(
            f"the edge of the domain rests on {len(validation.x)} validation stars ({FEW} or more are meant): "
            "domain_score and the flag OUT_OF_DOMAIN are rough",
        )
    usable = preparation.usable
    return Predictor(
        labels=labels,
        features=names,
        preparation=preparation,
        regressor=regressor,
        calibration=calibration,
        domain=Domain.fit(train.x[:, usable], inputs, validation.x[:, usable], held_out),
        label_domain=LabelDomain.fit(train.y, raw.value, seed),
        label_range=np.stack([np.nanmin(train.y, axis=0), np.nanmax(train.y, axis=0)], axis=1),
        wide=_wide(calibration.intervals(raw)),
        giant_logg=float(giant_logg),
        min_present=MIN_PRESENT,
        warnings=(*preparation.warnings(train.x, names), *notes),
    )


def _wide(ends: Intervals) -> FloatArray:
    """Widths of the 95.45 % interval above which a star is called uncertain; shape (n_labels,).

    In units of its median, the limit is the same for every label, and 5 % of the (held-out) stars pass it in one
    label at least.
    """
    widths = ends.upper[..., -1] - ends.lower[..., -1]
    usual = np.maximum(np.median(widths, axis=0), np.finfo(np.float64).tiny)
    limit = np.quantile((widths / usual).max(axis=1), 1 - UNCERTAIN)
    # A learner whose intervals are all equally wide has no uncertain stars: rounding must not choose some.
    return np.asarray(limit * usual * (1 + 1e-9))


def _rehearsed(
    regressor: Regressor, raw: RawPrediction, held_out: Observations, seed: int
) -> tuple[RawPrediction, FloatArray, NDArray[np.intp]]:
    """Predict held-out stars in every way that a star can be predicted; beside it their labels and numbers.

    Stars that lack a band are few among the held-out ones; with the band left out, others stand in for them.
    """
    x, y = held_out.sample.x, held_out.sample.y
    every = np.arange(len(y))
    if raw.member is None:
        return raw, y, every
    usable = np.flatnonzero(held_out.preparation.usable)
    raws, star = [raw], [every]
    for rehearsal in regressor.rehearsals(np.isnan(x[:, usable])):
        stars = x[rehearsal.rows]
        stars[:, usable] = np.where(rehearsal.missing, np.nan, stars[:, usable])
        raws.append(regressor.predict(held_out.preparation.apply(stars)))
        star.append(every[rehearsal.rows])
    raws.append(regressor.predict(held_out.redrawn((seed,), noise=False, gaps=True)))
    numbers = np.concatenate([*star, every])
    return RawPrediction.joined(raws), y[numbers], numbers
