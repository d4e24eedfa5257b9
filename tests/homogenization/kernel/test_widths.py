"""Weights and widths: wild measurements lose theirs, and a correction is as smooth as the data say."""

from __future__ import annotations

import numpy as np
import pytest

from starscale.homogenization.kernel.basis import Basis
from starscale.homogenization.kernel.calibrate import calibrate
from starscale.homogenization.kernel.errors import RepeatStatistics
from starscale.homogenization.kernel.measured import Measured
from starscale.homogenization.kernel.robust import robust_weights, wild_ones
from starscale.homogenization.kernel.scale import core_width, mad
from starscale.homogenization.kernel.solve import Solution, solve
from starscale.homogenization.kernel.widths import FEWEST_FOR_SLOPES, Normal, with_uncertain_widths
from starscale.vocabulary.settings.homogenize import HomogenizeConfig

SMOOTH = Basis("smooth", (5500, 4, -0.3), (600, 0.7, 0.4), (4000, 1, -1.5), (7000, 5, 0.5), 10, 3.5, 0.25)
LINE, TEFF, LOGG = 1, 2, 3


def places(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.stack([rng.uniform(4000, 7000, n), rng.uniform(1, 5, n), rng.uniform(-1.5, 0.5, n)], axis=1)


def two_surveys(correction: np.ndarray, rng: np.random.Generator, wild: float = 0.0) -> np.ndarray:
    """Anchor and one survey with errors of 1, shape (n, 2); a share of the survey's values is 20 times as wild."""
    noise = rng.normal(size=(len(correction), 2))
    noise[:, 1] *= np.where(rng.random(len(correction)) < wild, 20, 1)
    noise[:, 1] += correction
    return noise


def solved(x: np.ndarray, value: np.ndarray, start: Solution | None = None, anchor: int = 0) -> Solution:
    folds = np.arange(len(x)) % 5
    error = np.ones_like(value)
    return solve(SMOOTH, SMOOTH.evaluate(x), value, error, anchor, folds=folds, huber=1.5, start=start)


def test_every_function_has_a_group_and_every_group_a_name() -> None:
    for basis in (SMOOTH, Basis(**{**SMOOTH.__dict__, "kind": "polynomial"})):
        assert len(basis.groups) == basis.evaluate(places(3, np.random.default_rng(0))).shape[1]
        assert sorted(set(basis.groups.tolist())) == list(range(len(basis.group_names) + 1))


def test_a_curve_in_one_label_does_not_free_the_others() -> None:
    rng = np.random.default_rng(1)
    x = places(4000, rng)
    found = solved(x, two_surveys(6 * np.sin((x[:, 0] - 4000) / 400), rng))
    width = np.array(found.prior[1]) * found.unit
    assert width[TEFF - 1] > 10 * max(width[LOGG - 1 :])
    at = places(500, rng)
    left = SMOOTH.evaluate(at) @ found.beta[1] - 6 * np.sin((at[:, 0] - 4000) / 400)
    # 4000 differences of width 1.4: an error of the curve of about 0.02 for each function that is free.
    assert np.sqrt((left**2).mean()) < 0.15


def test_a_straight_line_stays_straight() -> None:
    rng = np.random.default_rng(2)
    x = places(4000, rng)
    found = solved(x, two_surveys((x[:, 0] - 5500) / 300, rng))
    width = np.array(found.prior[1])
    assert width[LINE - 1] > 5 * max(width[1:])


def test_few_common_stars_give_an_offset_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    x = places(FEWEST_FOR_SLOPES - 1, rng)
    found = solved(x, two_surveys(20 + (x[:, 0] - 5500) / 100, rng))
    assert found.prior[1] == (0.0,) * len(SMOOTH.group_names)
    corrections = SMOOTH.evaluate(x) @ found.beta[1]
    assert np.ptp(corrections) < 1e-3
    assert corrections.mean() == pytest.approx(20, abs=10)


def test_wild_measurements_are_forgotten_once_there_is_a_start() -> None:
    """Of three, the odd one; Huber's weights keep a part of it for ever."""
    rng = np.random.default_rng(4)
    value = rng.normal(size=(2000, 3))
    wild = rng.random(2000) < 0.05
    value[wild, 2] += 30
    one, ideal, beta = np.ones((2000, 1)), np.ones_like(value), np.zeros((3, 1))
    first, _ = robust_weights(one, value, ideal, beta, 1.5, redescend=False)
    later, inflation = robust_weights(one, value, ideal, beta, 1.5, redescend=True)
    assert 0.02 < first[wild, 2].max() < 0.2
    assert later[wild, 2].max() < 0.01
    assert later[~wild].mean() > 0.97
    assert later[wild, :2].mean() > 0.95
    assert 0.9 < inflation < 1.2


def test_gaussian_errors_lose_almost_nothing() -> None:
    share, broad = wild_ones(np.random.default_rng(5).normal(size=20_000) ** 2, 0.05, 9.0)
    assert share < 0.01
    assert broad >= 9
    rng = np.random.default_rng(6)
    share, broad = wild_ones(np.concatenate([rng.normal(size=9000), 8 * rng.normal(size=1000)]) ** 2, 0.05, 9.0)
    assert share == pytest.approx(0.1, abs=0.02)
    assert np.sqrt(broad) == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("wild", [0.0, 0.05])
def test_the_covariance_fits_the_scatter_of_the_corrections(wild: float) -> None:
    """Offset and slopes over 100 skies of which a share of the measurements is wild: pulls of width 1."""
    at = np.array([[5500.0, 4.3, -0.3], [4800.0, 2.5, -0.5], [6300.0, 4.2, 0.0]])
    pulls = []
    for seed in range(100):
        rng = np.random.default_rng([7, seed])
        x = places(300, rng)
        truth = (x[:, 0] - 5500) / 300
        value = two_surveys(truth, rng, wild)
        found = solved(x, value, start=solved(x, value))
        functions = SMOOTH.evaluate(at)
        error = np.sqrt(np.einsum("ip,pq,iq->i", functions, found.covariance[1, :, 1], functions))
        pulls.append((functions @ found.beta[1] - (at[:, 0] - 5500) / 300) / error)
    z = np.array(pulls)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(100)
    assert 0.8 < np.sqrt((z**2).mean()) < 1.15


def errors_at(found: Solution, at: np.ndarray, survey: int) -> np.ndarray:
    functions = SMOOTH.evaluate(at)
    return np.asarray(np.sqrt(np.einsum("ip,pq,iq->i", functions, found.covariance[survey, :, survey], functions)))


def test_the_anchor_only_says_whose_scale_is_kept() -> None:
    """The difference of two surveys and its error are the same, whichever of them is the anchor."""
    rng = np.random.default_rng(9)
    x, at = places(600, rng), places(50, rng)
    value = two_surveys(3 * np.sin(x[:, 0] / 500), rng)
    one, other = solved(x, value), solved(x, value, anchor=1)
    functions = SMOOTH.evaluate(at)
    assert functions @ one.beta[1] == pytest.approx(-(functions @ other.beta[0]), abs=1e-6)
    assert errors_at(one, at, 1) == pytest.approx(errors_at(other, at, 0), rel=1e-6)
    assert not one.covariance[0].any()
    assert one.held_out[:, 1] == pytest.approx(-other.held_out[:, 0], abs=1e-6)


def test_where_the_anchor_has_no_stars_the_errors_say_so() -> None:
    """Three surveys with curves of their own; the anchor ends at 6000 K."""
    at = np.array([[5000.0, 4.3, -0.3], [6600.0, 4.3, -0.3]])
    noise = np.array([40, 0.08, 0.05])[:, None, None]
    pulls, sizes = [], []
    for seed in range(3):
        rng = np.random.default_rng([10, seed])
        x = places(1000, rng)
        phase, length = rng.uniform(0, 6.3, 3), rng.uniform(500, 900, 3)

        def scales(t: np.ndarray, phase: np.ndarray = phase, length: np.ndarray = length) -> np.ndarray:
            return np.asarray(60 * np.sin(t[:, None] / length + phase))

        value = x.T[:, :, None] + noise * rng.normal(size=(3, len(x), 3))
        value[0] += scales(x[:, 0])
        value[:, x[:, 0] > 6000, 0] = np.nan
        stars = Measured(("anchor", "second", "third"), value, np.where(np.isfinite(value), noise, np.nan))
        config = HomogenizeConfig(errors="quoted", segments=6)
        found = calibrate(stars, RepeatStatistics(), config, "anchor", final=False).calibration
        needed = scales(at[:, 0])[:, 1] - scales(at[:, 0])[:, 0]
        size = np.sqrt(found.variances(at, 1, 1)[0])
        pulls.append((found.of_survey(at, 1)[0][0] - needed) / size)
        sizes.append(size)
    inside, outside = np.median(sizes, axis=0)
    assert outside > 5 * inside
    assert 0.3 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_the_covariance_is_averaged_over_the_widths() -> None:
    """One group of five coefficients, against a sum over a fine grid; a group that is fixed stays as it is."""
    rng = np.random.default_rng(11)
    design = rng.normal(size=(40, 8))
    value = design @ np.array([1.0, 0.1, 0.2, -0.1, 0.0, 0.1, 0.0, 0.0]) + rng.normal(size=40)
    whole = Normal(design.T @ design, design.T @ value, float(value @ value))
    groups, unit = np.array([0, 1, 1, 1, 1, 1, 0, 0]), 2.0

    def fitted(width: float) -> tuple[np.ndarray, np.ndarray, float]:
        precision = np.array([1e-3, *[(width * unit) ** -2.0] * 5, 1e8, 1e8])
        prior = np.diag(1 / precision)
        covariance = np.linalg.inv(whole.matrix + np.diag(precision))
        # The probability of the values, written out.
        full = np.eye(40) + design @ prior @ design.T
        log = -0.5 * (np.linalg.slogdet(full)[1] + value @ np.linalg.solve(full, value))
        return covariance, covariance @ whole.right, log - width**2 / 2

    best = fitted(0.05)
    grid = [(width, *fitted(width)) for width in np.linspace(1e-3, 5, 1500)]
    share = np.exp(np.array([log for *_, log in grid]))
    share /= share.sum()
    expected = sum(
        w * (c + np.outer(b - best[1], b - best[1])) for w, (_, c, b, _) in zip(share, grid, strict=True)
    )
    precision = np.array([1e-3, *[(0.05 * unit) ** -2.0] * 5, 1e8, 1e8])
    found = with_uncertain_widths(whole, precision, groups, unit)
    assert np.sqrt(np.diag(found)) == pytest.approx(np.sqrt(np.diag(expected)), rel=0.03)
    assert (np.diag(found)[1:6] > 1.5 * np.diag(best[0])[1:6]).all()


@pytest.mark.parametrize(
    ("n", "wild", "gain"), [(20, 0.0, 0.92), (20, 0.1, 0.82), (30, 0.0, 0.8), (30, 0.1, 0.72)]
)
def test_the_core_is_steadier_than_the_mad_from_twenty_values_on(n: int, wild: float, gain: float) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(2000, n)) * np.where(rng.random((2000, n)) < wild, 8, 1)
    rms = [np.sqrt(np.mean([(f(row) - 1) ** 2 for row in x])) for f in (core_width, mad)]
    assert rms[0] < gain * rms[1]
