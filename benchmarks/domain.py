"""Stars whose inputs are wrong: how many of them carry no flag and are far from the truth.

On a MOCK sky: the test stars of a small run, with one input changed at a time. Prints, for every change, the share
of stars that are flagged as unlike the training stars (OUT_OF_DOMAIN, LABEL_OUT_OF_RANGE, INCONSISTENT,
OUTSIDE_MAGNITUDES) or not predicted, the share with any label beyond five errors of the spectroscopic label, and
the share that is beyond and carries no flag. Exits with 1 when a change exceeds the bar, or unchanged stars are
flagged more often than theirs.

    python benchmarks/domain.py                        a mock sky of 30,000 stars, a small network
    python benchmarks/domain.py --stars 100000         a larger one
    python benchmarks/domain.py --run FOLDER           a finished run of a mock sky
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale import io
from starscale.model.model import Model
from starscale.reports.table import ReportTable
from starscale.vocabulary.flags import CatalogueFlag

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "domain"
UNLIKE = (
    CatalogueFlag.OUT_OF_DOMAIN
    | CatalogueFlag.LABEL_OUT_OF_RANGE
    | CatalogueFlag.INCONSISTENT
    | CatalogueFlag.OUTSIDE_MAGNITUDES
    | CatalogueFlag.NOT_PREDICTED
)
#: Errors beyond which a value is wrong, and per cent: wrong without a flag, and flags of unchanged stars.
FAR, BAR, FALSE = 5.0, 2.0, 1.5
#: AB minus Vega magnitudes of u v g r i z, roughly: what a table in the other system differs by.
AB_VEGA = (0.9, 0.7, -0.1, 0.2, 0.4, 0.5)
RUN_FILE = """\
extends = "default"
title = "MOCK: wrong inputs"
mock = true
seed = 1
repeats = 1
[importance]
apply = false
[catalogue]
survey = "gaia_dr3"
path = "mock/gaia_dr3.parquet"
[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "mock/bailer_jones_edr3.parquet"
[[photometry]]
survey = "skymapper_dr2"
path = "mock/skymapper_dr2.parquet"
[[labels]]
survey = "lamost_dr5"
path = "mock/lamost_dr5.parquet"
[model]
kind = "mixture"
members = 2
epochs = 20
"""
DISTANCE = ("r_med_geo", "r_lo_geo", "r_hi_geo")


def finished(n_stars: int) -> Path:
    """Make a mock sky and a run on it, unless they are here."""
    folder = OUT / str(n_stars)
    if not (folder / "mock").is_dir():
        ss.make_mock(folder / "mock", stars=n_stars, seed=1)
    io.atomic_text(folder / "run.toml", RUN_FILE)
    ss.run(folder / "run.toml", output=folder / "run", progress=True)
    return folder / "run"


def bands(model: Model) -> dict[str, str]:
    """Return the columns of magnitudes by the name of the band."""
    return {m.name: m.columns[0] for m in model.measurements if "." in m.name}


def changes(model: Model, stars: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the name of every change, and the changed stars."""
    for name, column in bands(model).items():
        for shift in (1.0, -1.0, 0.3, -0.3):
            yield f"{name} {shift:+.1f} mag", stars.with_columns(pl.col(column) + shift)
    for factor in (10, 2, 0.5):
        yield (
            f"distance x {factor}",
            stars.with_columns(pl.col(name for name in DISTANCE if name in stars) * factor),
        )
    reddening = pl.col(str(model.reddening))
    yield "E(B-V) + 0.2", stars.with_columns(reddening + 0.2)
    yield "E(B-V) x 3", stars.with_columns(reddening * 3)
    skymapper = [column for name, column in bands(model).items() if name.startswith("skymapper")]
    with_errors = [name for column in skymapper for name in (column, f"e_{column}")]
    yield (
        "neighbour of like brightness",
        stars.with_columns(pl.col(name).shift(1).fill_null(strategy="backward") for name in with_errors),
    )
    for one, other in pairwise(skymapper):
        yield f"{one} and {other} swapped", stars.rename({one: other, other: one})
    for sign, name in ((1, "Vega as AB"), (-1, "AB as Vega")):
        moved = zip(skymapper, AB_VEGA, strict=True)
        yield name, stars.with_columns(pl.col(column) + sign * shift for column, shift in moved)


def measured(model: Model, stars: pl.DataFrame) -> tuple[float, float, float, str]:
    """Per cent flagged, beyond `FAR` errors, and beyond without a flag; the measurement named most often."""
    found = model.predict(stars)
    flagged = found["flags"].to_numpy() & int(UNLIKE) > 0
    away = [
        np.abs(found[name].to_numpy() - stars[f"{name}_label"].to_numpy()) / found[f"{name}_error"].to_numpy()
        for name in model.labels
    ]
    with np.errstate(invalid="ignore"):
        far = (np.array(away) > FAR).any(axis=0)
    named = found["odd_measurement"].drop_nulls().value_counts(sort=True)
    most = f"{named[0, 0]} ({100 * named[0, 1] / len(found):.0f} %)" if len(named) else ""
    return 100 * flagged.mean(), 100 * far.mean(), 100 * (far & ~flagged).mean(), most


def kinds(folder: Path, model: Model) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the stars of the sky that are of another kind than most, with their true labels."""
    path = folder.parent / "mock" / "truth.parquet"
    if not path.is_file():
        return
    known = io.read(path)
    truth = known.select("source_id", *(pl.col(name).alias(f"{name}_label") for name in model.labels))
    stars = io.read(folder / "matched.parquet").join(truth, on="source_id", how="inner")
    teff, fe_h = pl.col("teff_label"), pl.col("fe_h_label")
    for name, rule in (("M dwarfs", teff < 3900), ("hot stars", teff > 7500), ("[Fe/H] below -2.5", fe_h < -2.5)):
        yield f"{name} of the sky", stars.filter(rule)


def main() -> int:
    """Measure all changes and print the table."""
    parser = argparse.ArgumentParser(description="Stars with wrong inputs: flags and errors.")
    parser.add_argument("--stars", type=int, default=30_000, help="stars of the mock sky")
    parser.add_argument("--run", type=Path, help="folder of a finished run")
    arguments = parser.parse_args()
    folder = arguments.run or finished(arguments.stars)
    model = ss.load(folder / "model")
    stars = io.read(folder / "training.parquet").filter(pl.col("part") == "test").sort("phot_g_mean_mag")
    stars = stars.rename({name: f"{name}_label" for name in model.labels})
    cases = [("nothing", stars), *changes(model, stars), *kinds(folder, model)]
    rows, missed = [], False
    for name, changed in cases:
        if not len(changed):
            continue
        flagged, far, unflagged, most = measured(model, changed)
        bad = flagged > FALSE if name == "nothing" else unflagged > BAR
        missed = missed or bad
        shares = (f"{value:.1f}" for value in (flagged, far, unflagged))
        rows.append([name, f"{len(changed):,}", *shares, most, "missed" if bad else ""])
    head = [
        "changed",
        "stars",
        "flagged, %",
        f"beyond {FAR:g} errors, %",
        "beyond and no flag, %",
        "named most often",
    ]
    bars = f"bars: {BAR:g} % beyond and no flag, {FALSE:g} % false flags"
    print(f"MOCK: wrong inputs of the test stars of {folder}; {bars}")
    print(ReportTable((*head, "bar"), rows).text())
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
