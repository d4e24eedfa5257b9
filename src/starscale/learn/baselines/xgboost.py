"""Gradient-boosted trees (Chen & Guestrin 2016), as SHBoost and Andrae et al. (2023) use them, with intervals.

Two fits for each label: squared error gives the mean; the pinball loss gives seven quantiles at once, of which the
middle one is the value and the others the intervals, calibrated afterwards as those of every learner are
(conformalised quantile regression; Romano, Patterson & Candes 2019). The number of rounds is fixed, so the
validation part stays untouched for that. A missing input stays missing: the trees have a way for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from starscale.io.threads import cores
from starscale.learn.arrays import Arrays, entry, prefixed, take, under
from starscale.learn.baselines.common import library
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.models import XgboostConfig

#: Fitted quantiles, in standard deviations of a Gaussian: the ends of the intervals of LEVELS, and three between.
NODES: FloatArray = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
MEDIAN = 3
LOWER, UPPER = (1, 0), (5, 6)


@dataclass(frozen=True)
class Xgboost(PointRegressor):
    """Two boosters for each label."""

    kind: ClassVar[str] = "xgboost"
    scaling: ClassVar[Scaling] = "standard"

    n_inputs: int
    labels: LabelScaler
    mean_trees: tuple[Any, ...]
    quantile_trees: tuple[Any, ...]

    @classmethod
    def fit(
        cls,
        config: XgboostConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],  # noqa: ARG003
        fitting: FitContext,
    ) -> Xgboost:
        """Boost a fixed number of rounds; the validation part is not looked at."""
        xgboost = library(cls.kind, "xgboost")
        inputs, targets = train
        scaler = LabelScaler.fit(targets.y)
        t, seen = scaler.transform(targets.y), with_gaps(inputs)
        # Whole fits side by side, as many as there are cores: the threads of one fit wait for one another in a
        # loop, which on a busy machine has cost ten times the work itself.
        n_fits = 2 * len(targets.labels)
        threads = max(cores() // n_fits, 1)
        shared = {
            "tree_method": "hist",
            "nthread": threads,
            "max_depth": config.max_depth,
            "min_child_weight": config.min_child_weight,
            "subsample": config.subsample,
            "colsample_bytree": config.colsample,
            "reg_lambda": config.reg_lambda,
            "seed": fitting.seed,
        }
        mean = shared | {"objective": "reg:squarederror", "learning_rate": config.learning_rate}
        quantile = shared | {
            "objective": "reg:quantileerror",
            "quantile_alpha": ndtr(NODES).tolist(),
            "learning_rate": config.quantile_learning_rate,
        }

        def boost(settings: dict[str, Any], column: int, rounds: int) -> Any:
            rows = ~np.isnan(t[:, column])
            data = xgboost.QuantileDMatrix(seen[rows], t[rows, column], nthread=threads)
            return xgboost.train(settings, data, rounds)

        with ThreadPoolExecutor(cores()) as pool:
            # The longer ones first.
            fits = [
                [pool.submit(boost, settings, column, rounds) for column in range(len(targets.labels))]
                for settings, rounds in ((quantile, config.quantile_rounds), (mean, config.rounds))
            ]
            for number, fit in enumerate(chain(*fits), 1):
                fit.result()
                fitting.progress("boosting", number, n_fits, {})
        quantiles, means = (tuple(fit.result() for fit in kind) for kind in fits)
        return cls(inputs.values.shape[1], scaler, means, quantiles)

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:
        """Predict median (the value), mean, intervals, and the probability below the threshold."""
        seen = with_gaps(inputs)
        mean = np.stack([booster.inplace_predict(seen) for booster in self.mean_trees], axis=1)
        nodes = self._nodes(seen)
        restored = self.labels.restore(np.moveaxis(nodes, 2, 0))
        below = None
        if threshold is not None:
            column = threshold.label
            cut = (threshold.value - self.labels.mean[column]) / self.labels.width[column]
            below = share_below(nodes[:, column], cut)
        lower, upper = (np.stack([restored[i] for i in side], axis=-1) for side in (LOWER, UPPER))
        return RawPrediction(restored[MEDIAN], self.labels.restore(mean), lower, upper, below)

    def _nodes(self, seen: NDArray[np.float32]) -> FloatArray:
        """Standardised quantiles at NODES: shape (n, n_labels, n_nodes)."""
        found = np.stack([booster.inplace_predict(seen) for booster in self.quantile_trees], axis=1)
        # Fitted one by one they may cross; in order they are never worse (Chernozhukov et al. 2010).
        return np.sort(found.astype(np.float64), axis=2)

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray:
        """Quantiles between and beyond the fitted ones: shape (n, n_labels, n_probabilities)."""
        between = interpolated(self._nodes(with_gaps(inputs)), ndtri(np.asarray(probabilities)))
        return np.moveaxis(self.labels.restore(np.moveaxis(between, 2, 0)), 0, 2)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs: XGBoost's own UBJSON as bytes."""
        arrays = prefixed("labels", self.labels.state())
        sizes = []
        for i, boosters in enumerate(zip(self.mean_trees, self.quantile_trees, strict=True)):
            stored = [np.frombuffer(booster.save_raw("ubj"), dtype=np.uint8) for booster in boosters]
            arrays |= {f"mean{i}": stored[0], f"quantiles{i}": stored[1]}
            sizes.append([part.size for part in stored])
        return {"n_inputs": self.n_inputs, "bytes": sizes}, arrays

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Xgboost:
        """Rebuild from :meth:`state`.

        Raises
        ------
        InputError
            When XGBoost is not installed, or does not know the bytes for a model.
        """
        xgboost = library(cls.kind, "xgboost")
        n_inputs, sizes = (entry(document, key, "regressor") for key in ("n_inputs", "bytes"))
        boosters: dict[str, list[Any]] = {"mean": [], "quantiles": []}
        for i, pair in enumerate(sizes):
            for (name, found), size in zip(boosters.items(), pair, strict=True):
                stored = take(arrays, "regressor", f"{name}{i}", (size,), np.uint8)
                booster = xgboost.Booster()
                try:
                    booster.load_model(bytearray(stored.tobytes()))
                except xgboost.core.XGBoostError as error:
                    reason = str(error).splitlines()[0]
                    raise InputError(
                        Problem(f"regressor: {name}{i}", f"is no model that this XGBoost reads ({reason})")
                    ) from None
                if booster.num_features() != n_inputs:
                    raise InputError(
                        Problem(f"regressor: {name}{i}", f"takes {booster.num_features()} inputs", str(n_inputs))
                    )
                found.append(booster)
        labels = LabelScaler.from_state(under("labels", arrays), len(sizes))
        return cls(n_inputs, labels, tuple(boosters["mean"]), tuple(boosters["quantiles"]))


def with_gaps(inputs: Inputs) -> NDArray[np.float32]:
    """Inputs in which what was missing is missing."""
    return np.where(inputs.missing, np.float32(np.nan), inputs.values)


def interpolated(nodes: FloatArray, z: FloatArray) -> FloatArray:
    """Quantiles at `z` (standard deviations of a Gaussian), from those at NODES.

    Straight lines between the nodes, and beyond them on with the slope of the last ones: exact for a Gaussian,
    whose quantiles are a straight line in `z`.

    Parameters
    ----------
    nodes : ndarray, shape (..., n_nodes)
    z : ndarray, shape (n_probabilities,)

    Returns
    -------
    ndarray, shape (..., n_probabilities)
    """
    right = np.clip(np.searchsorted(NODES, z), 1, len(NODES) - 1)
    share = (z - NODES[right - 1]) / (NODES[right] - NODES[right - 1])
    return np.asarray(nodes[..., right - 1] * (1 - share) + nodes[..., right] * share)


def share_below(nodes: FloatArray, cut: float) -> FloatArray:
    """Probability below `cut` of the distributions with these quantiles, shape (n, n_nodes): shape (n,)."""
    right = np.clip((nodes < cut).sum(axis=1), 1, len(NODES) - 1)
    low, high = (np.take_along_axis(nodes, (right + side)[:, None], axis=1)[:, 0] for side in (-1, 0))
    width = np.maximum(high - low, np.finfo(np.float64).eps)
    z = NODES[right - 1] + (cut - low) / width * (NODES[right] - NODES[right - 1])
    return np.asarray(ndtr(z))
