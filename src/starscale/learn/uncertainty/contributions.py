"""Which inputs take a star out of the training set: the distances of the domain, input by input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.learn.predictor import Predictor
from starscale.vocabulary.arrays import FloatArray


@dataclass(frozen=True)
class Contributions:
    """How far n stars lie from the training stars, input by input, for the inputs that the model uses.

    Parameters
    ----------
    features : tuple of str, (n_usable,)
        Names of the inputs.
    value : ndarray, shape (n, n_usable)
        As they are; NaN: missing.
    median, reach : ndarray, shape (n_usable,)
        Middle of the training stars, and what 99.9 % of their deviations stay below.
    alone : ndarray, shape (n, n_usable)
        Deviation from the median over the reach; NaN: missing.
    given_others : ndarray, shape (n, n_usable)
        Deviation, in standard deviations, from what the star's other inputs let expect of the training stars.
        With P the inverse of their covariance and d the deviations from their means, it is
        ``|P d|_j / sqrt(P_jj)``: the Mahalanobis distance that goes when input j is left out is its square.
        NaN: missing.
    """

    features: tuple[str, ...]
    value: FloatArray
    median: FloatArray
    reach: FloatArray
    alone: FloatArray
    given_others: FloatArray

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where an input is missing. Shape (n, n_usable)."""
        return np.isnan(self.value)


def contributions(predictor: Predictor, x: FloatArray) -> Contributions:
    """Take the domain distances of stars apart.

    Parameters
    ----------
    predictor : Predictor
    x : ndarray, shape (n, n_features)
        Inputs; NaN: missing.
    """
    usable, domain = predictor.preparation.usable, predictor.domain
    value = np.asarray(x, dtype=np.float64)[:, usable]
    deviation = predictor.preparation.apply(np.asarray(x, dtype=np.float64)).values - domain.center
    precision = domain.whitening @ domain.whitening.T
    given = np.abs(deviation @ precision) / np.sqrt(np.diagonal(precision))
    return Contributions(
        features=tuple(name for name, use in zip(predictor.features, usable, strict=True) if use),
        value=value,
        median=domain.median,
        reach=domain.reach,
        alone=np.abs(value - domain.median) / domain.reach,
        given_others=np.where(np.isnan(value), np.nan, given),
    )
