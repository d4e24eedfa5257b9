"""Mean metallicity by distance from axis and plane of the Galaxy."""

from pathlib import Path

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

axes = ss.plots.metallicity_rz(ss.read("mock/truth.parquet"), distance="distance")
axes.get_figure(root=True).savefig("metallicity_rz.png", dpi=110)
