"""The simplest reference: the mean of the training labels for every star."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from starscale.learn.arrays import entry, expected
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import MeanConfig


@dataclass(frozen=True)
class Mean(PointRegressor):
    """Mean of every label, shape (n_labels,). The validation part is not used."""

    kind: ClassVar[str] = "mean"
    scaling: ClassVar[Scaling] = "standard"

    mean: FloatArray

    @classmethod
    def fit(
        cls,
        config: MeanConfig,  # noqa: ARG003
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],  # noqa: ARG003
        context: FitContext,  # noqa: ARG003
    ) -> Mean:
        """Compute the means of the training part."""
        return cls(np.nanmean(train[1].y, axis=0))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the means."""
        value = np.tile(self.mean, (len(inputs), 1))
        return RawPrediction(value, value)

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {"n_labels": len(self.mean)}

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Mean:
        """Return a model to be filled with stored arrays."""
        return cls(expected(int(entry(document, "n_labels", "regressor"))))
