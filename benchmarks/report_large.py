"""Size, time and memory of the report of a large catalogue (MOCK stars).

    make demo && python benchmarks/report_large.py [RUN] [--rows N ...]

The catalogue and the table of stars of a finished run (default: demo/run) are repeated with places all over the
sky and with some noise, so that maps and diagrams are as full as they become. Every report is made by a process of
its own; the memory is the peak of that process, with its libraries.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

import starscale as ss

SIZES = (100_000, 10_000_000)
#: Columns that the report reads; the others would only fill the disk.
TABLES = {
    "catalogue": ("ra", "dec", "flags", "teff", "logg", "fe_h"),
    "matched": ("ra", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "parallax", "parallax_error"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", default=Path("demo/run"))
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        start, used = time.perf_counter(), time.process_time()
        page = ss.report(options.run)
        took, used = time.perf_counter() - start, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        size = page.stat().st_size / 1e6
        print(f"  report of {size:.1f} MB, {took:.0f} s ({used:.0f} s of processor), {peak:.0f} MB of memory")
        return
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "run"
            shutil.copytree(options.run, folder)
            enlarge(folder, rows)
            print(f"{rows:,} rows", flush=True)
            subprocess.run([sys.executable, __file__, str(folder), "--one"], check=True)


def enlarge(folder: Path, rows: int) -> None:
    """Write the two tables again, with this number of rows."""
    parts = {name: pl.read_parquet(folder / f"{name}.parquet", columns=list(TABLES[name])) for name in TABLES}
    rng = np.random.default_rng(1)
    writers: dict[str, pq.ParquetWriter] = {}
    for start in range(0, rows, parts["catalogue"].height):
        n = min(parts["catalogue"].height, rows - start)
        ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
        for name, part in parts.items():
            some = part.head(n).with_columns(
                ra=pl.Series(ra), **({"dec": pl.Series(dec)} if "dec" in part.columns else {})
            )
            noisy = [c for c in some.columns if c not in ("ra", "dec", "flags")]
            noise = {c: pl.col(c) * pl.Series(rng.normal(1, 0.02, n)).cast(part.schema[c]) for c in noisy}
            arrow = some.with_columns(**noise).to_arrow()
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", arrow.schema)
            writers[name].write_table(arrow)
    for writer in writers.values():
        writer.close()


if __name__ == "__main__":
    main()
