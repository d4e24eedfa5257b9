"""Slopes with E(B-V) that a small network has learnt, beside the derivative, against what happens.

    python benchmarks/slopes.py

The table is that of ``distil.py`` with E(B-V) among its inputs, five surveys of a MOCK sky. The paper's networks
and the small model of the default are trained on it. The mean labels of the test part, which neither has seen, are
predicted again with other E(B-V); by how much they change is compared with both slopes. Figures are root mean
squares of the difference, over that of the change, and medians of the absolute difference over that of the change.
Times are those of ``distil.py``. Models are kept in ``build/distil``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

import distil
import starscale as ss
from starscale.features.features import REDDER, evaluate_features, redder_features
from starscale.model.model import Model
from starscale.pipeline.learnable import TrainingArrays

TABLE = "shared"
#: Changes of E(B-V), mag.
STEPS = (0.02, 0.05, 0.1)


def main() -> None:
    _, stars, _ = distil.trained(TABLE)
    folder = distil.OUT / TABLE
    table, settings = folder / "training.parquet", {"progress": True}
    if not (folder / "small").exists():
        ss.distil(
            folder / "run.toml", folder / "ensemble", table=table, output=folder / "small", limit=1, **settings
        )
    if not (folder / "paper").exists():
        ss.train(papers(folder / "run.toml"), table=table, output=folder / "paper", **settings)
    for name in ("paper", "small"):
        measure(name, ss.load(folder / name), stars)


def papers(run_file: Path) -> Path:
    """Write a run file of the paper's model, all else alike; return its path."""
    before, _, _ = run_file.read_text().partition("[model]")
    path = run_file.with_name("paper.toml")
    path.write_text(f'{before}[model]\nkind = "turchi2024"\n')
    return path


def measure(name: str, model: Model, stars: TrainingArrays) -> None:
    """Compare both slopes of a model on the test part."""
    table = stars.table[stars.rows(0)["test"]]
    clean, predictor = model.standardised(table), model.predictor
    x = evaluate_features(clean, model.features)
    moved = redder_features(clean, model.features, x, model.reddening)
    exact, learnt = predictor.predict(x, moved=moved), predictor.predict(x, learnt_change=True)
    known = exact.predicted & clean[model.reddening].is_not_null().to_numpy()
    slopes = [found.change[known] / REDDER for found in (learnt, exact)]
    print(f"{name}: {known.sum():,} test stars with E(B-V) (MOCK); learnt slope, and derivative")
    compare(model, "learnt beside derivative", slopes[:1], slopes[1])
    for step in STEPS:
        redder = evaluate_features(clean.with_columns(pl.col(model.reddening) + step), model.features)
        happens = (predictor.means(redder[known]) - predictor.means(x[known])) / step
        compare(model, f"beside a change by {step} mag", slopes, happens)
    repeated = table[np.arange(distil.ROWS) % table.height]
    derived = replace(model, predictor=replace(predictor, slopes=None))
    cost = distil.in_turns([lambda each=each: each.predict(repeated) for each in (model, derived)])
    print(
        f"  predict: {cost[0]:.1f} and {cost[1]:.1f} us of the processor a star: ratio {cost[0] / cost[1]:.2f}",
        flush=True,
    )


def compare(model: Model, what: str, slopes: list[np.ndarray], happens: np.ndarray) -> None:
    """Print how far slopes are from others, label by label."""
    for i, label in enumerate(model.labels):
        size = np.sqrt((happens[:, i] ** 2).mean()), np.median(np.abs(happens[:, i]))
        off = [np.abs(slope[:, i] - happens[:, i]) for slope in slopes]
        figures = [f"{np.sqrt((each**2).mean()) / size[0]:.2f} ({np.median(each) / size[1]:.2f})" for each in off]
        print(f"  {label} {what}: {' and '.join(figures)}")


if __name__ == "__main__":
    main()
