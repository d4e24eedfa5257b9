"""Ridge regression (Hoerl & Kennard 1970) on the inputs, their squares and their products.

Only sums over stars enter the fit (the Gram matrix of each fold), so its memory does not grow with the number of
stars, and one eigendecomposition per fold serves all penalties and labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import entry, expected, stored_as
from starscale.learn.baselines.common import label_groups
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold, note_of
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import RidgeConfig

#: Number of stars whose products of inputs are in memory at a time.
CHUNK = 4096


def polynomial(values: NDArray[np.float32], degree: int) -> FloatArray:
    """Return the inputs and, for degree 2, ``z_i z_j`` for i <= j: shape (n, n_terms)."""
    z = values.astype(np.float64)
    if degree == 1:
        return z
    rows, columns = np.triu_indices(z.shape[1])
    return np.concatenate([z, z[:, rows] * z[:, columns]], axis=1)


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, max(n, 1), CHUNK))


@dataclass(frozen=True)
class Terms:
    """Mean and standard deviation of every term in the training part, shape (n_terms,)."""

    degree: int
    mean: FloatArray = field(metadata=stored_as("terms_mean"))
    width: FloatArray = field(metadata=stored_as("terms_width"))

    @classmethod
    def fit(cls, values: NDArray[np.float32], degree: int) -> Terms:
        """Sum over chunks, with a shift that keeps precision when means are large."""
        shift = polynomial(values[:CHUNK], degree).mean(axis=0)
        total, squares = np.zeros((2, len(shift)))
        for chunk in _chunks(len(values)):
            part = polynomial(values[chunk], degree) - shift
            total += part.sum(axis=0)
            squares += (part**2).sum(axis=0)
        mean = total / len(values)
        width = np.sqrt(np.maximum(squares / len(values) - mean**2, 0))
        return cls(degree, shift + mean, np.where(width > 0, width, 1.0))

    def apply(self, values: NDArray[np.float32]) -> FloatArray:
        """Return the standardised terms."""
        return (polynomial(values, self.degree) - self.mean) / self.width

    def average(self, values: NDArray[np.float32]) -> FloatArray:
        """Return the mean of the standardised terms over some stars, shape (n_terms,)."""
        total = sum(self.apply(values[chunk]).sum(axis=0) for chunk in _chunks(len(values)))
        return np.asarray(total / len(values))


class Sums(NamedTuple):
    """Sums over stars with standardised terms Z and labels T.

    Parameters
    ----------
    n : int
        Number of stars.
    gram : ndarray, shape (n_terms, n_terms)
        ``Z' Z``.
    products : ndarray, shape (n_terms, n_labels)
        ``Z' T``.
    squares : ndarray, shape (n_labels,)
        Sum of the squared labels.
    """

    n: int
    gram: FloatArray
    products: FloatArray
    squares: FloatArray

    @classmethod
    def over(cls, terms: Terms, values: NDArray[np.float32], t: FloatArray) -> Sums:
        """Sum over stars with standardised labels `t`, shape (n, n_labels), none missing."""
        n_terms = len(terms.mean)
        gram, products = np.zeros((n_terms, n_terms)), np.zeros((n_terms, t.shape[1]))
        for chunk in _chunks(len(values)):
            z = terms.apply(values[chunk])
            gram += z.T @ z
            products += z.T @ t[chunk]
        return cls(len(values), gram, products, (t**2).sum(axis=0))

    def without(self, fold: Sums) -> Sums:
        """Return the sums over the stars that are not in the fold."""
        return Sums(
            self.n - fold.n,
            self.gram - fold.gram,
            self.products - fold.products,
            self.squares - fold.squares,
        )

    def solve(self, penalties: Sequence[float]) -> FloatArray:
        """Return the coefficients for every penalty: shape (n_penalties, n_terms, n_labels).

        With ``Z' Z = V diag(e) V'`` they are ``V diag(1 / (e + n penalty)) V' Z' T``.
        """
        eigenvalues, vectors = np.linalg.eigh(self.gram)
        rotated = vectors.T @ self.products
        eigenvalues = np.maximum(eigenvalues, 0)[:, None]
        return np.stack([vectors @ (rotated / (eigenvalues + self.n * penalty)) for penalty in penalties])

    def squared_error(self, w: FloatArray) -> FloatArray:
        """Return the sum of squared errors of coefficients for every penalty and label: (n_penalties, n_labels).

        ``|T - Z w|^2 = T' T - 2 w' Z' T + w' Z' Z w``.
        """
        cross = (w * self.products).sum(axis=1)
        quadratic = (w * np.matmul(self.gram, w)).sum(axis=1)
        return np.asarray(self.squares - 2 * cross + quadratic)


def cross_validated(folds: Sequence[Sums], penalties: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Return coefficients from all folds, and the cross-validated mean squared error.

    Parameters
    ----------
    folds : sequence of Sums
    penalties : sequence of float, (n_penalties,)

    Returns
    -------
    coefficients : ndarray, shape (n_penalties, n_terms, n_labels)
    error : ndarray, shape (n_penalties, n_labels)
    """
    whole = Sums(*(sum(parts) for parts in zip(*folds, strict=True)))
    error = sum(fold.squared_error(whole.without(fold).solve(penalties)) for fold in folds)
    return whole.solve(penalties), np.asarray(error) / whole.n


@dataclass(frozen=True)
class Ridge(PointRegressor):
    """Coefficients of the standardised terms for the standardised labels, shape (n_terms, n_labels).

    The penalty of every label is chosen by cross-validation in the training part; the validation part is not used.
    """

    kind: ClassVar[str] = "ridge"
    scaling: ClassVar[Scaling] = "robust"

    n_inputs: int
    labels: LabelScaler
    coefficients: FloatArray
    intercepts: FloatArray
    #: The chosen penalties.
    penalties: tuple[float, ...]
    terms: Terms = field(metadata=stored_as(""))

    @classmethod
    def fit(
        cls,
        config: RidgeConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],  # noqa: ARG003
        context: FitContext,
    ) -> Ridge:
        """Choose the penalty of every label, then fit the whole training part."""
        values, targets = train[0].values, train[1]
        scaler, terms = LabelScaler.fit(targets.y), Terms.fit(values, config.degree)
        t, n_labels, rng = scaler.transform(targets.y), len(targets.labels), np.random.default_rng(context.seed)
        coefficients, intercepts = np.zeros((len(terms.mean), n_labels)), np.zeros(n_labels)
        chosen = [0.0] * n_labels
        with context.task("labels", n_labels, "labels") as task:
            for rows, columns in label_groups(targets.y):
                # If some stars lack the label, the mean of the terms over the others is not zero.
                center = terms.average(values[rows])
                centred = Terms(terms.degree, terms.mean + terms.width * center, terms.width)
                parts = np.array_split(rng.permutation(len(rows)), min(config.folds, len(rows)))
                folds = [Sums.over(centred, values[rows[part]], t[rows[part]][:, columns]) for part in parts]
                found, error = cross_validated(folds, config.penalties)
                for i, column in enumerate(columns):
                    best = int(np.argmin(error[:, i]))
                    coefficients[:, column] = found[best, :, i]
                    intercepts[column] = -center @ coefficients[:, column]
                    chosen[column] = config.penalties[best]
                    task.advance(1, note_of({"cross-validation": error[best, i] ** 0.5}))
        return cls(values.shape[1], scaler, coefficients, intercepts, tuple(chosen), terms)

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        parts = [
            self.terms.apply(inputs.values[chunk]) @ self.coefficients + self.intercepts
            for chunk in _chunks(len(inputs))
        ]
        value = self.labels.restore(np.concatenate(parts))
        return RawPrediction(value, value)

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {
            "n_inputs": self.n_inputs,
            "n_labels": len(self.intercepts),
            "degree": self.terms.degree,
            "penalties": list(self.penalties),
        }

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Ridge:
        """Return a model to be filled with stored arrays."""
        n_inputs, n_labels, degree, penalties = (
            entry(document, key, "regressor") for key in ("n_inputs", "n_labels", "degree", "penalties")
        )
        n_terms = n_inputs if degree == 1 else n_inputs + n_inputs * (n_inputs + 1) // 2
        terms = Terms(degree, expected(n_terms), expected(n_terms))
        coefficients = expected(n_terms, n_labels)
        return cls(n_inputs, LabelScaler.skeleton(), coefficients, expected(n_labels), tuple(penalties), terms)
