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
from xgboost import XGBClassifier

import starscale as ss
from starscale import io
from starscale.model.probabilities import score_probabilities
from starscale.pipeline.learnable import TrainingArrays
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.reports.table import ReportTable
from starscale.reports.text import probability_table
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
#: Bars: bias, ratio of the RMSE, points of calibration in bins of 300 stars.
BIAS, RATIO, POINTS = 0.15, 0.9, 3.0


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


def purity_of_trees(run_file: Path, training: pl.DataFrame) -> float:
    """Return the purity at 50 % completeness of gradient-boosted trees that classify [Fe/H] below -2.

    They see the inputs of the model and the same stars; rounds end where the log loss of the validation part no
    longer falls.
    """
    config, base = load_run(run_file)
    arrays = TrainingArrays.of(plan(config, base), training)
    rows, label = arrays.rows(0), config.target.index("fe_h")
    below = arrays.y[:, label] < -2
    trees = XGBClassifier(
        n_estimators=2000,
        learning_rate=0.03,
        max_depth=5,
        subsample=0.7,
        colsample_bytree=0.7,
        early_stopping_rounds=50,
        n_jobs=-1,
    )
    chosen = {part: stars[np.isfinite(arrays.y[stars, label])] for part, stars in rows.items()}
    held = chosen["validation"]
    trees.fit(
        arrays.x[chosen["train"]], below[chosen["train"]], eval_set=[(arrays.x[held], below[held])], verbose=False
    )
    test = chosen["test"]
    p = pl.DataFrame({"p_fe_h_below_m2": trees.predict_proba(arrays.x[test])[:, 1].astype(np.float64)})
    scores = score_probabilities(p, pl.DataFrame({"fe_h": arrays.y[test, label]}))
    return float(scores["purity50"][0])


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
        scores = score_probabilities(catalogues["training"], stars.select("fe_h"))
        print(f"REAL: {name}: probabilities under the prior of the training")
        print(probability_table(scores).text())
        of_two = scores.row(by_predicate=pl.col("threshold") == -2, named=True)
        trees = purity_of_trees(OUT / f"{name}.toml", io.read(OUT / name / "training.parquet"))
        ours = of_two["purity50"]
        print(f"  purity at 50 % completeness below -2: {100 * ours:.1f} %, of trees {100 * trees:.1f} %")
        poor = truth < -2
        found = {prior: bias_and_rmse(each.filter(poor), truth[poor]) for prior, each in catalogues.items()}
        ratio = found["flat"][1] / found["training"][1]
        for what, value, bar in (
            ("bias below -2, flat", abs(found["flat"][0]), BIAS),
            ("RMSE below -2, flat / training", ratio, RATIO),
            ("calibration of p below -2, points", 100 * of_two["deviation"], POINTS),
            ("purity of trees / purity of p below -2", trees / ours, 1.0),
        ):
            missed += value > bar
            print(f"  {'ok  ' if value <= bar else 'MISS'} {what}: {value:.3f} (at most {bar:g})")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
