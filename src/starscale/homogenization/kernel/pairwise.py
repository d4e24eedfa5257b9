"""Paper mode: each survey is compared with the anchor alone, by a polynomial in its labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import AXES, Basis
from starscale.homogenization.kernel.measured import Measured
from starscale.homogenization.kernel.scale import mad
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import Problems
from starscale.vocabulary.settings.homogenize import HomogenizeConfig

#: Differences beyond so many MAD are clipped, as is customary.
_CLIP = 3.0
_WILD = 5.0


def pairwise(
    basis: Basis, measured: Measured, error: FloatArray, anchor: int, config: HomogenizeConfig
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit ``y_s - y_anchor`` as a function of ``y_s``.

    Parameters
    ----------
    basis : Basis
        A polynomial.
    measured : Measured
    error : ndarray, (3, n, S)
        Normalised.
    anchor : int
    config : HomogenizeConfig
        `degree` (by default 2), `folds`, `fewest`.

    Returns
    -------
    beta : ndarray, (3, S, p)
    covariance : ndarray, (3, S, p, S, p)
    held_out : ndarray, (3, n, S)
        Corrections from the other folds.

    Raises
    ------
    InputError
        A survey shares too few stars with the anchor.
    """
    n_surveys, p = len(measured.surveys), basis.size
    degree = 2 if config.degree is None else config.degree
    used = np.flatnonzero(basis.groups <= degree)
    beta, covariance = np.zeros((3, n_surveys, p)), np.zeros((3, n_surveys, p, n_surveys, p))
    held_out = np.zeros_like(measured.value)
    folds = np.random.default_rng([config.seed, 1]).permutation(np.arange(len(measured)) % config.folds)
    problems = Problems()
    for s in range(n_surveys):
        if s == anchor:
            continue
        functions = basis.evaluate(measured.value[:, :, s].T)[:, used]
        for i, name in enumerate(AXES):
            if not measured.there[i, :, s].any():
                continue
            difference = measured.value[i, :, s] - measured.value[i, :, anchor]
            sigma = np.hypot(error[i, :, s], error[i, :, anchor])
            good = np.isfinite(difference)
            if good.any():
                good &= np.abs(difference - np.median(difference[good])) < _WILD * mad(difference)
            if good.sum() < max(config.fewest, len(used)):
                problems.add(
                    f"survey {measured.surveys[s]}",
                    f"shares {int(good.sum())} stars with the anchor {measured.surveys[anchor]} ({name})",
                    f"{max(config.fewest, len(used))} or more in paper mode",
                    'mode = "joint" uses chains of overlaps.',
                )
                continue
            found, spread, good = _clipped(functions, difference, sigma, good)
            beta[i, s, used] = found
            covariance[i, s, used[:, None], s, used[None, :]] = spread
            for k in range(config.folds):
                others = _clipped(functions, difference, sigma, good & (folds != k))[0]
                held_out[i, folds == k, s] = functions[folds == k] @ others
    problems.raise_if_any()
    return beta, covariance, held_out


def _clipped(
    functions: FloatArray, difference: FloatArray, sigma: FloatArray, good: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Weighted least squares, three rounds of clipping: coefficients, covariance, stars used."""
    start = good
    for _ in range(3):
        design = functions[good] / sigma[good, None]
        found = np.linalg.lstsq(design, difference[good] / sigma[good], rcond=1e-9)[0]
        residual = (difference - functions @ found) / sigma
        good = start & (np.abs(residual) < _CLIP * max(mad(residual[good]), 1e-9))
    covariance = np.linalg.pinv(design.T @ design, rcond=1e-12)
    return np.asarray(found, dtype=np.float64), np.asarray(covariance, dtype=np.float64), good
