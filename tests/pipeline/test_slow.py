"""What takes longer than a fast test may: accuracy on real and mock stars, memory of a long prediction."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.model.evaluate import evaluate
from support.places import ROOT

pytestmark = pytest.mark.slow

LABELS = ["teff", "logg", "fe_h"]


def overall(table: pl.DataFrame) -> dict[str, dict[str, float]]:
    return {row["label"]: row for row in table.filter(pl.col("by") == "all").iter_rows(named=True)}


@pytest.mark.shared
def test_default_model_on_real_splus_photometry(shared: Path, tmp_path: Path) -> None:
    """One repeat of `make real` (a) with fewer members; the same bars, coverage within four binomial errors."""
    text = (ROOT / "benchmarks" / "runs" / "splus_default.toml").read_text()
    text = text.replace("../../../shared/data", str(shared)).replace("../../examples", str(ROOT / "examples"))
    run_file = tmp_path / "run.toml"
    run_file.write_text(text.replace("repeats = 5", "repeats = 1") + '\n[model]\nkind = "mixture"\nmembers = 2\n')
    figures = overall(ss.train(run_file).figures)
    for label, bar in {"teff": 95.0, "logg": 0.31, "fe_h": 0.27}.items():
        assert figures[label]["mad"] <= bar
        # Test and calibration stars are about a thousand each: both add their scatter.
        assert abs(figures[label]["coverage68"] - 0.683) < 4 * (2 * 0.683 * 0.317 / figures[label]["n"]) ** 0.5
        assert abs(figures[label]["coverage95"] - 0.954) < 4 * (2 * 0.954 * 0.046 / figures[label]["n"]) ** 0.5


def test_the_demo_learns_more_than_its_inputs_say(tmp_path: Path) -> None:
    """On the mock sky, unflagged stars are nearer to the truth than the GSP-Phot estimates among the inputs."""
    # Where one was made before, that one is judged.
    made = os.environ.get("STARSCALE_DEMO")
    folder = Path(made) if made else tmp_path
    if not made:
        ss.demo(folder, stars=40_000, seed=7)
    catalogue = io.read(folder / "run" / "catalogue.parquet").filter(pl.col("flags") == 0)
    truth = io.read(folder / "mock" / "truth.parquet").select("source_id", *LABELS)
    gaia = io.read(folder / "run" / "matched.parquet").select(
        "source_id",
        pl.col("teff_gspphot").alias("teff"),
        pl.col("logg_gspphot").alias("logg"),
        pl.col("mh_gspphot").alias("fe_h"),
    )
    stars = catalogue.join(truth, on="source_id", suffix="_truth").join(gaia, on="source_id", suffix="_gspphot")
    assert stars.height > 1000
    reference = stars.select(pl.col(f"{name}_truth").alias(name) for name in LABELS)
    ours = overall(evaluate(stars, reference, LABELS))
    blank = [pl.lit(None, pl.Float64).alias(f"{n}_{end}") for n in LABELS for end in ("lower", "upper")]
    blank += [
        pl.lit(None, pl.Float64).alias(f"{n}_{end}") for n in LABELS for end in ("lower95", "upper95", "error")
    ]
    theirs = overall(
        evaluate(stars.select(*(pl.col(f"{n}_gspphot").alias(n) for n in LABELS), *blank), reference, LABELS)
    )
    for label in LABELS:
        assert ours[label]["mad"] < 0.8 * theirs[label]["mad"]


def test_memory_of_a_prediction_does_not_grow_with_the_rows(finished: Path, tmp_path: Path) -> None:
    stars = io.read(finished / "matched.parquet")
    peaks = []
    for copies in (40, 200):
        many = pl.concat([stars] * copies)
        io.write(many, tmp_path / "many.parquet")
        command = (
            "import resource, sys, starscale as ss\n"
            "ss.predict(*sys.argv[1:4], chunk=20_000)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        arguments = [finished / "model", tmp_path / "many.parquet", tmp_path / "out.parquet"]
        done = subprocess.run(
            [sys.executable, "-c", command, *map(str, arguments)], capture_output=True, text=True, check=True
        )
        peaks.append(float(done.stdout.split()[-1]))
        assert io.open_table(tmp_path / "out.parquet").n_rows == many.height
    # Five times the rows (some hundred thousand more); the slack is for the allocator.
    assert peaks[1] - peaks[0] < 150, peaks
