"""Distances of cross-matched pairs."""

from pathlib import Path

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

matched = ss.match(
    "mock/gaia_dr3.parquet",
    "mock/skymapper_dr2.parquet",
    left_survey="gaia_dr3",
    right_survey="skymapper_dr2",
)
axes = ss.plots.separations(matched.pairs)
axes.get_figure(root=True).savefig("separations.png", dpi=110)
