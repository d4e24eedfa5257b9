"""Fit the calibration: corrections, error factors and the values of the stars, in turn until they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import AXES, Basis
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.consensus import Consensus, consensus
from starscale.homogenization.kernel.errors import Factor, RepeatStatistics, combined
from starscale.homogenization.kernel.measured import Measured, pair_counts
from starscale.homogenization.kernel.pairwise import pairwise
from starscale.homogenization.kernel.solve import Solution, solve
from starscale.homogenization.kernel.widths import POLYNOMIAL, Prior
from starscale.io.threads import one_thread_each
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.homogenize import HomogenizeConfig

#: Rounds of corrections, errors and consensus; the prior widths are chosen in the first and the third.
_ROUNDS = 4
_CHOOSING = (0, 2)
_BOOTSTRAP = 50


@dataclass(frozen=True)
class Fitted:
    """A calibration, and the stars that it was fitted to.

    Parameters
    ----------
    calibration : Calibration
    measured : Measured
        Stars of two or more surveys, with quoted errors.
    consensus : Consensus
    held_out : ndarray, (3, n, S)
        Corrections that did not see the star (cross-validation).
    solutions : tuple of Solution
        One a label; empty in paper mode.
    """

    calibration: Calibration
    measured: Measured
    consensus: Consensus
    held_out: FloatArray
    solutions: tuple[Solution, ...] = ()


def check_overlap(measured: Measured, anchor: str, fewest: int) -> None:
    """Refuse surveys that no chain of overlaps connects with the anchor.

    Raises
    ------
    InputError
        Names every such survey, with the stars that it shares with the others.
    """
    names = measured.surveys
    common = pair_counts(measured.by_any)
    reached = {names.index(anchor)}
    while more := {t for s in reached for t in range(len(names)) if common[s, t] >= fewest} - reached:
        reached |= more
    problems = []
    for s, name in enumerate(names):
        if s in reached:
            continue
        shared = ", ".join(f"{names[t]} {common[s, t]}" for t in range(len(names)) if t != s)
        problems.append(
            Problem(
                f"survey {name}",
                f"no chain of overlaps of {fewest} or more stars ties it to the anchor {anchor} "
                f"(stars in common: {shared})",
                "common stars",
                "Leave it out, or add a survey that overlaps with it. Were its stars found (radius, identifiers)?",
            )
        )
    if problems:
        raise InputError(problems)


def calibrate(
    measured: Measured,
    repeats: RepeatStatistics,
    config: HomogenizeConfig,
    anchor: str,
    *,
    snr_factors: FloatArray | None = None,
    final: bool = True,
) -> Fitted:
    """Find corrections and error factors of all surveys.

    Parameters
    ----------
    measured : Measured
        Stars of two or more surveys.
    repeats : RepeatStatistics
        Gives error factors.
    config : HomogenizeConfig
    anchor : str
        The survey whose scale is kept.
    snr_factors : ndarray, (3, S, n_bins), optional
        Already applied to the errors; stored in the document.
    final : bool
        Compute standard errors of the error factors (bootstrap).

    Returns
    -------
    Fitted

    Raises
    ------
    InputError
        A survey is not connected with the anchor.
    """
    check_overlap(measured, anchor, config.fewest)
    n_surveys = len(measured.surveys)
    if snr_factors is None:
        snr_factors = np.full((3, n_surveys, len(config.snr_bins) + 1), np.nan)
    at = measured.surveys.index(anchor)
    factors = _error_factors(measured, measured.value, measured.error, measured.error, repeats, config, 0)
    start = _start(measured, config, factors, snr_factors, anchor)
    if config.mode == "paper":
        return _paper(measured, repeats, config, start, at, final)
    rng = np.random.default_rng([config.seed, 1])
    folds = rng.permutation(np.arange(len(measured)) % config.folds)
    with one_thread_each:
        return _joint(measured, repeats, config, start, at, folds, final)


def _joint(
    measured: Measured,
    repeats: RepeatStatistics,
    config: HomogenizeConfig,
    calibration: Calibration,
    anchor: int,
    folds: NDArray[np.intp],
    final: bool,
) -> Fitted:
    """All surveys together: corrections, error factors and the consensus of the stars in turn."""
    solutions: list[Solution] = []
    lost: FloatArray | None = None
    for round_ in range(_ROUNDS):
        error = calibration.normalised(measured.error)
        place = consensus(calibration, measured.value, error, lost=lost)
        if round_ < 2:
            # The basis moves with the consensus, and earlier coefficients do not fit a basis that moved.
            calibration, solutions = _placed(calibration, place.stars, measured, config), []
        solutions = _solutions(
            calibration, place.stars, measured, error, anchor, folds, config, solutions, round_ in _CHOOSING
        )
        calibration = replace(
            calibration,
            beta=np.stack([solution.beta for solution in solutions]),
            covariance=np.stack([solution.covariance for solution in solutions]),
        )
        lost = np.stack([solution.weight for solution in solutions])
        place = consensus(calibration, measured.value, error, lost=lost)
        bootstrap = _BOOTSTRAP if round_ == _ROUNDS - 1 and final else 0
        factors = _error_factors(measured, place.calibrated, place.error, error, repeats, config, bootstrap)
        calibration = replace(calibration, factors=factors)
    error = calibration.normalised(measured.error)
    place = consensus(calibration, measured.value, error, lost=lost)
    calibration = replace(calibration, notes=_notes(calibration))
    held_out = np.stack([solution.held_out for solution in solutions])
    return Fitted(calibration, measured, place, held_out, tuple(solutions))


def _solutions(
    calibration: Calibration,
    stars: FloatArray,
    measured: Measured,
    error: FloatArray,
    anchor: int,
    folds: NDArray[np.intp],
    config: HomogenizeConfig,
    before: Sequence[Solution],
    choose: bool,
) -> list[Solution]:
    """Corrections of every label at the present consensus; `choose`: find the prior widths again."""
    functions, candidates = calibration.basis.evaluate(stars), _candidates(config)
    found = []
    for i in range(len(AXES)):
        old = before[i] if before else None
        found.append(
            solve(
                calibration.basis,
                functions,
                measured.value[i],
                error[i],
                anchor,
                folds=folds,
                huber=config.huber,
                candidates=candidates,
                start=old,
                prior=None if old is None or choose else old.prior,
            )
        )
    return found


def _paper(
    measured: Measured,
    repeats: RepeatStatistics,
    config: HomogenizeConfig,
    calibration: Calibration,
    anchor: int,
    final: bool,
) -> Fitted:
    """Each survey against the anchor alone, as a quadratic in its own labels."""
    calibration = _placed(calibration, measured.value[:, :, anchor].T, measured, config)
    held_out = np.zeros_like(measured.value)
    for round_ in range(2):
        error = calibration.normalised(measured.error)
        beta, covariance, held_out = pairwise(calibration.basis, measured, error, anchor, config)
        calibration = replace(calibration, beta=beta, covariance=covariance)
        place = consensus(calibration, measured.value, error)
        bootstrap = _BOOTSTRAP if final and round_ else 0
        factors = _error_factors(measured, place.calibrated, place.error, error, repeats, config, bootstrap)
        calibration = replace(calibration, factors=factors)
    place = consensus(calibration, measured.value, calibration.normalised(measured.error))
    calibration = replace(calibration, notes=_notes(calibration))
    return Fitted(calibration, measured, place, held_out)


def _candidates(config: HomogenizeConfig) -> Sequence[Prior]:
    """Prior widths to choose from by cross-validation; none if they are found by marginal likelihood."""
    if config.basis == "smooth":
        return ()
    return POLYNOMIAL if config.degree is None else (POLYNOMIAL[config.degree],)


def _start(
    measured: Measured,
    config: HomogenizeConfig,
    factors: tuple[tuple[Factor, ...], ...],
    snr_factors: FloatArray,
    anchor: str,
) -> Calibration:
    """Calibration without corrections."""
    basis = Basis.of(_middle(measured.value), config)
    n_surveys = len(measured.surveys)
    shape = (n_surveys, basis.size)
    return Calibration(
        surveys=measured.surveys,
        anchor=anchor,
        own=config.mode == "paper",
        basis=basis,
        beta=np.zeros((3, *shape)),
        covariance=np.zeros((3, *shape, *shape)),
        factors=factors,
        low=np.full((n_surveys, 3), -np.inf),
        high=np.full((n_surveys, 3), np.inf),
        snr_bins=config.snr_bins,
        snr_factors=snr_factors,
    )


def _middle(value: FloatArray) -> FloatArray:
    """Mean over surveys, NaN without any. Shapes (3, n, S) -> (n, 3)."""
    there = np.isfinite(value)
    count = there.sum(axis=2)
    total = np.where(there, value, 0.0).sum(axis=2)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0).T)


def _placed(
    calibration: Calibration, stars: FloatArray, measured: Measured, config: HomogenizeConfig
) -> Calibration:
    """Set the basis and the range of every survey to the labels of the stars in the overlaps."""
    basis = Basis.of(stars, config)
    finite = np.isfinite(stars)
    # Labels that no star has do not count.
    there: NDArray[np.bool_] = measured.by_any & (finite | ~finite.any(axis=0)).all(axis=1, keepdims=True)
    n_surveys = len(measured.surveys)
    low, high = np.full((n_surveys, 3), -np.inf), np.full((n_surveys, 3), np.inf)
    for s in range(n_surveys):
        where = measured.value[:, there[:, s], s].T if calibration.own else stars[there[:, s]]
        for j in range(3):
            known = where[np.isfinite(where[:, j]), j]
            if len(known):
                low[s, j], high[s, j] = np.percentile(known, [0.5, 99.5])
    return replace(calibration, basis=basis, low=low, high=high)


def _error_factors(
    measured: Measured,
    calibrated: FloatArray,
    on_scale: FloatArray,
    now: FloatArray,
    repeats: RepeatStatistics,
    config: HomogenizeConfig,
    bootstrap: int,
) -> tuple[tuple[Factor, ...], ...]:
    if config.errors == "quoted":
        return tuple(tuple(Factor() for _ in measured.surveys) for _ in AXES)
    return tuple(
        tuple(
            combined(
                measured, i, calibrated[i], on_scale[i], now[i], repeats, bootstrap=bootstrap, seed=config.seed
            )
        )
        for i in range(len(AXES))
    )


def _notes(calibration: Calibration) -> tuple[str, ...]:
    """Warnings about error factors."""
    return tuple(
        f"errors of {name} in {calibration.surveys[s]}: {factor.note}"
        for i, name in enumerate(AXES)
        for s, factor in enumerate(calibration.factors[i])
        if factor.note
    )
