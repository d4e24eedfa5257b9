"""Absolute colour-magnitude diagram of stars with good parallaxes."""

from pathlib import Path

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

gaia = ss.read("mock/gaia_dr3.parquet")
axes = ss.plots.colour_magnitude(gaia.filter(gaia["parallax_over_error"] > 10), parallax="parallax")
axes.get_figure(root=True).savefig("colour_magnitude.png", dpi=110)
