"""Map of the stars on the sky, in HEALPix cells."""

from pathlib import Path

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

axes = ss.plots.sky(ss.read("mock/truth.parquet"))
axes.get_figure(root=True).savefig("sky.png", dpi=110)
