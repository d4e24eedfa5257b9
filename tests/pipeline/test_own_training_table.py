"""A training table of the user is read as a prediction reads its table: sentinels, quality of bands, fluxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

import starscale as ss

SURVEY = """
name = "own"
title = "magnitudes and fluxes"
kind = "photometric"
id = { column = "source_id" }
sentinels = [-99]
[bands]
b = { magnitude = "bmag", wavelength = 400, keep = "bflag = 0" }
[bands.r]
magnitude = "rmag"
error = "e_rmag"
wavelength = 600
flux = "rflux"
flux_error = "e_rflux"
zero_point = 22.5
softening_magnitude = 25
[labels]
teff = { value = "TEFF" }
[columns]
source_id = { dtype = "int64" }
bmag = { unit = "mag" }
bflag = { dtype = "int32" }
rflux = { unit = "nanomaggy" }
e_rflux = { unit = "nanomaggy" }
TEFF = { unit = "K" }
"""
RUN = """
target = ["teff"]
catalogue = { survey = "own.toml", path = "own.parquet" }
labels = [{ survey = "own.toml" }]
model = { kind = "ridge" }
"""


def test_a_table_of_the_user_gives_the_model_of_the_run(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(1), 400
    teff = rng.uniform(4000, 7000, n)
    table = pl.DataFrame(
        {
            "source_id": np.arange(1, n + 1),
            "bmag": np.where(np.arange(n) < 40, -99.0, 20 - teff / 500 + rng.normal(0, 0.1, n)),
            "bflag": (np.arange(n) % 10 == 5).astype(np.int32),
            "rflux": 10 ** (0.4 * (7.5 + rng.normal(0, 0.1, n))),
            "e_rflux": np.full(n, 1.0),
            "TEFF": teff,
        }
    )
    (tmp_path / "own.toml").write_text(SURVEY)
    (tmp_path / "run.toml").write_text(RUN)
    table.write_parquet(tmp_path / "own.parquet")
    known = ss.train(tmp_path / "run.toml")
    labels = pl.DataFrame({"teff": teff, "teff_error": np.full(n, 100.0)})
    own = ss.train(tmp_path / "run.toml", table=table.hstack(labels))
    assert [feature.name for feature in own.model.features] == ["own.b-r", "own.r_log_error"]
    assert_frame_equal(own.test.select("source_id", "teff"), known.test.select("source_id", "teff"))
