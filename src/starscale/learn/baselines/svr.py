"""Support vector regression (Drucker et al. 1997): fitted by scikit-learn, stored as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from starscale.io.threads import cores, in_threads
from starscale.learn.arrays import entry, expected, stored_as
from starscale.learn.baselines.common import mean_square
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold, note_of
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.libraries import library
from starscale.vocabulary.settings.models import SvrConfig

#: Number of stars whose distances from all support vectors are in memory at a time.
CHUNK = 2048


@dataclass(frozen=True)
class SupportVectors:
    """One fitted label: ``f(z) = sum_i dual_i exp(-gamma |z - s_i|^2) + intercept``.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n_vectors, n_inputs)
        The support vectors s_i.
    dual : ndarray, shape (n_vectors,)
    intercept, gamma : float
    penalty : float
        The parameter C of the fit.
    """

    vectors: NDArray[np.float32]
    dual: FloatArray
    intercept: float
    gamma: float
    penalty: float

    def predict(self, values: NDArray[np.float32]) -> FloatArray:
        """Return the standardised label: shape (n,)."""
        parts = [
            np.exp(-self.gamma * cdist(values[start : start + CHUNK], self.vectors, "sqeuclidean")) @ self.dual
            for start in range(0, max(len(values), 1), CHUNK)
        ]
        return np.asarray(np.concatenate(parts) + self.intercept)


@dataclass(frozen=True)
class Svr(PointRegressor):
    """Support vectors for each label; the validation part chooses penalty and width of the kernel."""

    kind: ClassVar[str] = "svr"
    scaling: ClassVar[Scaling] = "robust"

    n_inputs: int
    labels: LabelScaler
    machines: tuple[SupportVectors, ...] = field(metadata=stored_as("machine{}"))

    @classmethod
    def fit(
        cls,
        config: SvrConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        context: FitContext,
    ) -> Svr:
        """Fit every pair of settings for each label, and keep the best one of each label."""
        inputs, targets = train
        scaler = LabelScaler.fit(targets.y)
        t, held_out = scaler.transform(targets.y), scaler.transform(validation[1].y)
        rng, machines = np.random.default_rng(context.seed), []
        with context.task("labels", len(targets.labels), "labels") as task:
            for column, label in enumerate(targets.labels):
                rows = rng.permutation(np.flatnonzero(~np.isnan(t[:, column])))[: config.max_stars]
                fitted = _fitted(config, inputs.values[rows], t[rows, column])
                errors = [mean_square(held_out[:, column], m.predict(validation[0].values)) for m in fitted]
                machines.append(fitted[int(np.argmin(errors))])
                task.advance(1, note_of({f"{label}, validation": min(errors) ** 0.5}))
        return cls(inputs.values.shape[1], scaler, tuple(machines))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        value = self.labels.restore(np.stack([m.predict(inputs.values) for m in self.machines], axis=1))
        return RawPrediction(value, value)

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {
            "n_inputs": self.n_inputs,
            "machines": [
                {"n_vectors": len(m.vectors), "intercept": m.intercept, "gamma": m.gamma, "penalty": m.penalty}
                for m in self.machines
            ],
        }

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Svr:
        """Return a model to be filled with stored arrays; scikit-learn is not needed."""
        n_inputs, stored = (entry(document, key, "regressor") for key in ("n_inputs", "machines"))
        machines = []
        for item in stored:
            n_vectors, *constants = (
                entry(item, key, "regressor") for key in ("n_vectors", "intercept", "gamma", "penalty")
            )
            vectors = expected(n_vectors, n_inputs, dtype=np.float32)
            machines.append(SupportVectors(vectors, expected(n_vectors), *map(float, constants)))
        return cls(n_inputs, LabelScaler.skeleton(), tuple(machines))


def _fitted(config: SvrConfig, values: NDArray[np.float32], t: FloatArray) -> list[SupportVectors]:
    """Fit one standardised label, shape (n,), with every pair of penalty and kernel width, in threads."""
    svm = library(Svr.kind, "sklearn.svm")

    def fit_one(choice: tuple[float, float]) -> SupportVectors:
        penalty, gamma = choice[0], choice[1] / values.shape[1]
        found = svm.SVR(C=penalty, gamma=gamma, epsilon=config.epsilon, cache_size=500).fit(values, t)
        dual, intercept = found.dual_coef_[0].astype(np.float64), float(found.intercept_[0])
        return SupportVectors(values[found.support_], dual, intercept, gamma, penalty)

    return in_threads(fit_one, list(product(config.penalties, config.gammas)), cores())
