"""The whole way from tables to a catalogue and a report, on a small mock sky."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.features.features import evaluate_features
from starscale.pipeline.runfile import load_run
from starscale.tables.standardise import standardise
from starscale.vocabulary.columns import (
    DUPLICATE_COLUMNS,
    LABEL_TABLE_COLUMNS,
    NEIGHBOUR_COLUMNS,
    PAIR_COLUMNS,
    UNMATCHED_COLUMNS,
    catalogue_columns,
)
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.flags import CatalogueFlag
from support.quick_run import quick
from support.recorded_progress import RecordedProgress


def test_run_leaves_the_files_of_the_contract(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "catalogue.parquet",
        "clean_gaia_dr3.parquet",
        "clean_skymapper_dr2.parquet",
        "duplicates_skymapper_dr2.parquet",
        "importance.json",
        "labels.parquet",
        "matched.parquet",
        "metrics.json",
        "model",
        "neighbours_skymapper_dr2.parquet",
        "pairs_skymapper_dr2.parquet",
        "provenance.json",
        "report.html",
        "test.parquet",
        "training.parquet",
        "unmatched_skymapper_dr2.parquet",
    }


def test_columns_of_the_contract(finished: Path) -> None:
    assert io.read(finished / "catalogue.parquet").columns == list(catalogue_columns())
    assert io.read(finished / "pairs_skymapper_dr2.parquet").columns == list(PAIR_COLUMNS)
    assert io.read(finished / "neighbours_skymapper_dr2.parquet").columns == list(NEIGHBOUR_COLUMNS)
    assert io.read(finished / "unmatched_skymapper_dr2.parquet").columns == list(UNMATCHED_COLUMNS)
    assert io.read(finished / "duplicates_skymapper_dr2.parquet").columns == list(DUPLICATE_COLUMNS)
    assert io.read(finished / "labels.parquet").columns == list(LABEL_TABLE_COLUMNS)


def test_catalogue_carries_units_and_provenance(finished: Path) -> None:
    table = io.open_table(finished / "catalogue.parquet")
    assert table.columns["teff"].unit == "K"
    assert table.columns["teff"].ucd == "phys.temperature.effective"
    provenance = json.loads(table.metadata["starscale.provenance"])
    assert provenance["mock"] is True
    assert provenance["versions"]["starscale"] == ss.__version__


def test_catalogue_has_every_matched_star_once_and_in_order(finished: Path) -> None:
    matched = io.read(finished / "matched.parquet")
    catalogue = io.read(finished / "catalogue.parquet")
    assert catalogue["source_id"].to_list() == matched["source_id"].to_list()
    assert catalogue["source_id"].n_unique() == catalogue.height


def test_attrition_adds_up(finished: Path) -> None:
    steps = json.loads((finished / "provenance.json").read_text())["steps"]
    for name in ("gaia_dr3", "skymapper_dr2"):
        attrition = steps[f"clean {name}"]["result"]["attrition"]
        removed = sum(row["in_sequence"] for row in attrition["rows"])
        assert attrition["n_in"] - removed == io.read(finished / f"clean_{name}.parquet").height
        assert removed > 0


def test_the_saved_model_predicts_what_the_trained_one_did(finished: Path) -> None:
    """Guards the whole chain: bundle, reading, features, prediction."""
    test = io.read(finished / "test.parquet")
    catalogue = io.read(finished / "catalogue.parquet").join(test, on="source_id", how="semi")
    both = catalogue.join(test, on="source_id", suffix="_then", maintain_order="left")
    for label in ("teff", "logg", "fe_h"):
        assert np.allclose(both[label], both[f"{label}_then"], rtol=1e-5, atol=1e-5, equal_nan=True)
    assert both["flags"].to_list() == both["flags_then"].to_list()


def test_the_parts_do_not_share_stars_and_labels_are_in_range(finished: Path) -> None:
    training = io.read(finished / "training.parquet")
    assert training["source_id"].n_unique() == training.height
    assert set(training["part"].unique()) == {"train", "validation", "test"}
    assert training["teff"].is_between(2500, 9000).all()


def test_intervals_are_ordered_and_errors_half_their_width(finished: Path) -> None:
    catalogue = io.read(finished / "catalogue.parquet").filter(pl.col("teff").is_not_null())
    for label in ("teff", "logg", "fe_h"):
        columns = [catalogue[label + end].to_numpy() for end in ("_lower95", "_lower", "", "_upper", "_upper95")]
        for low, high in itertools.pairwise(columns):
            assert (low <= high + 1e-4 * np.abs(high)).all()
        assert np.allclose(catalogue[f"{label}_error"], (columns[3] - columns[1]) / 2, rtol=1e-3, atol=1e-4)


def test_metrics_hold_the_test_part_and_the_comparison(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    overall = {row["label"]: row for row in metrics["test"] if row["by"] == "all"}
    assert set(overall) == {"teff", "logg", "fe_h"}
    assert overall["teff"]["n"] == metrics["split"]["test"]
    # Even a tiny network knows a cool star from a hot one.
    assert overall["teff"]["mad"] < 400
    assert metrics["compare"][0]["stars"] > 1000
    assert metrics["mock"] is True


def test_comparison_leaves_training_stars_out(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    catalogue = io.read(finished / "catalogue.parquet")
    training = io.read(finished / "training.parquet").filter(pl.col("part") != "test")
    assert metrics["compare"][0]["stars"] <= catalogue.height - training.height


def test_second_run_does_nothing_again(sky: Path, finished: Path) -> None:
    files = [*finished.rglob("*.parquet"), finished / "report.html"]
    before = {path: path.stat().st_mtime_ns for path in files}
    said: list[str] = []
    ss.run(sky / "run.toml", finished, progress=RecordedProgress(said))
    assert before == {path: path.stat().st_mtime_ns for path in files}
    assert {text for text in said if not text.endswith("unchanged")} == set()
    assert "report: unchanged" in said


def test_a_report_that_was_changed_is_drawn_again(sky: Path, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    (copy / "report.html").write_text("notes")
    said: list[str] = []
    ss.run(sky / "run.toml", copy, progress=RecordedProgress(said))
    assert [text for text in said if not text.endswith("unchanged")] == ["report ..."]
    assert "<html" in (copy / "report.html").read_text()


def test_a_changed_setting_redoes_what_depends_on_it_and_no_more(
    sky: Path, finished: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    text = (sky / "run.toml").read_text().replace("epochs = 8", "epochs = 2")
    changed = sky / "changed.toml"
    changed.write_text(text)
    said: list[str] = []
    ss.run(changed, copy, progress=RecordedProgress(said))
    assert "clean gaia_dr3: unchanged" in said
    assert "training set: unchanged" in said
    assert "train ..." in said
    assert "predict ..." in said


def test_another_prior_is_that_of_the_catalogue_and_of_the_test_part(
    sky: Path, finished: Path, tmp_path: Path
) -> None:
    copy, run_file, said = tmp_path / "run", sky / "prior.toml", list[str]()
    shutil.copytree(finished, copy)
    wanted = '[predict]\nprior = { fe_h = "flat" }\nbelow = { fe_h = [-1.5], teff = [5000] }\n'
    run_file.write_text((sky / "run.toml").read_text() + wanted)
    result = ss.run(run_file, copy, progress=RecordedProgress(said))
    assert {"train: unchanged", "predict ...", "test ..."} <= set(said)
    asked = {"prior": {"fe_h": "flat"}, "below": {"fe_h": [-1.5], "teff": [5000]}}
    expected = ss.predict(copy / "model", copy / "matched.parquet", **asked).table
    catalogue = io.read(copy / "catalogue.parquet")
    assert catalogue.equals(expected)
    assert {"p_fe_h_below_m1p5", "p_teff_below_5000"} <= set(catalogue.columns)
    figures = ss.evaluate(copy / "model", copy / "training.parquet", prior={"fe_h": "flat"})
    shown = pl.DataFrame(result.metrics["test"], infer_schema_length=None).filter(pl.col("by") == "all")
    assert shown["rmse"].to_list() == pytest.approx(figures.filter(pl.col("by") == "all")["rmse"].to_list())
    page = (copy / "report.html").read_text()
    assert "fe_h under a flat prior" in page
    assert "teff &lt; 5000 K" in page
    assert "fe_h under a flat prior" not in (finished / "report.html").read_text()
    assert "verified" in "\n".join(ss.check(copy, verify=True))


def test_a_run_without_slopes_repeats_the_prediction_alone(sky: Path, finished: Path, tmp_path: Path) -> None:
    copy, run_file, said = tmp_path / "run", sky / "no_slopes.toml", list[str]()
    shutil.copytree(finished, copy)
    run_file.write_text((sky / "run.toml").read_text() + "[predict]\nslopes = false\n")
    result = ss.run(run_file, copy, progress=RecordedProgress(said))
    assert {"train: unchanged", "predict ...", "coverage: unchanged", "importance: unchanged"} <= set(said)
    assert "test ..." not in said
    catalogue, usual = (io.read(folder / "catalogue.parquet") for folder in (copy, finished))
    slopes = pl.selectors.ends_with("_ebv_slope")
    assert catalogue.select(slopes).null_count().row(0) == (catalogue.height,) * 3
    assert usual.select(slopes).null_count().row(0) < (usual.height,) * 3
    assert catalogue.drop(slopes).equals(usual.drop(slopes))
    assert result.metrics == json.loads((finished / "metrics.json").read_text())
    assert "verified" in "\n".join(ss.check(copy, verify=True))
    # With another prior, the test part is that of the catalogue.
    run_file.write_text((sky / "run.toml").read_text() + '[predict]\nslopes = false\nprior = "flat"\n')
    ss.run(run_file, copy)
    for name in ("catalogue", "test_as_catalogue"):
        found = io.read(copy / f"{name}.parquet")
        assert found.select(slopes).null_count().row(0) == (found.height,) * 3


def test_what_the_model_cannot_be_asked_is_told_before_the_work_starts(sky: Path, tmp_path: Path) -> None:
    bad, text = sky / "bad_prior.toml", (sky / "run.toml").read_text()
    forest = text.replace(text[text.index("[model]") : text.index("[[compare]]")], '[model]\nkind = "ridge"\n')
    bad.write_text(forest + '[predict]\nprior = { fe_h = "flatt" }\nbelow = { teff = [1] }\n')
    with pytest.raises(InputError) as caught:
        ss.run(bad, tmp_path / "run")
    message = str(caught.value)
    assert "predict.prior: is given, and a model of the kind 'ridge' predicts no density" in message
    assert "flatt' " in message or "flatt':" in message
    assert not (tmp_path / "run").exists()
    bad.write_text(text + "[predict]\nbelow = { teff = [1] }\n")
    with pytest.raises(InputError, match="below: teff: 1; expected between"):
        ss.check(bad)


def test_a_damaged_file_of_the_run_is_made_again(sky: Path, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    (copy / "labels.parquet").write_bytes(b"damaged")
    said: list[str] = []
    ss.run(sky / "run.toml", copy, progress=RecordedProgress(said))
    assert "labels galah_dr3 ..." in said
    assert "train: unchanged" in said  # the same labels came out
    assert io.read(copy / "labels.parquet").equals(io.read(finished / "labels.parquet"))


def test_same_seed_same_catalogue(sky: Path, finished: Path, tmp_path: Path) -> None:
    ss.run(sky / "run.toml", tmp_path / "again")
    assert io.read(tmp_path / "again" / "catalogue.parquet").equals(io.read(finished / "catalogue.parquet"))


def test_train_alone_makes_the_model_of_the_run(sky: Path, finished: Path) -> None:
    trained = ss.train(sky / "run.toml")
    stars = io.read(finished / "matched.parquet").head(50)
    assert trained.model.predict(stars).equals(ss.load(finished / "model").predict(stars))


def test_every_problem_is_told_before_the_work_starts(sky: Path, tmp_path: Path) -> None:
    text = (sky / "run.toml").read_text()
    bad = sky / "bad.toml"
    bad.write_text(text.replace("gaia_dr3.parquet", "gaia_dr33.parquet").replace('"galah_dr3"', '"galah_dr9"'))
    with pytest.raises(InputError) as caught:
        ss.run(bad, tmp_path / "run")
    message = str(caught.value)
    assert "gaia_dr33.parquet" in message
    assert "Did you mean 'gaia_dr3.parquet'" in message
    assert "galah_dr9" in message
    assert not (tmp_path / "run").exists()


def test_no_common_stars(sky: Path, tmp_path: Path) -> None:
    moved = io.read(sky / "mock" / "galah_dr3.parquet").with_columns(pl.lit(None, pl.Int64).alias("dr3_source_id"))
    far = moved.with_columns((-pl.col("dec_dr2")).alias("dec_dr2")) if "dec_dr2" in moved.columns else moved
    io.write(far, sky / "mock" / "far.parquet")
    (sky / "far.toml").write_text((sky / "run.toml").read_text().replace("galah_dr3.parquet", "far.parquet"))
    with pytest.raises(InputError, match="labelled stars"):
        ss.run(sky / "far.toml", tmp_path / "run")


def test_predicting_chunk_by_chunk_changes_nothing(finished: Path, tmp_path: Path) -> None:
    whole = io.read(finished / "catalogue.parquet")
    ss.predict(finished / "model", finished / "matched.parquet", tmp_path / "out.parquet", chunk=97)
    chunked = io.read(tmp_path / "out.parquet")
    assert chunked["source_id"].equals(whole["source_id"])
    for label in ("teff", "logg", "fe_h"):
        assert np.allclose(chunked[label], whole[label], rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("suffix", ["fits", "vot", "ecsv", "csv", "hats"])
def test_any_format_in_any_format_out(finished: Path, tmp_path: Path, suffix: str) -> None:
    stars = io.read(finished / "matched.parquet").head(300)
    ss.write(stars, tmp_path / f"stars.{suffix}", surveys=["gaia_dr3", "bailer_jones_edr3", "skymapper_dr2"])
    ss.predict(finished / "model", tmp_path / f"stars.{suffix}", tmp_path / f"catalogue.{suffix}")
    # HATS has an order of its own.
    found = ss.read(tmp_path / f"catalogue.{suffix}").sort("source_id")
    expected = io.read(finished / "catalogue.parquet").head(300).sort("source_id")
    if suffix != "csv":
        metadata = io.open_table(tmp_path / f"catalogue.{suffix}").metadata
        assert (metadata["position_system"], metadata["position_epoch"]) == ("ICRS", "J2016.0")
    assert found["source_id"].to_list() == expected["source_id"].to_list()
    assert found["flags"].to_list() == expected["flags"].to_list()
    assert np.allclose(
        found["teff"].cast(pl.Float64), expected["teff"].cast(pl.Float64), rtol=1e-4, equal_nan=True
    )


def test_rows_that_cannot_be_predicted_stay_with_a_flag(finished: Path) -> None:
    model = ss.load(finished / "model")
    stars = io.read(finished / "matched.parquet").head(5)
    inputs = [
        name for name in model.inputs.columns if name not in ("source_id", "ra", "dec") and name in stars.columns
    ]
    numeric = [name for name in inputs if stars[name].dtype.is_numeric()]
    blank = stars.with_columns(
        pl.when(pl.int_range(pl.len()) == 2).then(None).otherwise(pl.col(name)).alias(name) for name in numeric
    )
    catalogue = model.predict(blank)
    assert catalogue["source_id"].to_list() == stars["source_id"].to_list()
    assert catalogue["teff"].is_null().to_list() == [False, False, True, False, False]
    assert catalogue["flags"][2] & CatalogueFlag.NOT_PREDICTED
    assert not catalogue["flags"][0] & CatalogueFlag.NOT_PREDICTED


def test_a_star_that_fails_a_cut_is_flagged(finished: Path) -> None:
    model = ss.load(finished / "model")
    stars = io.read(finished / "matched.parquet").head(3).with_columns(pl.Series("ruwe", [1.0, 9.0, 1.0]))
    flags = model.predict(stars)["flags"] & int(CatalogueFlag.CUT_FAILED)
    assert flags.to_list() == [0, int(CatalogueFlag.CUT_FAILED), 0]


def test_one_star(finished: Path) -> None:
    model = ss.load(finished / "model")
    stars = io.read(finished / "matched.parquet")
    one, many = model.predict(stars.head(1)), model.predict(stars.head(100))
    assert np.isclose(one["teff"][0], many["teff"][0], rtol=1e-5)


def test_no_star(finished: Path) -> None:
    model = ss.load(finished / "model")
    empty = model.predict(io.read(finished / "matched.parquet").head(0))
    assert empty.height == 0
    assert empty.columns == list(catalogue_columns())


def test_order_of_rows_does_not_matter(finished: Path) -> None:
    model = ss.load(finished / "model")
    stars = io.read(finished / "matched.parquet").head(200)
    shuffled = stars.sample(fraction=1.0, shuffle=True, seed=4)
    there = model.predict(shuffled).sort("source_id")
    here = model.predict(stars).sort("source_id")
    for label in ("teff", "logg", "fe_h"):
        assert np.allclose(there[label], here[label], rtol=1e-5, atol=1e-5, equal_nan=True)


def test_evaluate_uses_the_test_part(finished: Path) -> None:
    figures = ss.evaluate(finished / "model", finished / "training.parquet")
    metrics = json.loads((finished / "metrics.json").read_text())
    expected = {row["label"]: row["mad"] for row in metrics["test"] if row["by"] == "all"}
    for row in figures.filter(pl.col("by") == "all").iter_rows(named=True):
        assert np.isclose(row["mad"], expected[row["label"]], rtol=1e-4)


def test_probabilities_are_scored_on_the_test_part(finished: Path) -> None:
    scores = ss.evaluate_probabilities(finished / "model", finished / "training.parquet", below={"fe_h": [-0.5]})
    test = io.read(finished / "training.parquet").filter(pl.col("part") == "test")
    assert scores["n"].to_list() == [test.height]
    assert scores["below"].to_list() == [(test["fe_h"] < -0.5).sum()]
    assert 0 < scores["brier"][0] < 0.25
    assert scores["skill"][0] > 0


def test_evaluate_without_labels(finished: Path) -> None:
    with pytest.raises(InputError, match="no label to compare with"):
        ss.evaluate(finished / "model", finished / "matched.parquet")


def test_paths_of_an_extended_file_stay_relative_to_it(sky: Path, tmp_path: Path) -> None:
    inner = sky / "inner"
    inner.mkdir(exist_ok=True)
    (inner / "child.toml").write_text('extends = "../run.toml"\ntitle = "child"\n')
    config, base = load_run(inner / "child.toml")
    assert config.title == "child"
    assert (base / config.catalogue.path).resolve() == (sky / "mock" / "gaia_dr3.parquet").resolve()
    assert config.catalogue.survey == "gaia_dr3"


def test_a_table_without_a_band_of_its_survey_is_refused(sky: Path) -> None:
    """Even where no cut needs the band: a column of another survey might stand in unnoticed."""
    table = io.read(sky / "mock" / "skymapper_dr2.parquet").drop("z_psf")
    io.write(table, sky / "mock" / "no_z.parquet")
    entry = 'path = "mock/no_z.parquet"\n[photometry.cuts]\nwithout = ["not_faint"]'
    text = (sky / "run.toml").read_text().replace('path = "mock/skymapper_dr2.parquet"', entry)
    (sky / "no_z.toml").write_text(text)
    with pytest.raises(InputError, match=r"z_psf.*band or E\(B-V\)"):
        ss.train(sky / "no_z.toml")


def test_stars_beyond_the_training_magnitudes_are_flagged(finished: Path) -> None:
    model = ss.load(finished / "model")
    assert model.magnitude == "phot_g_mean_mag"
    low, high = model.magnitude_range
    magnitudes = [low - 0.01, low, (low + high) / 2, high, high + 0.01, None]
    stars = io.read(finished / "matched.parquet").head(6)
    stars = stars.with_columns(pl.Series("phot_g_mean_mag", magnitudes, dtype=pl.Float64))
    flags = model.predict(stars)["flags"] & int(CatalogueFlag.OUTSIDE_MAGNITUDES) > 0
    assert flags.to_list() == [True, False, False, False, True, False]


def test_another_program_does_every_step_again(
    sky: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    monkeypatch.setattr("starscale.pipeline.folder.program", lambda: "another")
    said: list[str] = []
    ss.run(sky / "run.toml", copy, progress=RecordedProgress(said))
    assert not any(text.endswith("unchanged") for text in said)


def test_tables_of_an_earlier_run_are_named(sky: Path, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    text = (sky / "run.toml").read_text()
    without = text[: text.index("[[photometry]]")] + text[text.index("[[labels]]") :]
    (sky / "gaia_only.toml").write_text(quick(without))
    said: list[str] = []
    ss.run(sky / "gaia_only.toml", copy, progress=RecordedProgress(said))
    assert any(text.startswith("note: clean_skymapper_dr2.parquet was written by an earlier run") for text in said)
    assert any(text.startswith("note: pairs_skymapper_dr2.parquet") for text in said)


def test_what_the_catalogue_says_beyond_values_and_intervals(finished: Path) -> None:
    catalogue = pl.read_parquet(finished / "catalogue.parquet")
    model = ss.load(finished / "model")
    for pair in ("teff_logg_corr", "teff_fe_h_corr", "logg_fe_h_corr"):
        assert catalogue[pair].drop_nulls().is_between(-1, 1).all()
        assert catalogue[pair].null_count() == catalogue["teff"].null_count()
    ambiguous = catalogue["flags"] & int(CatalogueFlag.DWARF_OR_GIANT) > 0
    assert 0 < ambiguous.sum() < catalogue.height
    for name in ("teff_giant", "logg_dwarf", "fe_h_dwarf"):
        assert (catalogue[name].is_not_null() == ambiguous).all()
    both = catalogue.filter(ambiguous)
    assert (both["logg_giant"] < 3.5).all()
    assert (both["logg_dwarf"] > 3.5).all()
    # The two solutions, weighed by their probabilities, are the mean.
    stars = io.read(finished / "matched.parquet")
    features = evaluate_features(standardise(stars, model.inputs), model.features)
    prediction = model.predictor.predict(features)
    p = prediction.p_giant[:, None]
    known = prediction.predicted & ambiguous.to_numpy()
    joined = p * prediction.giant_solution + (1 - p) * prediction.dwarf_solution
    np.testing.assert_allclose(joined[known], prediction.mean[known], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(
        model.predictor.means(features)[known], prediction.mean[known], rtol=1e-4, atol=1e-5
    )
    redder = stars.with_columns(pl.col("ebmv_sfd") + 0.01)
    moved = evaluate_features(standardise(redder, model.inputs), model.features)
    expected = model.predictor.predict(features, moved=moved).change[:, 0] / 0.01
    slope = catalogue["teff_ebv_slope"].fill_null(np.nan).to_numpy()
    assert np.isfinite(slope[known]).all()
    np.testing.assert_allclose(slope[known], expected[known], rtol=1e-3, atol=1.0)
    card = (finished / "model" / "MODEL_CARD.md").read_text()
    assert "skymapper_dr2.v" in card
