"""Stars that spectroscopic surveys have in common."""

from pathlib import Path

import polars as pl

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

SURVEYS = {"apogee_dr17": "APOGEE", "galah_dr3": "GALAH", "lamost_dr5": "LAMOST"}
rows = ss.read("mock/truth_spectro.parquet").filter(pl.col("survey").is_in(list(SURVEYS)))
axes = ss.plots.overlap(rows.with_columns(pl.col("survey").replace(SURVEYS)))
axes.get_figure(root=True).savefig("overlap.png", dpi=110)
