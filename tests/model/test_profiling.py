"""Where the time of a prediction goes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import starscale as ss
from starscale.cli.main import app
from support.small_model import small_model, small_stars

#: Stages of a learner that predicts a density, of inputs whose disagreement is measured, E(B-V) among them.
ALL = [
    "read",
    "names, types, units",
    "features",
    "gaps and scales of the inputs",
    "learner",
    "probabilities",
    "intervals",
    "distance from the training stars",
    "distance of the labels",
    "consistency",
    "slopes with E(B-V)",
    "flags",
    "columns of the catalogue",
    "other",
    "write",
    "total",
]


def colours(n: int) -> pl.DataFrame:
    """Stars for the packaged model."""
    rng = np.random.default_rng(1)
    means = {"u_g": 1.1, "g_r": 0.5, "r_i": 0.2, "i_z": 0.1}
    return pl.DataFrame(
        {"objid": np.arange(1, n + 1), **{name: rng.normal(mean, 0.1, n) for name, mean in means.items()}}
    )


def test_every_stage_is_measured_and_adds_up() -> None:
    found = ss.profile_prediction(ss.load("segue_colours"), colours(500))
    # Four colours alone.
    left_out = {"consistency", "slopes with E(B-V)"}
    assert [s for s in found["stage"] if s not in left_out] == [s for s in ALL if s not in left_out]
    assert "slopes with E(B-V)" not in found["stage"]
    assert found["processor"][:-1].sum() == pytest.approx(found["processor"][-1])
    assert found["wall"][:-1].sum() == pytest.approx(found["wall"][-1])
    assert (found["wall"] > 0).all()
    assert found.row(by_predicate=pl.col("stage") == "learner")[2] > 1
    assert sys.getprofile() is None


def test_the_first_rows_are_enough_and_some_are_needed() -> None:
    model = small_model()
    found = ss.profile_prediction(model, small_stars(300), rows=50)
    assert {"learner", "intervals", "features"} <= set(found["stage"])
    with pytest.raises(ss.InputError, match="has no rows"):
        ss.profile_prediction(model, small_stars(0))
    with pytest.raises(ss.InputError, match="is missing"):
        ss.profile_prediction(model, pl.DataFrame({"u_g": [1.0]}))


def test_the_command_prints_it(tmp_path: Path) -> None:
    stars, output = tmp_path / "stars.parquet", tmp_path / "out.parquet"
    bundle = tmp_path / "model"
    small_model().save(bundle, card="")
    ss.write(small_stars(40), stars)
    done = CliRunner().invoke(app, ["predict", str(bundle), str(stars), "-o", str(output), "--profile"])
    assert done.exit_code == 0, done.output
    assert "Microseconds a star" in done.output
    assert "columns of the catalogue" in done.output
    assert output.exists()
