"""Two pictures in one figure, in the style of the package."""

from pathlib import Path

import matplotlib.pyplot as plt

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

stars = ss.read("mock/truth.parquet")
with plt.style.context(ss.plots.STYLE):
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    axes = ss.plots.kiel(stars, ax=left)
    ss.plots.metallicity_rz(stars, distance="distance", ax=right)
axes.get_figure(root=True).savefig("style.png", dpi=110)
