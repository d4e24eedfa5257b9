"""A catalogue of Gaia DR4 with labels of DR3: a run through the crosswalk, and `evaluate` across releases."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import starscale as ss
from starscale.cli.main import app
from starscale.features.splits import PARTS
from starscale.model.labelled import labelled_stars
from starscale.model.renumbering import OtherRelease
from starscale.model.training_stars import TrainingStars
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import prepare
from starscale.pipeline.runfile import load_run
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.progress import SILENT
from starscale.vocabulary.settings.match import CrosswalkInput
from support.recorded_progress import RecordedProgress
from support.renumbered import DROPPED, SPLIT, Renumbered, as_dr3_neighbourhood, renumber
from support.small_model import small_model, small_stars

CATALOGUE = """
name = "catalogue"
title = "a mock of Gaia DR4"
kind = "astrometric"
gaia_release = "dr4"
id = { column = "source_id" }
[bands]
B = { magnitude = "b", wavelength = 500 }
R = { magnitude = "r", wavelength = 700 }
[columns]
source_id = { dtype = "int64" }
b = { unit = "mag" }
r = { unit = "mag" }
"""
LABELS = """
name = "labels"
title = "labels with identifiers of DR3"
kind = "spectroscopic"
id = { column = "name" }
gaia = { column = "gaia", release = "dr3" }
labels = { teff = { value = "teff", error = "e_teff" } }
[columns]
name = { dtype = "int64" }
gaia = { dtype = "int64" }
teff = { unit = "K" }
e_teff = { unit = "K" }
"""
RUN = """
target = ["teff"]
catalogue = { survey = "catalogue.toml", path = "catalogue.parquet" }
crosswalk = [{ survey = "gaia_dr3_neighbourhood", path = "neighbours.parquet" }]
labels = [{ survey = "labels.toml", path = "labels.parquet" }]
model = { kind = "ridge" }
"""


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_on_dr4_keeps_the_labels_of_dr3(tmp_path: Path, whole: bool) -> None:
    rng = np.random.default_rng(5)
    sky = renumber(pl.Series(np.unique(rng.integers(10**17, 6 * 10**18, 4000))), rng)
    stars = sky.truth.with_columns(teff=pl.Series(rng.uniform(4000, 7000, sky.truth.height)))
    as_dr3_neighbourhood(sky.neighbours).write_parquet(tmp_path / "neighbours.parquet")
    catalogue = stars.drop_nulls("new").select(
        pl.col("new").alias("source_id"), b=20 - pl.col("teff") / 500, r=15 - pl.col("teff") / 2000
    )
    catalogue.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "catalogue.parquet")
    stars.select(
        pl.col("old").alias("gaia"), "teff", name=pl.row_index().cast(pl.Int64), e_teff=pl.lit(50.0)
    ).write_parquet(tmp_path / "labels.parquet")
    for name, text in (("catalogue.toml", CATALOGUE), ("labels.toml", LABELS), ("run.toml", RUN)):
        (tmp_path / name).write_text(text)
    if whole:
        ss.run(tmp_path / "run.toml", tmp_path / "out")
        found = pl.read_parquet(tmp_path / "out" / "training.parquet")
    else:
        found = prepare(plan(*load_run(tmp_path / "run.toml")), None, SILENT)
    joined = found.join(stars, left_on="source_id", right_on="new", how="left", suffix="_true")
    np.testing.assert_allclose(joined["teff"], joined["teff_true"], rtol=1e-12)
    there = stars.height - int((sky.kind == DROPPED).sum())
    # Which of the two stars of DR4 a split source of DR3 is, is not always known.
    assert there >= found.height >= 0.999 * (there - int((sky.kind == SPLIT).sum()))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[ss.Model, Renumbered, Path]:
    """A model of DR4, whose training stars are known, and the neighbours that lead to DR3."""
    stars = small_stars(300)
    sky = renumber(stars["source_id"], np.random.default_rng(2))
    path = tmp_path_factory.mktemp("walk") / "neighbours.parquet"
    as_dr3_neighbourhood(sky.neighbours).write_parquet(path)
    ids = sky.truth["new"].fill_null(1)
    order = {name: np.arange(i, 150, 3) for i, name in enumerate(PARTS)}
    inputs = small_model().inputs.model_copy(update={"gaia_release": "dr4", "name": "gaia_dr4"})
    return replace(small_model(), inputs=inputs, stars=TrainingStars.of(ids, order, "int64")), sky, path


def walk(path: Path) -> tuple[CrosswalkInput, ...]:
    return (CrosswalkInput(survey="gaia_dr3_neighbourhood", path=path),)


def test_stars_of_the_training_are_known_under_their_old_identifiers(
    other: tuple[ss.Model, Renumbered, Path],
) -> None:
    (model, sky, path), said = other, RecordedProgress()
    given = OtherRelease("edr3", walk(path))
    kept = labelled_stars(model, small_stars(300), other=given, progress=said).table
    truth = dict(zip(sky.truth["new"], range(300), strict=True))
    numbers = [truth[star] for star in kept["source_id"]]
    # None of the training and validation parts, and nearly all others that DR4 has.
    assert all(number >= 150 or number % 3 == 2 for number in numbers)
    wanted = [i for i in range(300) if (i >= 150 or i % 3 == 2) and sky.kind[i] not in (DROPPED, SPLIT)]
    assert len(set(wanted) - set(numbers)) <= 0.02 * len(wanted)
    assert "rows have identifiers of dr4; the others are left out" in said.messages[0]
    everything = labelled_stars(model, small_stars(300), other=given, include_training=True).table
    assert everything.height == 300


def test_the_command_takes_a_crosswalk(other: tuple[ss.Model, Renumbered, Path], tmp_path: Path) -> None:
    model, _, path = other
    model.save(tmp_path / "model", card="")
    small_stars(300).write_parquet(tmp_path / "stars.parquet")
    arguments = ["evaluate", str(tmp_path / "model"), str(tmp_path / "stars.parquet"), "--release", "dr3"]
    arguments += ["--crosswalk", f"gaia_dr3_neighbourhood={path}", "-o", str(tmp_path / "figures.json")]
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    known = ss.evaluate(model, small_stars(300), release="dr3", crosswalk=walk(path))
    assert json.loads((tmp_path / "figures.json").read_text())[0]["n"] == known["n"][0]


def test_another_release_without_a_crosswalk_is_refused(other: tuple[ss.Model, Renumbered, Path]) -> None:
    (model, _, path), stars = other, small_stars(300)
    old = stars.with_columns(astrometric_params_solved=pl.lit(31))
    with pytest.raises(InputError, match=r"has columns of gaia_dr3 .* identifiers of dr4\. Say the release"):
        ss.evaluate(model, old)
    with pytest.raises(
        InputError, match=r"has identifiers of dr3, and the model those of dr4; expected a crosswalk"
    ):
        ss.evaluate(model, stars, release="edr3")
    with pytest.raises(InputError, match=r"has identifiers of dr2, and the model those of dr4"):
        ss.evaluate(model, stars, release="dr2", crosswalk=walk(path))
    with pytest.raises(InputError, match=r"release 'dr33': unknown; expected one of dr1"):
        ss.evaluate(model, stars, release="dr33")
    with pytest.raises(InputError, match=r"a crosswalk and no release"):
        ss.evaluate(model, stars, crosswalk=walk(path))
    with pytest.raises(InputError, match=r"the model those of no release of Gaia"):
        ss.evaluate(small_model(), stars, release="dr3")
    with pytest.raises(InputError, match=r"holds none of the 300 identifiers"):
        ss.evaluate(model, stars.with_columns(pl.col("source_id") + 1), release="dr3", crosswalk=walk(path))
    assert int(ss.evaluate(model, stars, release="dr4")["n"][0]) > 0
