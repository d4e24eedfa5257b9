"""Models compared on the splits of a run: the same stars, what is kept, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import starscale as ss
from starscale import io
from starscale.cli.main import app
from starscale.features.families import SurveyColumns
from starscale.features.features import build_features, load_feature_set
from starscale.pipeline.comparing import Trial, Trials, _statistics, entries_of
from starscale.pipeline.learnable import Rows, TrainingArrays
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.surveys import load_survey
from starscale.vocabulary import libraries
from starscale.vocabulary.comparison_columns import COMPARED, COMPARED_CSV, COMPARISON_COLUMNS, scored_file
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.run import FeaturesConfig
from support.recorded_progress import RecordedProgress

MEMBER = SurveyColumns(load_survey("gaia_dr3"), {})
MODELS = """
[[models]]
name = "ridge"
model = { kind = "ridge", folds = 3 }

[[models]]
name = "floor"
reference = true
model = { kind = "mean" }

[[models]]
name = "few"
model = { kind = "knn", neighbours = [5] }
features = { set = "pairwise", without = ["*_log_error"] }
repeats = 1
"""


@pytest.fixture(scope="module")
def run_file(sky: Path) -> Path:
    """A run file beside the small mock sky."""
    text = (sky / "run.toml").read_text()
    path = sky / "compared.toml"
    path.write_text("repeats = 2\n" + text.replace("epochs = 8", "epochs = 1") + MODELS)
    return path


@pytest.fixture(scope="module")
def folder(run_file: Path, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison; the tables before the training come from the run of the other tests."""
    output = tmp_path_factory.mktemp("compared") / "out"
    shutil.copytree(finished, output)
    (output / "report.html").unlink()
    ss.compare_models(run_file, output)
    return output


def edited(run_file: Path, old: str, new: str) -> Path:
    text = run_file.read_text()
    assert old in text
    path = run_file.with_name("edited.toml")
    path.write_text(text.replace(old, new))
    return path


def test_all_models_are_scored_on_the_test_parts_of_the_run(run_file: Path, folder: Path) -> None:
    training = io.read(folder / "training.parquet")
    tables = {name: io.read(folder / scored_file(name)) for name in ("model", "ridge", "floor", "few")}
    first = tables["model"].filter(pl.col("repeat") == 0)
    assert set(first["source_id"]) == set(training.filter(pl.col("part") == "test")["source_id"])
    second = tables["model"].filter(pl.col("repeat") == 1)
    assert set(second["source_id"]) != set(first["source_id"])
    for name in ("ridge", "floor"):
        assert (
            tables[name]
            .select("source_id", "repeat", "teff_label")
            .equals(tables["model"].select("source_id", "repeat", "teff_label"))
        )
    assert tables["few"]["repeat"].unique().to_list() == [0]
    # The floor is the mean label of the training part, in every repeat its own.
    train = training.filter(pl.col("part") == "train")
    floor = tables["floor"].filter(pl.col("repeat") == 0)["teff"]
    np.testing.assert_allclose(floor, train["teff"].mean(), rtol=1e-6)


def test_a_model_with_fewer_repeats_is_a_run_with_fewer(run_file: Path) -> None:
    """So that the progress of its trainings counts its own."""
    entries = entries_of(plan(*load_run(run_file)))
    assert {entry.name: entry.run.config.repeats for entry in entries} == {
        "model": 2,
        "ridge": 2,
        "floor": 2,
        "few": 1,
    }


def test_the_table_holds_what_the_tables_of_scored_stars_say(folder: Path) -> None:
    table = io.read(folder / COMPARED)
    assert set(table.columns) == set(COMPARISON_COLUMNS)
    assert table["model"].unique(maintain_order=True).to_list() == ["model", "ridge", "floor", "few"]
    whole = table.filter((pl.col("by") == "all") & (pl.col("label") == "logg")).rows_by_key("model", named=True)
    assert whole["few"][0]["repeats"] == 1
    assert whole["floor"][0]["rmse_ratio"] == 1
    assert whole["ridge"][0]["rmse_ratio"] < 1
    assert whole["ridge"][0]["crps"] < whole["floor"][0]["crps"]
    assert io.read(folder / COMPARED_CSV).height == table.height
    assert io.open_table(folder / COMPARED).columns["crps"].description


def test_what_was_trained_is_not_trained_again(run_file: Path, folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    again = ss.compare_models(run_file, folder, progress=RecordedProgress(said))
    assert all(text.endswith("unchanged") for text in said)
    assert again.reference == "floor"
    assert again.mock
    # Some models only: the others are kept for another time.
    few = ss.compare_models(run_file, folder, only=("ridge", "model"), progress=RecordedProgress(said))
    assert few.costs["model"].to_list() == ["model", "ridge"]
    assert few.reference == "model"
    said.clear()
    ss.compare_models(run_file, folder, progress=RecordedProgress(said))
    assert [text for text in said if not text.endswith("unchanged")] == ["compare models ..."]
    # Another setting of one model: that one alone.
    said.clear()
    ss.compare_models(
        edited(run_file, "neighbours = [5]", "neighbours = [6]"), folder, progress=RecordedProgress(said)
    )
    changed = [text for text in said if not text.endswith("unchanged")]
    assert changed == ["model few ...", "compare models ..."]


def test_the_run_has_the_comparison_in_its_report(
    run_file: Path, sky: Path, finished: Path, tmp_path: Path
) -> None:
    # The run of the other tests with models beside its own: its steps are not done again.
    shutil.copytree(finished, tmp_path / "run")
    (sky / "with_models.toml").write_text((sky / "run.toml").read_text() + MODELS)
    said: list[str] = []
    result = ss.run(sky / "with_models.toml", tmp_path / "run", progress=RecordedProgress(said))
    assert "train: unchanged" in said
    page = result.report.read_text(encoding="utf-8")
    assert "<h3>Models compared</h3>" in page
    for text in ("ridge", "floor", "CRPS", "Models compared by magnitude", "half-width"):
        assert text in page
    assert (tmp_path / "run" / COMPARED).exists()
    with pytest.raises(InputError, match="is the folder of a run"):
        ss.compare_models(run_file, tmp_path / "run")
    steps = json.loads((tmp_path / "run" / "provenance.json").read_text())["steps"]
    assert {"model ridge", "model floor", "compare models"} <= set(steps)


def test_a_run_without_models_says_nothing_of_them(finished: Path) -> None:
    assert "Models compared" not in (finished / "report.html").read_text(encoding="utf-8")
    assert not (finished / COMPARED).exists()


def test_the_command_prints_the_comparison(run_file: Path, folder: Path) -> None:
    done = CliRunner().invoke(app, ["compare-models", str(run_file), "--out", str(folder), "--only", "ridge"])
    assert done.exit_code == 0, done.output
    assert "models compared (test part, MOCK data)" in done.stdout
    for text in ("CRPS", "seconds of a fit", "ridge", COMPARED):
        assert text in done.stdout
    assert "floor" not in done.stdout


def test_check_names_the_models(run_file: Path) -> None:
    assert "compared with the models ridge, floor, few" in ss.check(run_file)


def test_a_library_that_is_missing_is_said_before_anything_is_done(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    bad = edited(run_file, 'kind = "ridge", folds = 3', 'kind = "svr"')
    for verb in (ss.compare_models, ss.run):
        with pytest.raises(InputError, match=r"'svr': needs scikit-learn.*pip install 'starscale\[baselines\]'"):
            verb(bad, tmp_path / "out")
    with pytest.raises(InputError, match="needs scikit-learn"):
        ss.check(bad)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "ridge"', 'name = "floor"', "needs a different name"),
        ('name = "ridge"', 'name = "model"', "'model' is the model of the run"),
        ('name = "ridge"', 'name = "Ridge regression"', r"models\.0\.name"),
        ('name = "ridge"', 'name = "ridge"\nreference = true', "only one of"),
        ("repeats = 1", "repeats = 3", r"no model can have more repeats than the run \(2\)"),
        ('kind = "mean"', 'kind = "meen"', "Did you mean 'mean'"),
        ('set = "pairwise"', 'set = "pairwse"', r"models 'few'.*Did you mean 'pairwise'"),
        ('without = ["*_log_error"]', 'without = ["nothing"]', "models 'few'.*nothing"),
        (
            'kind = "ridge", folds = 3',
            'kind = "tabicl", checkpoint = "compared.tmol"',
            r"models 'ridge'.*compared\.tmol.*no such file or folder.*weights.*Did you mean 'compared\.toml'",
        ),
    ],
)
def test_bad_models_are_refused(run_file: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ss.compare_models(edited(run_file, old, new), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_be_stored_is_refused_before_anything_is_done(run_file: Path, tmp_path: Path) -> None:
    head, _, tail = run_file.read_text().partition("[model]")
    path = run_file.with_name("unstored.toml")
    path.write_text(head + '[model]\nkind = "tabm"\n' + "[[compare]]" + tail.partition("[[compare]]")[2])
    for verb in (ss.run, ss.compare_models, ss.check):
        with pytest.raises(
            InputError, match=r"'tabm' cannot be kept in a bundle.*Name this one in \[\[models\]\]"
        ):
            verb(path, *[tmp_path / "out"] * (verb is not ss.check))
    assert not (tmp_path / "out").exists()


def test_names_that_are_not_there_and_files_without_models(run_file: Path, sky: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'rigde'.*Did you mean 'ridge'"):
        ss.compare_models(run_file, tmp_path / "out", only=("rigde",))
    with pytest.raises(InputError, match=r"run\.toml: models: is empty; expected one or more \[\[models\]\]"):
        ss.compare_models(sky / "run.toml", tmp_path / "out")


def test_an_ablation_trains_with_without_and_on_the_estimates_alone(
    run_file: Path, finished: Path, tmp_path: Path
) -> None:
    text = run_file.read_text()
    head, _, tail = text.partition("[model]")
    quick = head + '[model]\nkind = "ridge"\nfolds = 3\n' + "[[compare]]" + tail.partition("[[compare]]")[2]
    path = run_file.with_name("ablated.toml")
    path.write_text(quick.partition("[[models]]")[0])
    shutil.copytree(finished, tmp_path / "out")
    (tmp_path / "out" / "report.html").unlink()
    done = CliRunner().invoke(app, ["ablate", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    figures = io.read(tmp_path / "out" / COMPARED).filter(pl.col("by") == "all")
    assert set(figures["model"]) == {"model", "without-estimates", "estimates-alone"}
    rmse = dict(figures.filter(pl.col("label") == "teff").select("model", "rmse").iter_rows())
    # The labels scatter by 800 K; each of the three has learnt something of its own.
    assert len(set(rmse.values())) == 3
    assert max(rmse.values()) < 400
    costs = ss.compare_models(path, tmp_path / "out", ablation=True).costs
    n = dict(costs.select("model", "n_features").iter_rows())
    assert n["model"] == n["without-estimates"] + n["estimates-alone"]
    assert n["estimates-alone"] == 6


def test_an_ablation_without_estimates_is_refused(run_file: Path, tmp_path: Path) -> None:
    path = run_file.with_name("bare.toml")
    path.write_text(
        run_file.read_text() + '\n[features]\nwithout = ["gaia_dr3.teff*", "gaia_dr3.logg*", "gaia_dr3.fe_h*"]\n'
    )
    with pytest.raises(InputError, match="ablation: 0 of the"):
        ss.compare_models(path, tmp_path / "out", ablation=True)


def test_features_that_only_keeps() -> None:
    with pytest.raises(InputError, match=r"features\.only"):
        build_features(load_feature_set("default"), [MEMBER], FeaturesConfig(only=("nothing*",)))
    kept = build_features(load_feature_set("default"), [MEMBER], FeaturesConfig(only=("*-*",), without=("*BP-G",)))
    assert [feature.name for feature in kept] == ["gaia_dr3.G-RP", "gaia_dr3.BP-RP"]


def test_a_run_trains_its_own_model_once(run_file: Path, folder: Path, finished: Path, tmp_path: Path) -> None:
    """The comparison takes the trainings of the bundle, and has the figures of one that trained by itself."""
    shutil.copytree(finished, tmp_path / "run")
    said: list[str] = []
    fitted: list[str] = []
    fit = TrainingArrays.fit

    def counted(self: TrainingArrays, rows: Rows, repeat: int, title: str, *others: Any, **named: Any) -> Any:
        fitted.append(title.removesuffix("training").rstrip(", "))
        return fit(self, rows, repeat, title, *others, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingArrays, "fit", counted)
        ss.run(run_file, tmp_path / "run", progress=RecordedProgress(said))
    assert fitted == ["", "", "ridge", "ridge", "floor", "floor", "few"]
    order = [text for text in said if text.startswith(("train ", "model model", "predict "))]
    assert order == ["train ...", "model model ...", "predict ..."]
    for name in ("model", "ridge"):
        ours, alone = (io.read(f / scored_file(name)) for f in (tmp_path / "run", folder))
        assert ours.equals(alone)
    said.clear()
    ss.run(run_file, tmp_path / "run", progress=RecordedProgress(said))
    assert "model model: unchanged" in said
    assert "train: unchanged" in said


def test_the_time_of_a_training_that_was_interrupted_is_not_known() -> None:
    known = Trial(pl.DataFrame(), 2.0, 100.0)
    costs = Trials("mean", 3, (replace(known, fit_seconds=None), known, replace(known, fit_seconds=4.0))).cost
    assert costs["fit_seconds"] == [None, 2.0, 4.0]
    shown = _statistics("fit_seconds", costs["fit_seconds"])
    assert shown["fit_seconds"] == 3
    assert _statistics("fit_seconds", [None])["fit_seconds"] is None
