"""Geometric distances from noisy parallaxes, similar to Bailer-Jones et al. 2021, AJ 161, 147."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.mock.archive import archive_table
from starscale.vocabulary.arrays import FloatArray

#: Number of distances at which the cumulative probability of each star is evaluated.
_NODES = 96


def geometric_distances(parallax: FloatArray, error: FloatArray, length: FloatArray) -> FloatArray:
    """Return the 16th, 50th and 84th percentile of the distance posterior, pc, shape (n, 3).

    The prior is ``r^2 exp(-r / L)``: Bailer-Jones 2015, PASP 127, 994, section 7.

    Parameters
    ----------
    parallax, error : ndarray, shape (n,)
        Parallax and its standard error, mas.
    length : ndarray, shape (n,)
        Scale length L of the prior, pc.
    """
    result = np.empty((len(parallax), 3))
    for part in np.array_split(np.arange(len(parallax)), 1 + len(parallax) // 50_000):
        result[part] = _posterior(parallax[part], error[part], length[part])
    return result


def _posterior(parallax: FloatArray, error: FloatArray, length: FloatArray) -> FloatArray:
    nearest = 1000.0 / (np.maximum(parallax, 0.0) + 5 * error)
    # A parallax that is compatible with zero sets no upper limit; the prior does.
    limit = 1000.0 / np.maximum(parallax - 5 * error, 1e-9)
    farthest = np.minimum(limit, np.maximum(20.0 * length, 1.5 * nearest))
    step = np.log(farthest / nearest)[:, None] * np.linspace(0.0, 1.0, _NODES)
    r = nearest[:, None] * np.exp(step)
    # The factor r^3 is r^2 of the prior and r of the integration in log r, in which the nodes are evenly spaced.
    log_density = (
        3 * np.log(r) - r / length[:, None] - 0.5 * ((parallax[:, None] - 1000.0 / r) / error[:, None]) ** 2
    )
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    cumulative = np.cumsum((density[:, 1:] + density[:, :-1]) / 2, axis=1)
    cumulative = np.concatenate([np.zeros((len(r), 1)), cumulative / cumulative[:, -1:]], axis=1)
    rows = np.arange(len(r))
    result = []
    for share in (0.15865, 0.5, 0.84135):
        right = np.clip((cumulative < share).sum(axis=1), 1, _NODES - 1)
        low, high = cumulative[rows, right - 1], cumulative[rows, right]
        weight = (share - low) / np.maximum(high - low, 1e-12)
        result.append(r[rows, right - 1] * (r[rows, right] / r[rows, right - 1]) ** weight)
    return np.stack(result, axis=1)


def distance_table(gaia: pl.DataFrame, length: FloatArray, rng: np.random.Generator) -> pl.DataFrame:
    """Return the table of distances for the rows of `gaia`, except for one row in five hundred.

    Parameters
    ----------
    gaia : DataFrame
        The Gaia table, n rows.
    length : ndarray, shape (n,)
        Scale length of the prior of each row, pc.
    rng : numpy.random.Generator
        Source of randomness.
    """
    geometric = geometric_distances(
        gaia["parallax"].to_numpy(), gaia["parallax_error"].to_numpy().astype(float), length
    )
    # INVENTED: the photogeometric distances are the geometric ones with noise and narrower intervals.
    centre = geometric[:, 1:2] * np.exp(
        0.3 * rng.normal(size=(len(gaia), 1)) * np.log(geometric[:, 2:] / geometric[:, 1:2])
    )
    photogeometric = centre * (geometric / geometric[:, 1:2]) ** 0.8
    columns = {"source_id": gaia["source_id"]}
    for name, values in (("geo", geometric), ("photogeo", photogeometric)):
        columns |= {f"r_{kind}_{name}": pl.Series(values[:, i]) for i, kind in enumerate(("lo", "med", "hi"))}
    return archive_table("bailer_jones_edr3", columns).filter(pl.Series(rng.random(len(gaia)) > 0.002))
