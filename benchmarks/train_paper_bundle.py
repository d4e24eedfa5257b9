"""How long `starscale train` needs for the paper's model on 600,000 stars, from the training table to the bundle.

    python benchmarks/train_paper_bundle.py [--stars 120000]

A training table of MOCK stars is repeated up to two sizes, each copy at a place of its own, and the command is run
on both, with five and with 20 epochs, after a run that is not counted and compiles: a straight line in epochs
gives the seconds of an epoch and of everything else, one in the number of stars takes both to 600,000. When a
training stops early is not known beforehand, so printed are the cost of an epoch and that of all epochs. One of
the three repeats of the paper's run is timed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale.vocabulary.settings.models import Turchi2024Config

TARGET = 600_000
EPOCHS = (5, 20)
RUN_FILE = """\
extends = "turchi2024"
title = "timing (MOCK)"
mock = true
repeats = 1

[catalogue]
survey = "gaia_dr3"
path = "mock/gaia_dr3.parquet"
join = [{{ survey = "bailer_jones_edr3", path = "mock/bailer_jones_edr3.parquet" }}]

[[photometry]]
survey = "skymapper_dr2"
path = "mock/skymapper_dr2.parquet"

[[labels]]
survey = "lamost_dr5"
path = "mock/lamost_dr5.parquet"

[model]
kind = "{kind}"
{settings}

[importance]
apply = false
"""
#: Degrees between two copies of a star: far more than the 1 arcsec within which stars count as one.
APART = 0.001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--stars", type=int, default=120_000, help="the larger of the two sizes; the other is half"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = training_table(folder)
        measured = {n: seconds(folder, copies(table, n)) for n in (options.stars // 2, options.stars)}
    sizes = np.array(list(measured))
    fixed, epoch = np.array(list(measured.values())).T
    for n, (other, one) in measured.items():
        print(f"{n:9,} stars: {one:7.2f} s an epoch of three networks, {other:6.1f} s everything else")
    config = Turchi2024Config()
    most = config.epochs_mae + config.epochs_smape
    one, other = (max(np.polyval(np.polyfit(sizes, values, 1), TARGET), 0) for values in (epoch, fixed))
    print(f"{TARGET:9,} stars, extrapolated: {one:.1f} s an epoch, {other:.0f} s everything else")
    hours = (most * one + other) / 3600
    print(f"all {most} epochs, none saved by stopping early: {hours:.1f} hours")


def training_table(folder: Path) -> pl.DataFrame:
    """Labelled stars of the package's own mock sky."""
    ss.make_mock(folder / "mock", stars=60_000, seed=1)
    (folder / "run.toml").write_text(RUN_FILE.format(kind="mean", settings=""))
    ss.run(folder / "run.toml", folder / "run")
    return ss.read(folder / "run" / "training.parquet").drop("part")


def copies(table: pl.DataFrame, n: int) -> pl.DataFrame:
    """Repeat the stars, under other identifiers and a little farther north every time."""
    parts = [
        table.with_columns(pl.col("dec") + APART * i, pl.col("source_id") + i)
        for i in range(-(-n // table.height))
    ]
    return pl.concat(parts).head(n)


def seconds(folder: Path, table: pl.DataFrame) -> tuple[float, float]:
    """Return the seconds of an epoch of all three networks, and those that do not grow with epochs."""
    ss.write(table, folder / "training.parquet")
    taken = []
    for epochs in (1, *EPOCHS):
        settings = f"epochs_mae = {epochs}\nepochs_smape = 0\npatience = {epochs}\nbatch = 256"
        run_file = folder / "train.toml"
        run_file.write_text(RUN_FILE.format(kind="turchi2024", settings=settings))
        starscale = [sys.executable, "-c", "from starscale.cli.main import app; app()"]
        command = [*starscale, "train", str(run_file), "--table", str(folder / "training.parquet")]
        started = time.perf_counter()
        done = subprocess.run([*command, "-o", str(folder / "model")], capture_output=True, text=True, check=False)
        taken.append(time.perf_counter() - started)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    _, short, long = taken
    epoch = (long - short) / (EPOCHS[1] - EPOCHS[0])
    return short - EPOCHS[0] * epoch, epoch


if __name__ == "__main__":
    main()
