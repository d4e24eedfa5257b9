"""Ridge regression (Hoerl & Kennard 1970) on the inputs, their squares and their products.

The fit sees the data through sums over stars (the Gram matrix of each fold), so its memory does not grow with the
number of stars, and one eigendecomposition a fold serves all penalties and labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays, entry, prefixed, take, under
from starscale.learn.baselines.common import label_groups
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import RidgeConfig

#: Stars whose products of inputs are held at a time.
CHUNK = 4096


def polynomial(values: NDArray[np.float32], degree: int) -> FloatArray:
    """The inputs and, for degree 2, ``z_i z_j`` for i <= j: shape (n, n_terms)."""
    z = values.astype(np.float64)
    if degree == 1:
        return z
    rows, columns = np.triu_indices(z.shape[1])
    return np.concatenate([z, z[:, rows] * z[:, columns]], axis=1)


@dataclass(frozen=True)
class Terms:
    """Mean and standard deviation of every term in the training part, shape (n_terms,)."""

    degree: int
    mean: FloatArray
    width: FloatArray

    @classmethod
    def fit(cls, values: NDArray[np.float32], degree: int) -> Terms:
        """Measure them in chunks: a shifted sum, so that large means cost no digits."""
        shift = polynomial(values[:CHUNK], degree).mean(axis=0)
        total, squares = np.zeros((2, len(shift)))
        for start in range(0, len(values), CHUNK):
            part = polynomial(values[start : start + CHUNK], degree) - shift
            total += part.sum(axis=0)
            squares += (part**2).sum(axis=0)
        mean = total / len(values)
        width = np.sqrt(np.maximum(squares / len(values) - mean**2, 0))
        return cls(degree, shift + mean, np.where(width > 0, width, 1.0))

    def apply(self, values: NDArray[np.float32]) -> FloatArray:
        """Standardised terms."""
        return (polynomial(values, self.degree) - self.mean) / self.width


@dataclass(frozen=True)
class Sums:
    """Sums over stars.

    Parameters
    ----------
    n : int
        Stars.
    gram : ndarray, shape (n_terms, n_terms)
    products : ndarray, shape (n_terms, n_labels)
        Of terms and labels.
    squares : ndarray, shape (n_labels,)
        Of the labels.
    """

    n: int
    gram: FloatArray
    products: FloatArray
    squares: FloatArray

    def __sub__(self, other: Sums) -> Sums:
        return Sums(
            self.n - other.n,
            self.gram - other.gram,
            self.products - other.products,
            self.squares - other.squares,
        )

    @classmethod
    def over(cls, terms: Terms, values: NDArray[np.float32], t: FloatArray) -> Sums:
        """Sum over stars with standardised labels `t`, shape (n, n_labels), none missing."""
        n_terms = len(terms.mean)
        gram, products = np.zeros((n_terms, n_terms)), np.zeros((n_terms, t.shape[1]))
        for start in range(0, len(values), CHUNK):
            part = terms.apply(values[start : start + CHUNK])
            gram += part.T @ part
            products += part.T @ t[start : start + CHUNK]
        return cls(len(values), gram, products, (t**2).sum(axis=0))

    def solve(self, penalties: Sequence[float]) -> FloatArray:
        """Coefficients for every penalty: shape (n_penalties, n_terms, n_labels)."""
        eigenvalues, vectors = np.linalg.eigh(self.gram)
        rotated = vectors.T @ self.products
        eigenvalues = np.maximum(eigenvalues, 0)[:, None]
        return np.stack([vectors @ (rotated / (eigenvalues + self.n * penalty)) for penalty in penalties])

    def squared_error(self, coefficients: FloatArray) -> FloatArray:
        """``sum (t - z w)^2`` for every penalty and label: shape (n_penalties, n_labels)."""
        cross = (coefficients * self.products).sum(axis=1)
        quadratic = (coefficients * np.matmul(self.gram, coefficients)).sum(axis=1)
        return np.asarray(self.squares - 2 * cross + quadratic)


@dataclass(frozen=True)
class Ridge(PointRegressor):
    """Coefficients of the standardised terms for the standardised labels, shape (n_terms, n_labels)."""

    kind: ClassVar[str] = "ridge"
    scaling: ClassVar[Scaling] = "robust"

    n_inputs: int
    terms: Terms
    labels: LabelScaler
    coefficients: FloatArray
    intercepts: FloatArray
    #: The penalties that were chosen.
    penalties: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        config: RidgeConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],  # noqa: ARG003
        fitting: FitContext,
    ) -> Ridge:
        """Choose the penalty of every label by cross-validation in the training part, then fit all of it."""
        inputs, targets = train
        scaler = LabelScaler.fit(targets.y)
        t = scaler.transform(targets.y)
        terms = Terms.fit(inputs.values, config.degree)
        coefficients = np.zeros((len(terms.mean), t.shape[1]))
        intercepts = np.zeros(t.shape[1])
        chosen = [0.0] * t.shape[1]
        rng, done = np.random.default_rng(fitting.seed), 0
        for rows, columns in label_groups(targets.y):
            own = t[rows][:, columns]
            # Where some stars lack the label, the terms do not average to zero over the others.
            center = _mean_terms(terms, inputs.values[rows])
            centred = Terms(terms.degree, terms.mean + terms.width * center, terms.width)
            folds = np.array_split(rng.permutation(len(rows)), min(config.folds, len(rows)))
            parts = [Sums.over(centred, inputs.values[rows[fold]], own[fold]) for fold in folds]
            whole = _total(parts)
            error = sum(part.squared_error((whole - part).solve(config.penalties)) for part in parts)
            best = np.argmin(np.asarray(error), axis=0)
            found = whole.solve(config.penalties)
            for i, column in enumerate(columns):
                coefficients[:, column] = found[best[i], :, i]
                intercepts[column] = -center @ coefficients[:, column]
                chosen[column] = config.penalties[best[i]]
                done += 1
                error_at_best = float(np.sqrt(np.asarray(error)[best[i], i] / len(rows)))
                fitting.progress("labels", done, t.shape[1], {"cross-validation": error_at_best})
        return cls(inputs.values.shape[1], terms, scaler, coefficients, intercepts, tuple(chosen))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        parts = [
            self.terms.apply(inputs.values[start : start + CHUNK]) @ self.coefficients + self.intercepts
            for start in range(0, max(len(inputs), 1), CHUNK)
        ]
        value = self.labels.restore(np.concatenate(parts))
        return RawPrediction(value, value)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        document = {
            "n_inputs": self.n_inputs,
            "n_labels": len(self.intercepts),
            "degree": self.terms.degree,
            "penalties": list(self.penalties),
        }
        return document, {
            "terms_mean": self.terms.mean,
            "terms_width": self.terms.width,
            "coefficients": self.coefficients,
            "intercepts": self.intercepts,
            **prefixed("labels", self.labels.state()),
        }

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Ridge:
        """Rebuild from :meth:`state`."""
        n_inputs, n_labels, degree, penalties = (
            entry(document, key, "regressor") for key in ("n_inputs", "n_labels", "degree", "penalties")
        )
        n_terms = n_inputs if degree == 1 else n_inputs + n_inputs * (n_inputs + 1) // 2
        mean, width = (take(arrays, "regressor", f"terms_{name}", (n_terms,)) for name in ("mean", "width"))
        return cls(
            n_inputs,
            Terms(degree, mean, width),
            LabelScaler.from_state(under("labels", arrays), n_labels),
            take(arrays, "regressor", "coefficients", (n_terms, n_labels)),
            take(arrays, "regressor", "intercepts", (n_labels,)),
            tuple(penalties),
        )


def _total(parts: Sequence[Sums]) -> Sums:
    return Sums(
        sum(part.n for part in parts),
        np.sum([part.gram for part in parts], axis=0),
        np.sum([part.products for part in parts], axis=0),
        np.sum([part.squares for part in parts], axis=0),
    )


def _mean_terms(terms: Terms, values: NDArray[np.float32]) -> FloatArray:
    total = np.zeros(len(terms.mean))
    for start in range(0, len(values), CHUNK):
        total += terms.apply(values[start : start + CHUNK]).sum(axis=0)
    return np.asarray(total / len(values))
