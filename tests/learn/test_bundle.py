"""Models on disk: exact round trips, and every damage is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from starscale.learn import Prediction, Predictor, Sample, fit_predictor, load_bundle, save_bundle
from starscale.learn.baselines.knn import Knn
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.models import (
    KnnConfig,
    MeanConfig,
    MixtureConfig,
    ModelConfig,
    RandomForestConfig,
    RidgeConfig,
    SvrConfig,
    Turchi2024Config,
    XgboostConfig,
)

CONFIGS: dict[str, ModelConfig] = {
    "mean": MeanConfig(),
    "ridge": RidgeConfig(),
    "knn": KnnConfig(neighbours=(3, 5)),
    "random_forest": RandomForestConfig(trees=5, min_leaf=(2, 5)),
    "svr": SvrConfig(penalties=(1.0,)),
    "xgboost": XgboostConfig(rounds=5, quantile_rounds=5),
    "mixture": MixtureConfig(width=8, layers=1, components=2, frequencies=2, batch=64, epochs=1, members=2),
    "plain mixture": MixtureConfig(width=8, layers=1, frequencies=0, whiten=False, batch=64, epochs=1, members=1),
    "turchi2024": Turchi2024Config(widths=(6, 6), batch=64, epochs_mae=1, epochs_smape=1),
}
DOCUMENT = {"feature_set": "test", "seed": 3, "nested": {"list": [1, 2.5, None]}}


def sample(n: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    x[rng.random(x.shape) < 0.05] = np.nan
    y = np.column_stack([5500 + 500 * rng.normal(size=n), 4 + 0.5 * rng.normal(size=n)])
    y[rng.random(y.shape) < 0.05] = np.nan
    return Sample(x, y)


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request: pytest.FixtureRequest) -> Predictor:
    return fit_predictor(CONFIGS[request.param], ("teff", "logg"), sample(200, 0), sample(120, 1), seed=0)


@pytest.fixture(scope="module")
def small() -> Predictor:
    return fit_predictor(CONFIGS["turchi2024"], ("teff", "logg"), sample(200, 0), sample(120, 1), seed=0)


@pytest.fixture
def bundle(small: Predictor, tmp_path: Path) -> Path:
    save_bundle(tmp_path / "model", small, DOCUMENT, "# A card\n")
    return tmp_path / "model"


def test_round_trip_gives_bit_identical_predictions(model: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_bundle(path, model, DOCUMENT, "# A card\n")
    loaded, document, _ = load_bundle(path)
    assert document == DOCUMENT
    assert (path / "MODEL_CARD.md").read_text() == "# A card\n"
    x = sample(300, 2).x
    first, second = model.predict(x), loaded.predict(x)
    for field in fields(Prediction):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name), err_msg=field.name)
    for name in ("labels", "features", "giant_logg", "min_present", "warnings"):
        assert getattr(loaded, name) == getattr(model, name)


def test_same_model_same_bytes(small: Predictor, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_bundle(tmp_path / name, small, DOCUMENT, "card")
    for file in ("bundle.json", "weights.safetensors", "MODEL_CARD.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_bundle_holds_these_files_and_no_pickle(bundle: Path) -> None:
    names = ["MODEL_CARD.md", "SHA256SUMS", "bundle.json", "weights.safetensors"]
    assert sorted(p.name for p in bundle.iterdir()) == names
    assert all(p.read_bytes()[:2] != b"\x80\x04" for p in bundle.iterdir())
    index = json.loads((bundle / "bundle.json").read_text())
    assert index["format"] == "starscale model bundle"
    assert index["format_version"] == 3
    assert set(index["files"]) == {"weights.safetensors", "MODEL_CARD.md"}


def test_an_older_bundle_is_replaced(bundle: Path, small: Predictor) -> None:
    save_bundle(bundle, small, {"new": True}, "new card")
    assert load_bundle(bundle)[1] == {"new": True}


def test_a_document_that_is_not_json_leaves_nothing_behind(small: Predictor, tmp_path: Path) -> None:
    for bad in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises(InputError, match="cannot be written as JSON"):
            save_bundle(tmp_path / "model", small, bad, "")
    assert list(tmp_path.iterdir()) == []


def rewrite(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        index = json.loads((path / "bundle.json").read_text())
        change(index)
        (path / "bundle.json").write_text(json.dumps(index))

    return damage


def flip(name: str, position: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray((path / name).read_bytes())
        data[position] ^= 1
        (path / name).write_bytes(bytes(data))

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = (path / name).read_bytes()
        (path / name).write_bytes(data[: len(data) // 2])

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "weights.safetensors").unlink(), r"weights.safetensors: is missing"),
        (lambda p: (p / "MODEL_CARD.md").unlink(), r"MODEL_CARD.md: is missing"),
        (lambda p: (p / "bundle.json").unlink(), r"has no bundle.json"),
        (flip("weights.safetensors", -1), r"weights.safetensors: was altered"),
        (flip("MODEL_CARD.md", 0), r"MODEL_CARD.md: was altered"),
        (cut("weights.safetensors"), r"weights.safetensors: was altered"),
        (cut("bundle.json"), r"bundle.json: is damaged"),
        (lambda p: (p / "bundle.json").write_bytes(b"\xff\xfe\x00"), r"bundle.json: is damaged"),
        (lambda p: (p / "bundle.json").write_text("[]"), r"is not the index of a starscale model"),
        (lambda p: (p / "bundle.json").write_text('{"format": "other"}'), r"is not the index"),
        (rewrite(lambda i: i.update(format_version=4)), r"format version 4.*Update starscale"),
        (rewrite(lambda i: i.update(format_version=2)), r"format version 2.*Train the model again"),
        (rewrite(lambda i: i["model"].update(giant_logg=3.0)), r"was altered after it was written"),
        (rewrite(lambda i: i["document"].update(seed=4)), r"was altered after it was written"),
        (
            rewrite(lambda i: i["files"]["weights.safetensors"].update(sha256="0" * 64)),
            r"was altered after it was written",
        ),
        (rewrite(lambda i: i.pop("sha256")), r"was altered after it was written"),
    ],
)
def test_every_damage_is_found(bundle: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(bundle)
    with pytest.raises(InputError, match=message):
        load_bundle(bundle)


def test_all_damaged_files_are_named_at_once(bundle: Path) -> None:
    (bundle / "MODEL_CARD.md").unlink()
    cut("weights.safetensors")(bundle)
    with pytest.raises(InputError) as caught:
        load_bundle(bundle)
    assert len(caught.value.problems) == 2


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        load_bundle(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        load_bundle(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no bundle\.json"):
        load_bundle(tmp_path / "empty")


def test_layout_of_the_index_does_not_matter_without_a_manifest(bundle: Path) -> None:
    (bundle / "SHA256SUMS").unlink()
    rewrite(lambda index: None)(bundle)
    assert load_bundle(bundle)[1] == DOCUMENT


def test_labels_of_neighbours_are_numbers_or_missing(tmp_path: Path) -> None:
    neighbours = fit_predictor(CONFIGS["knn"], ("teff", "logg"), sample(200, 0), sample(120, 1), seed=0)
    assert isinstance(neighbours.regressor, Knn)
    neighbours.regressor.t[5, 0] = np.inf
    save_bundle(tmp_path / "model", neighbours, DOCUMENT, "")
    with pytest.raises(InputError, match=r"regressor\.t: holds 1 numbers that are NaN or infinite"):
        load_bundle(tmp_path / "model")
