"""The interface between a learner and everything around it.

A learner turns prepared inputs into an uncalibrated prediction. Preparation, calibration, domain and
storage are the same for all of them, so a further learner is one more file and one line in `learners.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays
from starscale.learn.checkpoint import Checkpoint
from starscale.learn.observations import Observations
from starscale.learn.preparation import Inputs, Scaling
from starscale.vocabulary.arrays import FloatArray

T = TypeVar("T")

#: Probabilities inside the intervals that are reported (one and two sigma of a Gaussian).
LEVELS = (0.6826894921370859, 0.9544997361036416)


class Progress(Protocol):
    """Told about every epoch of a training."""

    def __call__(self, phase: str, epoch: int, n_epochs: int, figures: Mapping[str, float], /) -> None:
        """Take note: `epoch` counts from 1; `figures` are losses by name."""


def silent(phase: str, epoch: int, n_epochs: int, figures: Mapping[str, float], /) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class LabelTargets:
    """Labels of the stars of a training: names, and values of shape (n, n_labels) with NaN for missing."""

    labels: tuple[str, ...]
    y: FloatArray


@dataclass(frozen=True)
class Threshold:
    """A label (by column number) and a value of it."""

    label: int
    value: float


@dataclass(frozen=True)
class RawPrediction:
    """An uncalibrated prediction, in physical units.

    Parameters
    ----------
    value, mean : ndarray, shape (n, n_labels)
        The value to report (the median, where the learner predicts a distribution) and the mean.
    lower, upper : ndarray, shape (n, n_labels, 2), optional
        Ends of the central intervals of `LEVELS`; None from a learner that predicts a point.
    below : ndarray, shape (n,), optional
        Probability that the label of the threshold is below its value; None as above or without a threshold.
    correlation : ndarray, shape (n, n_labels, n_labels), optional
        Correlation of the labels' errors.
    sides : ndarray, shape (n, 2, n_labels), optional
        Means on either side of the threshold, below first.
    member : ndarray of int, shape (n,), optional
        Which of several ways to predict served the star; each is calibrated by itself. None: there is one.
    rare : ndarray of bool, shape (n,), optional
        Where gaps had to be filled; None: wherever there are any.
    """

    value: FloatArray
    mean: FloatArray
    lower: FloatArray | None = None
    upper: FloatArray | None = None
    below: FloatArray | None = None
    correlation: FloatArray | None = None
    sides: FloatArray | None = None
    member: NDArray[np.intp] | None = None
    rare: NDArray[np.bool_] | None = None

    def imputed(self, inputs: Inputs) -> NDArray[np.bool_]:
        """Return which stars were predicted from filled gaps, shape (n,)."""
        return np.asarray(inputs.missing.any(axis=1)) if self.rare is None else self.rare

    @classmethod
    def joined(cls, parts: Sequence[RawPrediction]) -> RawPrediction:
        """Put predictions of several samples one after the other."""
        arrays: dict[str, Any] = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        joined: dict[str, Any] = {n: None if a[0] is None else np.concatenate(a) for n, a in arrays.items()}
        return cls(**joined)


@dataclass(frozen=True)
class MaskedValidation:
    """Held-out stars with inputs left out, on which one way to predict is calibrated."""

    rows: NDArray[np.intp]
    missing: NDArray[np.bool_]


@dataclass(frozen=True)
class FitContext:
    """What comes with a training beside stars and settings; a learner takes of it what it can use.

    Parameters
    ----------
    seed : int
        The same seed gives the same model.
    observations : Observations
        Draws other observations of the training stars.
    progress : Progress
    checkpoint : Checkpoint
    """

    seed: int
    observations: Observations
    progress: Progress = silent
    checkpoint: Checkpoint = field(default_factory=Checkpoint)


class Regressor(Protocol):
    """Something that learnt to predict labels."""

    kind: ClassVar[str]
    scaling: ClassVar[Scaling]

    @classmethod
    def fit(
        cls,
        config: Any,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        fitting: FitContext,
    ) -> Self:
        """Learn; what `validation` is used for, if anything, is said by the class."""

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:
        """Predict the labels of stars; a row of the result depends on that row of the inputs alone."""

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray | None:
        """Return quantiles of every label, shape (n, n_labels, n_probabilities), in physical units.

        None from a learner that predicts a point.
        """

    def means(self, inputs: Inputs) -> FloatArray:
        """Return the mean of every label alone, shape (n, n_labels); cheaper than :meth:`predict`."""

    def rehearsals(self, missing: NDArray[np.bool_]) -> Sequence[MaskedValidation]:
        """Say on what held-out stars, and without which of their inputs, its ways to predict are calibrated.

        Parameters
        ----------
        missing : ndarray of bool, shape (n, n_usable)
            Inputs that the held-out stars lack. All of them, as they are, are used in any case.
        """

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return settings (JSON-able) and arrays, enough for :meth:`from_state`."""

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuild; raises InputError when settings and arrays do not fit together."""


class PointRegressor:
    """What is the same for every learner that predicts a point, in one way for all stars."""

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:
        """Predict the labels; value and mean are the same, there are no intervals."""
        raise NotImplementedError

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray | None:  # noqa: ARG002
        """Return nothing: this predicts a point."""
        return None

    def means(self, inputs: Inputs) -> FloatArray:
        """Return what is predicted as mean: shape (n, n_labels)."""
        return self.predict(inputs).mean

    def rehearsals(self, missing: NDArray[np.bool_]) -> Sequence[MaskedValidation]:  # noqa: ARG002
        """Return nothing: there is one way to predict."""
        return ()


#: Stars that go through the networks together: what passes between layers fits a processor's caches. Always as
#: many, so that sums are rounded alike and a prediction does not depend, to the last bit, on the stars around it.
BLOCK = 1024


def in_flight(results: Iterable[T], depth: int = 8) -> Iterator[T]:
    """Yield `results` in order, some of them later than they were asked for.

    JAX hands a result over before it is computed, and computes several side by side; who looks at each at once
    waits for each.
    """
    waiting: deque[T] = deque()
    for result in results:
        waiting.append(result)
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting


def padded(array: NDArray[Any]) -> NDArray[Any]:
    """Repeat the first row up to a length of `BLOCK`: one shape is compiled, and no other."""
    short = BLOCK - len(array)
    return np.concatenate([array, np.repeat(array[:1], short, axis=0)]) if short > 0 else array
