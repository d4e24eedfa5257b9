"""Robust quadratic ridge regression of every column on the others."""

from __future__ import annotations

import numpy as np

from starscale.vocabulary.arrays import FloatArray

#: Products are formed of so many principal components of the other columns, those with the largest variance.
COMPONENTS = 8
#: Penalties of linear coefficients and of products, per star, for components of unit variance.
RIDGE, RIDGE_PRODUCTS = 1e-3, 1e-2
#: Least variance of a component.
FLOOR = 1e-8
#: Rounds of reweighting, and the residual, in robust standard deviations, from which a star counts less.
ROUNDS, KNEE = 6, 2.0


def fit_quadratic(y: FloatArray, filled: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit ``y_i = constant_i + linear_i . z + z . quadratic_i . z`` for every column, without z_i.

    Parameters
    ----------
    y : ndarray, shape (n, k)
        Targets; NaN: left out.
    filled : ndarray, shape (n, k)
        The same without gaps.

    Returns
    -------
    constant, linear, quadratic : ndarray, shapes (k,), (k, k), (k, k, k)
        ``linear[i, i]`` and the rows and columns i of ``quadratic[i]`` are 0.
    """
    k = y.shape[1]
    constant, linear, quadratic = np.zeros(k), np.zeros((k, k)), np.zeros((k, k, k))
    for i in range(k):
        known, others = ~np.isnan(y[:, i]), np.flatnonzero(np.arange(k) != i)
        constant[i], linear[i, others], quadratic[i][np.ix_(others, others)] = _fit_one(
            filled[known][:, others], y[known, i]
        )
    return constant, linear, quadratic


def _fit_one(x: FloatArray, y: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Fit one column on the others in their whitened components, and return the coefficients of `x` itself."""
    center = x.mean(axis=0)
    variance, vectors = np.linalg.eigh(np.atleast_2d(np.cov(x, rowvar=False)))
    whiten = (vectors / np.sqrt(np.maximum(variance, 0) + FLOOR))[:, ::-1]
    u, p = (x - center) @ whiten, min(COMPONENTS, x.shape[1])
    first, second = np.triu_indices(p)
    terms = np.concatenate([np.ones((len(u), 1)), u, u[:, first] * u[:, second]], axis=1)
    penalty = np.concatenate([[0.0], np.full(u.shape[1], RIDGE), np.full(len(first), RIDGE_PRODUCTS)])
    coefficient = _robust(terms, y, penalty * len(y))
    slope, products = coefficient[1 : u.shape[1] + 1], np.zeros((p, p))
    products[first, second] = coefficient[u.shape[1] + 1 :]
    linear, quadratic = whiten @ slope, whiten[:, :p] @ ((products + products.T) / 2) @ whiten[:, :p].T
    constant = float(coefficient[0] - linear @ center + center @ quadratic @ center)
    return constant, linear - 2 * quadratic @ center, quadratic


def _robust(terms: FloatArray, y: FloatArray, penalty: FloatArray) -> FloatArray:
    """Iteratively reweighted least squares; a star at r > KNEE standard deviations has the weight (KNEE / r)^2."""
    weight: FloatArray = np.ones(len(y))
    coefficient: FloatArray = np.zeros(terms.shape[1])
    for _ in range(ROUNDS):
        weighted = terms * weight[:, None]
        # The constant has no penalty; a tiny one keeps the matrix regular for a handful of stars.
        matrix = weighted.T @ terms + np.diag(penalty + 1e-9)
        coefficient = np.asarray(np.linalg.solve(matrix, weighted.T @ y), dtype=np.float64)
        residual = np.abs(y - terms @ coefficient)
        spread = max(1.4826 * float(np.median(residual)), np.finfo(float).tiny)
        weight = np.asarray(1 / np.maximum(1, residual / (KNEE * spread)) ** 2, dtype=np.float64)
    return coefficient
