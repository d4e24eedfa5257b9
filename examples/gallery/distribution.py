"""Metallicities of a spectroscopic survey beside those of all stars."""

from pathlib import Path

import polars as pl

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

truth = ss.read("mock/truth.parquet").select("source_id", all_stars="fe_h")
labels = ss.read("mock/galah_dr3.parquet").select("fe_h")
stars = pl.concat([truth.select("all_stars"), labels.rename({"fe_h": "galah"})], how="diagonal")
axes = ss.plots.distribution(stars, ["all_stars", "galah"], names=["all stars", "GALAH"])
axes.set_xlabel("[Fe/H]")
axes.get_figure(root=True).savefig("distribution.png", dpi=110)
