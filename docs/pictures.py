"""Draw the pictures of plots.md, of mock stars; conf.py calls it when the pages are built."""

from __future__ import annotations

import tempfile
from pathlib import Path

import starscale as ss
from starscale.plots.style import grid, png

#: Sky from which the pictures are drawn; a mock sky takes some seconds.
_STARS = 20_000


def draw(folder: Path) -> None:
    """Write the pictures into a folder, where they are not there yet."""
    if (folder / "sky.png").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as sky:
        ss.make_mock(sky, stars=_STARS)
        truth, gaia = ss.read(f"{sky}/truth.parquet"), ss.read(f"{sky}/gaia_dr3.parquet")
    known = truth.select("source_id", "teff", "logg", "fe_h", "distance")
    stars = gaia.join(known, on="source_id")
    estimate = {"label": "teff_gspphot", "reference": "teff"}

    figure, ((left, right),) = grid(1, 2, (4.2, 3.5))
    ss.plots.one_to_one(stars, **estimate, ax=left)
    ss.plots.residuals(stars, **estimate, against="phot_g_mean_mag", ax=right)
    (folder / "teff.png").write_bytes(png(figure, mock=True))

    figure, ((left, middle, right),) = grid(1, 3, (4.0, 3.5))
    ss.plots.kiel(stars, colour="fe_h", ax=left)
    ss.plots.colour_magnitude(stars, parallax="parallax", ax=middle)
    ss.plots.metallicity_rz(stars, distance="distance", ax=right)
    (folder / "stars.png").write_bytes(png(figure, mock=True))

    figure, ((left, middle, right),) = grid(1, 3, (3.8, 3.5))
    ss.plots.coverage(stars, **estimate, ax=left)
    half = ((stars["teff_gspphot_upper"] - stars["teff_gspphot_lower"]) / 2).alias("teff_gspphot_error")
    ss.plots.reliability(stars.with_columns(half), **estimate, ax=middle)
    ss.plots.pit(stars.with_columns(half), **estimate, ax=right)
    (folder / "trust.png").write_bytes(png(figure, mock=True))

    axes = ss.plots.sky(truth)
    (folder / "sky.png").write_bytes(png(axes.figure, mock=True))
