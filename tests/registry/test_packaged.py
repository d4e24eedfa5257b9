"""The packaged model of real stars: whole, small, described truly, and trained by the files of the repository."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale.registry.installing import bundle_folder
from starscale.registry.registries import find_model
from support.places import ROOT

NAME = "segue_colours"
EXAMPLE = ROOT / "examples" / NAME
#: A metal-poor and a metal-rich dwarf of g - r about 0.5, and a star that no part of the training set is like.
STARS = pl.DataFrame(
    {
        "objid": [1, 2, 3],
        "mode": [1, 1, 1],
        "type": [6, 6, 6],
        "u": [18.9, 19.35, 18.0],
        "g": [18.0, 18.0, 18.0],
        "r": [17.52, 17.52, 17.5],
        "i": [17.36, 17.36, 16.0],
        "z": [17.3, 17.3, 16.9],
    }
)


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make", EXAMPLE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table_of(shared: Path) -> Path:
    return shared / "real" / "sdss_colours_feh.csv"


def test_it_is_whole_small_and_as_its_entry_says(tmp_path: Path) -> None:
    entry, packed = find_model(NAME).entry, ss.pack_model(NAME, tmp_path / "x.tar")
    assert packed.sha256 == entry.sha256
    assert packed.size == entry.size < 1_500_000
    figures = {row["label"]: row for row in ss.load(NAME).information["figures"] if row["by"] == "all"}
    assert {row.label for row in entry.figures} == set(figures) == {"fe_h"}
    assert all(abs(row.mad - figures[row.label]["mad"]) < 1e-3 for row in entry.figures)
    card = (bundle_folder(NAME) / "MODEL_CARD.md").read_text()
    assert "real stars" in card
    assert (EXAMPLE / "CARD.md").read_text() in card
    assert not entry.mock


def test_it_predicts_from_magnitudes_as_from_colours() -> None:
    found = ss.load(NAME).predict(STARS)
    assert found["fe_h"][0] < -1 < found["fe_h"][1] < 0.1
    flags = [ss.CatalogueFlag(bits) for bits in found["flags"]]
    assert not any(ss.CatalogueFlag.OUT_OF_DOMAIN in each for each in flags[:2])
    assert ss.CatalogueFlag.OUT_OF_DOMAIN in flags[2]
    assert ss.CatalogueFlag.CUT_FAILED in flags[2]
    pairs = pairwise("ugriz")
    colours = STARS.select("objid", *((pl.col(a) - pl.col(b)).alias(f"{a}_{b}") for a, b in pairs))
    again = ss.load(NAME).predict(colours)
    np.testing.assert_allclose(again["fe_h"].to_numpy(), found["fe_h"].to_numpy(), atol=1e-3)


@pytest.mark.shared
def test_its_figures_are_those_of_the_table(shared: Path, tmp_path: Path, make: ModuleType) -> None:
    stars = make.prepare(table_of(shared), tmp_path).table.with_columns(part=pl.lit("any"))
    found = ss.evaluate(NAME, stars).filter(pl.col("by") == "all").row(0, named=True)
    (stated,) = find_model(NAME).entry.figures
    # The entry has the mean of three splits, this is the first of them.
    assert found["n"] == pytest.approx(stated.n, rel=0.05)
    assert found["mad"] == pytest.approx(stated.mad, rel=0.08)
    assert found["coverage68"] == pytest.approx(stated.coverage68, abs=0.03)


@pytest.mark.slow
@pytest.mark.shared
def test_the_files_of_the_repository_train_it(shared: Path, tmp_path: Path, make: ModuleType) -> None:
    stars = make.prepare(table_of(shared), tmp_path).table
    run = tmp_path / "run.toml"
    run.write_text(run.read_text().replace("repeats = 3", "repeats = 1"))
    trained = ss.train(run, table=stars).model
    few = stars.head(2000)
    ours, theirs = trained.predict(few), ss.load(NAME).predict(few)
    change = (ours["fe_h"] - theirs["fe_h"]).abs()
    # The same bits on one machine; elsewhere rounding grows in training, but stays below the errors.
    assert change.median() < 0.2 * theirs["fe_h_error"].median()
