"""Support vector regression (Drucker et al. 1997): fitted by scikit-learn, evaluated as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from starscale.io.threads import cores
from starscale.learn.arrays import Arrays, entry, prefixed, take, under
from starscale.learn.baselines.common import library, mean_square
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import SvrConfig

#: Stars whose distances from all support vectors are held at a time.
CHUNK = 2048


@dataclass(frozen=True)
class Machine:
    """``sum_i dual_i exp(-gamma |z - s_i|^2) + intercept``: vectors of shape (n_vectors, n_inputs)."""

    vectors: NDArray[np.float32]
    dual: FloatArray
    intercept: float
    gamma: float
    penalty: float

    def predict(self, values: NDArray[np.float32]) -> FloatArray:
        """Standardised label: shape (n,)."""
        parts = [
            np.exp(-self.gamma * cdist(values[start : start + CHUNK], self.vectors, "sqeuclidean")) @ self.dual
            for start in range(0, max(len(values), 1), CHUNK)
        ]
        return np.asarray(np.concatenate(parts) + self.intercept)


@dataclass(frozen=True)
class Svr(PointRegressor):
    """One machine for each label."""

    kind: ClassVar[str] = "svr"
    scaling: ClassVar[Scaling] = "robust"

    n_inputs: int
    labels: LabelScaler
    machines: tuple[Machine, ...]

    @classmethod
    def fit(
        cls,
        config: SvrConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        fitting: FitContext,
    ) -> Svr:
        """Fit a machine for every pair of settings and keep the best on the validation part, label by label."""
        svm = library(cls.kind, "sklearn.svm")
        inputs, targets = train
        scaler = LabelScaler.fit(targets.y)
        t, held_out = scaler.transform(targets.y), scaler.transform(validation[1].y)
        rng, machines = np.random.default_rng(fitting.seed), []
        n_inputs = inputs.values.shape[1]
        for column, label in enumerate(targets.labels):
            rows = rng.permutation(np.flatnonzero(~np.isnan(t[:, column])))[: config.max_stars]
            values, own = inputs.values[rows], t[rows, column]

            def fit_one(
                choice: tuple[float, float], values: NDArray[np.float32] = values, own: FloatArray = own
            ) -> Machine:
                penalty, gamma = choice[0], choice[1] / n_inputs
                found = svm.SVR(C=penalty, gamma=gamma, epsilon=config.epsilon, cache_size=500).fit(values, own)
                dual, intercept = found.dual_coef_[0].astype(np.float64), float(found.intercept_[0])
                return Machine(values[found.support_], dual, intercept, gamma, penalty)

            with ThreadPoolExecutor(cores()) as pool:
                fitted = list(pool.map(fit_one, product(config.penalties, config.gammas)))
            errors = [mean_square(held_out[:, column], m.predict(validation[0].values)) for m in fitted]
            machines.append(fitted[int(np.argmin(errors))])
            fitting.progress(
                "labels", column + 1, len(targets.labels), {f"{label}, validation": min(errors) ** 0.5}
            )
        return cls(n_inputs, scaler, tuple(machines))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        value = self.labels.restore(np.stack([m.predict(inputs.values) for m in self.machines], axis=1))
        return RawPrediction(value, value)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        document = {
            "n_inputs": self.n_inputs,
            "machines": [
                {"n_vectors": len(m.vectors), "intercept": m.intercept, "gamma": m.gamma, "penalty": m.penalty}
                for m in self.machines
            ],
        }
        arrays = prefixed("labels", self.labels.state())
        for i, machine in enumerate(self.machines):
            arrays |= prefixed(f"machine{i}", {"vectors": machine.vectors, "dual": machine.dual})
        return document, arrays

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Svr:
        """Rebuild from :meth:`state`; scikit-learn is not needed."""
        n_inputs, stored = (entry(document, key, "regressor") for key in ("n_inputs", "machines"))
        machines = []
        for i, item in enumerate(stored):
            n_vectors, intercept, gamma, penalty = (
                entry(item, key, "regressor") for key in ("n_vectors", "intercept", "gamma", "penalty")
            )
            own = under(f"machine{i}", arrays)
            vectors = take(own, "regressor", "vectors", (n_vectors, n_inputs), np.float32)
            dual = take(own, "regressor", "dual", (n_vectors,))
            machines.append(Machine(vectors, dual, float(intercept), float(gamma), float(penalty)))
        return cls(n_inputs, LabelScaler.from_state(under("labels", arrays), len(machines)), tuple(machines))
