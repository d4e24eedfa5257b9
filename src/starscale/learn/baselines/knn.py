"""Nearest neighbours: the mean label of the training stars whose inputs are closest, weighted by 1 / distance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from starscale.learn.arrays import entry, expected
from starscale.learn.baselines.common import label_groups, mean_square
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import KnnConfig


@dataclass(frozen=True)
class StarGroup:
    """Labels (column numbers) that are known for the same training stars, and a search tree of these stars."""

    columns: list[int]
    rows: NDArray[np.intp]
    tree: cKDTree


@dataclass(frozen=True)
class Knn(PointRegressor):
    """The training stars; the validation part chooses the number of neighbours of every label.

    Parameters
    ----------
    points : ndarray of float32, shape (n, n_inputs)
    t : ndarray, shape (n, n_labels)
        Standardised labels; NaN: missing.
    neighbours : tuple of int
        Number of neighbours for each label.
    """

    kind: ClassVar[str] = "knn"
    scaling: ClassVar[Scaling] = "robust"

    points: NDArray[np.float32]
    t: FloatArray
    labels: LabelScaler
    neighbours: tuple[int, ...]

    @cached_property
    def _groups(self) -> tuple[StarGroup, ...]:
        return tuple(
            StarGroup(columns, rows, cKDTree(self.points[rows].astype(np.float64)))
            for rows, columns in label_groups(self.t)
        )

    @classmethod
    def fit(
        cls,
        config: KnnConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        context: FitContext,
    ) -> Knn:
        """Store the stars and choose the number of neighbours with the smallest error, label by label."""
        inputs, targets = train
        scaler = LabelScaler.fit(targets.y)
        t, held_out = scaler.transform(targets.y), scaler.transform(validation[1].y)
        n_labels = t.shape[1]
        errors = np.empty((len(config.neighbours), n_labels))
        with context.task("neighbours", len(config.neighbours), "choices") as task:
            for i, k in enumerate(config.neighbours):
                found = cls(inputs.values, t, scaler, (k,) * n_labels)._standardised(validation[0])
                errors[i] = [mean_square(a, b) for a, b in zip(held_out.T, found.T, strict=True)]
                task.advance(1, f"{k} neighbours")
        chosen = tuple(config.neighbours[i] for i in np.argmin(errors, axis=0))
        return cls(inputs.values, t, scaler, chosen)

    def _standardised(self, inputs: Inputs) -> FloatArray:
        result = np.empty((len(inputs), self.t.shape[1]))
        for group in self._groups:
            most = min(max(self.neighbours[c] for c in group.columns), len(group.rows))
            distance, found = group.tree.query(inputs.values.astype(np.float64), k=range(1, most + 1), workers=-1)
            place = np.asarray(found)
            # The least distance is tiny but not 0: a star at distance 0 outweighs all others.
            weight = 1 / np.maximum(distance, np.finfo(np.float32).tiny)
            for column in group.columns:
                k = self.neighbours[column]
                label = self.t[group.rows, column][place[:, :k]]
                result[:, column] = (weight[:, :k] * label).sum(axis=1) / weight[:, :k].sum(axis=1)
        return result

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        value = self.labels.restore(self._standardised(inputs))
        return RawPrediction(value, value)

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {
            "n_stars": len(self.points),
            "n_inputs": self.points.shape[1],
            "neighbours": list(self.neighbours),
        }

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Knn:
        """Return a model to be filled with stored arrays."""
        n_stars, n_inputs, neighbours = (
            entry(document, key, "regressor") for key in ("n_stars", "n_inputs", "neighbours")
        )
        return cls(
            expected(n_stars, n_inputs, dtype=np.float32),
            expected(n_stars, len(neighbours)),
            LabelScaler.skeleton(),
            tuple(neighbours),
        )
