"""Merged labels against a star-by-star computation from the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from starscale.homogenization.kernel.basis import Basis
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.errors import Factor
from starscale.homogenization.kernel.merge import merge, odd_ones

BASIS = Basis("polynomial", (5500, 4, -0.3), (600, 0.7, 0.4), (4000, 1, -1.5), (7000, 5, 0.5), 10, 3.5, 0.25)
#: Labels are in K and dex: typical errors.
SIZE = np.array([60.0, 0.1, 0.06])
CENTRE = np.array([5500.0, 4.0, -0.3])
SURVEYS = 4


def calibration(beta: np.ndarray, covariance: np.ndarray) -> Calibration:
    names = tuple("abcd"[:SURVEYS])
    free = np.full((SURVEYS, 3), np.inf)
    factors = tuple((Factor(),) * SURVEYS for _ in range(3))
    return Calibration(names, "a", False, BASIS, beta, covariance, factors, -free, free, (), np.ones((3, 4, 0)))


def offsets() -> tuple[Calibration, np.ndarray, np.ndarray]:
    """Every survey but the anchor has an offset, (3, S), and these a covariance, (3, S, S)."""
    rng = np.random.default_rng(1)
    shift, known = np.zeros((3, SURVEYS)), np.zeros((3, SURVEYS, SURVEYS))
    beta = np.zeros((3, SURVEYS, BASIS.size))
    covariance = np.zeros((3, SURVEYS, BASIS.size, SURVEYS, BASIS.size))
    for i in range(3):
        shift[i, 1:] = rng.normal(size=SURVEYS - 1) * SIZE[i] * 2
        root = rng.normal(size=(SURVEYS - 1, SURVEYS - 1)) * SIZE[i] / 2
        known[i, 1:, 1:] = root @ root.T
        beta[i, :, 0], covariance[i, :, 0, :, 0] = shift[i], known[i]
    return calibration(beta, covariance), shift, known


def measurements(n: int, seed: int, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and errors of n stars, (3, n, S): many missing, some far off, some twice as scattered as they say."""
    rng = np.random.default_rng(seed)
    truth = CENTRE[:, None] + rng.normal(size=(3, n)) * SIZE[:, None]
    error = rng.uniform(0.5, 2, size=(3, n, SURVEYS)) * SIZE[:, None, None]
    wider = np.where(rng.random((3, n, 1)) < 0.3, 2.5, 1.0)
    value = truth[:, :, None] + shift[:, None, :] + wider * error * rng.normal(size=error.shape)
    value += np.where(rng.random(value.shape) < 0.1, 12 * error, 0.0)
    lost = rng.random(value.shape) < rng.choice([0.1, 0.5], (1, n, 1))
    lost |= rng.random((1, n, SURVEYS)) < 0.2
    return np.where(lost, np.nan, value), np.where(lost, np.nan, error)


def odd_one(y: np.ndarray, e: np.ndarray) -> int | None:
    """Number of the measurement that is left out: the farthest from the mean of the others, which agree."""
    there = np.flatnonzero(np.isfinite(y))
    if len(there) < 3:
        return None
    found = []
    for s in there:
        others = there[there != s]
        mean = np.average(y[others], weights=e[others] ** -2.0)
        chi2 = (((y[others] - mean) / e[others]) ** 2).sum()
        agree = stats.chi2.sf(chi2, len(others) - 1) > 0.01
        found.append((abs(y[s] - mean) / np.hypot(e[s], (e[others] ** -2.0).sum() ** -0.5), agree, int(s)))
    away, agree, s = max(found)
    return s if away > 4 and agree else None


@pytest.mark.parametrize("i", [0, 1])
def test_the_odd_one_is_that_of_the_definition(i: int) -> None:
    value, error = measurements(4000, 2, np.zeros((3, SURVEYS)))
    found = odd_ones(value[i], error[i])
    wanted = [odd_one(y, e) for y, e in zip(value[i], error[i], strict=True)]
    assert sum(s is not None for s in wanted) > 200
    assert [np.flatnonzero(row).tolist() for row in found] == [[] if s is None else [s] for s in wanted]


def test_no_star_of_three_has_no_odd_one() -> None:
    assert not odd_ones(np.array([[0.0, 1e3, np.nan]]), np.array([[1.0, 1.0, np.nan]])).any()


def test_means_errors_and_spreads_are_those_of_generalised_least_squares() -> None:
    found_calibration, shift, known = offsets()
    value, error = measurements(600, 3, shift)
    merged = merge(found_calibration, value, error)
    numbers, disagreeing, left_out = set[int](), 0, 0
    for i, star in np.ndindex(3, value.shape[1]):
        y, e = value[i, star] - shift[i], error[i, star]
        odd = odd_one(y, e)
        left_out += odd is not None
        assert merged.outlier[i, star].tolist() == [s == odd for s in range(SURVEYS)]
        there = np.array([s for s in range(SURVEYS) if np.isfinite(y[s]) and s != odd], dtype=int)
        numbers.add(len(there))
        own = np.where(np.isfinite(y), np.sqrt(np.diag(known[i])), np.nan)
        assert merged.correction_error[i, star] == pytest.approx(own, rel=1e-9, nan_ok=True)
        weight = np.zeros(SURVEYS)
        if not len(there):
            assert np.isnan([merged.value[i, star], merged.error[i, star]]).all()
            assert (merged.chi2[i, star], merged.free[i, star]) == (0, 0)
            assert not merged.weight[i, star].any()
            continue
        inverse = np.linalg.inv(np.diag(e[there] ** 2) + known[i][np.ix_(there, there)])
        weight[there] = inverse.sum(axis=0) / inverse.sum()
        mean, size = weight[there] @ y[there], inverse.sum() ** -0.5
        chi2, free = (y[there] - mean) @ inverse @ (y[there] - mean), len(there) - 1
        disagree = bool(free) and stats.chi2.sf(chi2, free) < 0.01
        disagreeing += disagree
        size *= np.sqrt(chi2 / free) if disagree else 1.0
        assert merged.value[i, star] == pytest.approx(mean, rel=1e-9)
        assert merged.error[i, star] == pytest.approx(size, rel=1e-9)
        assert merged.chi2[i, star] == pytest.approx(chi2, rel=1e-6, abs=1e-9)
        assert (merged.free[i, star], merged.disagree[i, star]) == (free, disagree)
        assert merged.weight[i, star] == pytest.approx(weight, abs=1e-9)
        place = np.average(y[there], weights=e[there] ** -2.0)
        assert merged.consensus.stars[star, i] == pytest.approx(place, rel=1e-9)
    assert numbers == set(range(SURVEYS + 1))
    assert disagreeing > 50
    assert left_out > 50


def sloped() -> Calibration:
    """Corrections that change with the star, so that its place matters."""
    rng = np.random.default_rng(4)
    beta = np.zeros((3, SURVEYS, BASIS.size))
    beta[:, 1:, :5] = rng.normal(size=(3, SURVEYS - 1, 5)) * SIZE[:, None, None] / 3
    covariance = np.zeros((3, SURVEYS, BASIS.size, SURVEYS, BASIS.size))
    for i in range(3):
        root = rng.normal(size=(3 * BASIS.size, 3 * BASIS.size)) * SIZE[i] / 60
        block = (root @ root.T).reshape(3, BASIS.size, 3, BASIS.size)
        covariance[np.ix_([i], range(1, 4), range(BASIS.size), range(1, 4), range(BASIS.size))] = block
    return calibration(beta, covariance)


def test_a_measurement_that_is_left_out_does_not_move_the_star() -> None:
    """The other measurements become what they are without it."""
    value, error = measurements(400, 5, np.zeros((3, SURVEYS)))
    merged = merge(sloped(), value, error)
    odd = merged.outlier
    assert odd.any(axis=2).sum() > 30
    without = merge(sloped(), np.where(odd, np.nan, value), np.where(odd, np.nan, error))
    # Without the odd one, another may be.
    same = np.flatnonzero(~without.outlier.any(axis=(0, 2)))
    assert len(same) > 350
    for name in ("value", "error", "chi2", "weight", "free", "disagree"):
        now, then = (getattr(m, name)[:, same] for m in (merged, without))
        assert now == pytest.approx(then, rel=1e-9, abs=1e-12, nan_ok=True), name
    kept = ~odd
    for name in ("calibrated", "error", "placement"):
        now, then = (np.where(kept, getattr(m.consensus, name), np.nan)[:, same] for m in (merged, without))
        assert now == pytest.approx(then, rel=1e-9, nan_ok=True), name
    assert merged.consensus.stars[same] == pytest.approx(without.consensus.stars[same], nan_ok=True)
    for name in ("value", "slope"):
        now, then = (getattr(m.consensus.correction, name)[..., same, :] for m in (merged, without))
        assert now == pytest.approx(then, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_a_star_alone_has_the_label_and_error_of_a_star_among_others() -> None:
    value, error = measurements(50, 6, np.zeros((3, SURVEYS)))
    merged = merge(sloped(), value, error)
    for star in range(50):
        alone = merge(sloped(), value[:, [star]], error[:, [star]])
        for name in ("value", "error", "chi2", "weight"):
            now, then = getattr(merged, name)[:, star], getattr(alone, name)[:, 0]
            assert now == pytest.approx(then, rel=1e-9, abs=1e-12, nan_ok=True), name
