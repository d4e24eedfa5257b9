"""How far a star's inputs lie from those of the training stars.

Two distances, each divided by the 99th percentile of held-out stars: the Mahalanobis distance of the scaled and
filled inputs, which detects combinations that no training star has; and the largest deviation of a single input,
which detects one outlier among many good values (the scaling bounds it, so the first may not). The score is the
larger one, scaled again so that 1 is the 99th percentile of held-out stars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from starscale.learn.arrays import expected
from starscale.learn.preparation import Inputs
from starscale.learn.scaling import whitening_matrix
from starscale.vocabulary.arrays import FloatArray

#: Fraction of held-out stars inside the domain.
INSIDE = 0.99
#: A feature's reach is this quantile of the training stars' deviations from its median.
REACH = 0.999


@dataclass(frozen=True)
class Domain:
    """Region of inputs that the training stars cover.

    Parameters
    ----------
    center, whitening : ndarray, shapes (n_usable,), (n_usable, n_usable)
        For the Mahalanobis distance in scaled inputs.
    median, reach : ndarray, shape (n_usable,)
        Median and usual extent of each input, in its own unit.
    scale : ndarray, shape (2,)
        Divisors of the two distances.
    """

    center: FloatArray
    whitening: FloatArray
    median: FloatArray
    reach: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, x: FloatArray, inputs: Inputs, held_out: FloatArray, held_out_inputs: Inputs) -> Domain:
        """Learn the region from training stars and its edge from held-out ones.

        Parameters
        ----------
        x, held_out : ndarray, shape (n, n_usable)
            Unscaled usable inputs; NaN: missing.
        inputs, held_out_inputs : Inputs
            The same stars, prepared.
        """
        center, whitening = whitening_matrix(inputs.values.astype(np.float64))
        median = np.nanmedian(x, axis=0)
        deviation = np.abs(x - median)
        reach = np.nanquantile(deviation, REACH, axis=0)
        # A flag that is set in very few stars may not deviate at this quantile.
        reach = np.where(reach > 0, reach, np.nanmax(deviation, axis=0))
        domain = cls(center, whitening, median, reach, np.ones(2))
        distances = domain._distances(held_out, held_out_inputs)
        scale = np.quantile(distances, INSIDE, axis=0)
        # A sample without any scatter (copies of one star) has no scale.
        scale = np.where(scale > 0, scale, 1.0)
        both = np.quantile((distances / scale).max(axis=1), INSIDE)
        return cls(center, whitening, median, reach, scale * (both if both > 0 else 1.0))

    def score(self, x: FloatArray, inputs: Inputs) -> FloatArray:
        """Return the score of each star, shape (n,); above 1 it is outside the domain."""
        return np.asarray((self._distances(x, inputs) / self.scale).max(axis=1))

    def _distances(self, x: FloatArray, inputs: Inputs) -> FloatArray:
        white = (inputs.values - self.center) @ self.whitening
        single = x - self.median
        np.abs(single, out=single)
        single /= self.reach
        single[inputs.missing] = 0.0
        return np.stack([np.sqrt(np.einsum("ni,ni->n", white, white)), single.max(axis=1, initial=0.0)], axis=1)

    @classmethod
    def skeleton(cls) -> Domain:
        """Return a domain to be filled with stored arrays."""
        inputs = expected("inputs")
        return cls(inputs, expected("inputs", "inputs"), inputs, inputs, expected(2))
