"""Samples of stars, and the checks that a training relies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.errors import Problems, did_you_mean

#: Smallest numbers of stars with a label, for training and for calibration.
MIN_TRAIN = 20
MIN_VALIDATION = 10


@dataclass(frozen=True)
class Sample:
    """Stars with inputs and labels.

    Parameters
    ----------
    x : ndarray, shape (n_stars, n_features)
        Inputs; NaN: missing.
    y : ndarray, shape (n_stars, n_labels)
        Labels in the units of the vocabulary (K, dex, dex); NaN: missing.
    y_error : ndarray, shape (n_stars, n_labels), optional
        Errors of the labels, same units.
    noise : ndarray, shape (n_draws, n_stars, n_features), optional
        Changes of the inputs when each measurement is drawn anew within its error; 0 where no error is known.
    measured : ndarray, shape (2, n_stars, n_measurements), optional
        The measurements behind the inputs, and their errors; NaN: missing, or an error that is not known.
    n_checks : int
        How many measurements, the last ones, are no inputs, but say whether others are right.

    Raises
    ------
    InputError
        When the shapes do not fit together.
    """

    x: FloatArray
    y: FloatArray
    y_error: FloatArray | None = None
    noise: NDArray[np.float32] | None = None
    measured: FloatArray | None = None
    n_checks: int = 0

    def __post_init__(self) -> None:
        for name in ("x", "y", "y_error"):
            if (array := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.asarray(array, dtype=np.float64))
        problems = Problems()
        x, y = self.x.shape, self.y.shape
        for name, shape in (("x", x), ("y", y)):
            if len(shape) != 2 or shape[1] == 0:
                problems.add(name, f"has shape {shape}", "two dimensions: stars, columns")
        if x[:1] != y[:1]:
            problems.add("x and y", f"have {x[:1]} and {y[:1]} rows", "the same stars in both")
        self._check_like(problems)
        problems.raise_if_any()

    def _check_like(self, problems: Problems) -> None:
        """Note errors and noise whose shapes do not go with labels and inputs."""
        x, y = self.x.shape, self.y.shape
        if self.y_error is not None and self.y_error.shape != y:
            problems.add("y_error", f"has shape {self.y_error.shape}", f"the shape of y, {y}")
        if self.noise is not None and self.noise.shape[1:] != x:
            problems.add("noise", f"has shape {self.noise.shape}", f"draws, and the shape of x, {x}")
        if self.measured is not None and (self.measured.ndim != 3 or self.measured.shape[:2] != (2, x[0])):
            problems.add("measured", f"has shape {self.measured.shape}", f"values and errors of {x[0]} stars")

    def __len__(self) -> int:
        return int(self.x.shape[0])


def check_samples(
    labels: Sequence[str], train: Sample, validation: Sample, features: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Check the samples of a fit and return the names of the features.

    Parameters
    ----------
    labels : sequence of str
        Names of the columns of `y`.
    train, validation : Sample
        The two parts.
    features : sequence of str, optional
        Names of the columns of `x`; by default they are numbered.

    Raises
    ------
    InputError
        With all problems at once.
    """
    problems = Problems()
    names = _check_shapes(problems, labels, train, validation, features)
    problems.raise_if_any()
    for part, sample, least in (("training", train, MIN_TRAIN), ("validation", validation, MIN_VALIDATION)):
        if len(sample) < least:
            problems.add(
                f"{part} part",
                f"{len(sample)} stars",
                f"at least {least}",
                "Match more stars to the spectroscopic catalogue, or loosen cuts.",
            )
        _check_inputs(problems, f"{part} part", sample.x, names)
        if len(sample) >= least:
            for column, label in enumerate(labels):
                _check_label(problems, f"{part} part, {label}", label, sample.y[:, column], least)
    if len(train) and not usable_features(train.x).any():
        problems.add(
            "training part", "every feature is constant or missing everywhere", "a feature that tells stars apart"
        )
    problems.raise_if_any()
    return names


def usable_features(x: FloatArray) -> NDArray[np.bool_]:
    """Return which features vary, shape (n_features,): False if constant, or missing in all stars."""
    low = np.min(x, axis=0, where=np.isfinite(x), initial=np.inf)
    high = np.max(x, axis=0, where=np.isfinite(x), initial=-np.inf)
    return np.asarray(high > low)


def check_finite_or_missing(x: FloatArray, where: str, names: Sequence[str]) -> None:
    """Refuse infinite inputs; a missing input is NaN.

    Raises
    ------
    InputError
        With the features and the number of rows.
    """
    problems = Problems()
    _check_inputs(problems, where, x, names)
    problems.raise_if_any()


def _check_shapes(
    problems: Problems, labels: Sequence[str], train: Sample, validation: Sample, features: Sequence[str] | None
) -> tuple[str, ...]:
    """Note shapes that do not fit together; return the names of the features."""
    _check_label_names(problems, labels)
    for part, sample in (("training", train), ("validation", validation)):
        found = sample.y.shape[1]
        if found != len(labels):
            problems.add(f"{part} part", f"y has {found} columns", f"{len(labels)}, one for each label")
    n_features = train.x.shape[1]
    if validation.x.shape[1] != n_features:
        problems.add("validation part", f"x has {validation.x.shape[1]} columns", f"{n_features}, as in training")
    names = tuple(f"feature {i}" for i in range(n_features)) if features is None else tuple(features)
    if len(names) != n_features:
        problems.add("features", f"{len(names)} names", f"{n_features}, one for each column of x")
    return names


def _check_label_names(problems: Problems, labels: Sequence[str]) -> None:
    """Note labels that are unknown or listed twice."""
    for label in labels:
        if label not in LABELS:
            expected = f"one of {', '.join(LABELS)}"
            problems.add("labels", f"{label!r} is unknown", expected, did_you_mean(label, LABELS))
    if len(set(labels)) != len(labels):
        problems.add("labels", f"{tuple(labels)} names one twice", "each label once")


def _check_inputs(problems: Problems, where: str, x: FloatArray, names: Sequence[str]) -> None:
    infinite = np.isinf(x)
    if infinite.any():
        columns = [names[i] for i in np.flatnonzero(infinite.any(axis=0)).tolist()]
        problems.add(
            where,
            f"{int(infinite.any(axis=1).sum())} rows have infinite inputs ({', '.join(columns[:5])})",
            "finite numbers, or NaN where an input is missing",
            "Look for a logarithm or a division of zero in the feature.",
        )


def _check_label(problems: Problems, where: str, label: str, y: FloatArray, least: int) -> None:
    present = y[~np.isnan(y)]
    if present.size < least:
        found = "missing in every star" if present.size == 0 else f"present in {present.size} stars only"
        problems.add(where, found, f"at least {least} stars with it", f"Leave {label} out of target.")
        return
    limits = LABELS[label]
    outside = (present < limits.lower) | (present > limits.upper)
    if outside.any():
        problems.add(
            where,
            f"{int(outside.sum())} stars lie outside (smallest {present.min():g}, largest {present.max():g})",
            f"{limits.lower:g} to {limits.upper:g} {limits.unit}".rstrip(),
            "Name the sentinel or add a cut in the survey file of the labels.",
        )
    elif present.min() == present.max():
        problems.add(
            where, f"is {present[0]:g} in every star", "values that differ", f"Leave {label} out of target."
        )
