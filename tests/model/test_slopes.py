"""Slopes with E(B-V) are computed only where they are asked for; everything else stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import starscale as ss
from starscale import io
from starscale.learn.predictor import Predictor
from starscale.model.evaluate import evaluate
from starscale.model.importance import importance_of
from starscale.model.missing import cost_of_missing
from starscale.model.model import Model
from starscale.tables.api import PROVENANCE_KEY
from starscale.vocabulary.settings.run import ImportanceConfig
from support.command import command
from support.small_model import small_model, small_stars

SLOPES = pl.selectors.ends_with("_ebv_slope")


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For every prediction of stars, whether a change of their inputs was followed."""
    found: list[bool] = []
    right = Predictor.predict

    def recorded(self: Predictor, x: np.ndarray, *rest: object, moved: object = None, **named: object) -> object:
        found.append(moved is not None)
        return right(self, x, *rest, moved=moved, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "predict", recorded)
    return found


@pytest.fixture
def stars(finished: Path, tmp_path: Path) -> Path:
    io.write(io.read(finished / "matched.parquet").head(1100), tmp_path / "stars.parquet")
    return tmp_path / "stars.parquet"


def compare(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """The slopes are null, all other columns have the same bits, and the schema is the same."""
    assert found.schema == expected.schema
    assert found.select(SLOPES).null_count().row(0) == (found.height,) * 3
    assert expected.select(SLOPES).null_count().row(0) < (found.height,) * 3
    assert found.drop(SLOPES).equals(expected.drop(SLOPES))


def test_a_catalogue_without_slopes_is_otherwise_the_same(
    finished: Path, stars: Path, tmp_path: Path, followed: list[bool]
) -> None:
    usual = ss.predict(finished / "model", stars).table
    assert usual is not None
    assert followed
    assert all(followed)
    followed.clear()
    without = ss.predict(finished / "model", stars, slopes=False).table
    assert without is not None
    compare(without, usual)
    model = ss.load(finished / "model")
    compare(model.without_slopes().predict(stars), usual)
    compare(model.without_slopes().without_slopes().predict(stars), usual)
    # Other things that are asked for do not bring them back.
    below = {"fe_h": [-1.5]}
    asked = ss.predict(model.without_slopes(), stars, below=below, prior="flat").table
    expected = ss.predict(model, stars, below=below, prior="flat", slopes=False).table
    assert asked is not None
    assert expected is not None
    assert asked.equals(expected)
    assert followed
    assert not any(followed)
    assert expected.select(SLOPES).null_count().row(0) == (expected.height,) * 3
    ss.predict(model, io.read(stars), tmp_path / "memory.parquet", slopes=False)
    assert io.read(tmp_path / "memory.parquet").equals(without)
    assert model.predict(stars).equals(usual), "the model itself is as it was"


def test_files_say_it_and_are_verified(finished: Path, stars: Path, tmp_path: Path, followed: list[bool]) -> None:
    done = command("predict", finished / "model", stars, "-o", tmp_path / "without.parquet", "--no-slopes")
    assert done.returncode == 0, done.stderr
    assert not any(followed)
    ss.predict(finished / "model", stars, tmp_path / "usual.parquet")
    compare(io.read(tmp_path / "without.parquet"), io.read(tmp_path / "usual.parquet"))
    settings = {
        name: json.loads(io.open_table(tmp_path / f"{name}.parquet").metadata[PROVENANCE_KEY])["settings"]
        for name in ("without", "usual")
    }
    assert settings["without"] == settings["usual"] | {"slopes": False}
    assert "slopes" not in settings["usual"]
    for name in settings:
        assert "columns agree" in "\n".join(ss.check(tmp_path / f"{name}.parquet", verify=True))
    written = io.open_table(tmp_path / "without.parquet")
    column = io.read(tmp_path / "usual.parquet")["teff_ebv_slope"]
    forged = written.read().with_columns(column)
    io.write(forged, tmp_path / "f.parquet", columns=written.columns, metadata=written.metadata)
    with pytest.raises(ss.InputError, match="column 'teff_ebv_slope'"):
        ss.check(tmp_path / "f.parquet", verify=True)


def test_a_stopped_prediction_is_not_resumed_with_another_choice(
    finished: Path, stars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, begun = Model.predict, list[int]()

    def stopping(self: Model, table: pl.DataFrame, **named: object) -> pl.DataFrame:
        begun.extend([1] * bool(table.height))
        if len(begun) == 3:
            raise KeyboardInterrupt
        return right(self, table, **named)  # type: ignore[arg-type]

    target = tmp_path / "out.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(Model, "predict", stopping)
        with pytest.raises(KeyboardInterrupt):
            ss.predict(finished / "model", stars, target, chunk=200, slopes=False)
    with pytest.raises(ss.InputError, match=r"another job: asked changed \(slopes\)"):
        ss.predict(finished / "model", stars, target, chunk=200)
    ss.predict(finished / "model", stars, target, chunk=200, slopes=False)
    assert io.read(target).equals(ss.predict(finished / "model", stars, chunk=200, slopes=False).table)
    assert not Path(f"{target}.unfinished").exists()


def test_figures_do_without_slopes_and_are_the_same(finished: Path, followed: list[bool]) -> None:
    model, table = ss.load(finished / "model"), io.read(finished / "training.parquet")
    test = table.filter(part="test")
    usual = evaluate(model.predict(test), test, model.labels)
    assert followed == [True]
    followed.clear()
    assert_frame_equal(ss.evaluate(model, table), usual, check_exact=True)
    ss.evaluate_probabilities(model, table, below={"fe_h": [-0.5]})
    ss.evaluate(model, table, prior="flat")
    importance_of(model, test, ["teff"], ImportanceConfig(repeats=2), groups={"g": ["g_psf"]})
    cost_of_missing(model, test)
    assert len(followed) > 5
    assert not any(followed)


def test_inputs_with_and_without_slopes_are_a_stage_of_a_profile(finished: Path, stars: Path) -> None:
    model = ss.load(finished / "model")
    for asked in (model, model.without_slopes()):
        stages = ss.profile_prediction(asked, stars)["stage"].to_list()
        assert "gaps and scales of the inputs" in stages
        assert len(set(stages)) == len(stages)


def test_a_model_without_reddening_has_none(followed: list[bool]) -> None:
    model, table = small_model(), small_stars(40)
    assert model.reddening is None
    usual = model.predict(table)
    assert usual["teff_ebv_slope"].null_count() == 40
    assert usual["teff"].null_count() == 0
    assert model.without_slopes().predict(table).equals(usual)
    assert not any(followed)


def test_a_profile_follows_the_choice(finished: Path, stars: Path, tmp_path: Path, followed: list[bool]) -> None:
    out = tmp_path / "out.parquet"
    done = command("predict", finished / "model", stars, "-o", out, "--no-slopes", "--profile")
    assert done.returncode == 0, done.stderr
    assert "Microseconds a star" in done.stdout
    assert not any(followed)
