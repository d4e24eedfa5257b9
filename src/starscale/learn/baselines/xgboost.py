"""Gradient-boosted trees (Chen & Guestrin 2016), as SHBoost and Andrae et al. (2023) use them, with intervals.

Two fits for each label: squared error gives the mean; the pinball loss gives seven quantiles at once, of which the
middle one is the value and the others give the intervals, which are calibrated afterwards like those of every
learner (conformalised quantile regression; Romano, Patterson & Candes 2019). The number of rounds is fixed, so the
validation part remains unused for the calibration. Missing inputs are not filled: the trees handle them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from starscale.io.threads import cores
from starscale.learn.arrays import entry, expected, stored_as
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.libraries import library
from starscale.vocabulary.settings.models import XgboostConfig

#: Fitted quantiles, in standard deviations of a Gaussian: the ends of the intervals of LEVELS, and three between.
NODES: FloatArray = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
MEDIAN = 3
LOWER, UPPER = (1, 0), (5, 6)


@dataclass(frozen=True)
class Xgboost(PointRegressor):
    """Two boosters for each label, as XGBoost's own UBJSON. The validation part is not used.

    Parameters
    ----------
    n_inputs : int
    labels : LabelScaler
    mean, quantile : tuple of ndarray of uint8
        The stored boosters of every label.
    """

    kind: ClassVar[str] = "xgboost"
    scaling: ClassVar[Scaling] = "standard"

    n_inputs: int
    labels: LabelScaler
    mean: tuple[NDArray[np.uint8], ...] = field(metadata=stored_as("mean{}"))
    quantile: tuple[NDArray[np.uint8], ...] = field(metadata=stored_as("quantiles{}"))

    @classmethod
    def fit(
        cls,
        config: XgboostConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],  # noqa: ARG003
        context: FitContext,
    ) -> Xgboost:
        """Boost a fixed number of rounds."""
        xgboost = library(cls.kind, "xgboost")
        inputs, targets = train
        scaler = LabelScaler.fit(targets.y)
        t, values, n_labels = scaler.transform(targets.y), with_gaps(inputs), len(targets.labels)
        # Several fits in parallel, as many as there are cores: the threads of one fit wait for each other in a
        # busy loop, which took up to ten times as long as the computation on a busy machine.
        n_fits = 2 * n_labels
        threads = max(cores() // n_fits, 1)

        def boost(settings: dict[str, Any], column: int, rounds: int) -> NDArray[np.uint8]:
            rows = ~np.isnan(t[:, column])
            data = xgboost.QuantileDMatrix(values[rows], t[rows, column], nthread=threads)
            booster = xgboost.train(settings, data, rounds)
            return np.frombuffer(booster.save_raw("ubj"), dtype=np.uint8)

        with ThreadPoolExecutor(cores()) as pool, context.task("boosting", n_fits, "fits") as task:
            # The longer fits first.
            fits = [
                [pool.submit(boost, settings, column, rounds) for column in range(n_labels)]
                for settings, rounds in booster_settings(config, context.seed, threads)
            ]
            for fit in chain(*fits):
                fit.result()
                task.advance(1)
        quantile, mean = (tuple(fit.result() for fit in of_kind) for of_kind in fits)
        return cls(inputs.values.shape[1], scaler, mean, quantile)

    @cached_property
    def _boosters(self) -> tuple[list[Any], list[Any]]:
        """The boosters of the means and of the quantiles."""
        return _loaded(self.mean), _loaded(self.quantile)

    def means(self, inputs: Inputs) -> FloatArray:
        """Return the mean of every label, shape (n, n_labels), without the trees of the quantiles."""
        return self.labels.restore(self._means(with_gaps(inputs)))

    def _means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.stack([booster.inplace_predict(values) for booster in self._boosters[0]], axis=1)

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:
        """Predict median (the value), mean, intervals, and the probability below the threshold."""
        values = with_gaps(inputs)
        mean = self._means(values)
        nodes = self._nodes(values)
        restored = self.labels.restore(np.moveaxis(nodes, 2, 0))
        p_below = None
        if threshold is not None:
            column = threshold.label
            cut = (threshold.value - self.labels.mean[column]) / self.labels.width[column]
            p_below = share_below(nodes[:, column], cut)
        lower, upper = (np.stack([restored[i] for i in side], axis=-1) for side in (LOWER, UPPER))
        return RawPrediction(restored[MEDIAN], self.labels.restore(mean), lower, upper, p_below)

    def _nodes(self, values: NDArray[np.float32]) -> FloatArray:
        """Standardised quantiles at NODES: shape (n, n_labels, n_nodes)."""
        found = np.stack([booster.inplace_predict(values) for booster in self._boosters[1]], axis=1)
        # Separately fitted quantiles may cross; sorting them never makes them worse (Chernozhukov et al. 2010).
        return np.sort(found.astype(np.float64), axis=2)

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray:
        """Quantiles between and beyond the fitted ones: shape (n, n_labels, n_probabilities)."""
        between = interpolated(self._nodes(with_gaps(inputs)), ndtri(np.asarray(probabilities)))
        return np.moveaxis(self.labels.restore(np.moveaxis(between, 2, 0)), 0, 2)

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        sizes = [[mean.size, quantile.size] for mean, quantile in zip(self.mean, self.quantile, strict=True)]
        return {"n_inputs": self.n_inputs, "bytes": sizes}

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Xgboost:
        """Return a model to be filled with stored arrays.

        Raises
        ------
        InputError
            When XGBoost is not installed.
        """
        library(cls.kind, "xgboost")
        n_inputs, sizes = (entry(document, key, "regressor") for key in ("n_inputs", "bytes"))
        mean, quantile = (tuple(expected(pair[i], dtype=np.uint8) for pair in sizes) for i in (0, 1))
        return cls(n_inputs, LabelScaler.skeleton(), mean, quantile)

    def check(self, where: str) -> None:
        """Check that XGBoost reads every booster, and that it takes the right number of inputs.

        Raises
        ------
        InputError
            When it does not.
        """
        xgboost = library(self.kind, "xgboost")
        for name, stored in (("mean", self.mean), ("quantiles", self.quantile)):
            for i, data in enumerate(stored):
                try:
                    (booster,) = _loaded((data,))
                except xgboost.core.XGBoostError as error:
                    found = f"is not a model that this version of XGBoost reads ({str(error).splitlines()[0]})"
                    raise InputError(Problem(f"{where}.{name}{i}", found)) from None
                if booster.num_features() != self.n_inputs:
                    found = f"takes {booster.num_features()} inputs"
                    raise InputError(Problem(f"{where}.{name}{i}", found, str(self.n_inputs)))


def booster_settings(config: XgboostConfig, seed: int, threads: int) -> tuple[tuple[dict[str, Any], int], ...]:
    """Return settings of XGBoost and number of rounds, of the quantiles and of the means."""
    shared = {
        "tree_method": "hist",
        "nthread": threads,
        "max_depth": config.max_depth,
        "min_child_weight": config.min_child_weight,
        "subsample": config.subsample,
        "colsample_bytree": config.colsample,
        "reg_lambda": config.reg_lambda,
        "seed": seed,
    }
    mean = shared | {"objective": "reg:squarederror", "learning_rate": config.learning_rate}
    quantile = shared | {
        "objective": "reg:quantileerror",
        "quantile_alpha": ndtr(NODES).tolist(),
        "learning_rate": config.quantile_learning_rate,
    }
    return (quantile, config.quantile_rounds), (mean, config.rounds)


def _loaded(stored: Sequence[NDArray[np.uint8]]) -> list[Any]:
    """Return the boosters of stored bytes."""
    boosters = [library(Xgboost.kind, "xgboost").Booster() for _ in stored]
    for booster, data in zip(boosters, stored, strict=True):
        booster.load_model(bytearray(data.tobytes()))
    return boosters


def with_gaps(inputs: Inputs) -> NDArray[np.float32]:
    """Return the values with NaN where a gap was filled, shape (n, n_inputs)."""
    return np.where(inputs.missing, np.float32(np.nan), inputs.values)


def interpolated(nodes: FloatArray, z: FloatArray) -> FloatArray:
    """Return quantiles at `z` (standard deviations of a Gaussian), interpolated between those at NODES.

    Linear between the nodes, and extrapolated with the slope of the outermost interval: exact for a Gaussian,
    whose quantiles are linear in `z`.

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
    """Return the probability below `cut` of distributions with quantiles `nodes`, shape (n, n_nodes): shape (n,).

    With q_k < cut <= q_k+1 the quantiles at z_k and z_k+1, it is ``Phi(z_k + (cut - q_k) (z_k+1 - z_k) / (q_k+1 -
    q_k))``.
    """
    right = np.clip((nodes < cut).sum(axis=1), 1, len(NODES) - 1)
    low, high = (np.take_along_axis(nodes, (right + side)[:, None], axis=1)[:, 0] for side in (-1, 0))
    width = np.maximum(high - low, np.finfo(np.float64).eps)
    z = NODES[right - 1] + (cut - low) / width * (NODES[right] - NODES[right - 1])
    return np.asarray(ndtr(z))
