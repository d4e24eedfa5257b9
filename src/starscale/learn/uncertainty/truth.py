"""The errors of predictions against true values, from residuals against labels whose own errors are known.

A residual is the error of the prediction less that of the label. The error of the prediction is taken for a share
of its error against labels, in a core and a wing; that of the label for a Gaussian of its stated width or, since
some labels are wrong, for one that is much wider. The most likely share is found with all labels at once: precise
ones show the error of the prediction almost alone, noisy ones what they add to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from starscale.learn.regressor import LEVELS
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

optimize, special = Later("scipy.optimize"), Later("scipy.special")

#: Width of the wing over that of the core, and most of the stars that are in it.
_WING, _MOST_WING = 2.0, 0.4
#: The same of the labels that are wrong.
_WRONG, _MOST_WRONG = 8.0, 0.1
#: Expected logarithm of the width of the core, and logits of the two shares, with their standard deviations: they
#: decide where the stars do not.
_EXPECTED, _UNCERTAIN = np.array([np.log(0.6), -1.0, -2.0]), np.array([1.0, 2.0, 2.0])
#: By how much of themselves residuals of held-out stars are usually wider than those of training stars.
_OVERFIT = 0.05


def truth_share(residual: FloatArray, error: FloatArray, label_error: FloatArray) -> float:
    """Return the error against true values as a share of the error against labels.

    Parameters
    ----------
    residual : ndarray, (n,)
        Predicted value less label, as wide as for stars that the model was not trained on (:func:`wider`).
    error : ndarray, (n,)
        Predicted errors: 68.3 % of the residuals are smaller. Positive.
    label_error : ndarray, (n,)
        Stated errors of the labels. Positive.

    Returns
    -------
    float
        68.3 % of the errors of predictions are smaller than this share of `error`.
    """
    # A label that is a thousand times better is as good as the truth, and no width is zero.
    noise = np.maximum(label_error, 1e-3 * error) ** 2

    def unlikely(at: FloatArray) -> float:
        core, wing, wrong = _widths(at)
        narrow, broad = (core * error) ** 2, (core * _WING * error) ** 2
        density = (1 - wrong) * (
            (1 - wing) * _gaussian(residual, narrow + noise) + wing * _gaussian(residual, broad + noise)
        ) + wrong * _gaussian(residual, broad + _WRONG**2 * noise)
        surprise = np.log(np.maximum(density, 1e-300)).sum()
        return float(-surprise + 0.5 * (((at - _EXPECTED) / _UNCERTAIN) ** 2).sum())

    found = optimize.minimize(unlikely, _EXPECTED, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-3})
    core, wing, _ = _widths(found.x)

    def beyond(share: float) -> float:
        within = special.erf(np.array([share, share / _WING]) / core / np.sqrt(2))
        return float((1 - wing) * within[0] + wing * within[1] - LEVELS[0])

    return float(optimize.brentq(beyond, 0.0, 2 * _WING * core))


def wider(deviations: FloatArray, held_out: NDArray[np.bool_]) -> float:
    """Return how many times wider the residuals of held-out stars are than those of training stars.

    The ratio that is seen is drawn to 1 the more, the fewer stars were held out, unless it is far beyond what is
    usual: a forest remembers the labels of its training stars, and nearest neighbours repeat them (infinite).

    Parameters
    ----------
    deviations : ndarray, (n,)
        Residuals over the predicted errors.
    held_out : ndarray of bool, (n,)
    """
    new, seen = (np.abs(deviations[part]) for part in (held_out, ~held_out))
    if not (len(new) and len(seen)):
        return 1.0
    wide, narrow = np.quantile(new, LEVELS[0]), np.quantile(seen, LEVELS[0])
    if wide <= 0 or narrow <= 0:
        return np.inf if wide > narrow else 1.0
    # The 68 % quantile of n deviations is uncertain by 1 / sqrt(n) of itself. What is usual and chance together
    # explain twice their width.
    usual, chance = _OVERFIT**2, 1 / len(new)
    usual += max(np.log(wide / narrow) ** 2 - 4 * (usual + chance), 0.0)
    return float((wide / narrow) ** (usual / (usual + chance)))


def _widths(at: FloatArray) -> tuple[float, float, float]:
    """Width of the core, share of the wing, and share of wrong labels."""
    wing, wrong = 1 / (1 + np.exp(-at[1:]))
    return float(np.exp(at[0])), float(_MOST_WING * wing), float(_MOST_WRONG * wrong)


def _gaussian(x: FloatArray, variance: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * x**2 / variance) / np.sqrt(2 * np.pi * variance))
