"""Robust weights of measurements with outliers.

Huber's weights need no good start, but an outlier keeps a constant influence however far it lies. Once the
corrections are known roughly, residuals are modelled as in `scale.core_width`, by a narrow and a broad Gaussian,
and the weight of a measurement follows from its probability of belonging to the narrow one.
"""

from __future__ import annotations

import numpy as np

from starscale.homogenization.kernel.scale import wild_probability
from starscale.vocabulary.arrays import FloatArray

#: Rounds of Huber's weights and, if requested, of the two Gaussians after them. From the plain mean of three
#: measurements with one outlier it takes five rounds until the other two regain their weight.
_HUBER, _MIXTURE = 6, 3
#: Steps of expectation-maximisation in every round.
_STEPS = 8
#: Bounds of the share of outliers; their smallest variance, in squared errors.
_SHARES = (1e-4, 1 / 3)
_BROAD = 9.0


def robust_weights(
    functions: FloatArray, value: FloatArray, ideal: FloatArray, beta: FloatArray, huber: float, *, redescend: bool
) -> tuple[FloatArray, float]:
    """Compute weight factors from studentised residuals, and the factor on the covariance of the coefficients.

    Two measurements of a star share one residual, so both lose weight; of three or more, only the outlier does.

    Parameters
    ----------
    functions : ndarray, (n, p)
    value, ideal : ndarray, (n, S)
        Measurements, and their weights without outliers (0 where there is none).
    beta : ndarray, (S, p)
        Present coefficients.
    huber : float
        Residual above which Huber's weights fall.
    redescend : bool
        Use two Gaussians after Huber's weights.

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
    """Fit share and variance of the broad one of two Gaussians about zero; the narrow one has variance 1.

    Parameters
    ----------
    square : ndarray, (n,)
        Squared studentised residuals.
    share, broad : float
        Start values.
    """
    for _ in range(_STEPS):
        p = wild_probability(square, share, broad)
        total = float(p.sum())
        share = min(max(total / len(square), _SHARES[0]), _SHARES[1])
        broad = max(float(p @ square) / max(total, 1e-9), _BROAD)
    return share, broad
