"""Corrections against penalised least squares in which the value of every star is an unknown of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from starscale.homogenization.kernel import solve as module
from starscale.homogenization.kernel.basis import Basis
from starscale.homogenization.kernel.robust import robust_weights
from starscale.homogenization.kernel.solve import Solution, normal_equations, solve
from starscale.homogenization.kernel.widths import POLYNOMIAL, WIDE, Normal, first_guess, with_uncertain_widths

SQUARES = Basis("polynomial", (5500, 4, -0.3), (600, 0.7, 0.4), (4000, 1, -1.5), (7000, 5, 0.5), 10, 3.5, 0.25)
SMOOTH = Basis("smooth", (5500, 4, -0.3), (600, 0.7, 0.4), (4000, 1, -1.5), (7000, 5, 0.5), 3, 3.5, 0.25)
ANCHOR, SURVEYS, FOLDS, HUBER = 1, 3, 4, 1.5


@dataclass(frozen=True)
class Sky:
    """Stars of three surveys, some seen by one or by none, and some measurements wild."""

    functions: np.ndarray
    value: np.ndarray
    error: np.ndarray
    folds: np.ndarray

    @classmethod
    def of(cls, basis: Basis, n: int = 150, wild: float = 0.1) -> Sky:
        rng = np.random.default_rng(n)
        at = np.stack([rng.uniform(4000, 7000, n), rng.uniform(1, 5, n), rng.uniform(-1.5, 0.5, n)], axis=1)
        error = rng.uniform(0.5, 2, size=(n, SURVEYS))
        value = (
            50 + rng.normal(size=(n, 1)) * 10 + np.array([4.0, 0.0, -3.0]) + error * rng.normal(size=error.shape)
        )
        value[:, 2] += (at[:, 0] - 5500) / 500
        value += np.where(rng.random(value.shape) < wild, 15 * error, 0.0)
        lost = rng.random(value.shape) < 0.25
        lost[0], lost[1] = True, (True, False, True)
        value[lost], error[lost] = np.nan, np.nan
        return cls(basis.evaluate(at), value, error, rng.permutation(n) % FOLDS)

    def solve(self, basis: Basis, **options: object) -> Solution:
        found = solve(
            basis, self.functions, self.value, self.error, ANCHOR, folds=self.folds, huber=HUBER, **options
        )
        assert isinstance(found, Solution)
        return found

    @property
    def ideal(self) -> np.ndarray:
        return np.where(np.isnan(self.value), 0.0, np.nan_to_num(self.error, nan=1.0) ** -2.0)


def least_squares(
    sky: Sky, weight: np.ndarray, width: np.ndarray, free: Sequence[int], stars: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (S, p) and their covariance, of some stars; `width`: prior standard deviations, (S, p)."""
    p, rows, right = sky.functions.shape[1], [], []
    place = {s: len(stars) + k * p for k, s in enumerate(free)}
    unknown = len(stars) + len(free) * p
    for i, star in enumerate(stars):
        for s in np.flatnonzero(weight[star]):
            row, root = np.zeros(unknown), np.sqrt(weight[star, s])
            row[i] = root
            if s in place:
                row[place[s] : place[s] + p] = root * sky.functions[star]
            rows.append(row)
            right.append(root * sky.value[star, s])
        if not weight[star].any():
            rows.append(np.eye(unknown)[i])
            right.append(0.0)
    for s, at in place.items():
        rows.extend(np.eye(unknown)[at : at + p] / width[s][:, None])
        right.extend([0.0] * p)
    matrix = np.array(rows)
    # Widths of almost nothing: columns of one size.
    size = np.sqrt((matrix**2).sum(axis=0))
    q, r = np.linalg.qr(matrix / size)
    back = np.linalg.inv(r)
    found = back @ (q.T @ np.array(right)) / size
    covariance = (back @ back.T / np.outer(size, size))[len(stars) :, len(stars) :]
    beta = np.zeros((SURVEYS, p))
    beta[list(free)] = found[len(stars) :].reshape(len(free), p)
    return beta, covariance


def in_turn(
    sky: Sky, width: np.ndarray, free: Sequence[int], start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]:
    """Weights and coefficients twice in turn: beta, covariance, weights, their factor and held-out corrections."""
    every, redescend = np.arange(len(sky.value)), start is not None
    beta = np.zeros((SURVEYS, sky.functions.shape[1])) if start is None else start
    for _ in range(2):
        lost = robust_weights(sky.functions, sky.value, sky.ideal, beta, HUBER, redescend=redescend)[0]
        weight = sky.ideal * lost
        beta, covariance = least_squares(sky, weight, width, free, every)
    lost, inflation = robust_weights(sky.functions, sky.value, sky.ideal, beta, HUBER, redescend=redescend)
    held_out = np.zeros_like(sky.value)
    for k in range(FOLDS):
        other = least_squares(sky, weight, width, free, np.flatnonzero(sky.folds != k))[0]
        held_out[sky.folds == k] = sky.functions[sky.folds == k] @ (other - other[ANCHOR]).T
    return beta, covariance, lost, inflation, held_out


def widths(basis: Basis, prior: Sequence[float], unit: float) -> np.ndarray:
    """Prior standard deviation of every coefficient, (S, p): those of a group that is left out are almost 0."""
    return np.tile(np.maximum(np.array([WIDE, *prior])[basis.groups], 1e-6) * unit, (SURVEYS, 1))


def test_a_polynomial_of_one_degree_is_that_of_least_squares() -> None:
    sky, free = Sky.of(SQUARES), [0, 2]
    for prior in (POLYNOMIAL[1], (0.5, 0.2)):
        found = sky.solve(SQUARES, candidates=[prior])
        beta, covariance, lost, inflation, held_out = in_turn(sky, widths(SQUARES, prior, found.unit), free)
        assert found.prior == (prior,) * SURVEYS
        assert 0.02 < (lost[~np.isnan(sky.value)] < 0.3).mean() < 0.2
        assert found.beta == pytest.approx(beta, rel=1e-6, abs=1e-7)
        assert found.weight == pytest.approx(lost, rel=1e-6)
        assert found.held_out == pytest.approx(held_out, rel=1e-5, abs=1e-6)
        p = SQUARES.size
        mine = found.covariance[np.ix_(free, range(p), free, range(p))].reshape(2 * p, 2 * p)
        assert mine == pytest.approx(covariance * inflation, rel=1e-5, abs=1e-8)
        assert not found.covariance[ANCHOR].any()
        assert not found.covariance[:, :, ANCHOR].any()


def test_smooth_corrections_are_those_of_least_squares_less_that_of_the_anchor() -> None:
    """With fixed widths of 0 for every curve and slope there is nothing to average over."""
    sky, p, every = Sky.of(SMOOTH), SMOOTH.size, [0, 1, 2]
    prior = (0.0,) * len(SMOOTH.group_names)
    found = sky.solve(SMOOTH, prior=[prior] * SURVEYS)
    beta, covariance, lost, inflation, held_out = in_turn(sky, widths(SMOOTH, prior, found.unit), every)
    assert found.prior == (prior,) * SURVEYS
    assert found.beta == pytest.approx(beta - beta[ANCHOR], rel=1e-6, abs=1e-7)
    assert found.weight == pytest.approx(lost, rel=1e-6)
    assert found.held_out == pytest.approx(held_out, rel=1e-5, abs=1e-6)
    difference = np.zeros((SURVEYS * p, SURVEYS * p))
    for s in every:
        difference[s * p : (s + 1) * p, s * p : (s + 1) * p] += np.eye(p)
        difference[s * p : (s + 1) * p, ANCHOR * p : (ANCHOR + 1) * p] -= np.eye(p)
    wanted = difference @ (covariance * inflation) @ difference.T
    assert found.covariance.reshape(SURVEYS * p, SURVEYS * p) == pytest.approx(wanted, rel=1e-5, abs=1e-8)


def test_widths_that_are_open_are_averaged_over() -> None:
    """One survey of few stars has fixed widths, which stay; those of the others are uncertain."""
    sky, p, every = Sky.of(SMOOTH), SMOOTH.size, [0, 1, 2]
    open_, fixed = first_guess(SMOOTH), (0.0,) * len(SMOOTH.group_names)
    found = sky.solve(SMOOTH, prior=[open_, open_, fixed])
    width = np.stack([widths(SMOOTH, prior, found.unit)[0] for prior in (open_, open_, fixed)])
    beta, _, _, inflation, _ = in_turn(sky, width, every)
    assert found.beta == pytest.approx(beta - beta[ANCHOR], rel=1e-5, abs=1e-6)
    # Once more, to the last equations: all but the averaging is computed here.
    lost = np.isfinite(sky.value).astype(float)
    last = np.zeros((SURVEYS, p))
    for _ in range(2):
        lost = robust_weights(sky.functions, sky.value, sky.ideal, last, HUBER, redescend=False)[0]
        whole = normal_equations(sky.functions, sky.value, sky.ideal * lost, every)
        last = np.linalg.solve(whole.matrix + np.diag(width.ravel() ** -2.0), whole.right).reshape(SURVEYS, p)
    groups = np.concatenate([SMOOTH.groups, SMOOTH.groups, np.zeros(p, dtype=int)])
    full = with_uncertain_widths(whole, width.ravel() ** -2.0, groups, found.unit) * inflation
    full = full.reshape(SURVEYS, p, SURVEYS, p)
    for s in (0, 2):
        wanted = full[s, :, s] - full[s, :, ANCHOR] - full[ANCHOR, :, s] + full[ANCHOR, :, ANCHOR]
        assert found.covariance[s, :, s] == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_a_start_gives_its_unit_and_its_coefficients() -> None:
    """From the start on, wild measurements lose all weight."""
    sky, free = Sky.of(SQUARES, n=200), [0, 2]
    first = sky.solve(SQUARES, candidates=[POLYNOMIAL[1]])
    start = Solution(first.beta, first.covariance, first.prior, 2.5 * first.unit, first.weight, first.held_out)
    found = sky.solve(SQUARES, candidates=[(0.3, 0.1)], start=start)
    assert found.unit == start.unit
    beta, _, lost, _, _ = in_turn(sky, widths(SQUARES, (0.3, 0.1), start.unit), free, first.beta)
    assert found.beta == pytest.approx(beta, rel=1e-6, abs=1e-7)
    assert found.weight == pytest.approx(lost, rel=1e-6, abs=1e-9)


def test_the_unit_is_the_typical_difference_of_two_surveys() -> None:
    """Deviations of the one star of three surveys from its mean; stars of one survey have none."""
    nothing, at = np.nan, np.full((3, 3), (5500.0, 4.0, -0.3))
    value = np.array([[4.0, 7.0, 14.0], [nothing] * 3, [nothing, 99.0, nothing]])
    together = Sky(SQUARES.evaluate(at), value, np.where(np.isnan(value), np.nan, 1.0), np.arange(3) % 2)
    mean = 25 / 3
    assert together.solve(SQUARES, candidates=[POLYNOMIAL[0]]).unit == pytest.approx(2.5 * (mean - 4))
    value = np.where(np.eye(3) == 1, 5.0, np.nan)
    alone = Sky(together.functions, value, np.where(np.isnan(value), np.nan, 1.0), together.folds)
    assert alone.solve(SQUARES, candidates=[POLYNOMIAL[0]]).unit == 1.0


def test_what_the_degree_is_chosen_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared stars, degrees of freedom and the equations of the last round, counted by hand."""
    sky, given = Sky.of(SQUARES), {}

    def chosen(basis: Basis, whole: Normal, parts: Sequence[Normal], *rest: object) -> list:
        given.update(whole=whole)
        given.update(zip(("unit", "candidates", "free", "start", "freedom", "shared"), rest, strict=True))
        assert sum(part.matrix for part in parts) == pytest.approx(whole.matrix)
        assert len(parts) == FOLDS
        return [POLYNOMIAL[0], POLYNOMIAL[0], POLYNOMIAL[2]]

    monkeypatch.setattr(module, "best_degree", chosen)
    found = sky.solve(SQUARES, candidates=POLYNOMIAL)
    seen = np.isfinite(sky.value)
    measured, stars = int(seen.sum()), sum(1 for row in seen if row.any())
    shared = [sum(1 for row in seen if row[s] and row.sum() > 1) for s in range(SURVEYS)]
    assert given["freedom"] == measured - stars
    # The equations are those after the first round, whose coefficients say which measurements are wild.
    start = robust_weights(
        sky.functions, sky.value, sky.ideal, np.zeros((SURVEYS, SQUARES.size)), HUBER, redescend=False
    )[0]
    width = widths(SQUARES, POLYNOMIAL[1], found.unit)
    beta = least_squares(sky, sky.ideal * start, width, [0, 2], np.arange(len(seen)))[0]
    lost = robust_weights(sky.functions, sky.value, sky.ideal, beta, HUBER, redescend=False)[0]
    last = normal_equations(sky.functions, sky.value, sky.ideal * lost, [0, 2])
    assert given["whole"].matrix == pytest.approx(last.matrix, rel=1e-6)
    assert given["shared"].tolist() == shared
    assert given["start"] == [POLYNOMIAL[1]] * SURVEYS
    assert given["free"] == [0, 2]
    assert found.prior == (POLYNOMIAL[0], POLYNOMIAL[0], POLYNOMIAL[2])
    monkeypatch.setattr(module, "most_probable", lambda *args: given.update(smooth=args) or list(args[4]))
    assert sky.solve(SQUARES).prior == (first_guess(SQUARES),) * SURVEYS
    assert given["smooth"][3] == [0, 1, 2]
    assert given["smooth"][5].tolist() == shared
