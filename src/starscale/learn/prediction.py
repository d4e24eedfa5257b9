"""What a trained model says of stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS


@dataclass(frozen=True)
class Prediction:
    """Predicted labels of n stars, in the units of the vocabulary.

    Parameters
    ----------
    value : ndarray, shape (n, n_labels)
        The median if the learner predicts a distribution: it always lies inside the intervals and has the smallest
        absolute error, but is biased where errors are skewed. Otherwise the output of the learner.
    mean : ndarray, shape (n, n_labels)
        Mean of the distribution (smallest squared error, unbiased on average); equal to `value` for a learner that
        predicts a point.
    change : ndarray, shape (n, n_labels)
        Change of the mean when the inputs move to others: to first order where the learner knows its derivative,
        of an ensemble by its first networks. 0 where no other inputs were given.
    error : ndarray, shape (n, n_labels)
        Half of the width of the 68.27 % interval.
    lower, upper, lower95, upper95 : ndarray, shape (n, n_labels)
        Ends of the intervals of 68.27 % and 95.45 %.
    p_giant : ndarray, shape (n,)
        Probability that logg is below the limit of the model (3.5 by default); NaN if the model has no logg.
    correlation : ndarray, shape (n, n_labels, n_labels)
        Correlation of the errors of the labels; with `error` it gives their covariance. NaN from a learner that
        predicts a point.
    giant_solution, dwarf_solution : ndarray, shape (n, n_labels)
        Mean labels of the star given that it is a giant, and given that it is a dwarf. NaN from a learner that
        predicts a point, or if the model has no logg.
    p_below : ndarray, shape (n, n_thresholds)
        Probabilities that labels are below the thresholds that were asked for.
    domain_score : ndarray, shape (n,)
        Distance from the inputs of the training stars; above 1 it exceeds that of 99 % of the validation stars.
    label_score : ndarray, shape (n,)
        The same for the predicted labels.
    consistency_score : ndarray, shape (n,)
        The same for the agreement of the measurements with each other; NaN: not known.
    oddest : ndarray of int, shape (n,)
        Number of the measurement that agrees least with the others; -1: not known.
    imputed : ndarray of bool, shape (n,)
        Whether the star was predicted from filled gaps, because its missing inputs match no group of networks.
    n_missing : ndarray of int, shape (n,)
        Number of usable inputs that are missing.
    predicted : ndarray of bool, shape (n,)
        False if too many inputs are missing; then everything else but `n_missing` is NaN or False.
    uncertain : ndarray of bool, shape (n,)
        Whether the 95.45 % interval of any label is unusually wide: true for 5 % of the validation stars.
    impossible : ndarray of bool, shape (n,)
        Whether a label was outside its physical limits; then everything of this label is NaN.
    """

    value: FloatArray
    mean: FloatArray
    change: FloatArray
    error: FloatArray
    lower: FloatArray
    upper: FloatArray
    lower95: FloatArray
    upper95: FloatArray
    p_giant: FloatArray
    correlation: FloatArray
    giant_solution: FloatArray
    dwarf_solution: FloatArray
    p_below: FloatArray
    domain_score: FloatArray
    label_score: FloatArray
    consistency_score: FloatArray
    oddest: NDArray[np.intp]
    imputed: NDArray[np.bool_]
    n_missing: NDArray[np.int64]
    predicted: NDArray[np.bool_]
    uncertain: NDArray[np.bool_]
    impossible: NDArray[np.bool_]

    @classmethod
    def empty(cls, n: int, n_labels: int, n_thresholds: int = 0) -> Prediction:
        """Return a prediction of n stars in which no star is predicted."""

        def missing(*shape: int) -> FloatArray:
            return np.full((n, *shape), np.nan)

        per_label = ("value", "mean", "change", "error", "lower", "upper", "lower95", "upper95")
        arrays: dict[str, Any] = {
            name: missing(n_labels) for name in (*per_label, "giant_solution", "dwarf_solution")
        }
        arrays |= {name: missing() for name in ("p_giant", "domain_score", "label_score", "consistency_score")}
        arrays |= {name: np.zeros(n, dtype=bool) for name in ("imputed", "predicted", "uncertain", "impossible")}
        arrays["p_below"] = missing(n_thresholds)
        arrays["oddest"] = np.full(n, -1, dtype=np.intp)
        return cls(correlation=missing(n_labels, n_labels), n_missing=np.zeros(n, dtype=np.int64), **arrays)

    @classmethod
    def joined(cls, parts: Sequence[Prediction]) -> Prediction:
        """Concatenate the predictions of several samples."""
        if len(parts) == 1:
            return parts[0]
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    def limit(self, labels: Sequence[str]) -> None:
        """Remove values outside the physical limits of their label, and clip the ends of intervals, in place.

        The limits are those of :data:`starscale.vocabulary.columns.LABELS`, which labels keep too. `error` stays
        half the width of the interval that was calibrated.
        """
        for column, name in enumerate(labels):
            low, high = LABELS[name].lower, LABELS[name].upper
            with np.errstate(invalid="ignore"):
                wrong = (self.value[:, column] < low) | (self.value[:, column] > high)
            self.impossible[wrong] = True
            for ends in (self.lower, self.upper, self.lower95, self.upper95):
                np.clip(ends[:, column], low, high, out=ends[:, column])
            for each in (self.value, self.mean, self.error, self.lower, self.upper, self.lower95, self.upper95):
                each[wrong, column] = np.nan
            for solution in (self.giant_solution, self.dwarf_solution):
                with np.errstate(invalid="ignore"):
                    outside = (solution[:, column] < low) | (solution[:, column] > high)
                solution[outside | wrong, column] = np.nan
