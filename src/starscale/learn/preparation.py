"""From a star's inputs to what a regressor sees: usable columns, scaled, gaps filled and marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays, entry, prefixed, take, under
from starscale.learn.imputation import GaussianImputer
from starscale.learn.sample import usable_features
from starscale.learn.scaling import FeatureScaler
from starscale.vocabulary.arrays import FloatArray

Scaling = Literal["standard", "robust"]


@dataclass(frozen=True)
class Inputs:
    """What a regressor sees.

    Parameters
    ----------
    values : ndarray of float32, shape (n, n_usable)
        Scaled inputs, gaps filled.
    missing : ndarray of bool, shape (n, n_usable)
        Where a gap was filled.
    """

    values: NDArray[np.float32]
    missing: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def rows(self, rows: NDArray[np.intp]) -> Inputs:
        """Return some of the stars."""
        return Inputs(self.values[rows], self.missing[rows])


@dataclass(frozen=True)
class InputPreparation:
    """Which columns are used, how they are scaled, and how gaps are filled."""

    usable: NDArray[np.bool_]
    scaler: FeatureScaler
    imputer: GaussianImputer

    @classmethod
    def fit(cls, x: FloatArray, scaling: Scaling, seed: int) -> InputPreparation:
        """Learn from the training part, shape (n, n_features); NaN: missing."""
        usable = usable_features(x)
        kept = x[:, usable]
        scaler = FeatureScaler.robust(kept) if scaling == "robust" else FeatureScaler.standard(kept)
        return cls(usable, scaler, GaussianImputer.fit(scaler.transform(kept), seed))

    def apply(self, x: FloatArray) -> Inputs:
        """Prepare stars, shape (n, n_features)."""
        kept = x[:, self.usable]
        filled = self.imputer.transform(self.scaler.transform(kept))
        return Inputs(filled.astype(np.float32), np.isnan(kept))

    def warnings(self, x: FloatArray, names: Sequence[str]) -> list[str]:
        """Say which features are not used, and why."""
        return [
            f"{names[i]}: {'missing in every' if np.isnan(x[:, i]).all() else 'the same in every'} "
            "training star; the model does not use it"
            for i in np.flatnonzero(~self.usable).tolist()
        ]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        scaler, arrays = self.scaler.state()
        return {"n_features": len(self.usable), "scaler": scaler}, {
            "usable": self.usable,
            **prefixed("scaler", arrays),
            **prefixed("imputer", self.imputer.state()),
        }

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> InputPreparation:
        """Rebuild from :meth:`state`."""
        n_features = int(entry(document, "n_features", "preparation"))
        usable = take(arrays, "preparation", "usable", (n_features,), np.bool_)
        n_usable = int(usable.sum())
        return cls(
            usable,
            FeatureScaler.from_state(entry(document, "scaler", "preparation"), under("scaler", arrays), n_usable),
            GaussianImputer.from_state(under("imputer", arrays), n_usable),
        )
