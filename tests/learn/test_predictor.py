"""A model as a whole: what a prediction depends on, gaps, and bad input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from starscale.learn import Prediction, Predictor, Sample, fit_predictor
from starscale.learn.regressor import Threshold
from starscale.learn.uncertainty.prior import LabelDensity
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.models import MixtureConfig, Turchi2024Config

CONFIGS = {
    "mixture": MixtureConfig(
        width=16, layers=1, components=2, frequencies=4, batch=32, epochs=6, members=2, learning_rate=0.01
    ),
    "turchi2024": Turchi2024Config(widths=(8, 8), batch=32, epochs_mae=6, epochs_smape=2, patience=4),
}
LABELS = ("teff", "logg", "fe_h")
FEATURES = ("g_r", "r_i", "mg", "e_bv", "const")


#: Fields of a prediction with one value a star.
OF_STARS = ("p_giant", "domain_score", "label_score", "consistency_score", "oddest", "imputed", "n_missing")
OF_STARS += ("predicted", "uncertain", "impossible")
#: What a learner that predicts a point cannot say.
OF_DISTRIBUTIONS = ("correlation", "giant_solution", "dwarf_solution")


def sample(n: int, seed: int) -> Sample:
    """Dwarfs and giants whose colours say the temperature; gaps in the second and fourth feature."""
    rng = np.random.default_rng(seed)
    giant = rng.random(n) < 0.3
    teff = np.where(giant, 4700.0, 5700.0) + 300 * rng.normal(size=n)
    logg = np.where(giant, 2.5, 4.4) + 0.1 * rng.normal(size=n)
    fe_h = -0.5 + 0.4 * rng.normal(size=n)
    colour = (5800 - teff) / 1000
    x = np.column_stack(
        [
            colour + 0.05 * rng.normal(size=n),
            colour + 0.2 * fe_h + 0.05 * rng.normal(size=n),
            2 * logg + 0.3 * rng.normal(size=n),
            rng.exponential(0.1, size=n),
            np.ones(n),
        ]
    )
    x[rng.random(n) < 0.2, 1] = np.nan
    x[rng.random(n) < 0.1, 3] = np.nan
    return Sample(x, np.column_stack([teff, logg, fe_h]))


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request: pytest.FixtureRequest) -> Predictor:
    return fit_predictor(
        CONFIGS[request.param], LABELS, sample(1200, 0), sample(300, 1), seed=0, features=FEATURES
    )


def assert_same(first: Prediction, second: Prediction, tolerance: float = 0.0) -> None:
    for field in fields(Prediction):
        np.testing.assert_allclose(
            getattr(first, field.name),
            getattr(second, field.name),
            rtol=tolerance,
            atol=tolerance,
            err_msg=field.name,
        )


def test_small_matrix_products_have_one_thread(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others would wait in busy loops, in trainings and in predictions."""
    held: list[bool] = []

    @contextmanager
    def limit(*_: object) -> Iterator[None]:
        held.append(True)
        yield
        held.append(False)

    monkeypatch.setattr("starscale.io.threads.threadpoolctl", SimpleNamespace(threadpool_limits=limit))
    few = sample(300, 0)
    config = CONFIGS["mixture"].model_copy(update={"epochs": 1})
    for work in (
        lambda: fit_predictor(config, LABELS, few, few, seed=0),
        lambda: model.predict(few.x),
        lambda: model.means(few.x),
        lambda: model.quantiles(few.x, np.array([0.5])),
    ):
        held.clear()
        work()
        assert held == [True, False]


def test_thresholds_add_probabilities_and_another_prior_changes_its_label_alone(model: Predictor) -> None:
    x = sample(300, 4).x
    below = [Threshold(2, value) for value in (-1.5, -0.5, 0.5)]
    plain, asked = model.predict(x), model.predict(x, below=below)
    assert_same(plain, replace(asked, p_below=plain.p_below))
    assert ((np.diff(asked.p_below, axis=1) >= 0) & (asked.p_below[:, 1:] <= 1)).all()
    assert abs(asked.p_below[:, 1].mean() - 0.5) < 0.15
    if model.density is None:
        with pytest.raises(TypeError, match="no other prior"):
            model.predict(x, tilt=LabelDensity.fit(sample(300, 1).y).tilt({2: None}))
        return
    flat = model.predict(x, below=below, tilt=model.density.tilt({2: None}))
    for field in ("value", "mean", "lower", "upper95"):
        np.testing.assert_array_equal(getattr(flat, field)[:, :2], getattr(plain, field)[:, :2])
    assert (flat.lower[:, 2] <= flat.value[:, 2]).all()
    assert (flat.value[:, 2] <= flat.upper[:, 2]).all()
    # Farther from the common labels, for nearly all stars.
    assert flat.value[:, 2].std() > 1.1 * plain.value[:, 2].std()
    same = model.predict(x, tilt=model.density.tilt({2: common_labels(model)}))
    np.testing.assert_allclose(same.value, plain.value, atol=0.02 * 300, rtol=0.02)
    np.testing.assert_allclose(same.value[:, 2], plain.value[:, 2], atol=0.02)
    document, arrays = model.state()
    again = Predictor.from_state(document, arrays)
    assert_same(again.predict(x, below=below), asked)


def common_labels(model: Predictor) -> tuple[FloatArray, FloatArray]:
    """The prior of the training as one that a user gives."""
    assert model.density is not None
    edges = model.density.edges[2]
    return 0.5 * (edges[1:] + edges[:-1]), model.density.density[2]


def test_result_is_complete_and_in_order(model: Predictor) -> None:
    test = sample(500, 2)
    p = model.predict(test.x)
    for field in fields(Prediction):
        expected = {"correlation": (500, 3, 3), "p_below": (500, 0)} | dict.fromkeys(OF_STARS, (500,))
        assert getattr(p, field.name).shape == expected.get(field.name, (500, 3))
    assert (p.lower95 <= p.lower).all()
    assert (p.lower <= p.value).all()
    assert (p.value <= p.upper).all()
    assert (p.upper <= p.upper95).all()
    np.testing.assert_allclose(p.error, (p.upper - p.lower) / 2)
    assert ((p.p_giant >= 0) & (p.p_giant <= 1)).all()
    assert (p.domain_score > 0).all()
    np.testing.assert_array_equal(p.n_missing, np.isnan(test.x).sum(axis=1))


def test_giants_are_told_from_dwarfs(model: Predictor) -> None:
    test = sample(500, 2)
    p = model.predict(test.x).p_giant
    giant = test.y[:, 1] < 3.5
    assert p[giant].mean() > 0.8
    assert p[~giant].mean() < 0.2


def test_a_permutation_of_stars_permutes_the_result(model: Predictor) -> None:
    x = sample(257, 3).x
    order = np.random.default_rng(0).permutation(len(x))
    straight, shuffled = model.predict(x), model.predict(x[order])
    assert_same(
        Prediction(**{f.name: getattr(straight, f.name)[order] for f in fields(Prediction)}), shuffled, 2e-5
    )


def test_the_batch_does_not_change_the_result(model: Predictor) -> None:
    x = sample(300, 3).x
    assert_same(model.predict(x, batch=7), model.predict(x, batch=1000), 2e-5)


def test_input_is_left_alone_and_no_stars_give_no_rows(model: Predictor) -> None:
    x = sample(30, 3).x
    before = x.copy()
    model.predict(x)
    np.testing.assert_array_equal(x, before)
    nothing = model.predict(x[:0])
    assert nothing.value.shape == (0, 3)
    assert nothing.predicted.shape == (0,)


def test_stars_with_too_few_inputs_are_null_and_say_so(model: Predictor) -> None:
    x = sample(40, 4).x
    x[:, :] = np.where(np.isnan(x), 0.0, x)
    x[0, 0] = np.nan
    x[1, :2] = np.nan  # two of four usable features are left: half
    x[2, :3] = np.nan
    x[3, :] = np.nan
    p = model.predict(x)
    np.testing.assert_array_equal(p.predicted[:5], [True, True, False, False, True])
    np.testing.assert_array_equal(p.n_missing[:5], [1, 2, 3, 4, 0])
    for field in fields(Prediction):
        if field.name not in (
            "n_missing",
            "predicted",
            "imputed",
            "uncertain",
            "impossible",
            "consistency_score",
            "oddest",
        ):
            array = getattr(p, field.name)
            assert np.isnan(array[2:4]).all()
            if not (field.name in OF_DISTRIBUTIONS and model.regressor.kind == "turchi2024"):
                assert np.isfinite(array[[0, 1, 4]]).all()
    # What stands in one row does not depend on what is missing in another.
    assert_same(
        Prediction(**{f.name: getattr(p, f.name)[4:] for f in fields(Prediction)}), model.predict(x[4:]), 2e-5
    )


def test_all_stars_with_too_few_inputs(model: Predictor) -> None:
    p = model.predict(np.full((3, 5), np.nan))
    assert not p.predicted.any()
    assert np.isnan(p.value).all()


def test_an_unused_feature_is_recorded_and_ignored(model: Predictor) -> None:
    assert [w for w in model.warnings if w.startswith("const: the same")]
    x = sample(20, 5).x
    other = x.copy()
    other[:, 4] = np.nan
    assert_same(model.predict(x), model.predict(other))


def test_the_limit_between_dwarfs_and_giants_is_the_models(model: Predictor) -> None:
    x = sample(20, 3).x
    np.testing.assert_allclose(replace(model, giant_logg=10.0).predict(x).p_giant, 1, atol=1e-4)
    np.testing.assert_allclose(replace(model, giant_logg=-10.0).predict(x).p_giant, 0, atol=1e-4)


def test_no_giants_without_gravity() -> None:
    train, validation = (Sample(part.x, part.y[:, :1]) for part in (sample(1200, 0), sample(300, 1)))
    model = fit_predictor(CONFIGS["turchi2024"], ("teff",), train, validation, seed=0)
    prediction = model.predict(train.x[:20])
    assert np.isnan(prediction.p_giant).all()
    assert np.isfinite(prediction.value).all()


def test_label_range_is_that_of_the_training_part(model: Predictor) -> None:
    y = sample(1200, 0).y
    np.testing.assert_array_equal(model.label_range, np.stack([y.min(axis=0), y.max(axis=0)], axis=1))


def test_state_round_trip_is_exact(model: Predictor) -> None:
    x = sample(100, 6).x
    assert_same(Predictor.from_state(*model.state()).predict(x), model.predict(x))


def test_state_with_a_wrong_leaf_names_it_and_both_shapes(model: Predictor) -> None:
    document, arrays = model.state()
    name = next(n for n in arrays if n.startswith("regressor.") and n.endswith("weight"))
    shape = arrays[name].shape
    wrong = arrays | {name: arrays[name][..., :-1]}
    with pytest.raises(InputError) as caught:
        Predictor.from_state(document, wrong)
    short = name.split(".", 2)[2]
    assert short in str(caught.value)
    assert str(shape) in str(caught.value)
    assert str(wrong[name].shape) in str(caught.value)
    with pytest.raises(InputError, match="float64"):
        Predictor.from_state(document, arrays | {name: arrays[name].astype(np.float64)})
    with pytest.raises(InputError, match="is missing"):
        Predictor.from_state(document, {n: a for n, a in arrays.items() if n != name})
    layers = name.rsplit(".", 1)[0]
    with pytest.raises(InputError, match="is not part of this model"):
        Predictor.from_state(document, arrays | {f"{layers}.extra": arrays[name]})
    with pytest.raises(InputError, match=r"domain\.reach: is missing"):
        Predictor.from_state(document, {n: a for n, a in arrays.items() if n != "domain.reach"})


@pytest.mark.parametrize("key", ["labels", "regressor", "calibration"])
def test_state_without_a_setting_names_it(model: Predictor, key: str) -> None:
    document, arrays = model.state()
    with pytest.raises(InputError, match=f"{key}: is missing"):
        Predictor.from_state({k: v for k, v in document.items() if k != key}, arrays)


def test_state_of_an_unknown_kind(model: Predictor) -> None:
    document, arrays = model.state()
    with pytest.raises(InputError, match="Did you mean 'mixture'"):
        Predictor.from_state(document | {"regressor": {"kind": "mixtures"}}, arrays)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 4)), r"shape \(3, 4\).*\(n, 5\).*g_r"),
        (np.zeros(5), "shape"),
        (np.array([[1.0, np.inf, 0, 0, 0], [-np.inf, 0, 0, 0, 0]]), r"2 rows have infinite inputs \(g_r, r_i\)"),
    ],
)
def test_bad_input_to_a_prediction(model: Predictor, x: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.predict(x)
    with pytest.raises(InputError, match="batch"):
        model.predict(np.zeros((1, 5)), batch=0)


def spoil(change, part: str = "train") -> tuple[Sample, Sample]:
    samples = {"train": sample(100, 0), "validation": sample(40, 1)}
    x, y = samples[part].x.copy(), samples[part].y.copy()
    change(x, y)
    samples[part] = Sample(x, y)
    return samples["train"], samples["validation"]


def put(array: str, where: tuple, value: float):
    def change(x: np.ndarray, y: np.ndarray) -> None:
        {"x": x, "y": y}[array][where] = value

    return change


ALL = slice(None)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("train", put("y", (ALL, 0), 5000.0), "training part, teff: is 5000 in every star"),
        ("train", put("y", (ALL, 1), np.nan), "training part, logg: missing in every star"),
        ("train", put("y", (slice(5, None), 1), np.nan), "training part, logg: present in 5 stars only"),
        ("validation", put("y", (ALL, 2), np.nan), "validation part, fe_h: missing in every star"),
        ("train", put("y", (slice(0, 7), 0), 1e6), r"training part, teff: 7 stars lie outside .*1e\+06"),
        ("validation", put("y", (slice(0, 2), 2), -9999.0), "validation part, fe_h: 2 stars lie outside"),
        ("train", put("y", (0, 1), np.inf), "logg: 1 stars lie outside"),
        (
            "train",
            put("x", (slice(0, 3), 0), -np.inf),
            r"training part: 3 rows have infinite inputs \(feature 0\)",
        ),
        ("train", put("x", (ALL, ALL), 1.0), "every feature is constant"),
    ],
)
def test_bad_samples(part: str, change, message: str) -> None:
    train, validation = spoil(change, part)
    with pytest.raises(InputError, match=message):
        fit_predictor(CONFIGS["turchi2024"], LABELS, train, validation, seed=0)


def test_all_problems_at_once() -> None:
    train, _ = spoil(put("y", (ALL, 0), 5000.0))
    few = sample(9, 1)
    few.x[0, 0] = np.inf
    with pytest.raises(InputError) as caught:
        fit_predictor(CONFIGS["mixture"], LABELS, train, few, seed=0)
    assert len(caught.value.problems) == 3
    text = str(caught.value)
    for part in ("teff: is 5000", "validation part: 9 stars", "infinite"):
        assert part in text


def test_labels_and_shapes_that_do_not_fit() -> None:
    train, validation = sample(100, 0), sample(40, 1)
    with pytest.raises(InputError, match=r"'feh' is unknown.*Did you mean 'fe_h'"):
        fit_predictor(CONFIGS["mixture"], ("teff", "logg", "feh"), train, validation, seed=0)
    with pytest.raises(InputError, match="y has 3 columns"):
        fit_predictor(CONFIGS["mixture"], ("teff",), train, validation, seed=0)
    with pytest.raises(InputError, match="names one twice"):
        fit_predictor(CONFIGS["mixture"], ("teff", "teff", "logg"), train, validation, seed=0)
    with pytest.raises(InputError, match="x has 4 columns"):
        fit_predictor(CONFIGS["mixture"], LABELS, train, Sample(validation.x[:, :4], validation.y), seed=0)
    with pytest.raises(InputError, match="2 names"):
        fit_predictor(CONFIGS["mixture"], LABELS, train, validation, seed=0, features=("a", "b"))
    with pytest.raises(InputError, match="same stars"):
        Sample(train.x[:5], train.y)
    with pytest.raises(InputError, match="two dimensions"):
        Sample(train.x[:, 0], train.y)
    with pytest.raises(InputError, match="y_error"):
        Sample(train.x, train.y, train.y[:, :1])


def test_few_validation_stars_are_recorded() -> None:
    for kind, said in (
        ("mixture", "too few to calibrate"),
        ("turchi2024", "on only 40 validation stars"),
    ):
        model = fit_predictor(CONFIGS[kind], LABELS, sample(1200, 0), sample(40, 1), seed=0)
        assert sum(said in warning for warning in model.warnings) == 3
        assert np.isfinite(model.predict(sample(10, 2).x).upper95).all()


def test_one_held_out_star_in_twenty_is_uncertain(model: Predictor) -> None:
    held_out = model.predict(sample(300, 1).x)
    widths = held_out.upper95 - held_out.lower95
    if np.ptp(widths, axis=0).max() < 1e-6:
        # Intervals that are all equally wide choose nobody.
        assert not held_out.uncertain.any()
        return
    assert held_out.uncertain.mean() == pytest.approx(0.05, abs=0.005)
    np.testing.assert_array_equal(held_out.uncertain, (widths > model.wide).any(axis=1))
    usual = widths / np.median(widths, axis=0)
    assert usual[held_out.uncertain].max(axis=1).min() >= usual[~held_out.uncertain].max()


def test_a_star_that_is_not_predicted_is_not_uncertain(model: Predictor) -> None:
    found = model.predict(np.full((2, len(FEATURES)), np.nan))
    assert not found.predicted.any()
    assert not found.uncertain.any()
