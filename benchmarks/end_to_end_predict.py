"""From file to file: `starscale predict` against the script that one would write with XGBoost instead.

    python benchmarks/end_to_end_predict.py [--stars 500000] [--rounds 5] [--largest 10000000]

A Parquet file of MOCK stars goes in and one comes out; imports, models, reading and writing are part of the time.
In turns, each in a process of its own, after one run of each that is not counted and compiles:

- starscale, with all that it does (three labels, errors, intervals, flags, domain, slopes with E(B-V)): the
  default, a small model of it (`starscale distil`), and the paper's networks;
- XGBoost, means: one booster for each label and nothing else, from all magnitudes, all colours, the parallax, the
  distance and E(B-V);
- XGBoost, means and quantiles: beside them seven quantiles of each label, from other boosters; no calibration.

Boosters have the settings of the learner `xgboost`, and learn from copies of the same MOCK stars as the networks,
20,000 rows, so that their trees grow to what such a table makes of them. Models and tables are those of
`builds.py`. Printed are seconds of the processor (user and system), seconds of the wall, the peak memory of the
process, and the median of the ratio of each round. Only ratios mean anything on a machine that does other things.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from builds import FOLDER, prepare, repeated
from end_to_end import compare, measured, print_growth
from starscale.io.threads import cores
from starscale.learn.baselines.xgboost import booster_settings
from starscale.vocabulary.settings.models import XgboostConfig

SOURCE = Path(__file__).resolve().parents[1] / "src"
MODELS = ("default", "small", "paper")
LABELS = ("teff", "logg", "fe_h")
#: What both scripts below begin with.
READ = """
import json
import sys
from itertools import combinations
import numpy as np
import polars as pl
import xgboost
table, *others = sys.argv[1:]
BANDS = [f"phot_{band}_mean_mag" for band in ("g", "bp", "rp")] + [f"{band}_psf" for band in "uvgriz"]
OTHERS = ["parallax", "r_med_geo", "ebmv_sfd"]
def inputs(table):
    magnitudes = table.select(BANDS).cast(pl.Float32).to_numpy()
    colours = [magnitudes[:, i] - magnitudes[:, j] for i, j in combinations(range(len(BANDS)), 2)]
    return np.column_stack([magnitudes, *colours, table.select(OTHERS).cast(pl.Float32).to_numpy()])
"""
TRAIN = (
    READ
    + """
folder, settings = others
table = pl.read_parquet(table)
x = inputs(table)
for label in json.loads(settings)["labels"]:
    y = table[label].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    known = np.isfinite(y)
    data = xgboost.QuantileDMatrix(x[known], (y[known] - y[known].mean()) / y[known].std())
    for kind, (parameters, rounds) in json.loads(settings)["boosters"].items():
        xgboost.train(parameters, data, rounds).save_model(f"{folder}/{label}_{kind}.ubj")
"""
)
PREDICT = (
    READ
    + """
output, folder, labels, *kinds = others
table = pl.read_parquet(table, columns=["source_id", *BANDS, *OTHERS])
x = inputs(table)
columns = {"source_id": table["source_id"]}
for label in labels.split(","):
    for kind in kinds:
        booster = xgboost.Booster(model_file=f"{folder}/{label}_{kind}.ubj")
        found = booster.inplace_predict(x)
        if found.ndim == 1:
            columns[f"{label}_{kind}"] = found
        else:
            columns |= {f"{label}_{kind}{i}": column for i, column in enumerate(found.T)}
pl.DataFrame(columns).write_parquet(output)
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=10_000_000, help="0: no growth")
    options = parser.parse_args()
    prepare({"this": SOURCE}, options.stars)
    boosters = FOLDER / "xgboost"
    if not boosters.exists():
        boosters.mkdir()
        measured([sys.executable, "-c", TRAIN, str(FOLDER / "training.parquet"), str(boosters), settings()])
    sides = commands(FOLDER / "stars.parquet")
    for command in sides.values():
        measured(command)
    compare(sides, options.rounds)
    grown = FOLDER / "grown.parquet"
    for n in sorted({100_000, 1_000_000, options.largest} if options.largest else ()):
        repeated(FOLDER / "run" / "matched.parquet", n).write_parquet(grown)
        for side, command in commands(grown).items():
            print_growth(n, command, f"rows, {side}")
        grown.unlink()


def settings() -> str:
    """Return the labels, and the parameters and rounds of the boosters of each kind, as JSON."""
    quantile, mean = booster_settings(XgboostConfig(), seed=1, threads=cores())
    return json.dumps({"labels": LABELS, "boosters": {"mean": mean, "quantile": quantile}})


def commands(stars: Path) -> dict[str, list[str]]:
    """Return the command of each side, which predicts this table."""
    output = str(FOLDER / "catalogue.parquet")
    script = [sys.executable, "-c", PREDICT, str(stars), output, str(FOLDER / "xgboost"), ",".join(LABELS)]
    ours = {
        model: [
            sys.executable,
            "-m",
            "starscale",
            "predict",
            str(FOLDER / "this" / model),
            str(stars),
            "-o",
            output,
        ]
        for model in MODELS
    }
    return {
        **ours,
        "XGBoost, means": [*script, "mean"],
        "XGBoost, means and quantiles": [*script, "mean", "quantile"],
    }


if __name__ == "__main__":
    main()
