"""What the mixture's networks see of prepared inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays, take
from starscale.learn.preparation import Inputs
from starscale.learn.sample import FloatArray
from starscale.learn.scaling import SQUASH, whitening_matrix


@dataclass(frozen=True)
class View:
    """What the networks see of prepared inputs: the values, a whitened copy, and flags of gaps.

    Only features that had gaps in training get a flag; a flag that never varied would be a random input.
    """

    flagged: NDArray[np.bool_]
    center: FloatArray | None
    whitening: FloatArray | None

    @classmethod
    def fit(cls, inputs: Inputs, whiten: bool) -> View:
        """Learn from the training part."""
        center, matrix = whitening_matrix(inputs.values.astype(np.float64)) if whiten else (None, None)
        return cls(np.asarray(inputs.missing.any(axis=0)), center, matrix)

    def values(self, inputs: Inputs) -> NDArray[np.float32]:
        """Values and whitened copy: shape (n, n_values)."""
        if self.whitening is None or self.center is None:
            return inputs.values
        white = (inputs.values - self.center) @ self.whitening
        # A star with one band wrong is far out here; squashed as the inputs are, it stays in reach.
        white = white / np.sqrt(1 + (white / SQUASH) ** 2)
        return np.concatenate([inputs.values, white.astype(np.float32)], axis=1)

    def flags(self, inputs: Inputs) -> NDArray[np.float32]:
        """One column of 0 and 1 for each flagged feature."""
        return inputs.missing[:, self.flagged].astype(np.float32)

    def state(self) -> Arrays:
        """Return what :meth:`from_state` needs."""
        arrays: Arrays = {"flagged": self.flagged}
        if self.whitening is not None and self.center is not None:
            arrays |= {"center": self.center, "whitening": self.whitening}
        return arrays

    @classmethod
    def from_state(cls, arrays: Arrays, n_inputs: int, whiten: bool) -> View:
        """Rebuild from :meth:`state`."""
        return cls(
            take(arrays, "view", "flagged", (n_inputs,), np.bool_),
            take(arrays, "view", "center", (n_inputs,)) if whiten else None,
            take(arrays, "view", "whitening", (n_inputs, n_inputs)) if whiten else None,
        )
