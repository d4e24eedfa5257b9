"""From a star's inputs to what a regressor sees: usable columns, scaled, gaps filled and marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import entry, expected
from starscale.learn.imputation import GaussianImputer
from starscale.learn.sample import usable_features
from starscale.learn.scaling import FeatureScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem

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
        kept = self.used(x)
        filled = self.imputer.fill(self.scaler.transform(kept))
        return Inputs(filled.astype(np.float32), np.isnan(kept))

    def apply_both(self, x: FloatArray, moved: FloatArray) -> tuple[Inputs, Inputs]:
        """Prepare stars, and the same stars with some other inputs: what is the same for both is done once."""
        kept, other = self.used(x), self.used(moved)
        missing = np.isnan(kept)
        if not np.array_equal(missing, np.isnan(other)):
            return self.apply(x), self.apply(moved)
        z, change = self.scaler.transform(kept), np.zeros(kept.shape)
        changed = np.flatnonzero(((kept != other) & ~missing).any(axis=0))
        change[:, changed] = self.scaler.columns(changed).transform(other[:, changed]) - z[:, changed]
        filled = self.imputer.fill(z, change)
        change += filled
        return Inputs(filled.astype(np.float32), missing), Inputs(change.astype(np.float32), missing)

    def used(self, x: FloatArray) -> FloatArray:
        """Return the usable features, shape (n, n_usable); a copy only where there are others."""
        return x if self.usable.all() else x[:, self.usable]

    def warnings(self, x: FloatArray, names: Sequence[str]) -> list[str]:
        """Say which features are not used, and why."""
        return [
            f"{names[i]}: {'missing in every' if np.isnan(x[:, i]).all() else 'the same in every'} "
            "training star; the model does not use it"
            for i in np.flatnonzero(~self.usable).tolist()
        ]

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {"n_features": len(self.usable), "scaler": {"squash": self.scaler.squash}}

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> InputPreparation:
        """Return a preparation to be filled with stored arrays."""
        n_features = int(entry(document, "n_features", "preparation"))
        scaler = FeatureScaler.skeleton(entry(document, "scaler", "preparation"))
        return cls(expected(n_features, dtype=np.bool_), scaler, GaussianImputer.skeleton())

    def check(self, where: str) -> None:
        """Check that there is a scale for every usable feature."""
        usable, scaled = int(self.usable.sum()), len(self.scaler.center)
        if usable != scaled:
            raise InputError(
                Problem(f"{where}.usable", f"marks {usable} features", f"{scaled}, as the scaler has")
            )
