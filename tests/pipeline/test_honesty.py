"""What a careful user would find out: labels among the inputs, stars seen in training, stale results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.flags import CatalogueFlag
from support.quick_run import quick

OWN_SURVEY = """\
name = "own"
title = "a table with estimates that are its labels"
kind = "photometric"
id = {{ column = "source_id" }}

[bands]
b = {{ magnitude = "bmag", wavelength = 400 }}
r = {{ magnitude = "rmag", wavelength = 600 }}

[estimates]
teff = {{ value = "{estimate}" }}

[labels]
teff = {{ value = "TEFF" }}

[columns]
source_id = {{ dtype = "int64" }}
bmag = {{ unit = "mag" }}
rmag = {{ unit = "mag" }}
TEFF = {{ unit = "K" }}
GUESS = {{ unit = "K" }}
"""


def own_run(folder: Path, *, estimate: str, labels: str = "") -> Path:
    """A run on one table that holds inputs and labels."""
    rng = np.random.default_rng(0)
    teff = rng.uniform(4000, 7000, 600)
    table = pl.DataFrame(
        {
            "source_id": np.arange(1, 601),
            "bmag": 20 - teff / 500 + rng.normal(0, 0.1, 600),
            "rmag": 15 + rng.normal(0, 0.1, 600),
            "TEFF": teff,
            "GUESS": teff + rng.normal(0, 300, 600),
        }
    )
    io.write(table, folder / "own.parquet")
    (folder / "own.toml").write_text(OWN_SURVEY.format(estimate=estimate))
    (folder / "run.toml").write_text(
        'target = ["teff"]\n[catalogue]\nsurvey = "own.toml"\npath = "own.parquet"\n'
        f'[[labels]]\nsurvey = "own.toml"\n{labels}\n'
        '[model]\nkind = "mixture"\nmembers = 1\nepochs = 2\nwidth = 16\nlayers = 1\nbatch = 32\n'
    )
    return folder / "run.toml"


@pytest.mark.parametrize("labels", ["", 'path = "own.parquet"'])
def test_a_label_is_never_an_input(tmp_path: Path, labels: str) -> None:
    with pytest.raises(InputError, match=r"'TEFF': is a label and an input at once"):
        ss.train(own_run(tmp_path, estimate="TEFF", labels=labels))


@pytest.mark.parametrize("column", ["RAW", "SCALED"])
def test_what_a_label_is_computed_from_is_never_an_input(tmp_path: Path, column: str) -> None:
    run_file = own_run(tmp_path, estimate=column)
    text = (tmp_path / "own.toml").read_text()
    described = "\n".join(
        [
            f"{text.rstrip()}",
            'RAW = { unit = "K" }',
            'SCALED = { unit = "K", expression = "TEFF * 1.01" }',
        ]
    ).replace("TEFF = {", 'TEFF = { expression = "RAW + 5",', 1)
    assert 'expression = "RAW + 5"' in described
    (tmp_path / "own.toml").write_text(described)
    with pytest.raises(InputError, match=rf"'{column}': is a label and an input at once"):
        ss.train(run_file)


def test_one_label_from_the_leading_table(tmp_path: Path) -> None:
    trained = ss.train(own_run(tmp_path, estimate="GUESS"))
    assert trained.model.labels == ("teff",)
    assert sum(trained.counts.values()) == 600


def test_features_are_checked_before_the_work(tmp_path: Path) -> None:
    run_file = own_run(tmp_path, estimate="GUESS")
    run_file.write_text(run_file.read_text() + '[features]\nwithout = ["*"]\n')
    with pytest.raises(InputError, match="makes no features"):
        ss.check(run_file)


def test_cuts_that_were_switched_off_stay_off_for_labels_in_the_same_table(tmp_path: Path) -> None:
    run_file = own_run(tmp_path, estimate="GUESS")
    survey = tmp_path / "own.toml"
    survey.write_text(survey.read_text() + '[[cuts]]\nname = "cool"\nkeep = "TEFF < 5500"\n')
    text = run_file.read_text()
    run_file.write_text(
        text.replace('path = "own.parquet"\n', 'path = "own.parquet"\ncuts.without = ["cool"]\n', 1)
    )
    assert sum(ss.train(run_file).counts.values()) == 600


def test_cut_columns_reach_the_model_from_a_file_as_from_memory(finished: Path, tmp_path: Path) -> None:
    stars = io.read(finished / "matched.parquet").head(50).with_columns(pl.lit(4).alias("flags"))
    io.write(stars, tmp_path / "stars.parquet")
    ss.predict(finished / "model", tmp_path / "stars.parquet", tmp_path / "out.parquet")
    failed = io.read(tmp_path / "out.parquet")["flags"] & int(CatalogueFlag.CUT_FAILED) > 0
    assert failed.all()
    assert (ss.load(finished / "model").predict(stars)["flags"] & int(CatalogueFlag.CUT_FAILED) > 0).all()


def test_cuts_of_two_surveys_look_at_their_own_columns(sky: Path, tmp_path: Path) -> None:
    """Both surveys have a column `flags`, and each its own cut on it."""
    shutil.copytree(sky / "mock", tmp_path / "mock")
    second = io.read(sky / "mock" / "skymapper_dr2.parquet").select(
        pl.col("object_id").alias("my_id"),
        pl.col("raj2000").alias("my_ra"),
        pl.col("dej2000").alias("my_dec"),
        pl.col("g_psf").alias("my_g"),
        pl.col("r_psf").alias("my_r"),
        pl.lit(7).alias("flags"),
    )
    io.write(second, tmp_path / "mock" / "second.parquet")
    (tmp_path / "second.toml").write_text(
        'name = "second"\ntitle = "a second survey"\nkind = "photometric"\nid = { column = "my_id" }\n'
        'position = { ra = "my_ra", dec = "my_dec", epoch = { default = 2016.0 } }\n'
        '[bands]\ng = { magnitude = "my_g", wavelength = 500 }\nr = { magnitude = "my_r", wavelength = 600 }\n'
        '[[cuts]]\nname = "seven"\nkeep = "flags = 7"\n'
        '[columns]\nmy_id = { dtype = "int64" }\nmy_ra = { unit = "deg" }\nmy_dec = { unit = "deg" }\n'
        'my_g = { unit = "mag" }\nmy_r = { unit = "mag" }\nflags = { dtype = "int32" }\n'
    )
    entry = '[[photometry]]\nsurvey = "second.toml"\npath = "mock/second.parquet"\n\n[[labels]]'
    (tmp_path / "run.toml").write_text(quick((sky / "run.toml").read_text().replace("[[labels]]", entry)))
    result = ss.run(tmp_path / "run.toml", tmp_path / "run")
    matched = io.read(tmp_path / "run" / "matched.parquet")
    assert set(matched["flags"]) == {0}
    assert set(matched["flags_second"]) == {7}
    flags = io.read(result.catalogue)["flags"]
    assert (flags & int(CatalogueFlag.CUT_FAILED)).sum() == 0


def test_evaluation_leaves_out_the_stars_of_this_models_training(sky: Path, finished: Path) -> None:
    """A model with another seed has another test part than the column `part` of the table says."""
    (sky / "other.toml").write_text((sky / "run.toml").read_text().replace("seed = 3", "seed = 9"))
    other = ss.train(sky / "other.toml", table=finished / "training.parquet")
    figures = ss.evaluate(other.model, finished / "training.parquet")
    row = figures.filter((pl.col("by") == "all") & (pl.col("label") == "teff")).row(0, named=True)
    assert row["n"] == other.counts["test"]
    expected = other.figures.filter((pl.col("by") == "all") & (pl.col("label") == "teff")).row(0, named=True)
    assert np.isclose(row["mad"], expected["mad"], rtol=1e-4)


def test_sentinels_among_known_labels_are_no_truth(finished: Path) -> None:
    training = io.read(finished / "training.parquet")
    spoiled = training.with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(-9999.0).otherwise(pl.col("teff")).alias("teff")
    )
    row = ss.evaluate(finished / "model", spoiled).filter(pl.col("by") == "all").row(0, named=True)
    assert abs(row["mean"]) < 500
    with pytest.raises(InputError, match=r"'teff': is of type String"):
        ss.evaluate(finished / "model", training.with_columns(pl.col("teff").cast(pl.String)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pl.col("source_id").cast(pl.Float64), "identifiers of type Int64"),
        (pl.col("source_id").cast(pl.String), "identifiers of type Int64"),
        (pl.col("teff").cast(pl.String), "'teff': is of type String"),
    ],
)
def test_a_reference_that_cannot_be_compared(
    sky: Path, finished: Path, tmp_path: Path, change: pl.Expr, words: str
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    io.write(io.read(sky / "mock" / "truth.parquet").with_columns(change), sky / "mock" / "odd.parquet")
    (sky / "odd.toml").write_text((sky / "run.toml").read_text().replace("truth.parquet", "odd.parquet"))
    with pytest.raises(InputError, match=words):
        ss.run(sky / "odd.toml", tmp_path / "run")


def test_an_interrupted_run_reports_nothing_old(
    sky: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    (sky / "longer.toml").write_text((sky / "run.toml").read_text().replace("epochs = 8", "epochs = 9"))

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("starscale.pipeline.pipeline.train_plan", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ss.run(sky / "longer.toml", copy)
    with pytest.raises(InputError, match="did not finish"):
        ss.report(copy)


def test_mock_tables_are_known_without_being_told(sky: Path) -> None:
    (sky / "untold.toml").write_text((sky / "run.toml").read_text().replace("mock = true\n", ""))
    assert ss.train(sky / "untold.toml").model.mock is True


def test_input_and_output_must_differ(finished: Path, tmp_path: Path) -> None:
    stars = tmp_path / "stars.parquet"
    shutil.copy(finished / "matched.parquet", stars)
    before = stars.read_bytes()
    with pytest.raises(InputError, match="is the input and the output"):
        ss.predict(finished / "model", stars, tmp_path / "." / "stars.parquet")
    assert stars.read_bytes() == before


def test_a_joined_table_may_not_multiply_stars(sky: Path, tmp_path: Path) -> None:
    distances = io.read(sky / "mock" / "bailer_jones_edr3.parquet")
    twice = pl.concat([distances, distances.head(5)])
    with pytest.raises(InputError, match="repeat"):
        ss.clean(sky / "mock" / "gaia_dr3.parquet", survey="gaia_dr3", join=[(twice, "bailer_jones_edr3")])


def test_a_model_says_what_its_training_could_not_do(finished: Path) -> None:
    information = json.loads((finished / "model" / "bundle.json").read_text())["document"]["information"]
    assert any("edge of the domain" in note for note in information["warnings"])
    assert "edge of the domain" in (finished / "model" / "MODEL_CARD.md").read_text()
    assert any("edge of the domain" in sentence for sentence in ss.check(finished / "model"))
