"""Baselines against known truth and against the libraries that they stand for."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR

from starscale.learn import Prediction, Sample, fit_predictor
from starscale.learn.arrays import arrays_of, filled
from starscale.learn.baselines.forest import Forest, RandomForest
from starscale.learn.baselines.knn import Knn
from starscale.learn.baselines.ridge import Ridge
from starscale.learn.baselines.svr import Svr
from starscale.learn.baselines.xgboost import NODES, Xgboost, interpolated, share_below
from starscale.learn.learners import LEARNERS
from starscale.learn.observations import Measurements, Observations
from starscale.learn.preparation import InputPreparation, Inputs
from starscale.learn.regressor import FitContext, LabelTargets
from starscale.vocabulary import libraries
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.models import (
    BaselineConfig,
    KnnConfig,
    MeanConfig,
    ModelConfig,
    RandomForestConfig,
    RidgeConfig,
    SvrConfig,
    XgboostConfig,
)
from starscale.vocabulary.strict import Frozen, validate

SMALL: dict[str, BaselineConfig] = {
    "mean": MeanConfig(),
    "ridge": RidgeConfig(),
    "knn": KnnConfig(neighbours=(5, 10)),
    "random_forest": RandomForestConfig(trees=10, min_leaf=(3,)),
    "svr": SvrConfig(penalties=(1.0,), gammas=(0.5,)),
    "xgboost": XgboostConfig(rounds=60, quantile_rounds=40, learning_rate=0.1, quantile_learning_rate=0.1),
}
LABELS = ("teff", "logg")


def sample(n: int, seed: int, gaps: float = 0.0) -> Sample:
    """Two labels that follow from four inputs, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    teff = 5500 + 400 * x[:, 0] + 150 * x[:, 1] * x[:, 2] + 60 * rng.normal(size=n)
    logg = np.where(x[:, 3] > 0, 4.4, 2.4) + 0.2 * x[:, 1] + 0.1 * rng.normal(size=n)
    x[rng.random(x.shape) < gaps] = np.nan
    return Sample(x, np.column_stack([teff, logg]))


def prepared(n: int, seed: int) -> tuple[Inputs, LabelTargets]:
    s = sample(n, seed)
    return Inputs(s.x.astype(np.float32), np.zeros(s.x.shape, dtype=bool)), LabelTargets(LABELS, s.y)


TRAIN, VALIDATION, TEST = prepared(400, 0), prepared(150, 1), prepared(200, 2)
STARS = sample(400, 0)
#: A baseline takes the seed of it and tells its progress.
CONTEXT = FitContext(
    0, Observations(STARS, InputPreparation.fit(STARS.x, "robust", 0), Measurements.alone("abcd"))
)


# ---- each against what it stands for -----------------------------------------------------------------


def test_the_mean_has_the_spread_of_the_labels_as_its_error() -> None:
    train = sample(3000, 0)
    model = fit_predictor(MeanConfig(), LABELS, train, sample(300, 1), seed=0)
    error = model.predict(train.x).mean - train.y
    np.testing.assert_allclose(np.sqrt((error**2).mean(axis=0)), train.y.std(axis=0))


def test_ridge_finds_a_quadratic() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 3)).astype(np.float32)

    def truth(z: np.ndarray) -> np.ndarray:
        return 5000 + 300 * z[:, :1] - 40 * z[:, 1:2] * z[:, 2:] + 25 * z[:, 1:2] ** 2

    none = np.zeros(z.shape, dtype=bool)
    part = (Inputs(z, none), LabelTargets(("teff",), truth(z.astype(float))))
    model = Ridge.fit(RidgeConfig(), part, part, CONTEXT)
    assert model.penalties == (1e-7,)
    new = rng.normal(size=(50, 3)).astype(np.float32)
    found = model.predict(Inputs(new, none[:50])).value
    np.testing.assert_allclose(found, truth(new.astype(float)), atol=0.01)


def test_ridge_is_scikit_learns_for_the_same_penalty() -> None:
    inputs, targets = TRAIN
    model = Ridge.fit(RidgeConfig(penalties=(0.03,)), TRAIN, VALIDATION, CONTEXT)
    terms = PolynomialFeatures(2, include_bias=False)
    scaler = StandardScaler()
    design = scaler.fit_transform(terms.fit_transform(inputs.values.astype(float)))
    other = SklearnRidge(alpha=0.03 * len(design)).fit(design, targets.y)
    expected = other.predict(scaler.transform(terms.transform(TEST[0].values.astype(float))))
    np.testing.assert_allclose(model.predict(TEST[0]).value, expected, rtol=1e-8)


def test_ridge_chooses_a_large_penalty_for_noise() -> None:
    rng = np.random.default_rng(0)
    inputs = Inputs(rng.normal(size=(60, 8)).astype(np.float32), np.zeros((60, 8), dtype=bool))
    noise = (inputs, LabelTargets(("teff",), 5000 + rng.normal(size=(60, 1))))
    assert Ridge.fit(RidgeConfig(), noise, noise, CONTEXT).penalties[0] >= 0.1


def test_ridge_with_a_label_that_only_some_stars_have() -> None:
    inputs, targets = TRAIN
    y = targets.y.copy()
    # The stars without the label are unlike the others.
    gone = inputs.values[:, 0] > 0.5
    y[gone, 0] = np.nan
    model = Ridge.fit(RidgeConfig(penalties=(0.1,)), (inputs, LabelTargets(LABELS, y)), VALIDATION, CONTEXT)
    some = Inputs(inputs.values[~gone], inputs.missing[~gone])
    residual = model.predict(some).value[:, 0] - y[~gone, 0]
    assert abs(residual.mean()) < 1e-6


@pytest.mark.parametrize("k", [1, 7])
def test_knn_is_scikit_learns(k: int) -> None:
    model = Knn.fit(KnnConfig(neighbours=(k,)), TRAIN, VALIDATION, CONTEXT)
    other = KNeighborsRegressor(k, weights="distance").fit(TRAIN[0].values.astype(float), TRAIN[1].y)
    expected = other.predict(TEST[0].values.astype(float))
    np.testing.assert_allclose(model.predict(TEST[0]).value, expected, rtol=1e-9)


def test_knn_gives_a_training_star_its_own_label() -> None:
    model = Knn.fit(KnnConfig(neighbours=(9,)), TRAIN, VALIDATION, CONTEXT)
    np.testing.assert_allclose(model.predict(TRAIN[0]).value, TRAIN[1].y, rtol=1e-12)


def test_a_forest_predicts_as_scikit_learns_does() -> None:
    inputs, targets = TRAIN
    t = targets.y[:, 0]
    other = RandomForestRegressor(20, min_samples_leaf=2, random_state=0).fit(inputs.values, t)
    forest = Forest.of([tree.tree_ for tree in other.estimators_])
    np.testing.assert_allclose(forest.predict(TEST[0].values), other.predict(TEST[0].values), rtol=1e-12)


def test_a_forest_of_stumps_and_of_one_leaf() -> None:
    inputs, targets = TRAIN
    for leaf in (len(inputs), len(inputs) // 3):
        other = RandomForestRegressor(3, min_samples_leaf=leaf, random_state=0).fit(inputs.values, targets.y[:, 0])
        forest = Forest.of([tree.tree_ for tree in other.estimators_])
        np.testing.assert_allclose(forest.predict(TEST[0].values), other.predict(TEST[0].values), rtol=1e-12)


def test_the_forest_is_chosen_on_the_validation_part() -> None:
    rng = np.random.default_rng(0)
    # Labels that are nothing but noise: the larger the leaf the better.
    parts = [
        (
            Inputs(rng.normal(size=(300, 3)).astype(np.float32), np.zeros((300, 3), dtype=bool)),
            LabelTargets(("teff",), 5000 + 100 * rng.normal(size=(300, 1))),
        )
        for _ in range(2)
    ]
    config = RandomForestConfig(trees=10, min_leaf=(1, 100))
    assert RandomForest.fit(config, *parts, CONTEXT).min_leaf == (100,)


def test_support_vectors_are_scikit_learns() -> None:
    config = SvrConfig(penalties=(2.0,), gammas=(0.6,))
    model = Svr.fit(config, TRAIN, VALIDATION, CONTEXT)
    t = (TRAIN[1].y - TRAIN[1].y.mean(axis=0)) / TRAIN[1].y.std(axis=0)
    for i in range(2):
        other = SVR(C=2.0, gamma=0.6 / 4, epsilon=0.1, tol=1e-6).fit(TRAIN[0].values, t[:, i])
        expected = other.predict(TEST[0].values) * TRAIN[1].y[:, i].std() + TRAIN[1].y[:, i].mean()
        np.testing.assert_allclose(
            model.predict(TEST[0]).value[:, i], expected, atol=0.01 * TRAIN[1].y[:, i].std()
        )


def test_support_vectors_see_so_many_stars_at_most() -> None:
    config = SvrConfig(penalties=(1.0,), gammas=(1.0,), max_stars=50)
    model = Svr.fit(config, TRAIN, VALIDATION, CONTEXT)
    assert all(len(machine.vectors) <= 50 for machine in model.machines)


# ---- XGBoost: distributions --------------------------------------------------------------------------


def test_quantiles_between_the_nodes_are_exact_for_a_gaussian() -> None:
    z = ndtri(np.linspace(0.001, 0.999, 50))
    np.testing.assert_allclose(interpolated(5 + 2 * NODES[None, None], z)[0, 0], 5 + 2 * z)
    shares = share_below(np.tile(5 + 2 * NODES, (3, 1)), 6.0)
    np.testing.assert_allclose(shares, ndtr(0.5))
    assert share_below(np.zeros((1, len(NODES))), 1.0) == 1
    assert share_below(np.zeros((1, len(NODES))), -1.0) == 0


def test_xgboost_intervals_cover_and_follow_the_noise() -> None:
    def noisy(n: int, seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, size=(n, 2))
        sigma = np.where(x[:, 1] > 0, 200.0, 50.0)
        return Sample(x, (5500 + 500 * x[:, 0] + sigma * rng.normal(size=n))[:, None])

    config = XgboostConfig(rounds=80, quantile_rounds=80, quantile_learning_rate=0.1, max_depth=4)
    model = fit_predictor(config, ("teff",), noisy(3000, 0), noisy(1500, 1), seed=0)
    test = noisy(3000, 2)
    p = model.predict(test.x)
    inside, inside95 = (
        (test.y >= low) & (test.y <= high) for low, high in ((p.lower, p.upper), (p.lower95, p.upper95))
    )
    # Three standard deviations of the calibration (1,500 stars) and the test (3,000) together.
    assert inside.mean() == pytest.approx(0.6827, abs=3 * np.sqrt(0.68 * 0.32 * (1 / 1500 + 1 / 3000)))
    assert inside95.mean() == pytest.approx(0.9545, abs=3 * np.sqrt(0.95 * 0.05 * (1 / 1500 + 1 / 3000)))
    loud = test.x[:, 1] > 0
    assert np.median(p.error[loud]) == pytest.approx(200, rel=0.15)
    assert np.median(p.error[~loud]) == pytest.approx(50, rel=0.35)
    for side in (loud, ~loud):
        assert inside[side].mean() == pytest.approx(0.68, abs=0.06)


def test_xgboost_sees_that_an_input_is_missing() -> None:
    rng = np.random.default_rng(0)

    def part(n: int) -> Sample:
        x = rng.normal(size=(n, 2))
        gone = rng.random(n) < 0.3
        y = np.where(gone, 6500.0, 5000.0) + 10 * rng.normal(size=n)
        x[gone, 0] = np.nan
        return Sample(x, y[:, None])

    model = fit_predictor(SMALL["xgboost"], ("teff",), part(800), part(200), seed=0)
    found = model.predict(np.array([[np.nan, 0.0], [0.0, 0.0]]))
    # Filled in with its expected value, the missing input would make the two stars nearly the same.
    for value in (found.mean[:, 0], found.value[:, 0]):
        assert value[0] - value[1] > 1000


def test_xgboost_quantiles_are_in_order_and_hold_the_reported_ones() -> None:
    model = Xgboost.fit(SMALL["xgboost"], TRAIN, VALIDATION, CONTEXT)
    raw = model.predict(TEST[0])
    quantiles = model.quantiles(TEST[0], np.concatenate([[0.01], ndtr([-2.0, -1.0, 0.0, 1.0, 2.0]), [0.99]]))
    assert (np.diff(quantiles, axis=2) >= 0).all()
    np.testing.assert_allclose(quantiles[..., 3], raw.value)
    assert raw.lower is not None
    assert raw.upper is not None
    np.testing.assert_allclose(quantiles[..., [2, 1]], raw.lower)
    np.testing.assert_allclose(quantiles[..., [4, 5]], raw.upper)


# ---- all of them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SMALL)
def test_every_baseline_learns_and_says_how_well(kind: str) -> None:
    train, validation, test = (sample(n, seed, gaps=0.03) for n, seed in ((1200, 0), (400, 1), (600, 2)))
    model = fit_predictor(SMALL[kind], LABELS, train, validation, seed=3)
    p = model.predict(test.x)
    rmse = np.sqrt(((p.mean - test.y) ** 2).mean(axis=0))
    if kind != "mean":
        assert (rmse < 0.75 * test.y.std(axis=0)).all()
        giant = test.y[:, 1] < 3.5
        assert p.p_giant[giant].mean() > p.p_giant[~giant].mean() + 0.3
    assert ((p.p_giant >= 0) & (p.p_giant <= 1)).all()
    inside = (test.y >= p.lower) & (test.y <= p.upper)
    np.testing.assert_allclose(inside.mean(axis=0), 0.6827, atol=0.09)
    assert (p.lower95 <= p.lower).all()
    assert (p.upper <= p.upper95).all()
    quantiles = model.quantiles(test.x, np.array([0.1, 0.5, 0.9]))
    assert quantiles.shape == (600, 2, 3)
    assert (np.diff(quantiles, axis=2) >= 0).all()


@pytest.mark.parametrize("kind", SMALL)
def test_same_seed_same_model_and_rows_do_not_see_one_another(kind: str) -> None:
    train, validation, test = sample(300, 0), sample(150, 1), sample(80, 2)
    first, second = (fit_predictor(SMALL[kind], LABELS, train, validation, seed=4) for _ in range(2))
    whole, again = first.predict(test.x), second.predict(test.x)
    backwards = first.predict(test.x[::-1])
    for name in ("value", "mean", "lower", "upper95", "p_giant"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(again, name))
        np.testing.assert_allclose(getattr(whole, name), getattr(backwards, name)[::-1], rtol=1e-12)
    none = first.predict(test.x[:0])
    assert isinstance(none, Prediction)
    assert none.value.shape == (0, 2)


@pytest.mark.parametrize("kind", SMALL)
def test_labels_that_some_stars_lack(kind: str) -> None:
    train, validation = sample(400, 0), sample(200, 1)
    y = train.y.copy()
    y[:150, 0] = np.nan
    y[300:, 1] = np.nan
    model = fit_predictor(SMALL[kind], LABELS, replace(train, y=y), validation, seed=0)
    test = sample(300, 2)
    rmse = np.sqrt(((model.predict(test.x).mean - test.y) ** 2).mean(axis=0))
    assert (rmse < (1.1 if kind == "mean" else 0.75) * test.y.std(axis=0)).all()


# ---- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["random_forest", "svr", "xgboost"])
def test_a_library_that_is_not_installed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed.*pip install 'starscale\[baselines\]'"):
        fit_predictor(SMALL[kind], LABELS, sample(100, 0), sample(50, 1), seed=0)


@pytest.mark.parametrize("kind", ["mean", "ridge", "knn"])
def test_some_need_no_library(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    fit_predictor(SMALL[kind], LABELS, sample(100, 0), sample(50, 1), seed=0)


@pytest.mark.parametrize(
    ("kind", "array", "message"),
    [
        ("xgboost", "mean0", "is not a model that this version of XGBoost reads"),
        ("random_forest", "forest0.left", "lead nowhere"),
        # Back to the root: the walk would never end.
        ("random_forest", "forest0.right", "lead nowhere"),
        ("random_forest", "forest1.feature", "lead nowhere"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(kind: str, array: str, message: str) -> None:
    learner = LEARNERS[kind]
    model = learner.fit(SMALL[kind], TRAIN, VALIDATION, CONTEXT)
    arrays = arrays_of(model)
    number = 99 if kind == "xgboost" else 0 if array.endswith("right") else 10**6
    arrays[array] = np.full_like(arrays[array], number)
    with pytest.raises(InputError, match=message):
        filled(learner.skeleton(model.settings()), arrays, "regressor")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "xgbost"}, r"Did you mean 'xgboost'"),
        ({"kind": "ridge", "degree": 3}, "less than or equal to 2"),
        ({"kind": "knn", "neighbours": []}, "at least 1 item"),
        ({"kind": "knn", "neighbours": [0]}, "greater than or equal to 1"),
        ({"kind": "xgboost", "round": 3}, r"Did you mean .*'rounds'"),
        ({"kind": "svr", "gammas": [0.0]}, "greater than 0"),
        ({"kind": "random_forest", "max_features": 2}, "less than or equal to 1"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    class Holder(Frozen):
        model: ModelConfig

    with pytest.raises(InputError, match=message):
        validate(Holder, {"model": settings}, "run.toml")
