"""Spectra of the mock sky from the run file to the catalogue, and what they give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import starscale as ss

pytestmark = pytest.mark.slow

RUN = """
extends = "default"
mock = true
repeats = 1
catalogue.survey = "gaia_dr3"
catalogue.path = "gaia_dr3.parquet"
labels = [{ survey = "galah_dr3", path = "galah_dr3.parquet" }]
model.kind = "svr"

[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "bailer_jones_edr3.parquet"
"""
JOIN = """
[[catalogue.join]]
survey = "gaia_dr3_xp"
path = "gaia_dr3_xp.parquet"
"""
XP = ["bp_coefficients", "rp_coefficients"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("xp")
    ss.make_mock(path, stars=30_000, seed=1, spectra=True)
    (path / "without.toml").write_text(RUN)
    (path / "with.toml").write_text(RUN + JOIN)
    return path


@pytest.fixture(scope="module")
def trained(folder: Path):
    return {name: ss.train(folder / f"{name}.toml", output=folder / name) for name in ("without", "with")}


@pytest.fixture(scope="module")
def stars(folder: Path) -> pl.DataFrame:
    tables = [
        pl.read_parquet(folder / f"{name}.parquet") for name in ("gaia_dr3", "bailer_jones_edr3", "gaia_dr3_xp")
    ]
    return tables[0].join(tables[1], on="source_id").join(tables[2], on="source_id").head(300)


def test_spectra_reduce_the_scatter_of_fe_h(folder: Path, trained) -> None:
    truth = pl.read_parquet(folder / "truth.parquet", columns=["source_id", "fe_h"])
    having = pl.read_parquet(folder / "gaia_dr3_xp.parquet", columns=["source_id"])
    found = {}
    for name, result in trained.items():
        same = result.test.join(having, on="source_id", how="semi").join(truth, on="source_id", suffix="_true")
        assert same.height > 90
        error = (same["fe_h"] - same["fe_h_true"]).drop_nulls().to_numpy()
        found[name] = np.median(np.abs(error - np.median(error)))
    assert found["with"] < 0.7 * found["without"]


def test_a_table_without_spectra_is_predicted_and_explained(folder: Path, trained, stars: pl.DataFrame) -> None:
    model = ss.load(folder / "with")
    assert 110 > sum(f.name.startswith("gaia_dr3_xp") for f in model.features) > 2
    bare = ss.predict(model, stars.drop(XP)).table
    null = ss.predict(
        model, stars.with_columns(pl.lit(None, pl.List(pl.Float64)).alias(name) for name in XP)
    ).table
    assert bare.equals(null)
    plain = ss.predict(folder / "without", stars).table
    assert bare["fe_h"].null_count() <= plain["fe_h"].null_count()
    assert (bare["flags"] & int(ss.CatalogueFlag.INPUT_MISSING) > 0).all()
    whole = ss.predict(model, stars).table
    assert (whole["flags"] & int(ss.CatalogueFlag.INPUT_MISSING) > 0).mean() < 0.3
    said = ss.explain(bare, int(bare["source_id"][0]), model=model, inputs=stars.drop(XP))
    assert "missing: gaia_dr3_xp.bp_0 (no bp_coefficients)" in str(said[0])
    assert any("bp_coefficients" in line for line in ss.check(folder / "with"))


def test_texts_and_objects_predict_the_same(folder: Path, trained, stars: pl.DataFrame) -> None:
    expected = ss.predict(folder / "with", stars).table
    texts = stars.with_columns(
        pl.Series(name, [str(tuple(row)) for row in stars[name].to_list()], dtype=pl.String) for name in XP
    )
    assert ss.predict(folder / "with", texts).table.equals(expected)
    frame = stars.drop(XP).to_pandas()
    for name in XP:
        frame[name] = list(stars[name].to_numpy())
    assert ss.predict(folder / "with", frame).table.equals(expected)


def test_coefficients_of_another_release_are_refused(folder: Path, trained, stars: pl.DataFrame) -> None:
    other = stars.with_columns(pl.col("bp_coefficients").arr.to_list().list.head(51))
    with pytest.raises(ss.InputError, match=r"bp_coefficients'.*arrays of 51 numbers.*expected 55"):
        ss.predict(folder / "with", other)


def test_spectra_are_one_measurement_in_the_importance(folder: Path, trained) -> None:
    table = pl.read_parquet(folder / "gaia_dr3.parquet")
    for name in ("bailer_jones_edr3", "gaia_dr3_xp"):
        table = table.join(pl.read_parquet(folder / f"{name}.parquet"), on="source_id")
    table = table.join(pl.read_parquet(folder / "truth.parquet", columns=["source_id", "fe_h"]), on="source_id")
    found = ss.importance(folder / "with", table.head(400), settings=ss.ImportanceConfig(repeats=2))
    rows = found.filter(pl.col("label") == "fe_h")
    group = rows.filter(pl.col("group") == "gaia_dr3_xp spectra")
    assert group["columns"].to_list() == [XP]
    assert group["mad_increase"][0] > 0
    assert not set(rows["group"]) & set(XP)
