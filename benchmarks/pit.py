"""Intervals from the probability integral transform, beside those that are calibrated by stretching.

    python benchmarks/pit.py [TABLE ...]

The other way to calibrate a density: with u the probability that the mixture gives to labels below the true one,
the interval of a star lies between its own quantiles at two levels, the same for all stars, between which u lies
for the stated share of held-out stars (conformal prediction with the conditional distribution as the score;
Chernozhukov, Wuthrich & Zhu 2021, arXiv 1909.07889). Tables and models are those of ``distil.py``. Validation and
test stars, none of which the networks saw, are divided at random SPLITS times: one half calibrates, the other one
is judged. Printed for each label and level: the share within the interval; the root mean square by which the
shares of bins of a predicted label (fifths, each label) are off, less what chance makes of it; what trees can
prove of the difference between the shares of stars of one kind (`starscale evaluate --coverage`); and the mean
width.
"""

from __future__ import annotations

import argparse

import numpy as np

import distil
from starscale.learn.regressor import LEVELS, RawPrediction
from starscale.learn.uncertainty.calibration import ScaledConformal
from starscale.model.conditional import excess_risk

SPLITS, FIFTHS = 20, 5
#: Levels at which the quantiles of the mixture are known.
GRID = np.concatenate([[1e-4, 5e-4], np.linspace(0.001, 0.999, 999), [0.9995, 0.9999]])
Ends = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    distil.add_tables(parser)
    for name in parser.parse_args().tables or distil.TABLES:
        measure(name)


def measure(name: str) -> None:
    """Compare both ways on one table."""
    model, stars, labels = distil.trained(name)
    predictor = model.predictor
    parts = stars.rows(0)
    rows = np.concatenate([parts["validation"], parts["test"]])
    x, y = stars.x[rows], stars.y[rows]
    raw = predictor.regressor.predict(predictor.preparation.apply(x))
    quantiles = predictor.quantiles(x, GRID)
    print(f"{name}: {len(rows):,} stars that the networks did not see, {SPLITS} divisions")
    for label, level in np.ndindex(y.shape[1], len(LEVELS)):
        known = np.flatnonzero(~np.isnan(y[:, label]))
        found: dict[str, list[list[float]]] = {"stretched": [], "transform": []}
        for seed in range(SPLITS):
            halves = np.array_split(np.random.default_rng(seed).permutation(known), 2)
            ends = stretched(raw, y, halves, label, level), transform(quantiles, y, halves, label, level)
            for kept, (low, high) in zip(found.values(), ends, strict=True):
                kept.append(judged(x, raw.value, y[:, label], halves[1], low, high, LEVELS[level]))
        for way, kept in found.items():
            share, off, deviation, width = np.mean(kept, axis=0)
            print(
                f"  {labels[label]:5s} {LEVELS[level]:.1%} {way}: holds {share:.1%}, bins off by "
                f"{100 * np.sqrt(max(off, 0)):.1f} points, provable {100 * np.sqrt(max(deviation, 0)):.1f}, "
                f"width {width:.4g}",
                flush=True,
            )


def stretched(raw: RawPrediction, y: np.ndarray, halves: list[np.ndarray], label: int, level: int) -> Ends:
    """Calibrate as the default does."""
    first, second = (part_of(raw, rows) for rows in halves)
    names = [str(i) for i in range(y.shape[1])]
    ends = ScaledConformal.fit(first, y[halves[0]], names)[0].intervals(second)
    return ends.lower[:, label, level], ends.upper[:, label, level]


def part_of(raw: RawPrediction, rows: np.ndarray) -> RawPrediction:
    """Return what a calibration reads of some stars."""
    kept = (raw.value, raw.mean, raw.lower, raw.upper)
    return RawPrediction(*(array[rows] for array in kept), member=raw.member[rows])


def transform(quantiles: np.ndarray, y: np.ndarray, halves: list[np.ndarray], label: int, level: int) -> Ends:
    """Calibrate by two levels of the mixture's own distribution."""
    u = np.array([np.interp(y[row, label], quantiles[row, label], GRID) for row in halves[0]])
    tail = (1 - LEVELS[level]) / 2
    n = len(u)
    ranks = max(int(np.floor((n + 1) * tail)), 1), min(int(np.ceil((n + 1) * (1 - tail))), n)
    levels = np.sort(u)[[rank - 1 for rank in ranks]]
    ends = np.array([np.interp(levels, GRID, quantiles[row, label]) for row in halves[1]])
    return ends[:, 0], ends[:, 1]


def judged(
    x: np.ndarray,
    value: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    nominal: float,
) -> list[float]:
    """Share inside, mean square by which bins are off, excess risk, mean width."""
    inside = ((low <= y[rows]) & (y[rows] <= high)).astype(np.float64)
    bins = [part for predicted in value[rows].T for part in np.array_split(np.argsort(predicted), FIFTHS)]
    off = [(inside[part].mean() - nominal) ** 2 - nominal * (1 - nominal) / len(part) for part in bins]
    risk = excess_risk(x[rows], inside, nominal)["excess"]
    return [float(inside.mean()), float(np.mean(off)), risk, float((high - low).mean())]


if __name__ == "__main__":
    main()
