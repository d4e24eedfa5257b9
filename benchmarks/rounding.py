"""What rounded factors change in the predictions of the default, and what they save.

    python benchmarks/rounding.py [TABLE ...]

Tables and ensembles are those of ``distil.py``. Each ensemble predicts the test part, which it has not seen, with
factors rounded to eight binary digits (``precision = "bfloat16"``) and without, and once more from inputs whose
last digits are others, as those of sums are on another processor. Slopes with E(B-V), which are those of the first
network, are compared with those of all. A star that moves across the edge of a bin of the calibration gets the
factor of the other bin. Times are seconds of the processor for the test part, repeated to ``distil.ROWS`` rows, in
turns, medians.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import jax
import numpy as np
import polars as pl

import distil
from starscale.learn import density
from starscale.learn.preparation import Inputs
from starscale.model.model import Model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    distil.add_tables(parser)
    for name in parser.parse_args().tables or distil.TABLES:
        measure(name)


def measure(name: str) -> None:
    """Compare both on one table."""
    rounded, stars, labels = distil.trained(name)
    exact = in_single_precision(rounded)
    rows = stars.rows(0)["test"]
    x, y = stars.x[rows], stars.y[rows]
    a, b = (model.predictor.predict(x) for model in (rounded, exact))
    print(f"{name}: {len(rows):,} test stars")
    for i, label in enumerate(labels):
        off = np.abs(a.value[:, i] - b.value[:, i]) / b.error[:, i]
        width = np.abs(a.error[:, i] / b.error[:, i] - 1)
        with_it, without = (distil.figures(model, x, y[:, i], i) for model in (rounded, exact))
        print(
            f"  {label}: values move by {np.nanmedian(off):.5f} errors in the median, "
            f"{np.nanquantile(off, 0.99):.4f} at 99 %, {np.nanmax(off):.4f} at most; errors by "
            f"{np.nanquantile(width, 0.99):.4f} of themselves at 99 %; "
            f"CRPS {with_it[0] / without[0]:.5f} and RMSE {with_it[1] / without[1]:.5f} times those without"
        )
    again = other_last_digits(rounded).predictor.predict(x)
    off = np.abs(again.value - a.value) / a.error
    print(f"  with other last digits: values move by {np.nanmax(off):.4f} errors at most")
    for label, off in slopes_off(rounded, stars.table[rows]).items():
        print(f"  {label}: slopes with E(B-V) of the first network and of all differ by {off:.2f} of their size")
    repeated = stars.table[rows][np.arange(distil.ROWS) % len(rows)]
    cost = distil.in_turns([lambda model=model: model.predict(repeated) for model in (rounded, exact)])
    print(
        f"  predict: {cost[0]:.1f} and {cost[1]:.1f} us of the processor a star: ratio {cost[0] / cost[1]:.2f}",
        flush=True,
    )


def slopes_off(model: Model, table: pl.DataFrame) -> dict[str, float]:
    """Root mean square of the differences of slopes by one network and by all, over that of the slopes."""
    found, few = [], density.FEW
    for networks in (few, model.predictor.regressor.config.members, few):
        density.FEW = networks
        # The number is compiled in.
        jax.clear_caches()
        found.append(model.predict(table))
    names = {label: f"{label}_ebv_slope" for label in model.labels if f"{label}_ebv_slope" in found[0].columns}
    pairs = {label: [part[name].to_numpy() for part in found] for label, name in names.items()}
    return {
        label: float(np.sqrt(np.nanmean((one - every) ** 2) / np.nanmean(every**2)))
        for label, (one, every, _) in pairs.items()
    }


def other_last_digits(model: Model) -> Model:
    """Return a model whose prepared inputs end in other digits, as sums do on another processor."""

    class Preparation(type(model.predictor.preparation)):
        def apply(self, x: np.ndarray) -> Inputs:
            inputs, rng = super().apply(x), np.random.default_rng(0)
            off = rng.uniform(-1, 1, inputs.values.shape) * np.finfo(np.float32).eps
            return replace(inputs, values=(inputs.values * (1 + off)).astype(np.float32))

    preparation = Preparation(**vars(model.predictor.preparation))
    return replace(model, predictor=replace(model.predictor, preparation=preparation))


def in_single_precision(model: Model) -> Model:
    """Return the same ensemble, predicting without rounding."""
    regressor = model.predictor.regressor
    config = regressor.config.model_copy(update={"precision": "float32"})
    return replace(model, predictor=replace(model.predictor, regressor=replace(regressor, config=config)))


if __name__ == "__main__":
    main()
