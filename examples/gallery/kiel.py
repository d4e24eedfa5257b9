"""Kiel diagram, coloured by the mean metallicity."""

from pathlib import Path

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

stars = ss.read("mock/truth.parquet")
axes = ss.plots.kiel(stars, colour="fe_h")
axes.get_figure(root=True).savefig("kiel.png", dpi=110)
