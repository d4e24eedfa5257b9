"""Stars whose inputs are wrong: how many of them carry no flag and are far from the truth.

On a MOCK sky, with one input changed at a time: stars of the sky that took no part in a small run, as bright as
its training stars, against their true labels; and the test stars of the run, against their spectroscopic labels,
some of which are wrong themselves. Prints, for every change, the share of stars that are flagged as unlike the
training stars (OUT_OF_DOMAIN, LABEL_OUT_OF_RANGE, INCONSISTENT, OUTSIDE_MAGNITUDES) or not predicted, the share
with any label beyond five errors, and the share that is beyond and carries no flag. Exits with 1 when a change
leaves more stars of the sky beyond and without a flag than the bar, or unchanged test stars are flagged more often
than theirs.

    python benchmarks/domain.py                        a mock sky of 30,000 stars, a small network
    python benchmarks/domain.py --stars 100000         a larger one
    python benchmarks/domain.py --run FOLDER           a finished run, beside the folder mock/ of its sky

Then the levels of quality: how many stars of the sky have each, and how many labels their intervals hold.
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
from starscale.vocabulary.flags import QUALITIES, CatalogueFlag

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "domain"
UNLIKE = (
    CatalogueFlag.OUT_OF_DOMAIN
    | CatalogueFlag.LABEL_OUT_OF_RANGE
    | CatalogueFlag.INCONSISTENT
    | CatalogueFlag.OUTSIDE_MAGNITUDES
    | CatalogueFlag.NOT_PREDICTED
)
#: Stars of the sky that are changed, at most.
MOST = 8_000
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


def ordinary(folder: Path, model: Model) -> pl.DataFrame:
    """Return stars of the sky, with true labels, that took no part and are as bright as the training stars."""
    own = io.read(folder / "training.parquet", columns=["source_id"])
    stars = io.read(folder / "matched.parquet").join(own, on="source_id", how="anti")
    stars = stars.join(_truth(folder, model), on="source_id", how="inner")
    outside = int(CatalogueFlag.OUTSIDE_MAGNITUDES | CatalogueFlag.NOT_PREDICTED)
    stars = stars.filter(model.predict(stars)["flags"] & outside == 0)
    return stars.sample(min(MOST, len(stars)), seed=1).sort("phot_g_mean_mag")


def measured(model: Model, stars: pl.DataFrame) -> tuple[float, float, float, float, str]:
    """Per cent flagged, beyond `FAR` errors, beyond without a flag, and the same without the agreement of
    measurements; the measurement named most often."""
    found = model.predict(stars)
    bits = found["flags"].to_numpy()
    flagged, without = (bits & int(mask) > 0 for mask in (UNLIKE, UNLIKE & ~CatalogueFlag.INCONSISTENT))
    away = [
        np.abs(found[name].to_numpy() - stars[f"{name}_label"].to_numpy()) / found[f"{name}_error"].to_numpy()
        for name in model.labels
    ]
    with np.errstate(invalid="ignore"):
        far = (np.array(away) > FAR).any(axis=0)
    named = found["odd_measurement"].drop_nulls().value_counts(sort=True)
    most = f"{named[0, 0]} ({100 * named[0, 1] / len(found):.0f} %)" if len(named) else ""
    shares = (flagged, far, far & ~flagged, far & ~without)
    return *(100 * float(share.mean()) for share in shares), most


def levels(folder: Path, model: Model, stars: pl.DataFrame) -> ReportTable:
    """Per cent of the predicted stars of the sky in every level, and of labels and true values in intervals.

    The last row is of the stars without a flag.
    """
    sky = model.predict(io.read(folder / "matched.parquet")).filter(pl.col(model.labels[0]).is_not_null())
    truth = sky.select("source_id").join(_truth(folder, model), on="source_id", how="left", maintain_order="left")
    tables = [(model.predict(stars), stars), (sky, truth)]
    kinds = {quality: pl.col("quality") == quality for quality in QUALITIES} | {"no flag": pl.col("flags") == 0}
    rows = []
    for kind, chosen in kinds.items():
        share = 100 * float(sky.select(chosen.mean()).item())
        cells = []
        for catalogue, known in tables:
            mask = catalogue.select(chosen).to_series()
            cells.append(f"{int(mask.sum()):,}")
            for name in model.labels:
                inside = known[f"{name}_label"].is_between(catalogue[f"{name}_lower"], catalogue[f"{name}_upper"])
                held = inside.filter(mask).mean()
                cells.append("-" if held is None else f"{100 * held:.1f}")
        rows.append([kind, f"{share:.1f}", *cells])
    found = [f"{name} {of}" for of in ("label", "truth") for name in model.labels]
    n = len(model.labels)
    return ReportTable(["quality", "of the sky, %", "test stars", *found[:n], "stars", *found[n:]], rows)


def truth_errors(folder: Path, model: Model) -> ReportTable:
    """Per cent of the true values of good stars within both errors, and their medians."""
    sky = model.predict(io.read(folder / "matched.parquet")).filter(pl.col("quality") == "good")
    both = sky.join(_truth(folder, model), on="source_id", how="inner")
    rows = []
    for name in model.labels:
        away = (both[name] - both[f"{name}_label"]).abs()
        errors = [both[f"{name}_error{end}"] for end in ("", "_truth")]
        held = [f"{100 * float((away < error).mean()):.1f}" for error in errors]
        rows.append([name, *held, *(f"{error.median():.3g}" for error in errors)])
    head = ["label", "within error, %", "within error_truth, %", "median error", "median error_truth"]
    return ReportTable(head, rows)


def _truth(folder: Path, model: Model) -> pl.DataFrame:
    """Return identifiers and true labels of the sky beside the run."""
    path = folder.parent / "mock" / "truth.parquet"
    names = [pl.col(name).alias(f"{name}_label") for name in model.labels]
    return io.read(path).select("source_id", *names)


def kinds(folder: Path, model: Model) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the stars of the sky that are of another kind than most, with their true labels."""
    stars = io.read(folder / "matched.parquet").join(_truth(folder, model), on="source_id", how="inner")
    teff, fe_h = pl.col("teff_label"), pl.col("fe_h_label")
    for name, rule in (("M dwarfs", teff < 3900), ("hot stars", teff > 7500), ("[Fe/H] below -2.5", fe_h < -2.5)):
        yield f"{name} of the sky", stars.filter(rule)


def zipped(
    of_sky: Iterator[tuple[str, pl.DataFrame]], of_test: Iterator[tuple[str, pl.DataFrame]]
) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    """Yield the name of every change, and the changed stars of both tables."""
    for (name, sky), (_, test) in zip(of_sky, of_test, strict=True):
        yield name, sky, test


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
    sky = ordinary(folder, model)
    cases = [("nothing", sky, stars)]
    cases += zipped(changes(model, sky), changes(model, stars))
    cases += [(name, changed, None) for name, changed in kinds(folder, model)]
    rows, missed = [], False
    for name, changed, tested in cases:
        if not len(changed):
            continue
        flagged, far, unflagged, before, most = measured(model, changed)
        of_test = ["", "", ""] if tested is None else [f"{value:.1f}" for value in measured(model, tested)[:3]]
        bad = unflagged > BAR or (name == "nothing" and float(of_test[0]) > FALSE)
        missed = missed or bad
        shares = (f"{value:.1f}" for value in (flagged, far, unflagged, before))
        rows.append([name, f"{len(changed):,}", *shares, most, *of_test, "missed" if bad else ""])
    head = [
        "changed",
        "stars of the sky",
        "flagged, %",
        f"beyond {FAR:g} errors, %",
        "beyond and no flag, %",
        "without INCONSISTENT",
        "named most often",
        "test stars: flagged, %",
        "beyond, %",
        "beyond and no flag, %",
    ]
    bars = f"bars: {BAR:g} % of the sky beyond and no flag, {FALSE:g} % of unchanged test stars flagged"
    print(f"MOCK: wrong inputs of {len(sky):,} stars of the sky and {len(stars):,} test stars of {folder}; {bars}")
    print(ReportTable((*head, "bar"), rows).text())
    print("MOCK: levels of quality, and per cent of the labels of test stars and of true values in 68 % intervals")
    print(levels(folder, model, stars).text())
    print("MOCK: true values of good stars within the error against labels, and within that against the truth")
    print(truth_errors(folder, model).text())
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
