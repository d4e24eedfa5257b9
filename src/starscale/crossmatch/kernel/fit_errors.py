"""Maximum-likelihood fit of the four parameters of the error model of true pairs.

Numpy alone is enough for five numbers whose slopes are known for every star; with scipy's optimiser a good part of
scipy would be in the memory of every match.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from starscale.crossmatch.kernel.sample import StarSample
from starscale.vocabulary.arrays import FloatArray

#: Largest number of steps, and largest step in any parameter.
_STEPS, _FARTHEST = 200, 2.0
#: The search ends when the expected gain in the mean log-likelihood is below this.
_CLOSE = 1e-10


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
    east: FloatArray
    north: FloatArray

    def scores(self, x: FloatArray, first: int) -> tuple[float, FloatArray]:
        """Mean logarithm for the first stars of the sample, and the slopes of the logarithm of each.

        Parameters
        ----------
        x : ndarray, (5,)
            Logarithms of scale, floor (mas) and wide error (mas) as numbers 0, 1 and 3; logits of the shares of
            blended pairs and of stars with a counterpart as numbers 2 and 4.
        first : int

        Returns
        -------
        mean : float
        slopes : ndarray, (5, first)
            By the five numbers.
        """
        stars = self.stars
        mine = slice(0, int(np.searchsorted(stars.star, first)))
        scale2, floor2, wide2 = np.exp(2 * x[[0, 1, 3]])
        share, complete = 1 / (1 + np.exp(-x[[2, 4]]))
        own, other = stars.ellipses.moving.take(mine), stars.ellipses.standing.take(mine)
        a, b = own.east + scale2 * other.east + floor2, own.north + scale2 * other.north + floor2
        c = own.cross + scale2 * other.cross
        shape = (other.east, other.north, other.cross)
        place = (self.east[mine], self.north[mine])
        narrow, by_extra, by_scale = _log_gaussian(a, b, c, *place, *shape)
        broad, broad_by_extra, broad_by_scale = _log_gaussian(a + wide2, b + wide2, c, *place, *shape)
        chance = stars.log_density[mine]
        inner, outer = (1 - share) * np.exp(narrow - chance), share * np.exp(broad - chance)

        def of_stars(terms: FloatArray) -> FloatArray:
            return np.bincount(stars.star[mine], terms, minlength=first).astype(np.float64)

        evidence = of_stars(inner + outer)
        total = 1 - complete + complete * evidence
        slopes = [
            2 * scale2 * of_stars(inner * by_scale + outer * broad_by_scale),
            2 * floor2 * of_stars(inner * by_extra + outer * broad_by_extra),
            of_stars((1 - share) * outer - share * inner),
            2 * wide2 * of_stars(outer * broad_by_extra),
            (1 - complete) * (evidence - 1),
        ]
        return float(np.mean(np.log(total))), complete * np.array(slopes) / total


def most_likely(
    likelihood: Likelihood, x: FloatArray, low: FloatArray, high: FloatArray, first: int
) -> FloatArray:
    """Return the parameters of largest likelihood for the first stars, within limits. Shape (5,).

    Scoring with the products of the stars' slopes as information matrix (Berndt, Hall, Hall & Hausman 1974,
    Annals of Economic and Social Measurement 3, 653), damped until a step makes the likelihood larger (Marquardt
    1963, J. SIAM 11, 431).
    """
    value, slopes = likelihood.scores(x, first)
    damping = 1e-3
    for _ in range(_STEPS):
        gradient, information = slopes.mean(axis=1), slopes @ slopes.T / first
        # A parameter at its limit stays there if the step leads beyond it.
        free = np.flatnonzero(((x > low) | (gradient > 0)) & ((x < high) | (gradient < 0)))
        matrix = information[np.ix_(free, free)]
        # A parameter on which the likelihood does not depend stays as it is.
        matrix[np.diag_indices_from(matrix)] *= 1 + damping
        matrix[np.diag_indices_from(matrix)] += 1e-6
        step = np.zeros(len(x))
        step[free] = np.clip(np.linalg.solve(matrix, gradient[free]), -_FARTHEST, _FARTHEST)
        trial = np.clip(x + step, low, high)
        expected = gradient @ (trial - x)
        if 0 <= expected < _CLOSE:
            break
        there = likelihood.scores(trial, first) if expected > 0 else (value, slopes)
        if there[0] > value:
            x, (value, slopes), damping = trial, there, damping / 10
        else:
            damping *= 10
    return x


def fit_errors(
    stars: StarSample, east: FloatArray, north: FloatArray, radius: float
) -> tuple[float, float, float, float]:
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
    # The wide component must be wider than most pairs.
    low = np.array([np.log(0.1), np.log(0.01), -12.0, min(np.log(max(typical, 20.0)), widest), -6.0])
    high = np.array([np.log(10.0), widest, 0.0, widest, 9.0])
    likelihood = Likelihood(stars, east, north)
    # First on few stars, where a step costs little.
    for first in (max(n // 5, min(n, 1000)), n):
        x = most_likely(likelihood, x, low, high, first)
    scale, floor, wide = np.exp(x[[0, 1, 3]])
    return float(scale), float(floor), float(1 / (1 + np.exp(-x[2]))), float(wide)


def _log_gaussian(
    a: FloatArray, b: FloatArray, c: FloatArray, east: FloatArray, north: FloatArray, *shape: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
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
