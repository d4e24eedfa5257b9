"""The four numbers of the error model of true pairs, by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from starscale.catalogue.crossmatch.sample import StarSample
from starscale.catalogue.healpix import Array


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of stars with their candidates, as a function of what the errors are like.

    Parameters
    ----------
    stars : StarSample
    east, north : ndarray, (n_pairs,)
        Displacements without the offset of the frame, mas.
    """

    stars: StarSample
    east: Array
    north: Array

    def loss(self, x: Array, first: int) -> tuple[float, Array]:
        """Negative mean logarithm for the first stars of the sample, and its derivatives.

        Parameters
        ----------
        x : ndarray, (5,)
            Logarithms of scale, floor (mas) and wide error (mas) as numbers 0, 1 and 3; logits of the shares of
            blended pairs and of stars with a counterpart as numbers 2 and 4.
        first : int

        Returns
        -------
        loss : float
        gradient : ndarray, (5,)
        """
        stars = self.stars
        mine = slice(0, int(np.searchsorted(stars.star, first)))
        scale2, floor2, wide2 = np.exp(2 * x[[0, 1, 3]])
        share, complete = expit(x[2]), expit(x[4])
        own, other = stars.ellipses.moving.take(mine), stars.ellipses.standing.take(mine)
        a, b = own.east + scale2 * other.east + floor2, own.north + scale2 * other.north + floor2
        c = own.cross + scale2 * other.cross
        shape = (other.east, other.north, other.cross)
        place = (self.east[mine], self.north[mine])
        narrow, by_extra, by_scale = _log_gaussian(a, b, c, *place, *shape)
        broad, broad_by_extra, broad_by_scale = _log_gaussian(a + wide2, b + wide2, c, *place, *shape)
        chance = stars.log_density[mine]
        narrow, broad = np.exp(narrow - chance), np.exp(broad - chance)
        evidence = np.bincount(stars.star[mine], (1 - share) * narrow + share * broad, minlength=first)
        total = 1 - complete + complete * evidence
        # What a change of the evidence of its star changes, at every pair.
        weight = (complete / total)[stars.star[mine]]
        inner, outer = weight * (1 - share) * narrow, weight * share * broad
        gradient = [
            2 * scale2 * (inner @ by_scale + outer @ broad_by_scale),
            2 * floor2 * (inner @ by_extra + outer @ broad_by_extra),
            share * (1 - share) * (weight @ (broad - narrow)),
            2 * wide2 * (outer @ broad_by_extra),
            complete * (1 - complete) * ((evidence - 1) / total).sum(),
        ]
        return float(-np.mean(np.log(total))), -np.array(gradient) / first


def fit_errors(stars: StarSample, east: Array, north: Array, radius: float) -> tuple[float, float, float, float]:
    """Scale, floor (mas), wide share and wide error (mas) of the largest likelihood.

    Parameters
    ----------
    stars : StarSample
    east, north : ndarray, (n_pairs,)
        Displacements without the offset of the frame, mas.
    radius : float
        That of the candidates, arcsec.
    """
    n = len(stars.hashes)
    # Typical displacement of the nearest candidates: where the search starts.
    nearest = np.full(n, np.inf)
    np.minimum.at(nearest, stars.star, np.hypot(east, north))
    typical = float(np.median(nearest[np.isfinite(nearest)]))
    widest = np.log(radius * 1000 / 2)
    x = np.array([0.0, np.log(max(typical / 2, 0.1)), -4.0, min(np.log(10 * typical + 100), widest), 3.0])
    bounds = [
        (np.log(0.1), np.log(10.0)),
        (np.log(0.01), widest),
        (-12.0, 0.0),
        (np.log(20.0), widest),
        (-6.0, 9.0),
    ]
    likelihood = Likelihood(stars, east, north)
    # Most of the way on a few stars, where a step costs little.
    for first in (max(n // 5, min(n, 1000)), n):
        # Five numbers: threads would take longer to meet than to work.
        with threadpool_limits(1, "blas"):
            found = minimize(
                likelihood.loss,
                x,
                (first,),
                "L-BFGS-B",
                jac=True,
                bounds=bounds,
                options={"maxiter": 200, "ftol": 1e-9},
            )
        x = found.x
    scale, floor, wide = np.exp(x[[0, 1, 3]])
    return float(scale), float(floor), float(expit(x[2])), float(wide)


def _log_gaussian(
    a: Array, b: Array, c: Array, east: Array, north: Array, *shape: Array
) -> tuple[Array, Array, Array]:
    """Logarithm of a bivariate normal density, and its derivatives.

    Parameters
    ----------
    a, b, c : ndarray, (n,)
        Variances and covariance, mas^2.
    east, north : ndarray, (n,)
        mas.
    *shape : three ndarrays, (n,)
        Variances and covariance of the errors whose factor is looked for.

    Returns
    -------
    value, by_extra, by_scale : ndarray, (n,)
        Derivatives by what is added to both variances, and by the factor on `shape`.
    """
    determinant = a * b - c**2
    u, v = (b * east - c * north) / determinant, (a * north - c * east) / determinant
    value = -(east * u + north * v) / 2 - np.log(2 * np.pi) - np.log(determinant) / 2
    by_extra = (u**2 + v**2 - (a + b) / determinant) / 2
    own_a, own_b, own_c = shape
    square = u**2 * own_a + 2 * u * v * own_c + v**2 * own_b
    return value, by_extra, (square - (b * own_a - 2 * c * own_c + a * own_b) / determinant) / 2
