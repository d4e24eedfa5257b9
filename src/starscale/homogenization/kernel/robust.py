"""Weights of measurements among which some are wild.

Huber's weights need no good start but never forget an outlier: it pulls with a constant force, however far it is.
Once the corrections are known roughly, errors are taken for what `scale.core_width` takes them for, a narrow
Gaussian and a broad one, and a measurement counts for as much as its residual leaves it a member of the narrow
one.
"""

from __future__ import annotations

import numpy as np

from starscale.homogenization.kernel.scale import wild_probability
from starscale.vocabulary.arrays import FloatArray

#: Rounds of Huber's weights and, where asked for, of the two Gaussians' after them. From the plain mean of three
#: measurements of which one is wild it takes five until the other two are no longer taken for wild ones.
_HUBER, _MIXTURE = 6, 3
#: Steps of expectation-maximisation in every round.
_STEPS = 8
#: Bounds of the share of wild measurements; their least variance, in squared errors.
_SHARES = (1e-4, 1 / 3)
_BROAD = 9.0


def robust_weights(
    functions: FloatArray, value: FloatArray, ideal: FloatArray, beta: FloatArray, huber: float, *, redescend: bool
) -> tuple[FloatArray, float]:
    """Factors on the weights, from studentised residuals, and the factor on the covariance of the coefficients.

    Two measurements of a star share one residual, so both lose weight; from three on the odd one does.

    Parameters
    ----------
    functions : ndarray, (n, p)
    value, ideal : ndarray, (n, S)
        Measurements, and their weights without outliers (0 where there is none).
    beta : ndarray, (S, p)
        Coefficients now.
    huber : float
        Residual beyond which Huber's weights fall.
    redescend : bool
        Two Gaussians instead of Huber's weights, which they start from.

    Returns
    -------
    lost : ndarray, (n, S)
    inflation : float
        Huber's ``E psi^2 / (E psi')^2`` (1964, Ann. Math. Stat. 35, 73), on the inverse of the normal equations
        with the factors in them.
    """
    there = ideal > 0
    y = np.where(there, value - functions @ beta.T, 0.0)
    everything = ideal.sum(axis=1, keepdims=True)
    share = np.divide(ideal, everything, out=np.zeros_like(ideal), where=everything > 0)
    used = there & (share < 1)
    scale = np.sqrt(ideal / np.maximum(1 - share, 1e-9))
    lost, wild = there.astype(np.float64), (0.05, _BROAD)
    z = np.zeros_like(y)
    for round_ in range(_HUBER + _MIXTURE * redescend):
        weight = ideal * lost
        total = weight.sum(axis=1, keepdims=True)
        mean = np.divide((weight * y).sum(axis=1, keepdims=True), total, out=np.zeros_like(total), where=total > 0)
        z = np.where(used, scale * (y - mean), 0.0)
        if round_ >= _HUBER and used.any():
            wild = wild_ones(z[used] ** 2, *wild)
            lost = np.where(there, 1 - (1 - 1 / wild[1]) * wild_probability(z**2, *wild), 0.0)
        else:
            lost = np.where(there, huber / np.maximum(np.abs(z), huber), 0.0)
    if not used.any():
        return lost, 1.0
    square, kept = z[used] ** 2, lost[used]
    if redescend:
        p, depth = wild_probability(square, *wild), 1 - 1 / wild[1]
        slope = float((kept - depth**2 * p * (1 - p) * square).mean())
    else:
        slope = float((square <= huber**2).mean())
    return lost, float((kept**2 * square).mean()) / max(slope, 0.1) ** 2 * float(kept.mean())


def wild_ones(square: FloatArray, share: float, broad: float) -> tuple[float, float]:
    """Share and variance of the broad one of two Gaussians about zero, the narrow one of variance 1.

    Parameters
    ----------
    square : ndarray, (n,)
        Squared studentised residuals.
    share, broad : float
        To start from.
    """
    for _ in range(_STEPS):
        p = wild_probability(square, share, broad)
        total = float(p.sum())
        share = min(max(total / len(square), _SHARES[0]), _SHARES[1])
        broad = max(float(p @ square) / max(total, 1e-9), _BROAD)
    return share, broad
