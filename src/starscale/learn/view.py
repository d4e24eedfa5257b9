"""The inputs of one network of the mixture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import expected
from starscale.learn.compilation import materialised
from starscale.learn.preparation import Inputs
from starscale.learn.scaling import SQUASH, whitening_matrix
from starscale.vocabulary.arrays import FloatArray


@dataclass(frozen=True)
class View:
    """The part of the prepared inputs that a network sees: values, a whitened copy of them, and flags of gaps.

    Views of different sets of inputs have the same shape, so that they share one compiled program: inputs that a
    set leaves out are 0.

    Parameters
    ----------
    used : ndarray of bool, shape (n_inputs,)
        The inputs that the network uses.
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
        """Fit the whitening to the training part."""
        if not whiten:
            return cls(used, used & flagged, None, None)
        n, at = len(used), np.flatnonzero(used)
        center, whitening = np.zeros(n), np.zeros((n, n))
        center[at], whitening[np.ix_(at, at)] = whitening_matrix(inputs.values[:, at].astype(np.float64))
        return cls(used, used & flagged, center, whitening)

    def values(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return values and whitened copy: shape (n, n_values)."""
        lens = Lens(self.used, self.flagged, self.center, self.whitening)
        return np.asarray(_values(lens, inputs.values, np), dtype=np.float32)

    def flags(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return 1 where a gap was filled, shape (n, n_inputs)."""
        return (inputs.missing & self.flagged).astype(np.float32)

    @cached_property
    def lens(self) -> Lens:
        """The view in single precision on the device, an argument of compiled functions."""
        center, whitening = (
            None if array is None else array.astype(np.float32) for array in (self.center, self.whitening)
        )
        lens: Lens = jax.device_put(Lens(self.used, self.flagged, center, whitening))
        return lens

    @classmethod
    def skeleton(cls, *, whiten: bool) -> View:
        """Return a view to be filled with stored arrays."""
        mask = expected("inputs", dtype=np.bool_)
        if not whiten:
            return cls(mask, mask, None, None)
        return cls(mask, mask, expected("inputs"), expected("inputs", "inputs"))


class Lens(NamedTuple):
    """The arrays of a :class:`View`, of numpy or on the device."""

    used: Any
    flagged: Any
    center: Any
    whitening: Any

    def seen(self, values: jax.Array, missing: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return values and flags as a network sees them, within a compiled function.

        Parameters
        ----------
        values, missing : array, shape (n, n_inputs)
            Prepared inputs (:class:`.preparation.Inputs`).
        """
        return _values(self, values, jnp), (missing & self.flagged).astype(jnp.float32)


def _values(lens: Lens, values: Any, module: Any) -> Any:
    """Return values and their whitened copy; `module` is numpy or jax.numpy."""
    plain = module.where(lens.used, values, np.float32(0))
    if lens.whitening is None:
        return plain
    white = (plain - lens.center) @ lens.whitening
    # A star with one wrong band is far out here. w / sqrt(1 + (w / squash)^2) bounds it, as it bounds the inputs.
    root = module.sqrt(1 + (white / SQUASH) ** 2)
    # The compiler makes one reciprocal root of division and root, unless a derivative reads the root as well.
    white = white / (root if module is np else materialised(root))
    return module.concatenate([plain, white], axis=1)
