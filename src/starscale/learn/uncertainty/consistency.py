"""Whether the measurements of a star agree with each other.

Every measurement (a magnitude, the distance, E(B-V), an estimate of the survey) is predicted from all the others
by a quadratic function of the training stars. With r the difference, s the scatter of the training stars about the
function and e_j the error of measurement j, measurement i disagrees by

    t_i = |r_i| / sqrt(s_i^2 + e_i^2 + sum_j (df_i/dm_j)^2 e_j^2),

divided by its 99th percentile among held-out stars. The score of a star is the largest t_i. It finds one wrong
band in ordinary stars, which the distances of :mod:`.domain` miss where the scatter of all stars is large.

A missing measurement is replaced by its expected value under a Gaussian (:mod:`starscale.learn.imputation`), and
what this leaves uncertain is added to the variance. When measurement i is predicted, i itself is left out of the
replacement: otherwise a wrong value would confirm itself. By the tower property that is the replacement with i
changed by its own linear residual.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import expected
from starscale.learn.imputation import GaussianImputer, pattern_numbers
from starscale.learn.uncertainty.domain import INSIDE
from starscale.learn.uncertainty.quadratic import fit_quadratic
from starscale.vocabulary.arrays import FloatArray

#: Fewest training stars, and of them that have a measurement, for a fit.
FEWEST = 100
#: Fewest measurements: with two, neither could be called the wrong one.
LEAST_MEASUREMENTS = 3
#: Fewest measurements of a star that can disagree.
LEAST_KNOWN = 2
#: Largest number of measurements: the cost of a star grows with its cube.
MOST_MEASUREMENTS = 40
#: Largest number of training stars in the fit.
MOST_STARS = 10_000
#: A training value farther from the median, in robust standard deviations, is left out of the fit.
WILD = 10.0
#: Deviations are bounded here, so that the square of a sentinel is a number.
BOUND = 1e4
#: Number of patterns of gaps whose matrices are kept, and of stars in a block (the processor's caches).
KEPT = 1000
BLOCK = 2048
#: Median of the absolute value of a unit normal variable.
MEDIAN_NORMAL = 0.6744897501960817


@dataclass(frozen=True)
class Disagreement:
    """How far the measurements of n stars disagree.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Largest of `each`; NaN for a star with fewer than two measurements.
    each : ndarray, shape (n, n_measurements)
        NaN: missing.
    """

    score: FloatArray
    each: FloatArray

    @property
    def worst(self) -> NDArray[np.intp]:
        """Number of the measurement with the largest disagreement; -1: none. Shape (n,)."""
        return np.where(np.isnan(self.score), -1, np.nan_to_num(self.each, nan=-1.0).argmax(axis=1))


@dataclass(frozen=True)
class _Gaps:
    """Matrices of one pattern of gaps, for deviations from the mean, 0 where missing.

    `filled` and `alone` map deviations to deviations with filled gaps and to linear residuals; `reply[i]` is the
    change of the filled gaps per residual of i; `slope[i]` is what errors of the others add through the gaps;
    `variance[i]` is what the gaps add to the variance of i.
    """

    filled: FloatArray
    alone: FloatArray
    reply: FloatArray
    slope: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Consistency:
    """Predicts every measurement from the others; all but `center` and `width` in scaled measurements.

    Parameters
    ----------
    used : ndarray of bool, shape (n_given,)
        Measurements that vary among the training stars; the arrays below are of these.
    center, width, usual_error : ndarray, shape (n_measurements,)
        Median and robust standard deviation of each measurement, and the median of its errors, which replaces an
        error that is not known.
    imputer : GaussianImputer
        For the gaps.
    constant, linear, quadratic : ndarray, shapes (k,), (k, k), (k, k, k)
        ``f_i(z) = constant_i + linear_i . z + z . quadratic_i . z``, without z_i.
    variance, scale : ndarray, shape (k,)
        Squared scatter about f_i, and the t_i that corresponds to a score of 1.
    """

    used: NDArray[np.bool_]
    center: FloatArray
    width: FloatArray
    usual_error: FloatArray
    imputer: GaussianImputer
    constant: FloatArray
    linear: FloatArray
    quadratic: FloatArray
    variance: FloatArray
    scale: FloatArray

    @classmethod
    def fit(
        cls,
        training: tuple[FloatArray, FloatArray],
        held_out: tuple[FloatArray, FloatArray],
        seed: int,
    ) -> Consistency | None:
        """Learn the relations from training stars, and the scale from held-out ones.

        Parameters
        ----------
        training, held_out : pair of ndarray, shape (n, n_given)
            Measurements and their errors; NaN: missing, or an error that is not known.
        seed : int
            Chooses the stars where there are more than `MOST_STARS`.

        Returns
        -------
        Consistency or None
            None where there are too few stars or measurements.
        """
        value = training[0]
        used = _varying(value)
        if len(value) < FEWEST or not LEAST_MEASUREMENTS <= used.sum() <= MOST_MEASUREMENTS:
            return None
        chosen = np.random.default_rng(seed).permutation(len(value))[:MOST_STARS]
        value, error = value[chosen][:, used], training[1][chosen][:, used]
        low, center, high = np.nanquantile(value, (0.16, 0.5, 0.84), axis=0)
        width = np.where(high > low, (high - low) / 2, np.nanstd(value, axis=0))
        usual = np.array([np.median(e[e > 0]) if (e > 0).any() else 0.0 for e in error.T])
        z = (value - center) / width
        tame = np.where(np.abs(z) > WILD, np.nan, z)
        # A column may be wild throughout; then nothing in it is.
        z = np.where(np.isnan(tame).all(axis=0), z, tame)
        imputer = GaussianImputer.fit(z, seed)
        constant, linear, quadratic = fit_quadratic(z, imputer.transform(z))
        one = np.ones(len(center))
        unscaled = cls(used, center, width, usual, imputer, constant, linear, quadratic, 0 * one, one)
        residual, variance = unscaled._residuals(z, unscaled._scaled_errors(error))
        scatter = np.array([scatter_about(r, v) for r, v in zip(residual.T, variance.T, strict=True)])
        return replace(unscaled, variance=scatter)._calibrated(training, held_out)

    def _calibrated(
        self, training: tuple[FloatArray, FloatArray], held_out: tuple[FloatArray, FloatArray]
    ) -> Consistency:
        """Set the scale: first that of each measurement, then that of the largest of them."""
        each, of_training = self.score(*held_out).each, self.score(*training).each
        few = (~np.isnan(each)).sum(axis=0) < FEWEST
        scale = np.ones(each.shape[1])
        for i in np.flatnonzero(self.used):
            scale[i] = np.nanquantile(of_training[:, i] if few[i] else each[:, i], INSIDE)
        scaled = replace(self, scale=_positive(scale[self.used]))
        score = scaled.score(*held_out).score
        known = score[~np.isnan(score)]
        both = np.quantile(known, INSIDE) if known.size else 1.0
        return replace(scaled, scale=scaled.scale * _positive(both))

    def score(self, value: FloatArray, error: FloatArray) -> Disagreement:
        """Return how far the measurements of each star disagree.

        Parameters
        ----------
        value, error : ndarray, shape (n, n_given)
            Measurements and their errors; NaN: missing, or an error that is not known.
        """
        z = value[:, self.used] - self.center
        z /= self.width
        residual, variance = self._residuals(
            np.clip(z, -BOUND, BOUND, out=z), self._scaled_errors(error[:, self.used])
        )
        variance += self.variance
        each = np.abs(residual, out=residual)
        each /= np.sqrt(np.maximum(variance, np.finfo(float).tiny, out=variance), out=variance)
        each /= self.scale
        score = np.fmax.reduce(each, axis=1)
        score[(~np.isnan(each)).sum(axis=1) < LEAST_KNOWN] = np.nan
        whole = np.full((len(value), len(self.used)), np.nan)
        whole[:, self.used] = each
        return Disagreement(score, whole)

    def widened(self, factor: float) -> Consistency:
        """Return relations whose scores are smaller by a factor."""
        return replace(self, scale=self.scale * factor)

    def _scaled_errors(self, error: FloatArray) -> FloatArray:
        """Return squared errors in units of the width; the usual one where none is known."""
        scaled = np.where(error > 0, error, self.usual_error)
        scaled /= self.width
        return np.square(scaled, out=scaled)

    def _residuals(self, z: FloatArray, squared_error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return differences from the predictions, and the variances of measurement errors and gaps: (n, k)."""
        residual, variance = np.full((2, *z.shape), np.nan)
        missing = np.isnan(z)
        gaps = np.asarray(missing.any(axis=1))
        complete, incomplete = np.flatnonzero(~gaps), np.flatnonzero(gaps)
        # Stars with the same gaps one after the other: then a block has few patterns.
        incomplete = incomplete[np.argsort(pattern_numbers(missing[incomplete]), kind="stable")]
        for of, chosen in ((self._without_gaps, complete), (self._with_gaps, incomplete)):
            for start in range(0, len(chosen), BLOCK):
                rows = chosen[start : start + BLOCK]
                # One row a measurement: sums over measurements then run along the memory.
                found = of(np.ascontiguousarray(z[rows].T), np.ascontiguousarray(squared_error[rows].T))
                residual[rows], variance[rows] = found[0].T, found[1].T
        return residual, variance

    def _without_gaps(self, z: FloatArray, squared_error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return residuals and variances, (k, n), of complete measurements and squared errors, (k, n)."""
        predicted, variance = np.empty_like(z), squared_error.copy()
        for i in range(len(z)):
            slope, predicted[i] = self._predicted(i, z)
            variance[i] += np.einsum("jn,jn->n", np.square(slope, out=slope), squared_error)
        return np.subtract(z, predicted, out=predicted), variance

    def _with_gaps(self, z: FloatArray, squared_error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Do the same for measurements with gaps; stars with the same gaps stand together."""
        missing, mean = np.isnan(z), self.imputer.mean[:, None]
        deviation = np.where(missing, 0.0, z - mean)
        squared_error = np.where(missing, 0.0, squared_error)
        first = np.flatnonzero(np.r_[True, (missing[:, 1:] != missing[:, :-1]).any(axis=0)])
        counts = np.diff(np.r_[first, z.shape[1]])
        found = [self._gaps(missing[:, star]) for star in first]
        filled, alone = np.empty_like(z), np.empty_like(z)
        for start, count, gaps in zip(first, counts, found, strict=True):
            own = slice(start, start + count)
            filled[:, own], alone[:, own] = gaps.filled @ deviation[:, own], gaps.alone @ deviation[:, own]
        filled += mean
        reply, through = np.stack([g.reply for g in found], axis=-1), np.stack([g.slope for g in found], axis=-1)
        predicted = np.empty_like(z)
        variance = squared_error + np.repeat(np.stack([g.variance for g in found], axis=1), counts, axis=1)
        for i in range(len(z)):
            corrected = np.repeat(reply[i], counts, axis=1)
            corrected *= -alone[i]
            corrected += filled
            slope, predicted[i] = self._predicted(i, corrected)
            slope += np.repeat(through[i], counts, axis=1)
            variance[i] += np.einsum("jn,jn->n", np.square(slope, out=slope), squared_error)
        return np.subtract(z, predicted, out=predicted), variance

    def _predicted(self, i: int, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return df_i/dz, shape (k, n), and f_i, shape (n,), from complete measurements, shape (k, n)."""
        slope = (2 * self.quadratic[i]) @ z
        slope += self.linear[i][:, None]
        return slope, self.constant[i] + 0.5 * (np.einsum("jn,jn->n", slope, z) + self.linear[i] @ z)

    @cached_property
    def _known_gaps(self) -> dict[bytes, _Gaps]:
        return {}

    def _gaps(self, missing: NDArray[np.bool_]) -> _Gaps:
        key = missing.tobytes()
        found = self._known_gaps.get(key)
        if found is None:
            found = self._new_gaps(missing)
            if len(self._known_gaps) < KEPT:
                self._known_gaps[key] = found
        return found

    def _new_gaps(self, missing: NDArray[np.bool_]) -> _Gaps:
        """Work out a pattern of gaps m with the observed measurements o.

        With S the covariance and P = S_oo^-1, the gaps are filled with ``S_mo P d_o``, and the residual of i from
        the linear prediction by the other observed ones is ``(P d)_i / P_ii``, of variance ``1 / P_ii``.
        """
        k, covariance = len(missing), self.imputer.covariance
        o, m = np.flatnonzero(~missing), np.flatnonzero(missing)
        filled, alone, reply, slope, variance = np.zeros((k, k)), *np.zeros((3, k, k)), np.zeros(k)
        if not o.size:
            return _Gaps(filled, alone, reply, slope, variance)
        precision = np.linalg.inv(covariance[np.ix_(o, o)])
        fill = covariance[np.ix_(m, o)] @ precision
        left = covariance[np.ix_(m, m)] - fill @ covariance[np.ix_(o, m)]
        filled[o, o], filled[np.ix_(m, o)] = 1.0, fill
        alone[np.ix_(o, o)] = precision / np.diagonal(precision)[:, None]
        reply[np.ix_(o, m)] = fill.T
        by_gaps = self.linear[:, m]
        slope[:, o] = by_gaps @ fill
        np.fill_diagonal(slope, 0.0)
        variance += np.einsum("ij,jk,ik->i", by_gaps, left, by_gaps)
        variance[o] += np.einsum("ij,ji->i", by_gaps[o], fill) ** 2 / np.diagonal(precision)
        return _Gaps(filled, alone, reply, slope, variance)

    @classmethod
    def skeleton(cls, n_given: int, axis: str = "measurements") -> Consistency:
        """Return a part to be filled with stored arrays; `axis` names the number of used measurements."""
        k, square, cube = (expected(*[axis] * n) for n in (1, 2, 3))
        imputer = GaussianImputer(k, square)
        return cls(expected(n_given, dtype=np.bool_), k, k, k, imputer, k, square, cube, k, k)


def _positive(scale: FloatArray | float) -> FloatArray:
    """Return 1 in place of the scale of a sample without any scatter."""
    return np.where(np.asarray(scale) > 0, scale, 1.0)


def _varying(value: FloatArray) -> NDArray[np.bool_]:
    """Where enough stars have a measurement, and not all the same. Shape (n_given,)."""
    enough = (~np.isnan(value)).sum(axis=0) >= FEWEST
    varies = np.array([np.nanstd(column) > 0 if e else False for column, e in zip(value.T, enough, strict=True)])
    return np.asarray(enough & varies, dtype=bool)


def scatter_about(residual: FloatArray, variance: FloatArray) -> float:
    """Return the variance that, added to those of the errors, gives the residuals the median of a Gaussian."""
    known = ~np.isnan(residual)
    r, v = np.abs(residual[known]), variance[known]
    low, high = 0.0, float(np.median(r) / MEDIAN_NORMAL) ** 2
    for _ in range(60):
        middle = (low + high) / 2
        if np.median(r / np.sqrt(np.maximum(v + middle, np.finfo(float).tiny))) > MEDIAN_NORMAL:
            low = middle
        else:
            high = middle
    return high
