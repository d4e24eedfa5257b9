"""Memory and time of a model that is applied to catalogues of growing size, step by step (MOCK stars).

    python benchmarks/apply_large.py [--rows N ...]
    STARSCALE_MEMORY=2G python benchmarks/apply_large.py      as on a machine with so much free memory

The skies are those of run_large.py. The model is trained once, on the first copy of the sky; every application is
a process of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import starscale as ss
from run_large import BUILD, ORIGINAL, RUN_FILE, SHARED_ID, Watch, make_sky, show

HERE = Path(__file__).resolve()
MODEL = BUILD / "applied_model"
#: Stars of the leading catalogue.
SIZES = (100_000, 1_000_000, 10_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)  # one application, in its own process
    options = parser.parse_args()
    if options.one:
        one_application(options.one)
        return
    if not (BUILD / "mock").exists():
        ss.make_mock(BUILD / "mock", stars=ORIGINAL, seed=1)
    if not MODEL.exists():
        # Beside the tables, where the paths of the run file start.
        (BUILD / "mock" / "run.toml").write_text(RUN_FILE)
        ss.train(BUILD / "mock" / "run.toml").save(MODEL)
    measured = {}
    for rows in options.rows:
        folder = BUILD / f"sky_{rows}"
        print(f"{make_sky(folder, rows)['gaia_dr3']:,} stars", flush=True)
        subprocess.run([sys.executable, str(HERE), "--one", str(folder)], check=True)
        measured[rows] = json.loads((folder / "measured.json").read_text())
        shutil.rmtree(folder)
    show(measured)
    seconds = {rows: sum(step["seconds"] for step in found["steps"].values()) for rows, found in measured.items()}
    first, *others = seconds
    for rows in others:
        ratio = (seconds[rows] / rows) / (seconds[first] / first)
        print(f"{rows:,} stars cost {ratio:.2f} times as much a star as {first:,}")


def one_application(folder: Path) -> None:
    """Apply the model, and write down what every step took."""
    watch = Watch()
    tables = [(folder / f"{name}.parquet", name) for name in (*SHARED_ID, "skymapper_dr2")]
    ss.apply(MODEL, tables, folder / "catalogue.parquet", progress=watch)
    watch.close()
    (folder / "measured.json").write_text(json.dumps({"steps": watch.steps, "disk": disk(folder)}))


def disk(folder: Path) -> float:
    """Megabytes of the folder of the run and of the catalogue."""
    written = [*folder.glob("catalogue.parquet.run/**/*"), folder / "catalogue.parquet"]
    return sum(path.stat().st_size for path in written if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
