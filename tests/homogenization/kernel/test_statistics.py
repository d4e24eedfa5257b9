"""Known truth: corrections unbiased within their covariance, intervals that cover, factors that are found."""

from __future__ import annotations

import numpy as np
import pytest

from starscale.homogenization.kernel.basis import AXES, Basis
from starscale.homogenization.kernel.calibrate import Fitted, calibrate
from starscale.homogenization.kernel.errors import RepeatStatistics, hat
from starscale.homogenization.kernel.measured import measured
from starscale.homogenization.kernel.merge import merge
from starscale.homogenization.kernel.rows import gather, merge_repeats
from starscale.homogenization.kernel.scale import core_width, mad
from starscale.homogenization.kernel.solve import normal_equations
from starscale.homogenization.kernel.whole import homogenize_tables
from starscale.vocabulary.settings.homogenize import HomogenizeConfig
from support.homogenize_skies import bent, observed, sky, stars

LINEAR = HomogenizeConfig(basis="polynomial", degree=1, errors="quoted", leave_out=False)


def straight(x: np.ndarray) -> np.ndarray:
    """Systematics that a polynomial of degree 1 holds exactly."""
    t, g, m = (x[:, 0] - 5400) / 600, x[:, 1] - 3.6, x[:, 2] + 0.3
    return np.stack([40 + 30 * t - 10 * m, 0.1 - 0.04 * g + 0.02 * t, -0.05 + 0.05 * m], axis=1)


def fitted(parts: list, config: HomogenizeConfig) -> Fitted:
    rows = gather(parts)
    several = measured(merge_repeats(rows.table), rows.surveys, config.max_stars, config.seed)
    return calibrate(several, RepeatStatistics.of(rows.table, len(rows.surveys)), config, "anchor", final=False)


@pytest.mark.parametrize("n_skies", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_corrections_are_unbiased_within_their_covariance(n_skies: int) -> None:
    """At five places, pulls of the two surveys' corrections: mean 0, width 1."""
    places = np.array(
        [[5800, 4.3, -0.3], [4800, 2.5, -0.3], [6200, 4.2, 0.1], [4700, 2.2, -0.7], [5500, 4.4, -0.6]]
    )
    pulls = []
    for seed in range(n_skies):
        parts, _ = sky(300, seed, shift=straight, repeats=False)
        calibration = fitted(parts, LINEAR).calibration
        found = calibration.at(places, np.zeros((3, len(places), 3))).value
        for s, sign in ((1, 1.0), (2, -0.7)):
            error = np.sqrt(calibration.variances(places, s, s))
            pulls.append((found[:, :, s] - sign * straight(places).T) / error)
    z = np.array(pulls).reshape(n_skies, 2, 3, len(places))
    # Four standard errors of a mean, for the worst of 30; all together are about 10 independent ones.
    error = 1 / np.sqrt(n_skies)
    assert np.abs(z.mean(axis=0)).max() < 4.2 * error
    assert abs(z.mean()) < 0.7 * error + 0.01
    assert np.sqrt((z**2).mean()) == pytest.approx(1.0, abs=max(0.1, 0.9 * error))


def test_intervals_of_merged_labels_cover() -> None:
    """Over 12 skies, errors as stated."""
    inside = []
    for seed in range(12):
        parts, truth = sky(600, 1000 + seed, shift=straight)
        result = homogenize_tables(parts, LINEAR)
        true = truth[result.labels["source_id"].to_numpy() - 1]
        for i, name in enumerate(AXES):
            z = (result.labels[name].to_numpy() - true[:, i]) / result.labels[f"{name}_error"].to_numpy()
            inside.append([(np.abs(z) < 1).mean(), (np.abs(z) < 1.96).mean()])
    share = np.mean(inside, axis=0)
    assert share[0] == pytest.approx(0.683, abs=0.02)
    assert share[1] == pytest.approx(0.950, abs=0.02)


@pytest.mark.slow
def test_smooth_corrections_cover_over_many_skies() -> None:
    """The default: curves, widths by marginal likelihood, factors from repeats and hat, 3 % outliers."""
    inside, pulls = [], []
    places = np.array([[5800, 4.3, -0.3], [4800, 2.5, -0.3], [6200, 4.2, 0.1], [4700, 2.2, -0.7]])
    for seed in range(25):
        parts, truth = sky(900, seed, understated=1.6)
        result = homogenize_tables(parts, HomogenizeConfig(leave_out=False))
        true = truth[result.labels["source_id"].to_numpy() - 1]
        for i, name in enumerate(AXES):
            z = (result.labels[name].to_numpy() - true[:, i]) / result.labels[f"{name}_error"].to_numpy()
            inside.append([(np.abs(z) < 1).mean(), (np.abs(z) < 1.96).mean()])
        found = result.calibration.at(places, np.zeros((3, len(places), 3))).value
        error = np.sqrt(result.calibration.variances(places, 1, 1))
        pulls.append((found[:, :, 1] - bent(places).T) / error)
    share = np.mean(inside, axis=0)
    assert share[0] == pytest.approx(0.683, abs=0.02)
    assert share[1] == pytest.approx(0.950, abs=0.02)
    # A smooth curve is pulled towards its prior: the covariance allows for it.
    assert 0.8 < np.sqrt((np.array(pulls) ** 2).mean()) < 1.25


def test_error_factors_are_found_from_repeats_and_hat() -> None:
    parts, _ = sky(2500, 3, shift=straight, understated=1.7, outliers=0.04)
    config = LINEAR.model_copy(update={"errors": "normalise"})
    found = []
    for label in fitted(parts, config).calibration.factors:
        for factor in label:
            # Standard errors are about 5 %.
            assert factor.k == pytest.approx(1.7, rel=0.15)
            assert factor.extra == 0.0
            assert factor.method == "both"
            assert factor.repeats == pytest.approx(1.7, rel=0.25)
            assert factor.hat == pytest.approx(1.7, rel=0.25)
            found.append(factor.k)
    assert np.mean(found) == pytest.approx(1.7, rel=0.04)


def test_a_survey_that_claims_tiny_errors_is_not_believed() -> None:
    rng = np.random.default_rng(5)
    truth = stars(2000, rng)
    every = np.arange(2000)
    parts = [observed(name, truth, every, rng) for name in ("anchor", "second")]
    parts.append(observed("boastful", truth, every, rng, understated=20.0))
    result = homogenize_tables(parts, LINEAR.model_copy(update={"errors": "normalise"}))
    assert result.calibration.factors[0][2].k == pytest.approx(20.0, rel=0.1)
    weight = result.measurements.filter(result.measurements["survey"] == "boastful")["teff_weight"]
    assert weight.mean() == pytest.approx(1 / 3, abs=0.04)


def test_errors_that_repeats_share_are_added() -> None:
    """Visits of a star that share an error of its own: the repeats cannot see it, the other surveys do."""
    rng = np.random.default_rng(6)
    truth = stars(3000, rng)
    every = np.arange(3000)
    own = truth + rng.normal(size=truth.shape) * [80.0, 0.15, 0.10]
    parts = [observed(name, truth, every, rng) for name in ("anchor", "second")]
    parts.append(observed("third", own, np.sort(np.tile(every, 2)), rng))
    factor = fitted(parts, LINEAR.model_copy(update={"errors": "normalise"})).calibration.factors[0][2]
    assert factor.k == pytest.approx(1.0, rel=0.05)
    # Two visits merged: their own noise is 60 / sqrt(2) K; what they share is not averaged.
    assert factor.extra == pytest.approx(80.0, rel=0.1)
    assert "visits share" in factor.note


def test_two_surveys_alone_do_not_tell_whose_errors_are_wrong() -> None:
    rng = np.random.default_rng(7)
    truth = stars(800, rng)
    parts = [observed(name, truth, np.arange(800), rng, understated=2.0) for name in ("anchor", "second")]
    calibration = fitted(parts, LINEAR.model_copy(update={"errors": "normalise"})).calibration
    for factor in calibration.factors[0]:
        assert factor.method == "assumed"
        assert factor.k == pytest.approx(2.0, rel=0.1)
    assert any("one common factor assumed" in note for note in calibration.notes)


def test_the_hat_by_hand() -> None:
    """Three cornered: V_12, V_13, V_23 give each variance; a chain of two pairs does not."""
    rng = np.random.default_rng(8)
    sigma = np.array([1.0, 2.0, 3.0])
    values = rng.normal(size=(20_000, 3)) * sigma
    factor, spread, told = hat(values, np.ones_like(values), bootstrap=20)
    assert np.sqrt(factor) == pytest.approx(sigma, rel=0.05)
    assert told.all()
    assert (spread > 0).all()
    chain = values.copy()
    chain[::2, 2], chain[1::2, 0] = np.nan, np.nan
    assert not hat(chain, np.ones_like(values))[2].any()


def test_a_variance_is_never_negative() -> None:
    rng = np.random.default_rng(9)
    common = rng.normal(size=(2000, 1))
    # Errors that two surveys share break the assumption: the hat would give them a negative variance.
    values = np.concatenate([common, common, np.zeros_like(common)], axis=1) + 0.1 * rng.normal(size=(2000, 3))
    factor, _, _ = hat(values, np.ones_like(values))
    assert (factor >= 0).all()


def test_no_slope_arises_from_the_noise_of_the_place() -> None:
    """Surveys without systematics but very unlike errors: a correction at noisy values would find a slope."""
    rng = np.random.default_rng(10)
    truth = stars(20_000, rng)
    every = np.arange(len(truth))
    noisy = np.array([250.0, 0.4, 0.25])
    parts = [observed("anchor", truth, every, rng), observed("second", truth, every, rng, sigma=noisy)]
    joint = fitted(parts, LINEAR).calibration
    paper = fitted(parts, HomogenizeConfig(mode="paper", degree=1, errors="quoted")).calibration
    ends = np.array([[6800.0, 4.3, -0.3], [5000.0, 4.3, -0.3]])
    both = np.repeat(ends.T[:, :, None], 2, axis=2)
    spurious = {}
    for name, calibration in (("joint", joint), ("paper", paper)):
        found = calibration.at(ends, both).value[0, :, 1]
        spurious[name] = abs(found[0] - found[1])
    assert spurious["joint"] < 30
    # The trap is real: a regression on the survey's own noisy values falls into it.
    assert spurious["paper"] > 5 * spurious["joint"]


def test_normal_equations_are_those_of_the_whole_problem() -> None:
    """Against least squares with every star's own value as an unknown."""
    rng = np.random.default_rng(11)
    n, p = 40, 3
    basis = np.concatenate([np.ones((n, 1)), rng.normal(size=(n, p - 1))], axis=1)
    value = rng.normal(size=(n, 3))
    weight = rng.uniform(0.5, 2, size=(n, 3)) * (rng.random((n, 3)) < 0.8)
    rows, right = [], []
    for i in range(n):
        for s in range(3):
            row = np.zeros(n + 2 * p)
            row[i] = 1.0
            if s:
                row[n + (s - 1) * p : n + s * p] = basis[i]
            rows.append(row * np.sqrt(weight[i, s]))
            right.append(value[i, s] * np.sqrt(weight[i, s]))
    whole = np.linalg.lstsq(np.array(rows), np.array(right))[0]
    normal = normal_equations(basis, value, weight, [1, 2])
    assert np.linalg.solve(normal.matrix, normal.right) == pytest.approx(whole[n:], rel=1e-8)
    left = np.array(rows) @ whole - right
    assert normal.loss(whole[n:]) == pytest.approx(float(left @ left), rel=1e-8)


def test_widths() -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=50_000) * 3
    assert core_width(x) == pytest.approx(3, rel=0.02)
    assert mad(x) == pytest.approx(3, rel=0.02)
    x[:5000] *= 10
    # One in ten is wild: the MAD counts them, the core does not.
    assert core_width(x) == pytest.approx(3, rel=0.03)
    assert mad(x) > 3.3
    assert np.isnan(core_width(np.array([np.nan])))
    assert core_width(np.zeros(100)) == 0


def test_a_curve_can_follow_what_no_polynomial_does_and_stops_at_its_border() -> None:
    basis = Basis("smooth", (5500, 4, -0.3), (600, 0.7, 0.4), (4000, 1, -1.5), (7000, 5, 0.5), 10, 3.5, 0.25)
    x = np.full((300, 3), (5500.0, 4.5, -0.3))
    x[:, 0] = np.linspace(4000, 7000, 300)
    wanted = np.sin((x[:, 0] - 4000) / 350)
    functions = basis.evaluate(x)
    fit = functions @ np.linalg.lstsq(functions, wanted, rcond=1e-10)[0]
    assert np.abs(fit - wanted).max() < 0.02
    beyond = x[:2].copy()
    beyond[:, 0] = (3000, 9000)
    assert basis.evaluate(beyond) == pytest.approx(basis.evaluate(x[[0, -1]]))
    assert Basis.from_dict(basis.__dict__ | {}) == basis
    missing = np.array([[np.nan, 4.5, -0.3]])
    assert basis.evaluate(missing) == pytest.approx(basis.evaluate(np.array([[5500.0, 4.5, -0.3]])))


def test_an_outlier_among_three_is_left_out_and_among_two_widens_the_error() -> None:
    rng = np.random.default_rng(13)
    parts, _ = sky(1500, 13, shift=straight, repeats=False)
    calibration = fitted(parts, LINEAR).calibration
    value = np.repeat(np.array([5500.0, 4.3, -0.3])[:, None, None], 2, axis=1) + rng.normal(size=(3, 2, 3)) * 0.01
    value[0, 0, 2] += 2000
    value[0, 1, 1], value[0, 1, 2] = 7000.0, np.nan
    error = np.broadcast_to(np.array([60.0, 0.1, 0.06])[:, None, None], value.shape).copy()
    merged = merge(calibration, value, error)
    assert merged.outlier[0].tolist() == [[False, False, True], [False, False, False]]
    assert merged.weight[0, 0, 2] == 0
    assert merged.disagree[0].tolist() == [False, True]
    assert merged.error[0, 1] > 5 * merged.error[0, 0]
