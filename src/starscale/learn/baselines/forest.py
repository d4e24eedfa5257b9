"""Random forests (Breiman 2001): fitted by scikit-learn, stored and evaluated as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import entry, expected, stored_as
from starscale.learn.baselines.common import mean_square
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold, note_of
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.libraries import library
from starscale.vocabulary.progress import Task
from starscale.vocabulary.settings.models import RandomForestConfig


@dataclass(frozen=True)
class Forest:
    """The trees of one label, concatenated in flat arrays of shape (n_nodes,).

    Parameters
    ----------
    left, right : ndarray of int32
        Number of the next node if the input is at most the threshold, and if it is above; at a leaf the leaf
        itself.
    feature : ndarray of int32
        Column number of the input that a node compares (0 at a leaf).
    number : ndarray
        Threshold of the node; at a leaf the prediction of the tree.
    roots : ndarray of int32, shape (n_trees,)
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    number: FloatArray
    roots: NDArray[np.int32]

    @classmethod
    def of(cls, trees: Sequence[Any]) -> Forest:
        """Copy fitted trees (the `tree_` of scikit-learn)."""
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
        """Return the mean prediction of the trees: shape (n,)."""
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

    @classmethod
    def skeleton(cls, n_nodes: int, n_trees: int) -> Forest:
        """Return a forest to be filled with stored arrays."""
        node = expected(n_nodes, dtype=np.int32)
        return cls(node, node, node, expected(n_nodes), expected(n_trees, dtype=np.int32))

    def check_walks(self, where: str, n_inputs: int) -> None:
        """Check that every walk from a root ends, and that every node compares an input that exists.

        Raises
        ------
        InputError
            When a node leads out of the forest or back, or compares an input that does not exist.
        """
        n_nodes = len(self.number)
        own, first = np.arange(n_nodes), np.zeros(1, dtype=np.int64)
        # Every step leads to a node with a higher number, so that every walk ends.
        for name, numbers, least, end in (
            ("left", self.left, own, n_nodes),
            ("right", self.right, own, n_nodes),
            ("roots", self.roots, first, n_nodes),
            ("feature", self.feature, first, n_inputs),
        ):
            if not ((numbers >= least) & (numbers < end)).all():
                raise InputError(
                    Problem(
                        f"{where}.{name}",
                        "holds numbers that lead nowhere",
                        f"0 to {end - 1}",
                        "The file is damaged.",
                    )
                )


@dataclass(frozen=True)
class RandomForest(PointRegressor):
    """One forest for each label; the validation part chooses the smallest number of stars in a leaf."""

    kind: ClassVar[str] = "random_forest"
    scaling: ClassVar[Scaling] = "robust"

    n_inputs: int
    labels: LabelScaler
    forests: tuple[Forest, ...] = field(metadata=stored_as("forest{}"))
    #: Smallest number of stars in a leaf, chosen for each label.
    min_leaf: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        config: RandomForestConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        context: FitContext,
    ) -> RandomForest:
        """Fit a forest for each label and leaf size, and keep the best one of each label."""
        inputs, targets = train
        n_inputs, scaler = inputs.values.shape[1], LabelScaler.fit(targets.y)
        t, t_validation = scaler.transform(targets.y), scaler.transform(validation[1].y)
        forests: list[Forest] = []
        chosen: list[int] = []
        for column, label in enumerate(targets.labels):
            rows = ~np.isnan(t[:, column])
            stars = inputs.values[rows], t[rows, column]
            held_out = validation[0].values, t_validation[:, column]
            with context.task(label, len(config.min_leaf), "forests") as task:
                best, least = _best_forest(config, stars, held_out, context.seed, task)
            forests.append(Forest.of([tree.tree_ for tree in best.estimators_]))
            chosen.append(least)
        return cls(n_inputs, scaler, tuple(forests), tuple(chosen))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        value = self.labels.restore(np.stack([forest.predict(inputs.values) for forest in self.forests], axis=1))
        return RawPrediction(value, value)

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {
            "n_inputs": self.n_inputs,
            "n_nodes": [len(forest.number) for forest in self.forests],
            "n_trees": [len(forest.roots) for forest in self.forests],
            "min_leaf": list(self.min_leaf),
        }

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> RandomForest:
        """Return forests to be filled with stored arrays; scikit-learn is not needed."""
        n_inputs, n_nodes, n_trees, min_leaf = (
            entry(document, key, "regressor") for key in ("n_inputs", "n_nodes", "n_trees", "min_leaf")
        )
        forests = tuple(Forest.skeleton(nodes, trees) for nodes, trees in zip(n_nodes, n_trees, strict=True))
        return cls(n_inputs, LabelScaler.skeleton(), forests, tuple(min_leaf))

    def check(self, where: str) -> None:
        """Check the nodes of every forest."""
        for number, forest in enumerate(self.forests):
            forest.check_walks(f"{where}.forest{number}", self.n_inputs)


def _best_forest(
    config: RandomForestConfig,
    stars: tuple[NDArray[np.float32], FloatArray],
    held_out: tuple[NDArray[np.float32], FloatArray],
    seed: int,
    task: Task,
) -> tuple[Any, int]:
    """Return the forest of scikit-learn with the smallest error on `held_out`, and its smallest number in a leaf.

    Only the best forest so far is kept, because a forest is large.
    """
    ensemble = library(RandomForest.kind, "sklearn.ensemble")
    smallest, best, chosen = np.inf, None, config.min_leaf[0]
    for min_leaf in config.min_leaf:
        forest = ensemble.RandomForestRegressor(
            config.trees,
            min_samples_leaf=min_leaf,
            max_features=config.max_features,
            n_jobs=-1,
            random_state=seed,
        ).fit(*stars)
        error = mean_square(held_out[1], forest.predict(held_out[0]))
        task.advance(1, note_of({"validation": error**0.5}))
        if best is None or error < smallest:
            smallest, best, chosen = error, forest, min_leaf
    return best, chosen


def _joined(*parts: list[NDArray[Any]]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    left, right, feature = (np.concatenate(part).astype(np.int32) for part in parts)
    return left, right, feature
