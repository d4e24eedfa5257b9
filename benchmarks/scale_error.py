"""Labels of a survey that took no part: how many of them the intervals hold, with and without scale error.

On the independent MOCK sky of ``../shared/data``: each of its five label surveys in turn is left out, a model is
trained on the labels of the other four on one scale, and the stars of the fifth are predicted and compared with
its labels as published. Stars of the training and rows with a flag are left out. Prints the table beside the bar,
and exits with 1 when the mean over the surveys misses it.

    python benchmarks/scale_error.py                  the default learner
    python benchmarks/scale_error.py --quick          one network of 20 epochs in place of five of 40
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale import io
from starscale.pipeline.pipeline import RunSteps
from starscale.pipeline.plan import RunPlan
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import TRAINING
from starscale.pipeline.runfile import load_run
from starscale.pipeline.training_set import label_stars
from starscale.reports.table import ReportTable
from starscale.vocabulary.columns import LABELS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "mock"
OUT = ROOT / "build" / "scale_error"
SURVEYS = ("apogee", "galah", "gaia_eso", "rave", "lamost")
#: The share of labels in the 68 % interval, per cent.
BAR = (62.0, 76.0)

RUN_FILE = """\
extends = "default"
title = "MOCK (independent): labels of {labels}"
mock = true
seed = 801
repeats = 1

[catalogue]
survey = "gaia_dr3"
path = "{data}/gaia_source.parquet"

[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "{data}/distances.parquet"

[[photometry]]
survey = "skymapper_dr2"
path = "{data}/skymapper.parquet"

[homogenize]
leave_out = false

[model]
kind = "mixture"
"""
QUICK = "members = 1\nepochs = 20\n"
LABEL_ENTRY = """
[[labels]]
survey = "{root}/examples/surveys/mock_{name}.toml"
path = "{data}/{name}.parquet"
"""


def planned(names: list[str], quick: bool) -> tuple[RunPlan, Path]:
    """The plan of a run on the labels of some surveys, and its run file."""
    path = OUT / f"{'_'.join(names)}.toml"
    text = RUN_FILE.format(labels=", ".join(names), data=DATA) + (QUICK if quick else "")
    io.atomic_text(path, text + "".join(LABEL_ENTRY.format(root=ROOT, data=DATA, name=name) for name in names))
    return plan(*load_run(path)), path


def left_out(name: str, quick: bool) -> pl.DataFrame:
    """Predictions for the stars of a survey by a model of the other four, and its own labels, without flags."""
    run, path = planned([other for other in SURVEYS if other != name], quick)
    steps = RunSteps(run, OUT / "run", str(path))
    steps.training_set()
    steps.folder.save()
    model = ss.train(path, table=steps.folder.file(TRAINING), progress=True).model
    alone, _ = planned([name], quick)
    labels = label_stars(alone, steps.folder.file("clean_gaia_dr3.parquet")).labels.filter(pl.col("flags") == 0)
    stars = io.open_table(steps.folder.file("matched.parquet")).rows_with("source_id", labels["source_id"])
    own = labels.select("source_id", *(pl.col(label).alias(f"{label}_own") for label in LABELS))
    unseen = ~pl.col("part").is_in(["train", "validation"]).fill_null(False)
    return model.predict(stars).filter(unseen).join(own, on="source_id", how="inner")


def held(stars: pl.DataFrame, label: str) -> tuple[int, float, float, float, float]:
    """Stars, median error and scale error, and the per cent of labels that the error holds without and with it."""
    known = stars.filter(pl.col(label).is_not_null() & pl.col(f"{label}_own").is_not_null())
    columns = (pl.col(label + part).cast(pl.Float64) for part in ("", "_own", "_error", "_scale_error"))
    value, own, error, scale = known.select(columns).to_numpy().T
    away = np.abs(value - own)
    shares = (100 * float(np.mean(away < width)) for width in (error, np.hypot(error, scale)))
    return known.height, float(np.median(error)), float(np.median(scale)), *shares


def main() -> int:
    """Measure all surveys and print the table."""
    parser = argparse.ArgumentParser(description="Coverage for labels of a survey that took no part.")
    parser.add_argument("--quick", action="store_true", help="a smaller network")
    quick = parser.parse_args().quick
    if not DATA.is_dir():
        print(f"{DATA} is not here: nothing can be measured")
        return 1
    found = {name: left_out(name, quick) for name in SURVEYS}
    rows, missed = [], False
    for label, about in LABELS.items():
        each = [held(stars, label) for stars in found.values()]
        for name, (n, error, scale, without, with_it) in zip(found, each, strict=True):
            sizes = [f"{value:.{about.decimals}f}" for value in (error, scale)]
            rows.append([label, name, f"{n:,}", *sizes, f"{without:.1f}", f"{with_it:.1f}", ""])
        without, with_it = (float(np.mean([row[i] for row in each])) for i in (3, 4))
        good = BAR[0] <= with_it <= BAR[1]
        missed |= not good
        stars = f"{sum(row[0] for row in each):,}"
        rows.append([label, "mean", stars, "", "", f"{without:.1f}", f"{with_it:.1f}", "ok" if good else "MISS"])
    bar = f"bar {BAR[0]:g} to {BAR[1]:g} % for the mean"
    print(f"MOCK (independent sky): labels of the survey left out that the error holds; {bar}")
    headings = [
        "label",
        "left out",
        "stars",
        "error",
        "scale error",
        "error alone (%)",
        "with scale error (%)",
        "",
    ]
    print(ReportTable(headings, rows).text())
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
