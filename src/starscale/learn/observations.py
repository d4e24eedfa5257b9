"""Copies of the training stars with added noise, or with missing bands.

Most stars of a survey are fainter than the training stars. Copies with noise drawn from a star's own errors show
the learner what its labels look like in poorer measurements; where errors are inputs, they grow accordingly.
Copies without some bands show it how to predict without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.learn.preparation import InputPreparation, Inputs
from starscale.learn.sample import Sample
from starscale.vocabulary.arrays import FloatArray

#: Fraction of the stars that are changed in each copy.
SHARE = 0.5
#: Range of the factor by which the added noise is multiplied, drawn uniformly in its logarithm. The errors of the
#: changed star grow by sqrt(1 + factor^2).
FACTORS = (0.3, 3.0)
#: Largest number of measurements that are left out of one star.
MOST_LEFT_OUT = 4


@dataclass(frozen=True)
class Measurements:
    """The measurements that the features are computed from; features of one measurement go missing together.

    Parameters
    ----------
    names : tuple of str
        Names of the measurements: a band, the distance, ...
    uses : ndarray of bool, shape (n_groups, n_features)
        The features that need each measurement.
    log_errors : ndarray of bool, shape (n_features,)
        The features that are decimal logarithms of measurement errors.
    """

    names: tuple[str, ...]
    uses: NDArray[np.bool_]
    log_errors: NDArray[np.bool_]

    @classmethod
    def alone(cls, features: Sequence[str]) -> Measurements:
        """Every feature by itself."""
        n = len(features)
        return cls(tuple(features), np.eye(n, dtype=bool), np.zeros(n, dtype=bool))

    def of(self, usable: NDArray[np.bool_]) -> Measurements:
        """Return the measurements of the usable features, restricted to these features."""
        uses = self.uses[:, usable]
        kept = np.asarray(uses.any(axis=1))
        names = tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)
        return Measurements(names, uses[kept], self.log_errors[usable])

    def left_out(self, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw the features, shape (n, n_features), that stars lose with 1 to `MOST_LEFT_OUT` measurements."""
        n_groups = len(self.names)
        # One is always left.
        count = rng.integers(1, max(min(MOST_LEFT_OUT, n_groups - 1), 1) + 1, size=n)
        rank = np.argsort(np.argsort(rng.random((n, n_groups)), axis=1), axis=1)
        return (rank < count[:, None]) @ self.uses if n_groups > 1 else np.zeros((n, self.uses.shape[1]), bool)


@dataclass(frozen=True)
class Observations:
    """Training stars, and how copies of them are drawn.

    Parameters
    ----------
    sample : Sample
        Inputs with gaps, and their noise.
    preparation : InputPreparation
    measurements : Measurements
        Of the usable features.
    """

    sample: Sample
    preparation: InputPreparation
    measurements: Measurements

    @property
    def noisy(self) -> bool:
        """Whether an error of any input is known."""
        return self.sample.noise is not None and bool(self.sample.noise.any())

    def resampled(self, seed: tuple[int, ...], *, noise: bool, gaps: bool) -> Inputs:
        """Draw one copy of all stars, prepared for a learner; parameters are those of :meth:`drawn`."""
        return self.preparation.apply(self.drawn(seed, noise=noise, gaps=gaps))

    def drawn(self, seed: tuple[int, ...], *, noise: bool, gaps: bool) -> FloatArray:
        """Draw one copy of all stars: features, shape (n, n_features).

        Parameters
        ----------
        seed : tuple of int
            The same seed gives the same copy.
        noise, gaps : bool
            Whether noise is added to a fraction of the stars, and whether inputs are left out of some.
        """
        rng = np.random.default_rng(seed)
        x, n = self.sample.x, len(self.sample)
        if noise and self.sample.noise is not None:
            x = self._noisier(x, self.sample.noise, rng)
        if gaps:
            hidden = np.zeros(x.shape, dtype=bool)
            hidden[:, self.preparation.usable] = self.measurements.left_out(n, rng)
            hidden[rng.random(n) >= SHARE] = False
            # A star that would lose all its inputs keeps them.
            bare = (np.isnan(x) | hidden | ~self.preparation.usable).all(axis=1)
            hidden[bare] = False
            x = np.where(hidden, np.nan, x)
        return x

    def _noisier(self, x: FloatArray, draws: NDArray[np.float32], rng: np.random.Generator) -> FloatArray:
        n = len(x)
        low, high = np.log(FACTORS)
        factor = np.where(rng.random(n) < SHARE, np.exp(rng.uniform(low, high, n)), 0.0)
        noisier = x + factor[:, None] * draws[rng.integers(len(draws))]
        errors = np.zeros(x.shape[1], dtype=bool)
        errors[self.preparation.usable] = self.measurements.log_errors
        noisier[:, errors] += 0.5 * np.log10(1 + factor**2)[:, None]
        return np.asarray(noisier)
