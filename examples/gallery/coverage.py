"""Do stated intervals hold the true value as often as they say?"""

from pathlib import Path

import starscale as ss

if not Path("mock").exists():  # simulated stars; read your own table instead
    ss.make_mock("mock", stars=5000)

truth = ss.read("mock/truth.parquet").select("source_id", "teff")
stars = ss.read("mock/gaia_dr3.parquet").join(truth, on="source_id")
axes = ss.plots.coverage(stars, "teff_gspphot", reference="teff")
axes.get_figure(root=True).savefig("coverage.png", dpi=110)
