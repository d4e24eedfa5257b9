"""What one network of the mixture sees of prepared inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays, take
from starscale.learn.preparation import Inputs
from starscale.learn.scaling import SQUASH, whitening_matrix
from starscale.vocabulary.arrays import FloatArray


@dataclass(frozen=True)
class View:
    """What a network sees of prepared inputs: the values, a whitened copy, and flags of gaps.

    Views of different sets of inputs have the same shape, so that one compiled program serves them all: what
    a set leaves out is 0.

    Parameters
    ----------
    used : ndarray of bool, shape (n_inputs,)
        The inputs that are looked at.
    flagged : ndarray of bool, shape (n_inputs,)
        Those among them that had gaps in training. A flag that never varied would be a random input.
    center, whitening : ndarray, shapes (n_inputs,), (n_inputs, n_inputs)
        Of the whitened copy, 0 where not used; None without it.
    """

    used: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    center: FloatArray | None
    whitening: FloatArray | None

    @classmethod
    def fit(cls, inputs: Inputs, used: NDArray[np.bool_], flagged: NDArray[np.bool_], *, whiten: bool) -> View:
        """Learn from the training part."""
        if not whiten:
            return cls(used, used & flagged, None, None)
        n, at = len(used), np.flatnonzero(used)
        center, whitening = np.zeros(n), np.zeros((n, n))
        center[at], whitening[np.ix_(at, at)] = whitening_matrix(inputs.values[:, at].astype(np.float64))
        return cls(used, used & flagged, center, whitening)

    def values(self, inputs: Inputs) -> NDArray[np.float32]:
        """Values and whitened copy: shape (n, n_values)."""
        plain = np.where(self.used, inputs.values, np.float32(0))
        if self.whitening is None or self.center is None:
            return plain
        white = (plain - self.center) @ self.whitening
        # A star with one band wrong is far out here; squashed as the inputs are, it stays in reach.
        white = white / np.sqrt(1 + (white / SQUASH) ** 2)
        return np.concatenate([plain, white.astype(np.float32)], axis=1)

    def flags(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return 1 where a gap was filled, shape (n, n_inputs)."""
        return (inputs.missing & self.flagged).astype(np.float32)

    def state(self) -> Arrays:
        """Return what :meth:`from_state` needs."""
        arrays: Arrays = {"used": self.used, "flagged": self.flagged}
        if self.whitening is not None and self.center is not None:
            arrays |= {"center": self.center, "whitening": self.whitening}
        return arrays

    @classmethod
    def from_state(cls, arrays: Arrays, n_inputs: int, whiten: bool) -> View:
        """Rebuild from :meth:`state`."""
        return cls(
            take(arrays, "view", "used", (n_inputs,), np.bool_),
            take(arrays, "view", "flagged", (n_inputs,), np.bool_),
            take(arrays, "view", "center", (n_inputs,)) if whiten else None,
            take(arrays, "view", "whitening", (n_inputs, n_inputs)) if whiten else None,
        )
