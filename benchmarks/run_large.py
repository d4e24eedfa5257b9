"""Memory and time of a whole run, step by step, for catalogues of growing size (MOCK stars).

    python benchmarks/run_large.py [--rows N ...]

The skies are one mock sky, turned about the poles by a little more for every copy, with identifiers of their own;
the labels are those of the first copy alone, so that training stays the same. Every run is a process of its own,
whose memory is looked at twenty times a second. The small network is trained for few epochs: nothing here depends
on how good it is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl

import starscale as ss
from starscale import io
from starscale.surveys import Survey
from starscale.vocabulary.progress import SilentProgress

HERE = Path(__file__).resolve()
BUILD = HERE.parents[1] / "build" / "run_large"
#: Stars of the leading catalogue.
SIZES = (500_000, 2_000_000, 8_000_000)
ORIGINAL = 250_000
#: Degrees between two copies of the sky.
TURN = 7.3
RUN_FILE = """\
title = "memory of a run"
mock = true
seed = 1
[importance]
apply = false
[catalogue]
survey = "gaia_dr3"
path = "gaia_dr3.parquet"
[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "bailer_jones_edr3.parquet"
[[photometry]]
survey = "skymapper_dr2"
path = "skymapper_dr2.parquet"
[[labels]]
survey = "galah_dr3"
path = "../mock/galah_dr3.parquet"
[model]
kind = "turchi2024"
epochs_mae = 2
epochs_smape = 1
widths = [64, 64]
[[compare]]
name = "truth (mock)"
path = "../mock/truth.parquet"
columns = { teff = "teff", logg = "logg", fe_h = "fe_h" }
"""
SHARED_ID = ("gaia_dr3", "bailer_jones_edr3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)  # one run, in its own process
    options = parser.parse_args()
    if options.one:
        one_run(options.one)
        return
    if not (BUILD / "mock").exists():
        ss.make_mock(BUILD / "mock", stars=ORIGINAL, seed=1)
    measured = {}
    for rows in options.rows:
        folder = BUILD / f"sky_{rows}"
        rows_of = make_sky(folder, rows)
        print(f"{rows_of['gaia_dr3']:,} stars, {rows_of['skymapper_dr2']:,} external sources", flush=True)
        subprocess.run([sys.executable, str(HERE), "--one", str(folder)], check=True)
        measured[rows] = json.loads((folder / "measured.json").read_text())
        shutil.rmtree(folder)
    show(measured)


def make_sky(folder: Path, rows: int) -> dict[str, int]:
    """Write copies of the mock tables until there are so many leading stars."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text(RUN_FILE)
    written = {}
    for name in (*SHARED_ID, "skymapper_dr2"):
        survey = ss.load_survey(name)
        table = io.read(BUILD / "mock" / f"{name}.parquet")
        copies = -(-rows // io.open_table(BUILD / "mock" / "gaia_dr3.parquet").n_rows)
        with io.open_writer(folder / f"{name}.parquet", table.schema) as writer:
            for copy in range(copies):
                writer.append(turned(table, survey, copy))
            written[name] = writer.n_rows
    return written


def turned(table: pl.DataFrame, survey: Survey, copy: int) -> pl.DataFrame:
    """A copy of the sky: turned about the poles, with identifiers that no other copy has."""
    ids = table[survey.id.column]
    # Gaia's identifiers leave room between two of them, and must stay within their range.
    gap = int(ids.sort().diff().min())  # type: ignore[arg-type]
    step = 1 if gap > copy else int(ids.max()) + 1  # type: ignore[arg-type]
    table = table.with_columns(ids + step * copy)
    if survey.position is None:
        return table
    ra = survey.position.ra
    return table.with_columns((pl.col(ra) + TURN * copy) % 360.0)


class Watch(SilentProgress):
    """Greatest memory of this process in every step of a run, and the seconds that it took."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, float]] = {}
        self._now = {"memory": 0.0, "started": time.perf_counter()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def message(self, text: str) -> None:
        """Begin the next step."""
        if text.endswith(" ..."):
            self.end()
            self._now = {"memory": 0.0, "started": time.perf_counter()}
            self.steps[text.removesuffix(" ...")] = self._now

    def end(self) -> None:
        self._now["seconds"] = time.perf_counter() - self._now["started"]

    def close(self) -> None:
        self.end()
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
            self._now["memory"] = max(self._now["memory"], resident)


def one_run(folder: Path) -> None:
    """Run, and write down what every step took."""
    watch = Watch()
    ss.run(folder / "run.toml", folder / "run", progress=watch)
    watch.close()
    disk = sum(path.stat().st_size for path in (folder / "run").rglob("*") if path.is_file()) / 1e6
    (folder / "measured.json").write_text(json.dumps({"steps": watch.steps, "disk": disk}))


def show(measured: dict[int, dict[str, Any]]) -> None:
    """Print memory and cost of a star, step by step."""
    print("\nGreatest memory (MB), and microseconds a leading star, MOCK stars")
    print(" ".join([f"{'step':24}", *(f"{rows:>12,} {'us/star':>8}" for rows in measured)]))
    steps = {rows: found["steps"] for rows, found in measured.items()}
    for step in next(iter(steps.values())):
        cells = [
            f"{found[step]['memory']:12,.0f} {1e6 * found[step]['seconds'] / rows:8.2f}"
            for rows, found in steps.items()
        ]
        print(" ".join([f"{step:24}", *cells]))
    for rows, found in measured.items():
        print(f"{rows:,} stars: the folder of the run holds {1e6 * found['disk'] / rows:,.0f} bytes a star")
    largest = {rows: max(step["memory"] for step in found.values()) for rows, found in steps.items()}
    first, *others = largest
    for rows in others:
        print(f"{rows:,} stars need {largest[rows] / largest[first]:.2f} times the memory of {first:,}")


if __name__ == "__main__":
    main()
