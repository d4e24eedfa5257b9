"""Measurements on real tables, and on a mock sky made independently of the project.

Run by ``make real``; needs the tables of ``../shared/data``. Prints what it measures beside the
bar that it must reach, and exits with 1 when one is missed.

    python benchmarks/real_data.py            all parts
    python benchmarks/real_data.py b c d      some of them
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl

import starscale as ss
from starscale.reports.table import ReportTable
from starscale.reports.text import attrition_table, figures_table
from starscale.vocabulary.settings.match import MatchConfig

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "build" / "real"

#: MAD on the test parts that the default must reach: K, dex, dex.
SPLUS_BARS = {"teff": 95.0, "logg": 0.31, "fe_h": 0.27}

missed: list[str] = []


def bar(name: str, value: float, limit: float, *, at_least: bool = False) -> None:
    """Print a measured value beside its bar, and remember a miss."""
    good = value >= limit if at_least else value <= limit
    print(
        f"  {'ok  ' if good else 'MISS'} {name}: {value:.4g} ({'at least' if at_least else 'at most'} {limit:g})"
    )
    if not good:
        missed.append(name)


def show(title: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Print a table of errors."""
    table = pl.DataFrame(rows, infer_schema_length=None)
    print(f"\n{title}\n{figures_table(table).text()}")
    return table


def part_a() -> None:
    """Train and evaluate on real S-PLUS photometry with SEGUE labels, from run files alone."""
    for name in ("splus_default", "splus_turchi2024"):
        result = ss.run(HERE / "runs" / f"{name}.toml", OUT / name, progress=True)
        table = show(
            f"REAL: {result.metrics['title']} ({result.metrics['repeats']} repeats)", result.metrics["test"]
        )
        if name == "splus_default":
            for row in table.filter(pl.col("by") == "all").iter_rows(named=True):
                bar(f"MAD {row['label']}", row["mad"], SPLUS_BARS[row["label"]])


def part_b() -> None:
    """Match M67's Gaia DR2 with four surveys and compare with the known pairs."""
    folder = DATA / "real" / "m67"
    truth = pl.read_parquet(folder / "truth.parquet")
    surveys = {
        "sdss_dr14": "sdss_dr13",
        "ps1": "panstarrs1",
        "tmass": "tmass",
        "allwise": "allwise",
    }
    for name, survey in surveys.items():
        medians = []
        for moving in (True, False):
            found = ss.match(
                folder / "gaia_dr2.parquet",
                folder / f"{name}.parquet",
                left_survey="gaia_dr2",
                right_survey=survey,
                settings=MatchConfig(radius=1.0, proper_motion=moving),
            )
            medians.append(found.statistics.median_distance)
            if moving:
                known = truth.filter(pl.col(f"{name}_id").is_not_null())
                both = known.join(found.best, on="source_id", how="left")
                right = (both[f"{name}_id"] == both["original_ext_source_id"]).fill_null(False).mean()
                print(f"\nREAL: M67, Gaia DR2 with {name}: {known.height} known pairs")
                bar(f"{name}: share recovered", float(right), 0.99, at_least=True)
        print(f'  median separation {medians[0]:.4f}" with proper motions, {medians[1]:.4f}" without')
        if name == "tmass":
            bar("tmass: median separation with over without proper motions", medians[0] / medians[1], 1.0)


def part_c() -> None:
    """Clean the Gaia FGK benchmark stars with the paper's Gaia cuts."""
    cleaned = ss.clean(DATA / "real" / "gaia_benchmark_stars_v3.fits", survey="gaia_dr3")
    print("\nREAL: Gaia FGK benchmark stars v3, cuts of gaia_dr3")
    print(attrition_table(cleaned.attrition).text())


def part_d() -> None:
    """Read every real file; the one with damaged identifiers must be refused."""
    print("\nREAL: every file is read")
    rows = []
    for path in sorted((DATA / "real").rglob("*")):
        if path.is_file():
            table = ss.read(path)
            rows.append([str(path.relative_to(DATA / "real")), f"{table.height:,}", str(table.width)])
    print(ReportTable(["file", "rows", "columns"], rows).text())
    command = ["starscale", "check", str(DATA / "real" / "damaged_gaia_ids.csv"), "--survey", "gaia_dr3"]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    print(f"\n$ {' '.join(command)}\n{done.stdout}{done.stderr}")
    bar("exit code for damaged identifiers is 2", abs(done.returncode - 2), 0)


def part_e() -> None:
    """The whole pipeline on the independent mock sky: the paper's network, and the default."""
    for name in ("mock_turchi2024", "mock_default"):
        result = ss.run(HERE / "runs" / f"{name}.toml", OUT / name, progress=True)
        title = result.metrics["title"]
        show(f"MOCK: {title}: prediction - label, test part", result.metrics["test"])
        for comparison in result.metrics["compare"]:
            show(
                f"MOCK: {title}: prediction - {comparison['name']}, {comparison['stars']} stars",
                comparison["figures"],
            )


PARTS = {"a": part_a, "b": part_b, "c": part_c, "d": part_d, "e": part_e}


def main() -> int:
    """Run the parts that were asked for."""
    if not DATA.is_dir():
        print(f"{DATA} is not here: nothing can be measured")
        return 1
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
    print(f"\n{'all bars reached' if not missed else 'MISSED: ' + ', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
