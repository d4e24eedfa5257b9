"""The interface between a learner and the rest of the package.

A learner turns prepared inputs into an uncalibrated prediction. Preparation, calibration, domain and storage are
the same for all learners, so a new learner is one more file and one line in `learners.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from starscale.learn.observations import Observations
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.training.checkpoint import Checkpoint
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.progress import SILENT, Progress, Task

T = TypeVar("T")

#: Probabilities of the reported intervals (one and two sigma of a Gaussian).
LEVELS = (0.6826894921370859, 0.9544997361036416)


@dataclass(frozen=True)
class LabelTargets:
    """Labels of the stars of a sample: names, and values of shape (n, n_labels) with NaN for missing."""

    labels: tuple[str, ...]
    y: FloatArray


@dataclass(frozen=True)
class Threshold:
    """A label, by its column number, and a value that divides its range in two."""

    label: int
    value: float


@dataclass(frozen=True)
class RawPrediction:
    """An uncalibrated prediction, in physical units.

    Parameters
    ----------
    value, mean : ndarray, shape (n, n_labels)
        The value to report (the median if the learner predicts a distribution) and the mean.
    lower, upper : ndarray, shape (n, n_labels, 2), optional
        Ends of the central intervals of `LEVELS`; None from a learner that predicts a point.
    p_below : ndarray, shape (n,), optional
        Probability that the label of the threshold is below its value; None from a learner that predicts a point,
        and without a threshold.
    correlation : ndarray, shape (n, n_labels, n_labels), optional
        Correlation of the errors of the labels.
    solutions : ndarray, shape (n, 2, n_labels), optional
        Mean labels below the threshold (giant solution) and above it (dwarf solution).
    member : ndarray of int, shape (n,), optional
        Index of the network group that predicted the star; each group is calibrated separately. None: there is
        one.
    imputed : ndarray of bool, shape (n,), optional
        Stars that were predicted from filled gaps; None: all stars with any gap.
    change : ndarray, shape (n, n_labels), optional
        Change of the mean to first order, by the first networks of an ensemble, when the inputs move to others.
    below : ndarray, shape (n, n_thresholds), optional
        Probabilities that labels are below further thresholds; None from a learner without a density.
    """

    value: FloatArray
    mean: FloatArray
    lower: FloatArray | None = None
    upper: FloatArray | None = None
    p_below: FloatArray | None = None
    correlation: FloatArray | None = None
    solutions: FloatArray | None = None
    member: NDArray[np.intp] | None = None
    imputed: NDArray[np.bool_] | None = None
    change: FloatArray | None = None
    below: FloatArray | None = None

    def imputed_stars(self, inputs: Inputs) -> NDArray[np.bool_]:
        """Return which stars were predicted from filled gaps, shape (n,)."""
        return np.asarray(inputs.missing.any(axis=1)) if self.imputed is None else self.imputed

    @classmethod
    def joined(cls, parts: Sequence[RawPrediction]) -> RawPrediction:
        """Concatenate the predictions of several samples."""
        arrays: dict[str, Any] = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        joined: dict[str, Any] = {n: None if a[0] is None else np.concatenate(a) for n, a in arrays.items()}
        return cls(**joined)


@dataclass(frozen=True)
class MaskedValidation:
    """Validation stars with some inputs masked, on which one network group is calibrated.

    Parameters
    ----------
    rows : ndarray of int, shape (n_rows,)
        Row numbers of the stars in the validation part.
    missing : ndarray of bool, shape (n_rows, n_usable)
        Inputs that are masked.
    """

    rows: NDArray[np.intp]
    missing: NDArray[np.bool_]


@dataclass(frozen=True)
class FitContext:
    """What a training needs apart from stars and settings; a learner uses what it can of it.

    Parameters
    ----------
    seed : int
        The same seed gives the same model.
    observations : Observations
        Resamples the training stars with more noise or fewer inputs.
    progress : Progress
    title : str
        What is trained; it begins the title of every task.
    checkpoint : Checkpoint
    """

    seed: int
    observations: Observations
    progress: Progress = SILENT
    title: str = "training"
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    def task(self, phase: str, total: int, unit: str = "epochs") -> Task:
        """Begin a phase of the training as a task of the progress display."""
        return self.progress.task(f"{self.title}: {phase}", total, unit)


def note_of(figures: Mapping[str, float]) -> str:
    """Return losses by name as a note for a task."""
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


class Regressor(Protocol):
    """A trained learner: a fitted part (see :mod:`.arrays`) that predicts labels."""

    kind: ClassVar[str]
    scaling: ClassVar[Scaling]

    @classmethod
    def fit(
        cls,
        config: Any,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        context: FitContext,
    ) -> Self:
        """Train on `train`; the docstring of the class says how it uses `validation`."""

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:
        """Predict the labels of stars; a row of the result depends only on the same row of the inputs."""

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray | None:
        """Return quantiles of every label, shape (n, n_labels, n_probabilities), in physical units.

        None from a learner that predicts a point.
        """

    def means(self, inputs: Inputs) -> FloatArray:
        """Return only the mean of every label, shape (n, n_labels); cheaper than :meth:`predict`."""

    def masked_validations(self, missing: NDArray[np.bool_]) -> Sequence[MaskedValidation]:
        """Return the validation stars, and their masked inputs, that calibrate each network group.

        Parameters
        ----------
        missing : ndarray of bool, shape (n, n_usable)
            Inputs that the validation stars lack. The unmasked validation stars are always used in addition.
        """

    def settings(self) -> dict[str, Any]:
        """Return the settings that :meth:`skeleton` needs, JSON-able."""

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Self:
        """Return a learner with these settings, to be filled with stored arrays (:func:`.arrays.filled`)."""


@dataclass(frozen=True)
class Tilt:
    """Factors that turn the density of labels into that under another prior.

    Parameters
    ----------
    edges : ndarray, shape (n_labels, n_bins + 1)
        The first and the last bin extend to infinity.
    weight : ndarray, shape (n_labels, n_bins)
        The new density over that of the training; a label that keeps its prior has ones.
    changed : tuple of int
        Numbers of the labels that have another prior.
    """

    edges: FloatArray
    weight: FloatArray
    changed: tuple[int, ...]


@runtime_checkable
class DensityRegressor(Regressor, Protocol):
    """A learner that predicts a density."""

    def predict_density(
        self,
        inputs: Inputs,
        threshold: Threshold | None = None,
        below: tuple[Threshold, ...] = (),
        tilt: Tilt | None = None,
        moved: Inputs | None = None,
    ) -> RawPrediction:
        """Do what :meth:`predict` does, and more.

        Parameters
        ----------
        inputs, threshold
            As for :meth:`predict`.
        below : tuple of Threshold
            Further thresholds, below which the probabilities are wanted.
        tilt : Tilt, optional
            Another prior of a label changes its value, mean, intervals and probabilities.
        moved : Inputs, optional
            The same stars with slightly other inputs: the `change` is wanted.
        """


@runtime_checkable
class DifferentiableRegressor(Regressor, Protocol):
    """A learner of points that follows a change of the inputs through its networks."""

    def predict_change(self, inputs: Inputs, moved: Inputs) -> RawPrediction:
        """Do what :meth:`predict` does, with the `change` towards slightly other inputs of the same stars."""


class PointRegressor:
    """Common parts of the learners that predict a point, the same way for all stars."""

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:
        """Predict the labels; value and mean are the same, there are no intervals."""
        raise NotImplementedError

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray | None:  # noqa: ARG002
        """Return None: this learner predicts a point."""
        return None

    def means(self, inputs: Inputs) -> FloatArray:
        """Return the predicted means: shape (n, n_labels)."""
        return self.predict(inputs).mean

    def masked_validations(self, missing: NDArray[np.bool_]) -> Sequence[MaskedValidation]:  # noqa: ARG002
        """Return nothing: one model predicts all stars."""
        return ()


#: Stars that pass through the networks at a time: what passes between layers then fits a processor's caches. The
#: number is constant so that sums are rounded alike: a prediction does not depend on the stars around it.
BLOCK = 1024


def in_flight(results: Iterable[T], depth: int = 8) -> Iterator[T]:
    """Yield `results` in order, each after up to `depth` later ones were requested.

    JAX returns a result before it is computed and computes several in parallel; reading each result at once would
    wait for each of them.
    """
    waiting: deque[T] = deque()
    for result in results:
        waiting.append(result)
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting


def padded(array: NDArray[Any]) -> NDArray[Any]:
    """Repeat the first row up to a length of `BLOCK`, so that only one shape is compiled."""
    short = BLOCK - len(array)
    return np.concatenate([array, np.repeat(array[:1], short, axis=0)]) if short > 0 else array
