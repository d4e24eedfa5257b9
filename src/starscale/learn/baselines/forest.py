"""Random forests (Breiman 2001): grown by scikit-learn, kept and evaluated as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays, entry, prefixed, take, under
from starscale.learn.baselines.common import library, mean_square
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.models import RandomForestConfig


@dataclass(frozen=True)
class Forest:
    """Trees one after the other in flat arrays, shape (n_nodes,).

    Parameters
    ----------
    left, right : ndarray of int32
        Number of the node that follows where the input is at most the number, and above it; a leaf follows itself.
    feature : ndarray of int32
        Which input a node looks at (0 at a leaf).
    number : ndarray
        What the input is compared with; at a leaf the tree's answer.
    roots : ndarray of int32, shape (n_trees,)
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    number: FloatArray
    roots: NDArray[np.int32]

    @classmethod
    def of(cls, trees: Sequence[Any]) -> Forest:
        """Copy grown trees (the `tree_` of scikit-learn)."""
        offsets = np.cumsum([0, *(tree.node_count for tree in trees)])
        left, right, feature, number = [], [], [], []
        for tree, offset in zip(trees, offsets[:-1], strict=True):
            own = np.arange(tree.node_count)
            leaf = tree.children_left < 0
            left.append(np.where(leaf, own, tree.children_left) + offset)
            right.append(np.where(leaf, own, tree.children_right) + offset)
            feature.append(np.where(leaf, 0, tree.feature))
            number.append(np.where(leaf, tree.value[:, 0, 0], tree.threshold))
        return cls(*_joined(left, right, feature), np.concatenate(number), offsets[:-1].astype(np.int32))

    def predict(self, values: NDArray[np.float32]) -> FloatArray:
        """Mean answer of the trees: shape (n,)."""
        total = np.zeros(len(values))
        for root in self.roots:
            node, walking = np.full(len(values), root), np.arange(len(values))
            while walking.size:
                here = node[walking]
                goes_left = values[walking, self.feature[here]] <= self.number[here]
                node[walking] = there = np.where(goes_left, self.left[here], self.right[here])
                walking = walking[there != here]
            total += self.number[node]
        return np.asarray(total / len(self.roots))

    def state(self) -> Arrays:
        """Return what :meth:`from_state` needs."""
        names = ("left", "right", "feature", "number", "roots")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_state(cls, arrays: Arrays, n_nodes: int, n_trees: int, n_inputs: int) -> Forest:
        """Rebuild from :meth:`state`.

        Raises
        ------
        InputError
            When a node leads out of the forest or back, or looks at an input that is not there.
        """
        left, right, feature = (
            take(arrays, "regressor", name, (n_nodes,), np.int32) for name in ("left", "right", "feature")
        )
        roots = take(arrays, "regressor", "roots", (n_trees,), np.int32)
        own, first = np.arange(n_nodes), np.zeros(1, dtype=np.int64)
        # Every step leads on, so that every walk comes to an end.
        for name, numbers, least, end in (
            ("left", left, own, n_nodes),
            ("right", right, own, n_nodes),
            ("roots", roots, first, n_nodes),
            ("feature", feature, first, n_inputs),
        ):
            if not ((numbers >= least) & (numbers < end)).all():
                raise InputError(
                    Problem(f"regressor: {name}", "holds numbers that lead nowhere", f"0 to {end - 1}")
                )
        return cls(left, right, feature, take(arrays, "regressor", "number", (n_nodes,)), roots)


@dataclass(frozen=True)
class RandomForest(PointRegressor):
    """One forest for each label."""

    kind: ClassVar[str] = "random_forest"
    scaling: ClassVar[Scaling] = "robust"

    n_inputs: int
    labels: LabelScaler
    forests: tuple[Forest, ...]
    #: Least number of stars in a leaf, as chosen for each label.
    min_leaf: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        config: RandomForestConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        fitting: FitContext,
    ) -> RandomForest:
        """Grow the forests; the validation part chooses the least number of stars in a leaf."""
        ensemble = library(cls.kind, "sklearn.ensemble")
        inputs, targets = train
        scaler = LabelScaler.fit(targets.y)
        t, held_out = scaler.transform(targets.y), scaler.transform(validation[1].y)
        forests: list[Forest] = []
        chosen: list[int] = []
        for column, label in enumerate(targets.labels):
            rows = ~np.isnan(t[:, column])
            errors: list[float] = []
            for step, min_leaf in enumerate(config.min_leaf, 1):
                grown = ensemble.RandomForestRegressor(
                    config.trees,
                    min_samples_leaf=min_leaf,
                    max_features=config.max_features,
                    n_jobs=-1,
                    random_state=fitting.seed,
                ).fit(inputs.values[rows], t[rows, column])
                errors.append(mean_square(held_out[:, column], grown.predict(validation[0].values)))
                fitting.progress(label, step, len(config.min_leaf), {"validation": errors[-1] ** 0.5})
                if step == 1 or errors[-1] < min(errors[:-1]):
                    # The others are not kept: a forest is large.
                    best, least = grown, min_leaf
            forests.append(Forest.of([tree.tree_ for tree in best.estimators_]))
            chosen.append(least)
        return cls(inputs.values.shape[1], scaler, tuple(forests), tuple(chosen))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        value = self.labels.restore(np.stack([forest.predict(inputs.values) for forest in self.forests], axis=1))
        return RawPrediction(value, value)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        document = {
            "n_inputs": self.n_inputs,
            "n_nodes": [len(forest.number) for forest in self.forests],
            "n_trees": [len(forest.roots) for forest in self.forests],
            "min_leaf": list(self.min_leaf),
        }
        arrays = prefixed("labels", self.labels.state())
        for i, forest in enumerate(self.forests):
            arrays |= prefixed(f"forest{i}", forest.state())
        return document, arrays

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> RandomForest:
        """Rebuild from :meth:`state`; scikit-learn is not needed."""
        n_inputs, n_nodes, n_trees, min_leaf = (
            entry(document, key, "regressor") for key in ("n_inputs", "n_nodes", "n_trees", "min_leaf")
        )
        forests = tuple(
            Forest.from_state(under(f"forest{i}", arrays), nodes, trees, n_inputs)
            for i, (nodes, trees) in enumerate(zip(n_nodes, n_trees, strict=True))
        )
        labels = LabelScaler.from_state(under("labels", arrays), len(forests))
        return cls(n_inputs, labels, forests, tuple(min_leaf))


def _joined(*parts: list[NDArray[Any]]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    left, right, feature = (np.concatenate(part).astype(np.int32) for part in parts)
    return left, right, feature
