"""Learners of other libraries: with a stand-in for them, and with themselves where they are installed."""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from starscale.learn import Sample, fit_predictor
from starscale.learn.baselines.unstored import ESTIMATORS
from starscale.learn.learners import LEARNERS
from starscale.vocabulary import libraries
from starscale.vocabulary.errors import InputError, StarscaleError
from starscale.vocabulary.settings.models import (
    CatboostConfig,
    ModelConfig,
    RealmlpConfig,
    TabiclConfig,
    TabmConfig,
    XrfmConfig,
)

#: Settings as small as can be, and the largest RMSE in standard deviations of the label that they reach.
SMALL: dict[str, ModelConfig] = {
    "catboost": CatboostConfig(rounds=200),
    "tabm": TabmConfig(members=4, width=64),
    "realmlp": RealmlpConfig(epochs=40),
    "xrfm": XrfmConfig(),
    "tabicl": TabiclConfig(checkpoint=Path("weights.ckpt"), members=1),
}
LABELS = ("teff", "logg")


def sample(n: int, seed: int) -> Sample:
    """Two labels that follow from three inputs, with noise; a third of the stars lack the second."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    teff = 5500 + 400 * x[:, 0] + 100 * x[:, 1] + 50 * rng.normal(size=n)
    logg = 4 + 0.5 * x[:, 2] + 0.1 * rng.normal(size=n)
    logg[: n // 3] = np.nan
    return Sample(x, np.column_stack([teff, logg]))


class Linear:
    """What stands for an estimator: least squares; it prints and warns, as these libraries do."""

    made: ClassVar[list[Linear]] = []

    def __init__(self, **settings: Any) -> None:
        self.settings, self.seen = settings, []
        Linear.made.append(self)

    def fit(self, x: np.ndarray, y: np.ndarray, *held_out: np.ndarray) -> Linear:
        sys.stdout.write("Fitting ...\n")
        sys.stderr.write("1 of 1\n")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        self.seen = [x, y, *held_out]
        self.coefficients = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.column_stack([x, np.ones(len(x))]) @ self.coefficients


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[Linear]:
    """The libraries, with the stand-in as each of their classes."""
    for module in ("pytabkit", "tabicl"):
        made = ModuleType(module)
        for estimator in ESTIMATORS.values():
            setattr(made, estimator.name, Linear)
        monkeypatch.setitem(sys.modules, module, made)
    monkeypatch.setattr(libraries, "find_spec", lambda name: ModuleSpec(name, None))
    Linear.made = []
    return Linear


@pytest.mark.parametrize("kind", SMALL)
def test_one_estimator_a_label_of_the_stars_that_have_it(
    kind: str, stand_in: type[Linear], capsys: pytest.CaptureFixture[str]
) -> None:
    train, validation, test = sample(300, 0), sample(150, 1), sample(200, 2)
    model = fit_predictor(SMALL[kind], LABELS, train, validation, seed=7)
    first, second = stand_in.made
    assert first.settings["random_state"] == 7
    assert first.settings["device"] == "cpu"
    parts = [len(array) for array in second.seen]
    assert parts == ([200, 200, 100, 100] if ESTIMATORS[kind].stopped else [200, 200])
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in second.seen)
    prediction = model.predict(test.x)
    # The truth is linear, so that the stand-in finds it up to the noise: labels are restored to their units.
    assert np.std(prediction.mean[:, 0] - test.y[:, 0]) == pytest.approx(50, rel=0.15)
    inside = (prediction.lower[:, 0] <= test.y[:, 0]) & (test.y[:, 0] <= prediction.upper[:, 0])
    assert inside.mean() == pytest.approx(0.68, abs=0.1)
    assert capsys.readouterr() == ("", "")


def test_settings_arrive(stand_in: type[Linear]) -> None:
    expected = {
        "catboost": {"n_estimators": 200},
        "tabm": {"tabm_k": 4, "d_block": 64, "patience": 16},
        "realmlp": {"n_epochs": 40, "n_ens": 1},
        "xrfm": {"max_leaf_samples": 60_000},
        "tabicl": {"model_path": "weights.ckpt", "n_estimators": 1, "allow_auto_download": False},
    }
    for kind, settings in expected.items():
        stand_in.made = []
        fit_predictor(SMALL[kind], LABELS, sample(100, 0), sample(50, 1), seed=0)
        assert settings.items() <= stand_in.made[0].settings.items()


@pytest.mark.parametrize("kind", SMALL)
def test_it_cannot_be_stored(kind: str, stand_in: type[Linear]) -> None:
    model = fit_predictor(SMALL[kind], LABELS, sample(100, 0), sample(50, 1), seed=0)
    with pytest.raises(StarscaleError, match="cannot be kept in a bundle, only compared"):
        model.state()
    with pytest.raises(StarscaleError, match="cannot be kept in a bundle"):
        LEARNERS[kind].skeleton({})


@pytest.mark.parametrize("kind", SMALL)
def test_a_library_that_is_not_installed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed.*pip install 'starscale\[tabular\]'"):
        fit_predictor(SMALL[kind], LABELS, sample(100, 0), sample(50, 1), seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind != "tabicl"])
def test_the_libraries_themselves(kind: str) -> None:
    if libraries.missing_library(kind) is not None:
        pytest.skip("the extra `tabular` is not installed")
    train, validation, test = sample(600, 0), sample(200, 1), sample(300, 2)
    model = fit_predictor(SMALL[kind], LABELS, train, validation, seed=0)
    mean = model.predict(test.x).mean
    assert np.std(mean[:, 0] - test.y[:, 0]) < 120
    assert np.nanstd(mean[:, 1] - test.y[:, 1]) < 0.2
    again = fit_predictor(SMALL[kind], LABELS, train, validation, seed=0).predict(test.x).mean
    np.testing.assert_allclose(again, mean, rtol=1e-3)


@pytest.mark.slow
def test_tabicl_reads_the_weights_of_a_file(tmp_path: Path) -> None:
    """With weights drawn at random: a prediction comes out, from the file alone."""
    if find_spec("tabicl") is None:
        pytest.skip("the extra `tabular` is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = importlib.import_module("torch")
        network = importlib.import_module("tabicl._model.tabicl").TabICL

    settings = {"max_classes": 0, "num_quantiles": 9, "embed_dim": 16, "col_num_blocks": 1, "row_num_blocks": 1}
    settings |= {"icl_num_blocks": 1, "col_nhead": 2, "row_nhead": 2, "icl_nhead": 2}
    torch.manual_seed(0)
    path = tmp_path / "weights.ckpt"
    torch.save({"config": settings, "state_dict": network(**settings).state_dict()}, path)
    config = TabiclConfig(checkpoint=path, members=1)
    model = fit_predictor(config, LABELS, sample(100, 0), sample(50, 1), seed=0)
    assert np.isfinite(model.predict(sample(20, 2).x).mean).all()
