"""How many rows every quality cut of a survey leaves."""

from pathlib import Path

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

distances = ("mock/bailer_jones_edr3.parquet", "bailer_jones_edr3")
cleaned = ss.clean("mock/gaia_dr3.parquet", survey="gaia_dr3", join=[distances])
axes = ss.plots.attrition(cleaned.attrition)
axes.get_figure(root=True).savefig("attrition.png", dpi=110)
