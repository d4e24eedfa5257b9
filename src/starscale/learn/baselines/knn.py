"""Nearest neighbours: the mean label of the training stars whose inputs are closest, weighted by 1 / distance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from starscale.learn.arrays import Arrays, entry, prefixed, take, under
from starscale.learn.baselines.common import label_groups, mean_square
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import KnnConfig


@dataclass(frozen=True)
class Group:
    """Labels (column numbers) that are known for the same training stars, and the tree of these stars."""

    columns: list[int]
    rows: NDArray[np.intp]
    tree: cKDTree


@dataclass(frozen=True)
class Knn(PointRegressor):
    """The training stars themselves.

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
    groups: tuple[Group, ...] = field(init=False)

    def __post_init__(self) -> None:
        groups = (
            Group(columns, rows, cKDTree(self.points[rows].astype(np.float64)))
            for rows, columns in label_groups(self.t)
        )
        object.__setattr__(self, "groups", tuple(groups))

    @classmethod
    def fit(
        cls,
        config: KnnConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        fitting: FitContext,
    ) -> Knn:
        """Keep the stars; the validation part chooses the number of neighbours of every label."""
        inputs, targets = train
        scaler = LabelScaler.fit(targets.y)
        t, held_out = scaler.transform(targets.y), scaler.transform(validation[1].y)
        errors: dict[tuple[int, int], float] = {}
        for k in config.neighbours:
            found = cls(inputs.values, t, scaler, (k,) * t.shape[1])._standardised(validation[0])
            for column in range(t.shape[1]):
                errors[column, k] = mean_square(held_out[:, column], found[:, column])
        chosen: list[int] = []
        for column in range(t.shape[1]):
            chosen.append(min(config.neighbours, key=lambda k: errors[column, k]))
            fitting.progress("labels", column + 1, t.shape[1], {"validation": errors[column, chosen[-1]] ** 0.5})
        return cls(inputs.values, t, scaler, tuple(chosen))

    def _standardised(self, inputs: Inputs) -> FloatArray:
        result = np.empty((len(inputs), self.t.shape[1]))
        for group in self.groups:
            most = min(max(self.neighbours[c] for c in group.columns), len(group.rows))
            distance, found = group.tree.query(inputs.values.astype(np.float64), k=range(1, most + 1), workers=-1)
            place = np.asarray(found)
            # A star at no distance at all outweighs all others.
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

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        document = {
            "n_stars": len(self.points),
            "n_inputs": self.points.shape[1],
            "neighbours": list(self.neighbours),
        }
        return document, {"points": self.points, "t": self.t, **prefixed("labels", self.labels.state())}

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Knn:
        """Rebuild from :meth:`state`; the trees are grown again."""
        n_stars, n_inputs, neighbours = (
            entry(document, key, "regressor") for key in ("n_stars", "n_inputs", "neighbours")
        )
        return cls(
            take(arrays, "regressor", "points", (n_stars, n_inputs), np.float32),
            take(arrays, "regressor", "t", (n_stars, len(neighbours))),
            LabelScaler.from_state(under("labels", arrays), len(neighbours)),
            tuple(neighbours),
        )
