"""A trained model as a whole: preparation, regressor, calibration and domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from starscale.io.threads import one_thread_each
from starscale.learn.arrays import Arrays, arrays_of, entry, expected, filled
from starscale.learn.compilation import keep_compiled
from starscale.learn.learners import learner
from starscale.learn.mixture import Mixture
from starscale.learn.observations import Measurements, Observations
from starscale.learn.prediction import Prediction
from starscale.learn.preparation import InputPreparation
from starscale.learn.regressor import (
    DensityRegressor,
    FitContext,
    LabelTargets,
    Regressor,
    Threshold,
    Tilt,
)
from starscale.learn.sample import Sample, check_finite_or_missing, check_samples
from starscale.learn.taught.distillation import distilled
from starscale.learn.taught.slopes import SlopeNetwork
from starscale.learn.training.checkpoint import Checkpoint
from starscale.learn.uncertainty.agreement import Agreement
from starscale.learn.uncertainty.around import (
    are_giants,
    below_of,
    calibrated_below,
    fit_agreement,
    fit_below,
    raw_prediction,
    wide_limits,
    with_common_scale,
    with_masked,
)
from starscale.learn.uncertainty.calibration import (
    IntervalCalibration,
    ResidualConformal,
    calibrate,
    calibration_skeleton,
)
from starscale.learn.uncertainty.domain import Domain
from starscale.learn.uncertainty.label_domain import LabelDomain
from starscale.learn.uncertainty.prior import LabelDensity
from starscale.learn.uncertainty.thresholds import BelowCalibration
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem, StarscaleError
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.settings.models import ModelConfig

#: Smallest share of the usable features that a star must have to be predicted.
MIN_PRESENT = 0.5
#: With fewer validation stars than this, a 99th percentile is poorly determined.
FEW = 100
GRAVITY = "logg"


class _Wanted(NamedTuple):
    """What a prediction is asked for: the arguments of :meth:`Predictor.predict` of these names."""

    below: tuple[Threshold, ...]
    tilt: Tilt | None
    learnt_change: bool


@dataclass(frozen=True)
class Predictor:
    """A trained model.

    Parameters
    ----------
    labels, features : tuple of str
        Names of the predicted labels and of the input features.
    preparation, regressor, calibration, domain, label_domain
        The fitted parts, in the order in which they are used.
    label_range : ndarray, shape (n_labels, 2)
        Smallest and largest training label.
    wide : ndarray, shape (n_labels,)
        Widths of the 95.45 % interval above which a star is flagged as uncertain (:func:`.around.wide_limits`).
    giant_logg : float
        Stars below this surface gravity count as giants.
    min_present : float
        Smallest share of the usable features that a star must have to be predicted.
    warnings : tuple of str
        Notes for the user: features that are not used, labels that could not be calibrated.
    consistency : Agreement or None
        Whether measurements agree; None in a bundle of an earlier build, or with too few stars or measurements.
    below : BelowCalibration or None
        Calibration of the probabilities to be below a threshold; None in a bundle of an earlier build.
    density : LabelDensity or None
        The prior of the training stars, to be exchanged for another one; None in a bundle of an earlier build, and
        for a learner that predicts no density.
    slopes : SlopeNetwork or None
        How the labels change with E(B-V), learnt; None: the learner says it.
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
    consistency: Agreement | None = None
    below: BelowCalibration | None = None
    density: LabelDensity | None = None
    slopes: SlopeNetwork | None = None

    @one_thread_each
    def predict(
        self,
        x: FloatArray,
        batch: int = 65536,
        measured: FloatArray | None = None,
        *,
        moved: FloatArray | None = None,
        learnt_change: bool = False,
        below: Sequence[Threshold] = (),
        tilt: Tilt | None = None,
    ) -> Prediction:
        """Predict stars.

        Parameters
        ----------
        x : ndarray, shape (n, n_features)
            Inputs; NaN: missing.
        batch : int
            Number of stars that are predicted at a time. It limits the memory and changes the result by no more
            than single-precision rounding.
        measured : ndarray, shape (2, n, n_measurements), optional
            Measurements and errors, as :attr:`Sample.measured`; without them, `consistency_score` is not known.
        moved : ndarray, shape (n, n_features), optional
            Inputs of the same stars after a small change, whose effect on the mean is wanted.
        learnt_change : bool
            The effect of the change that the network of `slopes` has learnt is wanted instead.
        below : sequence of Threshold
            For which the probabilities to be below are wanted.
        tilt : Tilt, optional
            Another prior (:meth:`.uncertainty.prior.LabelDensity.tilt`), for a learner that predicts a density.

        Returns
        -------
        Prediction
            Same stars, same order.

        Raises
        ------
        InputError
            When `x` or `moved` has another number of columns, or infinities.
        """
        x, moved = self._checked(x), None if moved is None else self._checked(moved)
        if batch < 1:
            raise InputError(Problem("batch", str(batch), "a positive number"))
        wanted = _Wanted(tuple(below), tilt, learnt_change)
        parts = [
            self._predict_batch(x[i : i + batch], None if moved is None else moved[i : i + batch], wanted)
            for i in range(0, max(len(x), 1), batch)
        ]
        found = Prediction.joined(parts)
        if self.consistency is not None and measured is not None and found.predicted.any():
            rows = np.flatnonzero(found.predicted)
            giant = are_giants(found.value[rows], self._threshold())
            disagreement = self.consistency.score(measured[0][rows], measured[1][rows], giant)
            found.consistency_score[rows], found.oddest[rows] = disagreement.score, disagreement.worst
        return found

    @one_thread_each
    def means(self, x: FloatArray) -> FloatArray:
        """Return only the mean of every label, shape (n, n_labels): the `mean` of :meth:`predict`, but cheaper.

        Stars with too few inputs are predicted as well.
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

    @one_thread_each
    def quantiles(self, x: FloatArray, probabilities: FloatArray) -> FloatArray:
        """Return uncalibrated quantiles of every label, for scores of whole distributions.

        Parameters
        ----------
        x : ndarray, shape (n, n_features)
            Inputs; NaN: missing.
        probabilities : ndarray, shape (n_probabilities,)

        Returns
        -------
        ndarray, shape (n, n_labels, n_probabilities)
            For a learner that predicts a point: its value plus the quantiles of the residuals of the validation
            stars.
        """
        inputs = self.preparation.apply(np.asarray(x, dtype=np.float64))
        found = self.regressor.quantiles(inputs, probabilities)
        if found is None:
            if not isinstance(self.calibration, ResidualConformal):
                raise TypeError("a learner that predicts a point is calibrated by its residuals")
            found = self.regressor.predict(inputs).value[:, :, None] + self.calibration.quantiles(probabilities)
        return found

    def _predict_batch(self, x: FloatArray, moved: FloatArray | None, wanted: _Wanted) -> Prediction:
        usable = self.preparation.used(x)
        result = Prediction.empty(len(x), len(self.labels), len(wanted.below))
        result.n_missing[:] = np.isnan(usable).sum(axis=1)
        result.predicted[:] = result.n_missing <= (1 - self.min_present) * usable.shape[1]
        if result.predicted.any():
            self._fill(result, x, moved, wanted)
        with np.errstate(invalid="ignore"):
            result.uncertain[:] = (result.upper95 - result.lower95 > self.wide).any(axis=1)
        result.limit(self.labels)
        return result

    def _fill(self, result: Prediction, x: FloatArray, moved: FloatArray | None, wanted: _Wanted) -> None:
        """Write the predictions of the stars that can be predicted into `result`."""
        # Rows are not copied where all stars can be predicted, as in most tables.
        rows = slice(None) if result.predicted.all() else result.predicted
        if moved is None:
            inputs, elsewhere = self.preparation.apply(x[rows]), None
        else:
            inputs, elsewhere = self.preparation.apply_both(x[rows], moved[rows])
        raw = raw_prediction(self.regressor, inputs, self._threshold(), wanted.below, wanted.tilt, elsewhere)
        if wanted.learnt_change and self.slopes is not None:
            raw = replace(raw, change=self.slopes.changes(inputs))
        if wanted.below:
            p_below = below_of(self.regressor, self.calibration, inputs, raw, wanted.below)
            result.p_below[rows] = calibrated_below(self.below, raw, p_below, wanted.below)
        ends = self.calibration.intervals(raw, self._threshold())
        result.value[rows], result.mean[rows] = raw.value, raw.mean
        result.change[rows] = 0 if raw.change is None else raw.change
        result.lower[rows], result.lower95[rows] = np.moveaxis(ends.lower, 2, 0)
        result.upper[rows], result.upper95[rows] = np.moveaxis(ends.upper, 2, 0)
        result.error[rows] = (result.upper[rows] - result.lower[rows]) / 2
        if ends.p_below is not None:
            result.p_giant[rows] = ends.p_below
        if raw.correlation is not None:
            result.correlation[rows] = raw.correlation
        if raw.solutions is not None:
            result.giant_solution[rows], result.dwarf_solution[rows] = np.moveaxis(raw.solutions, 1, 0)
        result.domain_score[rows] = self.domain.score(self.preparation.used(x[rows]), inputs)
        result.label_score[rows] = self.label_domain.score(raw.value)
        result.imputed[rows] = raw.imputed_stars(inputs)

    def _threshold(self) -> Threshold | None:
        return threshold_of(self.labels, self.giant_logg)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return the model as a JSON-able document of settings and named arrays."""
        document = {
            "labels": list(self.labels),
            "features": list(self.features),
            "giant_logg": self.giant_logg,
            "min_present": self.min_present,
            "warnings": list(self.warnings),
            "preparation": self.preparation.settings(),
            "regressor": {"kind": self.regressor.kind, **self.regressor.settings()},
            "calibration": {"kind": self.calibration.kind},
            **({"consistency": self.consistency.settings()} if self.consistency else {}),
            **({"below": {}} if self.below else {}),
            **({"density": {}} if self.density else {}),
            **({"slopes": self.slopes.settings()} if self.slopes else {}),
        }
        return document, arrays_of(self)

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Predictor:
        """Rebuild a model from :meth:`state`.

        Raises
        ------
        InputError
            When a setting or an array is missing, or the shape or type of an array differs from the settings.
        """
        skeleton = cls._skeleton(document)
        axes = {"labels": len(skeleton.labels), "features": len(skeleton.features)}
        return filled(skeleton, arrays, "model", axes)

    @classmethod
    def _skeleton(cls, document: Mapping[str, Any]) -> Predictor:
        keys = ("labels", "features", "giant_logg", "min_present", "warnings", "preparation", "regressor")
        stored = {key: entry(document, key, "model") for key in (*keys, "calibration")}
        regressor_class = learner(entry(stored["regressor"], "kind", "regressor"))
        # Bundles of earlier builds have none.
        agreement = document.get("consistency")
        return cls(
            labels=tuple(stored["labels"]),
            features=tuple(stored["features"]),
            preparation=InputPreparation.skeleton(stored["preparation"]),
            regressor=regressor_class.skeleton(stored["regressor"]),
            calibration=calibration_skeleton(stored["calibration"]),
            domain=Domain.skeleton(),
            label_domain=LabelDomain.skeleton(),
            label_range=expected("labels", 2),
            wide=expected("labels"),
            giant_logg=float(stored["giant_logg"]),
            min_present=float(stored["min_present"]),
            warnings=tuple(stored["warnings"]),
            consistency=None if agreement is None else Agreement.skeleton(agreement),
            below=BelowCalibration.skeleton() if "below" in document else None,
            density=LabelDensity.skeleton() if "density" in document else None,
            slopes=SlopeNetwork.skeleton(document["slopes"]) if "slopes" in document else None,
        )


def threshold_of(labels: Sequence[str], giant_logg: float) -> Threshold | None:
    """Return the limit between giants and dwarfs; None without the label `logg`."""
    return Threshold(labels.index(GRAVITY), giant_logg) if GRAVITY in labels else None


@one_thread_each
def fit_predictor(
    config: ModelConfig,
    labels: Sequence[str],
    train: Sample,
    validation: Sample,
    *,
    seed: int,
    progress: Progress = SILENT,
    title: str = "training",
    giant_logg: float = 3.5,
    features: Sequence[str] | None = None,
    measurements: Measurements | None = None,
    optional: Sequence[str] = (),
    checkpoint: Checkpoint | None = None,
    teacher: Predictor | None = None,
) -> Predictor:
    """Train a model, calibrate its intervals and fit its domain.

    Parameters
    ----------
    config : ModelConfig
        Settings of the learner.
    labels : sequence of str
        Names of the columns of `y`.
    train : Sample
        Stars to train on. Scaling, imputation and weights come from these alone.
    validation : Sample
        Stars for the calibration and for the edge of the domain. Some learners also use them to choose settings,
        and the paper's network to decide when to stop; the intervals of these learners are slightly too narrow.
    seed : int
        The same seed gives the same model on the same machine, bit for bit.
    progress : Progress
        Gets one task per phase of the training.
    title : str
        Begins the title of every task.
    giant_logg : float
        Stars below this surface gravity count as giants in `p_giant`.
    features : sequence of str, optional
        Names of the columns of `x`, for messages.
    measurements : Measurements, optional
        The measurements from which the features are computed; by default each feature is one measurement.
    optional : sequence of str
        Features that a star can lack altogether: the coefficients of a spectrum are many, and a star without them
        is to be predicted from what it has.
    checkpoint : Checkpoint, optional
        Keeps the state of the training, so that an interrupted one can resume.
    teacher : Predictor, optional
        A model of the same stars, an ensemble: small networks learn its predictions (:mod:`.taught.distillation`).

    Returns
    -------
    Predictor

    Raises
    ------
    InputError
        When the samples are not suitable for a training; all problems at once.
    StarscaleError
        When the training diverges.
    """
    keep_compiled()
    labels = tuple(labels)
    names = check_samples(labels, train, validation, features)
    learner_class = learner(config.kind)
    preparation = teacher.preparation if teacher else InputPreparation.fit(train.x, learner_class.scaling, seed)
    inputs, held_out = preparation.apply(train.x), preparation.apply(validation.x)
    measured = (measurements or Measurements.alone(names)).of(preparation.usable)
    context = FitContext(
        seed, Observations(train, preparation, measured), progress, title, checkpoint or Checkpoint()
    )
    parts = (inputs, LabelTargets(labels, train.y)), (held_out, LabelTargets(labels, validation.y))
    regressor: Regressor
    if teacher is None:
        regressor = learner_class.fit(config, *parts, context)
    elif isinstance(teacher.regressor, Mixture):
        regressor = distilled(teacher.regressor, train.y, context)
    else:
        raise InputError(Problem("model", f"is of the kind {teacher.regressor.kind}", "one of the kind mixture"))
    raw = regressor.predict(held_out)
    if not np.isfinite(raw.value).all():
        raise StarscaleError(
            "the trained model predicts values that are not finite. "
            "Try a smaller learning_rate, and look for wild values in the features."
        )
    every_group, y, star = with_masked(regressor, raw, Observations(validation, preparation, measured), seed)
    calibration, notes = calibrate(every_group, y, labels, star)
    if len(validation.x) < FEW:
        notes.append(
            f"the edge of the domain was determined from {len(validation.x)} validation stars, fewer than {FEW}: "
            "domain_score and the flag OUT_OF_DOMAIN are rough",
        )
    usable, threshold = preparation.usable, threshold_of(labels, giant_logg)
    domains = (
        Domain.fit(train.x[:, usable], inputs, validation.x[:, usable], held_out),
        LabelDomain.fit(train.y, raw.value, seed),
        fit_agreement(train, validation, threshold, raw.value, seed),
    )
    scores = domains[0].score(validation.x[:, usable], held_out), domains[1].score(raw.value)
    giant = are_giants(raw.value, threshold)
    domain, label_domain, consistency = with_common_scale(domains, scores, validation, giant)
    return Predictor(
        labels=labels,
        features=names,
        preparation=preparation,
        regressor=regressor,
        calibration=calibration,
        domain=domain,
        label_domain=label_domain,
        label_range=np.stack([np.nanmin(train.y, axis=0), np.nanmax(train.y, axis=0)], axis=1),
        wide=wide_limits(calibration.intervals(raw)),
        giant_logg=float(giant_logg),
        min_present=MIN_PRESENT * float(np.mean([name not in optional for name in np.array(names)[usable]])),
        warnings=(*preparation.warnings(train.x, names), *notes),
        consistency=consistency,
        below=fit_below(regressor, calibration, held_out, raw, validation.y),
        density=LabelDensity.fit(train.y) if isinstance(regressor, DensityRegressor) else None,
    )
