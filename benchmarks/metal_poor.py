"""Metal-poor stars: bias and errors under two priors, and how good the probabilities of low [Fe/H] are.

On REAL stars (tables of ../shared): S-PLUS photometry, and SDSS colours, both with the [Fe/H] of SEGUE. Trains the
default once on each table with 70 % of the stars, unless it is there, and prints figures of the test part beside
the bars. Exits with 1 when one is missed.

    python benchmarks/metal_poor.py              both tables
    python benchmarks/metal_poor.py splus        one of them
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale import io
from starscale.reports.table import ReportTable
from starscale.vocabulary.arrays import FloatArray

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "metal_poor"
DATA = ROOT.parent / "shared" / "data" / "real"
RUN_FILE = """\
extends = "default"
title = "REAL: metal-poor stars"
seed = 901
repeats = 1
{table}
[split]
train = 0.7
validation = 0.1
test = 0.2
{split}
[importance]
apply = false
"""
TABLES = {
    "splus": (
        '[catalogue]\nsurvey = "../../examples/surveys/splus_segue.toml"\n'
        'path = "../../../shared/data/real/splus_segue.csv"\n'
        '[[labels]]\nsurvey = "../../examples/surveys/splus_segue.toml"\n',
        "group_radius = 3.0",
    ),
    "sdss": (
        'target = ["fe_h"]\n[catalogue]\nsurvey = "../../benchmarks/runs/sdss_colours_survey.toml"\n'
        'path = "sdss_colours.parquet"\n[[labels]]\nsurvey = "../../benchmarks/runs/sdss_colours_survey.toml"\n'
        '[features]\nset = "../../benchmarks/runs/sdss_colours_features.toml"\n',
        "",
    ),
}
EDGES = (-9.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 1.0)
THRESHOLDS = (-1.0, -1.5, -2.0, -2.5)
#: Stars of a bin of probability; bars: bias, ratio of the RMSE, points of calibration.
BIN, BIAS, RATIO, POINTS = 300, 0.15, 0.9, 3.0


def prepared(name: str) -> tuple[ss.Model, pl.DataFrame]:
    """Return a model and the stars of its test part."""
    folder, (table, split) = OUT / name, TABLES[name]
    if not (folder / "model").is_dir():
        rows = ss.read(DATA / "sdss_colours_feh.csv")
        stars = rows.group_by(["ug", "gr", "ri", "iz"], maintain_order=True).agg(pl.col("feh").mean())
        numbers = pl.col("star").cast(pl.Int64)
        ss.write(stars.with_row_index("star").with_columns(numbers), OUT / "sdss_colours.parquet")
        io.atomic_text(OUT / f"{name}.toml", RUN_FILE.format(table=table, split=split))
        ss.run(OUT / f"{name}.toml", output=folder, progress=True)
    training = io.read(folder / "training.parquet")
    return ss.load(folder / "model"), training.filter(pl.col("part") == "test")


def by_label(truth: FloatArray, catalogues: dict[str, pl.DataFrame]) -> ReportTable:
    """Bias, RMSE and coverage of the 68 % interval in bins of the label."""
    rows = []
    for low, high in ((EDGES[0], -2.0), *pairwise(EDGES), (EDGES[0], EDGES[-1])):
        inside = (truth >= low) & (truth < high)
        cells: list[str] = []
        for catalogue in catalogues.values():
            found = catalogue.filter(inside)
            bias, rmse = bias_and_rmse(found, truth[inside])
            held = pl.Series(truth[inside]).is_between(found["fe_h_lower"], found["fe_h_upper"]).mean()
            cells += [f"{bias:+.3f}", f"{rmse:.3f}", f"{100 * float(held):.0f}" if held is not None else "-"]
        rows.append([f"{low:g} to {high:g}", f"{int(inside.sum()):,}", *cells])
    of = [f"{figure}, {prior}" for prior in catalogues for figure in ("bias", "RMSE", "in 68 % (%)")]
    return ReportTable(["[Fe/H] of the label", "stars", *of], rows)


def bias_and_rmse(catalogue: pl.DataFrame, truth: FloatArray) -> tuple[float, float]:
    """Return the mean and the RMSE of prediction - label."""
    error = catalogue["fe_h"].to_numpy() - truth
    error = error[np.isfinite(error)]
    return (float(error.mean()), float((error**2).mean() ** 0.5)) if len(error) else (np.nan, np.nan)


def probabilities(truth: FloatArray, catalogue: pl.DataFrame) -> tuple[ReportTable, float]:
    """Scores of the probabilities, and the largest deviation of -2 in a bin, in points."""
    rows, worst = [], {}
    for threshold in THRESHOLDS:
        name = f"p_fe_h_below_m{-threshold:g}".replace(".", "p")
        p, below = catalogue[name].to_numpy(), truth < threshold
        known = np.isfinite(p)
        p, below = p[known].astype(float), below[known]
        bins = np.array_split(np.argsort(p), max(len(p) // BIN, 1))
        worst[threshold] = max(100 * abs(float(p[rows_].mean() - below[rows_].mean())) for rows_ in bins)
        order = np.argsort(-p)
        found = np.cumsum(below[order])
        half = int(np.searchsorted(found, 0.5 * below.sum())) + 1
        brier, reference = ((p - below) ** 2).mean(), below.mean() * (1 - below.mean())
        rows.append(
            [
                f"below {threshold:g}",
                f"{int(below.sum()):,}",
                f"{100 * p.mean():.1f}",
                f"{100 * below.mean():.1f}",
                f"{brier:.4f}",
                f"{1 - brier / reference:.3f}",
                f"{worst[threshold]:.1f}",
                f"{100 * found[half - 1] / half:.0f}",
            ]
        )
    head = ["[Fe/H]", "stars", "mean p (%)", "share (%)", "Brier", "skill", f"worst of bins of {BIN} (points)"]
    return ReportTable([*head, "purity at 50 % (%)"], rows), worst[-2.0]


def main() -> int:
    """Measure the tables that are named."""
    missed = 0
    for name in sys.argv[1:] or TABLES:
        model, stars = prepared(name)
        truth = stars["fe_h"].to_numpy()
        inputs, asked = stars.drop(model.labels), {"fe_h": THRESHOLDS}
        catalogues = {
            prior: ss.predict(model, inputs, prior={"fe_h": prior}, below=asked).table
            for prior in ("training", "flat")
        }
        print(f"REAL: {name}: prediction - label of the test part, by label and prior")
        print(by_label(truth, catalogues).text())
        table, worst = probabilities(truth, catalogues["training"])
        print(f"REAL: {name}: probabilities under the prior of the training")
        print(table.text())
        poor = truth < -2
        found = {prior: bias_and_rmse(each.filter(poor), truth[poor]) for prior, each in catalogues.items()}
        ratio = found["flat"][1] / found["training"][1]
        for what, value, bar in (
            ("bias below -2, flat", abs(found["flat"][0]), BIAS),
            ("RMSE below -2, flat / training", ratio, RATIO),
            ("calibration of p below -2, points", worst, POINTS),
        ):
            missed += value > bar
            print(f"  {'ok  ' if value <= bar else 'MISS'} {what}: {value:.3f} (at most {bar:g})")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
