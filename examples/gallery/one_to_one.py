"""An estimate against the true value, with statistics of the difference."""

from pathlib import Path

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

truth = ss.read("mock/truth.parquet").select("source_id", "teff")
stars = ss.read("mock/gaia_dr3.parquet").join(truth, on="source_id")
axes = ss.plots.one_to_one(stars, "teff_gspphot", reference="teff")
axes.get_figure(root=True).savefig("one_to_one.png", dpi=110)
