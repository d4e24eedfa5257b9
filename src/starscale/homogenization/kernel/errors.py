"""Normalised errors: quoted errors rescaled to the observed scatter.

``e'^2 = (k e)^2 + e0^2``. Repeated measurements give ``k``. The N-cornered hat (Grubbs 1948, J. Am. Stat. Assoc.
43, 243; Gray & Allan 1974) gives the whole error of every survey from the scatter of the differences between them;
its excess over the repeats, an error that all visits of a star share, is ``e0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.measured import Measured, pair_counts
from starscale.homogenization.kernel.scale import core_width
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

optimize = Later("scipy.optimize")

#: Fewest pairs of repeats that give a factor.
FEWEST = 20
#: Fewest stars in common for a pair of surveys to count.
FEWEST_COMMON = 10
#: Excess of the hat over the repeats, in standard errors, above which an additional error is assumed.
_SIGNIFICANT = 3.0
#: Lower limit of a factor: no survey overstates its errors more than this.
_SMALLEST = 0.2
_SAMPLE = 20_000
_RESAMPLED = 5_000


@dataclass(frozen=True)
class Factor:
    """Normalisation of the errors of one survey and one label, and its origin.

    Parameters
    ----------
    k, extra : float
        ``e'^2 = (k e)^2 + extra^2``.
    k_error : float
        Standard error of `k`.
    method : str
        ``repeats``, ``hat``, ``both``, ``assumed`` (the data cannot tell), ``quoted``.
    repeats, hat : float
        Both estimates of the factor on the whole error; NaN where there is none.
    repeats_error, hat_error : float
        Their standard errors.
    pairs : int
        Pairs of repeats.
    note : str
        A warning.
    """

    k: float = 1.0
    extra: float = 0.0
    k_error: float = float("nan")
    method: str = "quoted"
    repeats: float = float("nan")
    repeats_error: float = float("nan")
    hat: float = float("nan")
    hat_error: float = float("nan")
    pairs: int = 0
    note: str = ""

    def normalised(self, error: FloatArray) -> FloatArray:
        """Normalised errors from quoted ones."""
        return np.sqrt((self.k * error) ** 2 + self.extra**2)


@dataclass(frozen=True)
class RepeatStatistics:
    """Differences of repeated measurements in quoted errors, for every label and survey."""

    z: list[list[FloatArray]] = field(default_factory=list)

    @classmethod
    def of(cls, rows: pl.DataFrame, n_surveys: int) -> RepeatStatistics:
        """Compare each row with the previous row of the same star and survey."""
        repeated = rows.filter(pl.len().over("star", "survey") > 1).sort("star", "survey", maintain_order=True)
        survey = repeated["survey"].to_numpy()
        same = (np.diff(repeated["star"].to_numpy().astype(np.int64)) == 0) & (
            np.diff(survey.astype(np.int64)) == 0
        )
        found = []
        for name in AXES:
            value, error = repeated[name].to_numpy(), repeated[f"{name}_error"].to_numpy()
            z = np.diff(value) / np.sqrt(error[1:] ** 2 + error[:-1] ** 2)
            z = np.where(same & np.isfinite(z), z, np.nan)
            found.append([z[(survey[1:] == s) & np.isfinite(z)] for s in range(n_surveys)])
        return cls(found)

    def factor(self, label: int, survey: int) -> tuple[float, float, int]:
        """Return the factor, its standard error and the number of pairs; NaN for too few pairs."""
        z = self.z[label][survey]
        if len(z) < FEWEST:
            return np.nan, np.nan, len(z)
        width = core_width(z, centred=True)
        # A robust width of n Gaussian values is known to about 1 / sqrt(1.4 n).
        return width, width / np.sqrt(1.4 * len(z)), len(z)


def snr_scaled(rows: pl.DataFrame, bins: Sequence[float], n_surveys: int) -> tuple[pl.DataFrame, FloatArray]:
    """Multiply quoted errors by a factor for each bin in signal-to-noise, from the repeats in that bin.

    A bin with fewer than 20 pairs takes the factor of the survey.

    Returns
    -------
    rows : polars.DataFrame
    factors : ndarray, (3, S, n_bins)
        Relative to the factor of the whole survey; NaN where the bin has no factor.
    """
    edges = np.array([-np.inf, *bins, np.inf])
    whole = RepeatStatistics.of(rows, n_surveys)
    factors = np.full((len(AXES), n_surveys, len(edges) - 1), np.nan)
    inside = np.clip(np.searchsorted(edges, as_floats(rows["snr"]), side="right") - 1, 0, len(edges) - 2)
    known = rows["snr"].is_not_null().to_numpy()
    for b in range(len(edges) - 1):
        part = RepeatStatistics.of(rows.filter(pl.Series(known & (inside == b))), n_surveys)
        for label in range(len(AXES)):
            for s in range(n_surveys):
                factors[label, s, b] = part.factor(label, s)[0] / whole.factor(label, s)[0]
    survey = rows["survey"].to_numpy().astype(np.intp)
    scaled = []
    for label, name in enumerate(AXES):
        factor = np.where(known, factors[label][survey, inside], np.nan)
        factor = np.where(np.isfinite(factor), factor, 1.0)
        scaled.append(pl.Series(f"{name}_error", rows[f"{name}_error"].to_numpy() * factor))
    return rows.with_columns(scaled), factors


def hat(
    difference: FloatArray,
    error: FloatArray,
    *,
    fewest: int = FEWEST_COMMON,
    bootstrap: int = 0,
    rng: np.random.Generator | None = None,
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Estimate by the N-cornered hat the factor on the squared errors of every survey.

    Parameters
    ----------
    difference : ndarray, (n, S)
        Calibrated values, or anything whose differences within a star are errors; NaN where there is none.
    error : ndarray, (n, S)
        Present errors.
    fewest : int
        Stars that two surveys must have in common for their pair to count.
    bootstrap : int
        Resamplings of stars, for standard errors.
    rng : numpy.random.Generator, optional

    Returns
    -------
    factor : ndarray, (S,)
        On the variance; NaN for a survey without a pair. Where the pairs do not determine it (two surveys alone,
        or a chain), one common factor is assumed.
    standard_error : ndarray, (S,)
        NaN without bootstrap.
    told : ndarray of bool, (S,)
        Whether the data determine the factor of the survey.
    """
    # Robust variance of the differences of surveys i and j: V_ij = m_i sigma_i^2 + m_j sigma_j^2, with m the
    # factor on the variance. Divided by the present variance sigma_i^2 + sigma_j^2, each pair gives one equation.
    rng = rng or np.random.default_rng(0)
    if len(difference) > _SAMPLE:
        chosen = np.sort(rng.choice(len(difference), _SAMPLE, replace=False))
        difference, error = difference[chosen], error[chosen]
    n_surveys = difference.shape[1]
    common = pair_counts(np.isfinite(difference))
    pairs = [(i, j) for i, j in combinations(range(n_surveys), 2) if common[i, j] >= fewest]
    unknown = np.full(n_surveys, np.nan)
    if not pairs:
        return unknown, unknown.copy(), np.zeros(n_surveys, bool)
    z, shares = _pair_pulls(difference, error, pairs)
    widths = np.array([core_width(values) ** 2 for values in z])
    factor, told = _hat_solved(pairs, shares, widths, n_surveys)
    if not bootstrap:
        return factor, unknown, told
    # A bootstrap of m out of n stars is faster; the spread scales with 1 / sqrt(m).
    n = len(difference)
    size = min(n, _RESAMPLED)
    draws = []
    for _ in range(bootstrap):
        again = rng.integers(0, n, size)
        resampled = np.array([core_width(values[again], rounds=12) ** 2 for values in z])
        resampled = np.where(np.isfinite(resampled), resampled, widths)
        draws.append(_hat_solved(pairs, shares, resampled, n_surveys)[0])
    return factor, np.std(draws, axis=0) * np.sqrt(size / n), told


def _pair_pulls(
    difference: FloatArray, error: FloatArray, pairs: Sequence[tuple[int, int]]
) -> tuple[list[FloatArray], list[tuple[float, int]]]:
    """Differences of pairs of surveys in their present errors.

    Returns
    -------
    z : list of ndarray, (n,)
        One for each pair; NaN at stars without both surveys, so that a resampling of stars picks the same stars in
        every pair.
    shares : list of tuple
        Mean share of the first survey in the present variance of the pair, and the number of common stars.
    """
    z, shares = [], []
    for i, j in pairs:
        both = np.flatnonzero(np.isfinite(difference[:, i]) & np.isfinite(difference[:, j]))
        variance = error[both, i] ** 2 + error[both, j] ** 2
        full = np.full(len(difference), np.nan)
        full[both] = (difference[both, i] - difference[both, j]) / np.sqrt(variance)
        z.append(full)
        shares.append((float(np.mean(error[both, i] ** 2 / variance)), len(both)))
    return z, shares


def _hat_solved(
    pairs: Sequence[tuple[int, int]], shares: Sequence[tuple[float, int]], widths: FloatArray, n_surveys: int
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Non-negative least squares of ``share_i m_i + share_j m_j = width^2``, weighted by precision."""
    design = np.zeros((len(pairs), n_surveys))
    weight = np.array([np.sqrt(n / 2) for _, n in shares]) / np.maximum(widths, 1e-12)
    for row, ((i, j), (share, _)) in enumerate(zip(pairs, shares, strict=True)):
        design[row, i], design[row, j] = share, 1 - share
    used = (design > 0).any(axis=0)
    _, singular, right = np.linalg.svd(design)
    rank = int((singular > 1e-8 * singular.max()).sum())
    # A factor is determined by the data if no vector of their null space changes it.
    told = used & (np.abs(right[rank:]) < 1e-6).all(axis=0)
    # One common factor is assumed for the null space, with a weight too small to matter elsewhere.
    equal = 1e-3 * weight.mean() * (np.eye(n_surveys) - used / max(used.sum(), 1))[used]
    matrix = np.concatenate([weight[:, None] * design, equal * used])
    solution = optimize.nnls(matrix, np.concatenate([weight * widths, np.zeros(len(equal))]))[0]
    return np.where(used, solution, np.nan), told


def combined(
    measured: Measured,
    label: int,
    calibrated: FloatArray,
    on_scale: FloatArray,
    now: FloatArray,
    repeats: RepeatStatistics,
    *,
    bootstrap: int,
    seed: int,
) -> list[Factor]:
    """Normalise one label's errors from repeats and hat.

    Parameters
    ----------
    measured : Measured
        With the quoted errors.
    label : int
    calibrated, on_scale : ndarray, (n, S)
        Values on the common scale, and their errors there.
    now : ndarray, (n, S)
        The errors that are in use now, on the survey's own scale.
    repeats : RepeatStatistics
    bootstrap : int
        Resamplings; 0 leaves the standard errors rough.
    seed : int
    """
    rng = np.random.default_rng([seed, label])
    multiplier, spread, told = hat(calibrated, on_scale, bootstrap=bootstrap, rng=rng)
    found = []
    for s in range(len(measured.surveys)):
        quoted = float(np.nanmedian(measured.error[label, :, s])) if measured.there[label, :, s].any() else np.nan
        n = int(np.isfinite(now[:, s]).sum())
        present = float(np.nanmedian(now[:, s])) if n else np.nan
        # The hat gives the factor on the present errors; wanted is the factor on the quoted errors.
        whole = np.sqrt(multiplier[s]) * present / quoted
        rough = np.sqrt(2.0 / max(n, 1))
        relative = spread[s] / max(multiplier[s], 1e-9) if np.isfinite(spread[s]) else 2 * rough
        whole_error = max(0.5 * whole * relative, 0.5 * whole * rough)
        found.append(_factor(repeats.factor(label, s), (whole, whole_error, bool(told[s])), quoted))
    return found


def _factor(from_repeats: tuple[float, float, int], from_hat: tuple[float, float, bool], quoted: float) -> Factor:
    """Combine the factors from repeats and from the hat."""
    r, r_error, pairs = from_repeats
    h, h_error, told = from_hat
    known = Factor(repeats=r, repeats_error=r_error, hat=h, hat_error=h_error, pairs=pairs)
    if not np.isfinite(h) and not np.isfinite(r):
        return replace(known, note="neither repeats nor common stars: quoted errors are kept")
    if not np.isfinite(r):
        k = max(h, _SMALLEST)
        if told:
            return replace(known, k=k, k_error=h_error, method="hat")
        note = "no repeats, and too few surveys to tell whose errors are too small: one common factor assumed"
        return replace(known, k=k, k_error=h_error, method="assumed", note=note)
    k = max(r, _SMALLEST)
    if not np.isfinite(h) or not told:
        return replace(known, k=k, k_error=r_error, method="repeats")
    apart = (h - r) / np.hypot(h_error, r_error)
    if apart > _SIGNIFICANT:
        extra = float(np.sqrt(max(h**2 - k**2, 0.0)) * quoted)
        note = "the scatter against other surveys exceeds that of repeats: an error that visits share is added"
        return replace(known, k=k, extra=extra, k_error=r_error, method="both", note=note)
    if apart < -_SIGNIFICANT:
        note = "repeats scatter more than the differences from other surveys: the repeats are used"
        return replace(known, k=k, k_error=r_error, method="repeats", note=note)
    weights = np.array([r_error**-2, h_error**-2])
    mean = float(weights @ [r, h] / weights.sum())
    return replace(known, k=max(mean, _SMALLEST), k_error=float(weights.sum() ** -0.5), method="both")
