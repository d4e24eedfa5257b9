"""What a small model of the default ensemble loses and saves, and what rounded factors do.

    python benchmarks/distil.py [TABLE ...]

Tables are those of learners.py: ``splus`` (REAL), ``sdss`` (REAL), ``shared`` (MOCK); they need ../shared/data.
The ensemble is trained once on each, distilled, and run in single precision as well. Figures are of the test part,
which no model has seen; times are seconds of the processor for the test part, repeated to ROWS rows, in turns,
medians. Models are kept in ``build/distil``.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
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
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], default=TABLES, help="some tables")
    for name in parser.parse_args().tables:
        measure(name)


def measure(name: str) -> None:
    """Train, distil and compare on one table."""
    if name == "sdss":
        learners.sdss_table()
    folder = OUT / name
    run_file = single(HERE / "runs" / f"learners_{name}.toml", folder)
    config, base = load_run(run_file)
    the_plan, training = plan(config, base), folder / "training.parquet"
    if not training.exists():
        ss.write(prepare(the_plan, folder / "work", DisplayedProgress()), training)
    ensemble, small = folder / "ensemble", folder / "small"
    if not ensemble.exists():
        ss.train(run_file, table=training, output=ensemble, progress=True)
    if not small.exists():
        ss.distil(run_file, ensemble, table=training, output=small, limit=1, progress=True)
    models = {"small": ss.load(small), "ensemble": ss.load(ensemble)}
    exact = in_single_precision(models["ensemble"])
    stars = TrainingArrays.of(the_plan, pl.read_parquet(training))
    rows = stars.rows(0)["test"]
    print(f"{name}: {len(rows):,} test stars")
    for i, label in enumerate(config.target):
        mine, teachers = (figures(model, stars.x[rows], stars.y[rows, i], i) for model in models.values())
        print(
            f"  {label}: CRPS {mine[0] / teachers[0]:.4f} and RMSE {mine[1] / teachers[1]:.4f} times those of the "
            f"ensemble; 68 % intervals hold {mine[2]:.1%} and {teachers[2]:.1%}"
        )
        exactly = figures(exact, stars.x[rows], stars.y[rows, i], i)
        a, b = (model.predictor.predict(stars.x[rows]) for model in (models["ensemble"], exact))
        off = np.abs(a.value[:, i] - b.value[:, i]) / b.error[:, i]
        print(
            f"  {label}: rounding moves the ensemble by {np.nanmedian(off):.5f} errors in the median, "
            f"{np.nanquantile(off, 0.99):.4f} at 99 %, {np.nanmax(off):.4f} at most; CRPS "
            f"{teachers[0] / exactly[0]:.5f} and RMSE {teachers[1] / exactly[1]:.5f} times those without"
        )
    repeated = stars.table[rows][np.arange(ROWS) % len(rows)]
    cost = in_turns([lambda model=model: model.predict(repeated) for model in (*models.values(), exact)])
    print(
        f"  predict: {cost[0]:.1f} and {cost[1]:.1f} us of the processor a star: ratio {cost[0] / cost[1]:.2f}; "
        f"without rounding {cost[2]:.1f}: rounded takes {cost[1] / cost[2]:.2f} of that",
        flush=True,
    )


def in_single_precision(model: Model) -> Model:
    """Return the same ensemble, predicting without rounding."""
    regressor = model.predictor.regressor
    config = regressor.config.model_copy(update={"precision": "float32"})
    return replace(model, predictor=replace(model.predictor, regressor=replace(regressor, config=config)))


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
