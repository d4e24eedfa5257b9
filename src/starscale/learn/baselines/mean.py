"""The floor: every star is the average star."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from starscale.learn.arrays import Arrays, entry, take
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import MeanConfig


@dataclass(frozen=True)
class Mean(PointRegressor):
    """Mean of every label, shape (n_labels,)."""

    kind: ClassVar[str] = "mean"
    scaling: ClassVar[Scaling] = "standard"

    mean: FloatArray

    @classmethod
    def fit(
        cls,
        config: MeanConfig,  # noqa: ARG003
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],  # noqa: ARG003
        fitting: FitContext,
    ) -> Mean:
        """Take the means of the training part."""
        fitting.progress("means", 1, 1, {})
        return cls(np.nanmean(train[1].y, axis=0))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the means."""
        value = np.tile(self.mean, (len(inputs), 1))
        return RawPrediction(value, value)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        return {"n_labels": len(self.mean)}, {"mean": self.mean}

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Mean:
        """Rebuild from :meth:`state`."""
        return cls(take(arrays, "regressor", "mean", (int(entry(document, "n_labels", "regressor")),)))
