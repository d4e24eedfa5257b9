"""Splits and importance in a run: settings, training tables of one's own, evaluation on the same split, report."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

import starscale as ss
from starscale import io
from starscale.cli.main import app
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import prepare
from starscale.pipeline.runfile import load_run
from starscale.reports.finished import FinishedRun
from starscale.reports.importance import importance_section
from starscale.reports.plots import importance_bars
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.run import ImportanceConfig
from support.recorded_progress import RecordedProgress

SHARES = "train = 0.6\nvalidation = 0.2\ntest = 0.2"
FAST = ImportanceConfig(repeats=2, max_stars=50)


def run_file(sky: Path, name: str, split: str, *, extra: str = "") -> Path:
    """The run file of the small sky with a split of its own and one epoch of training."""
    text = (sky / "run.toml").read_text().replace("epochs = 8", "epochs = 1")
    (sky / f"{name}.toml").write_text(f"{text}\n{split}\n{extra}")
    return sky / f"{name}.toml"


def evaluated_on(model: ss.Model, table: Path | pl.DataFrame) -> int:
    """Stars that `evaluate` uses of a training table."""
    return int(ss.evaluate(model, table).filter(by="all", label="teff")["n"][0])


def test_cells(sky: Path, finished: Path) -> None:
    path = run_file(
        sky, "cells", '[split]\nby = "cell"\ncell_order = 8\ntrain = 0.6\nvalidation = 0.2\ntest = 0.2'
    )
    trained = ss.train(path, table=finished / "training.parquet")
    assert sum(trained.counts.values()) == io.read(finished / "training.parquet").height
    assert evaluated_on(trained.model, finished / "training.parquet") == trained.counts["test"]


def test_clusters_from_a_table(sky: Path, finished: Path) -> None:
    stars = io.read(finished / "training.parquet")
    centres = stars[::40].select(
        pl.format("c{}", pl.int_range(pl.len())).alias("cluster"), "ra", "dec", pl.lit(0.3).alias("radius")
    )
    centres.write_csv(sky / "clusters.csv")
    split = (
        '[split]\nby = "cluster"\nclusters = { path = "clusters.csv" }\ntrain = 0.6\nvalidation = 0.2\ntest = 0.2'
    )
    config, base = load_run(run_file(sky, "clusters", split))
    table = prepare(plan(config, base))
    assert table["split_cluster"].null_count() < table.height
    parts = table.drop_nulls("split_cluster").group_by("split_cluster").agg(pl.col("part").n_unique())
    assert parts["part"].max() == 1
    trained = ss.train(sky / "clusters.toml", table=finished / "training.parquet")
    assert (table["part"] == "test").sum() == trained.counts["test"]
    # The model needs no table of clusters: their names stand in the training table.
    (sky / "clusters.csv").unlink()
    assert evaluated_on(trained.model, table) == trained.counts["test"]
    with pytest.raises(InputError, match=r"clusters.csv: no such file or folder \(split.clusters\)"):
        ss.train(sky / "clusters.toml", table=table)


def test_held_out_surveys(sky: Path, finished: Path) -> None:
    label = '[[labels]]\nsurvey = "rave_dr6"\npath = "mock/rave_dr6.parquet"'
    split = '[split]\nby = "survey"\nhold_out = ["rave_dr6"]'
    stars = io.read(finished / "training.parquet")
    mask = np.random.default_rng(0).choice([1, 2, 3], stars.height, p=[0.7, 0.2, 0.1])
    table = stars.with_columns(pl.Series("surveys", mask, dtype=pl.Int32))
    trained = ss.train(run_file(sky, "surveys", split, extra=label), table=table)
    assert trained.counts["test"] == (mask > 1).sum() == evaluated_on(trained.model, table)
    for wrong, message in (
        ('["rave"]', r"'rave' is not a label survey of the run.*galah_dr3, rave_dr6. Did you mean 'rave_dr6'"),
        ('["rave_dr6", "galah_dr3"]', "names every label survey"),
    ):
        path = run_file(sky, "wrong", split.replace('["rave_dr6"]', wrong), extra=label)
        with pytest.raises(InputError, match=message):
            ss.train(path, table=table)


def test_a_split_of_ones_own(sky: Path, finished: Path) -> None:
    stars = io.read(finished / "training.parquet")
    mine = np.array(["train", "test", "validation", "train"])[np.arange(stars.height) % 4]
    table = stars.with_columns(pl.Series("mine", mine))
    path = run_file(sky, "own", '[split]\nby = "column"\ncolumn = "mine"')
    trained = ss.train(path, table=table)
    assert trained.counts == {name: int((mine == name).sum()) for name in ("train", "validation", "test")}
    assert evaluated_on(trained.model, table) == trained.counts["test"]
    # `part` decides nothing unless it is asked for.
    shuffled = table.with_columns(pl.lit("train").alias("part"))
    assert ss.train(path, table=shuffled).counts == trained.counts
    leaky = pl.concat([table, table.head(5).with_columns(pl.lit("validation").alias("mine"))])
    with pytest.raises(InputError, match=r"4 of .* identifiers are in several parts of the split, in 8 rows"):
        ss.train(path, table=leaky)


def test_rows_that_repeat_a_star_do_not_leak_by_default(sky: Path, finished: Path) -> None:
    stars = io.read(finished / "training.parquet")
    twice = pl.concat([stars, stars.with_columns(pl.col("source_id") + 1, pl.col("dec") + 0.5 / 3600)])
    trained = ss.train(run_file(sky, "twice", ""), table=twice)
    assert sum(trained.counts.values()) == twice.height
    assert all(n % 2 == 0 for n in trained.counts.values())
    with pytest.raises(InputError, match=r"Set split.group_radius to 1 or more"):
        ss.train(run_file(sky, "ungrouped", "[split]\ngroup_radius = 0"), table=twice)


# ---- importance --------------------------------------------------------------------------------------


def test_a_run_measures_importance_on_its_test_part(finished: Path) -> None:
    document = json.loads((finished / "importance.json").read_text())
    metrics = json.loads((finished / "metrics.json").read_text())
    assert {row["label"] for row in document} == {"teff", "logg", "fe_h"}
    assert {row["n"] for row in document} == {metrics["split"]["test"]}
    overall = {row["label"]: row for row in metrics["test"] if row["by"] == "all"}
    for row in document:
        assert row["rmse"] == pytest.approx(overall[row["label"]]["rmse"], rel=1e-3)
    worst = max((row for row in document if row["label"] == "teff"), key=lambda row: row["rmse_increase"])
    assert worst["group"] == "all inputs"
    assert worst["rmse_increase"] > 5 * worst["rmse_increase_spread"] > 0


def test_importance_of_any_table_and_group(finished: Path) -> None:
    model = ss.load(finished / "model")
    test = io.read(finished / "training.parquet").filter(part="test")
    groups = {"blue": ["u_psf", "v_psf"], "unused": ["parallax_error"]}
    found = ss.importance(model, test.drop("part", "fe_h"), groups=groups, settings=FAST)
    assert found.select("label", "group").rows() == [(n, g) for n in ("teff", "logg") for g in groups]
    assert found.filter(group="unused")["rmse_increase"].to_list() == [0, 0]
    assert (found.filter(group="blue")["rmse_increase"] != 0).all()
    with pytest.raises(InputError, match="column 'w_psf' is not in the table"):
        ss.importance(model, test, groups={"x": ["w_psf"]}, settings=FAST)
    with pytest.raises(InputError, match="has no label to compare with"):
        ss.importance(model, finished / "matched.parquet")
    with pytest.raises(InputError, match=r"column 'g_psf': is missing, but needed for the model's input"):
        ss.importance(model, test.drop("g_psf"), settings=FAST)


def test_the_report_shows_it(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "Inputs that the predictions rely on" in page
    picture = re.search(
        r'alt="Increase of the RMSE when columns are shuffled" src="data:image/png;base64,([^"]+)"', page
    )
    assert picture is not None
    assert base64.b64decode(picture[1]).startswith(b"\x89PNG")
    assert "r_med_geo" in page
    assert importance_section(replace(FinishedRun.load(finished), steps={})) is None


def test_bars_are_the_increases(finished: Path) -> None:
    table = pl.DataFrame(json.loads((finished / "importance.json").read_text()))
    figure = importance_bars(table.filter(pl.col("label") == "logg"))
    (axes,) = figure.axes
    best = table.filter(label="logg").sort("rmse_increase", descending=True).row(0, named=True)
    assert max(bar.get_width() for bar in axes.patches) == pytest.approx(
        100 * best["rmse_increase"] / best["rmse"]
    )
    assert len(axes.patches) == 20


def test_it_can_be_turned_off(sky: Path, finished: Path, tmp_path: Path) -> None:
    (sky / "off.toml").write_text(f"{(sky / 'run.toml').read_text()}\n[importance]\napply = false\n")
    shutil.copytree(finished, tmp_path / "run")
    said: list[str] = []
    result = ss.run(sky / "off.toml", tmp_path / "run", progress=RecordedProgress(said))
    assert "Inputs that the predictions rely on" not in result.report.read_text()
    assert any(text.startswith("note: importance.json was written by an earlier run") for text in said)
    assert "train: unchanged" in said


# ---- commands ----------------------------------------------------------------------------------------


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_importance(finished: Path, tmp_path: Path) -> None:
    given = ("importance", finished / "model", finished / "training.parquet", "--repeats", 2)
    done = command(*given, "--group", "blue=u_psf, v_psf", "-o", tmp_path / "i.json")
    assert done.exit_code == 0, done.output
    assert "MOCK data" in done.output
    assert re.search(r"^blue +2 ", done.output, re.MULTILINE)
    assert {row["group"] for row in json.loads((tmp_path / "i.json").read_text())} == {"blue"}
    assert "NAME=COLUMN,COLUMN" in str(command(*given, "--group", "blue").exception)
    assert "options of importance: repeats" in str(command(*given[:3], "--repeats", 1).exception)


def test_the_command_explain(finished: Path) -> None:
    star = io.read(finished / "catalogue.parquet")["source_id"][0]
    done = command("explain", finished / "catalogue.parquet", star)
    assert done.exit_code == 0, done.output
    assert f"source_id {star} of the catalogue" in done.output
    assert command("explain", "--flags", 20).output.startswith("flags = 20:\n  4 OUT_OF_DOMAIN: ")
    for arguments, message in (
        ((), "no table; expected CATALOGUE STAR"),
        ((finished / "catalogue.parquet",), "no star; expected CATALOGUE STAR"),
        ((finished / "catalogue.parquet", star, "--flags", 4), "together with a table"),
    ):
        refused = command("explain", *arguments).exception
        assert isinstance(refused, InputError)
        assert message in str(refused)


def test_the_command_starts_without_the_learning_libraries() -> None:
    heavy = "('jax', 'matplotlib')"
    command = "from starscale.cli.verbs import MODULES, load; [load(verb) for verb in MODULES]"
    script = f"import sys; {command}; print(*(n for n in {heavy} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
