"""What a small model of the default ensemble loses, and what it saves.

    python benchmarks/distil.py [TABLE ...]

Tables are those of learners.py: ``splus`` (REAL), ``sdss`` (REAL), ``shared`` (MOCK); they need ../shared/data.
The ensemble is trained once on each, and distilled. Figures are of the test part, which neither has seen; times
are seconds of the processor for the test part, repeated to ROWS rows, in turns, medians. Models are kept in
``build/distil``.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

import learners
import starscale as ss
from starscale.io.progress import DisplayedProgress
from starscale.model.model import Model
from starscale.model.scores import PROBABILITIES, crps
from starscale.pipeline.learnable import TrainingArrays
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import prepare
from starscale.pipeline.runfile import load_run

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "build" / "distil"
TABLES = ("splus", "sdss", "shared")
ROWS, ROUNDS = 131_072, 3
PATH = re.compile(r'"([^"]+\.(?:toml|parquet|csv))"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_tables(parser)
    for name in parser.parse_args().tables or TABLES:
        measure(name)


def add_tables(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark be run for some tables; an empty list means all."""
    # Python 3.11 looks for the value of no argument among the choices.
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="TABLE", help="default: all")


def measure(name: str) -> None:
    """Train, distil and compare on one table."""
    ensemble, stars, labels = trained(name)
    folder = OUT / name
    if not (folder / "small").exists():
        table = folder / "training.parquet"
        settings = {"table": table, "output": folder / "small", "limit": 1, "progress": True}
        ss.distil(folder / "run.toml", folder / "ensemble", **settings)
    models = {"small": ss.load(folder / "small"), "ensemble": ensemble}
    rows = stars.rows(0)["test"]
    print(f"{name}: {len(rows):,} test stars")
    for i, label in enumerate(labels):
        mine, teachers = (figures(model, stars.x[rows], stars.y[rows, i], i) for model in models.values())
        print(
            f"  {label}: CRPS {mine[0] / teachers[0]:.4f} and RMSE {mine[1] / teachers[1]:.4f} times those of the "
            f"ensemble; 68 % intervals hold {mine[2]:.1%} and {teachers[2]:.1%}"
        )
    repeated = stars.table[rows][np.arange(ROWS) % len(rows)]
    cost = in_turns([lambda model=model: model.predict(repeated) for model in models.values()])
    print(
        f"  predict: {cost[0]:.1f} and {cost[1]:.1f} us of the processor a star: ratio {cost[0] / cost[1]:.2f}",
        flush=True,
    )


def trained(name: str) -> tuple[Model, TrainingArrays, Sequence[str]]:
    """Return the ensemble of a table, trained unless it is there, the stars of the table, and the labels."""
    stars, folder = prepared(name), OUT / name
    if not (folder / "ensemble").exists():
        table = folder / "training.parquet"
        ss.train(folder / "run.toml", table=table, output=folder / "ensemble", progress=True)
    return ss.load(folder / "ensemble"), stars, stars.run.config.target


def prepared(name: str) -> TrainingArrays:
    """Return the stars of a table, whose training table is written unless it is there."""
    if name == "sdss":
        learners.sdss_table()
    folder = OUT / name
    config, base = load_run(single(HERE / "runs" / f"learners_{name}.toml", folder))
    the_plan, training = plan(config, base), folder / "training.parquet"
    if not training.exists():
        ss.write(prepare(the_plan, folder / "work", DisplayedProgress()), training)
    return TrainingArrays.of(the_plan, pl.read_parquet(training))


def single(run_file: Path, folder: Path) -> Path:
    """Write the run file of a comparison as one that trains the default once; return its path."""
    text = run_file.read_text().partition("[[models]]")[0].replace("repeats = 5", "repeats = 1")
    # It stands in another folder, so its paths become absolute.
    text = PATH.sub(lambda found: f'"{(run_file.parent / found[1]).resolve()}"', text)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.toml"
    path.write_text(text)
    return path


def figures(model: Model, x: np.ndarray, y: np.ndarray, label: int) -> tuple[float, float, float]:
    """CRPS, RMSE and share within the 68 % interval for one label."""
    found = model.predictor.predict(x)
    score = crps(model.predictor.quantiles(x, PROBABILITIES)[:, label], y)
    inside = (found.lower[:, label] <= y) & (y <= found.upper[:, label])
    known = ~np.isnan(y) & found.predicted
    error = found.value[known, label] - y[known]
    return float(score[known].mean()), float(np.sqrt((error**2).mean())), float(inside[known].mean())


def in_turns(works: Sequence[Callable[[], object]]) -> list[float]:
    """Median cost of each work, microseconds of the processor a row; a first round compiles."""
    seconds: list[list[float]] = [[] for _ in works]
    for turn in range(ROUNDS + 1):
        for kept, work in zip(seconds, works, strict=True):
            before = sum(os.times()[:2])
            work()
            if turn:
                kept.append(sum(os.times()[:2]) - before)
    return [median(kept) / ROWS * 1e6 for kept in seconds]


if __name__ == "__main__":
    main()
