"""What the distributed engine costs beside one process, on one machine.

    .venv-lsdb/bin/python benchmarks/predict_lsdb.py [--stars 200000] [--partitions 32] [--workers 1 2]

Needs the extra `lsdb`. A model is trained on a mock sky, and its matched stars are repeated around the sky to a
HATS catalogue (MOCK stars; with --model and --table: yours). On the same catalogue, in one run:

- `local`: starscale in this process, all cores;
- `lsdb`: worker processes on this machine, one thread each; `start` is the time until they answer, `first`
  includes the loading and compiling that every worker does once, `again` is a second catalogue with them.

Then the cross-match of the mock Gaia with the mock SkyMapper, repeated likewise: tiles on disk, and workers.
That rows and pairs are the same is checked every time. Memory is the peak of the largest worker. Run it when the
machine has nothing else to do; only ratios mean anything.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lsdb
import polars as pl
from distributed import Client, LocalCluster

import starscale as ss

SURVEYS = {"left_survey": "gaia_dr3", "right_survey": "skymapper_dr2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=200_000)
    parser.add_argument("--partitions", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--table", type=Path, help="stars of the model, a Parquet file with ra and dec")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.model and options.table:
            ss.make_mock(folder / "demo" / "mock", stars=20_000)
        else:
            ss.demo(folder / "demo", stars=20_000)
        model = options.model or folder / "demo" / "run" / "model"
        table = options.table or folder / "demo" / "run" / "matched.parquet"
        stars = repeated(table, ("ra", "dec"), options, folder / "stars.hats", ids=("source_id",))
        predictions(model, stars, options.workers, folder)
        tables = folder / "demo" / "mock"
        gaia = repeated(
            tables / "gaia_dr3.parquet", ("ra", "dec"), options, folder / "gaia.hats", ids=("source_id",)
        )
        smss = repeated(
            tables / "skymapper_dr2.parquet",
            ("raj2000", "dej2000"),
            options,
            folder / "smss.hats",
            ids=("object_id",),
        )
        matches(gaia, smss, options.workers, folder)


def repeated(
    path: Path, position: tuple[str, str], options: argparse.Namespace, target: Path, ids: tuple[str, ...]
) -> Path:
    """A table, turned around the pole as often as it takes, with other identifiers, as a HATS catalogue."""
    table = pl.read_parquet(path)
    times = max(1, round(options.stars / table.height))
    turned = [
        table.with_columns((pl.col(position[0]) + 360 * k / times) % 360, *(pl.col(c) + k for c in ids))
        for k in range(times)
    ]
    stars = pl.concat(turned).unique(ids[0], keep="first", maintain_order=True)
    catalogue = lsdb.from_dataframe(
        stars.to_pandas(),
        ra_column=position[0],
        dec_column=position[1],
        catalog_name="stars",
        highest_order=10,
        partition_rows=stars.height // options.partitions,
        margin_threshold=None,
    )
    catalogue.write_catalog(target, as_collection=False, progress_bar=False)
    print(
        f"{target.name}: {stars.height:,} MOCK rows, {len(catalogue.get_healpix_pixels())} partitions", flush=True
    )
    return target


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak() -> float:
    """Largest memory that this process has had, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def on_workers(n: int, work: Callable[[Client], object]) -> tuple[float, float, float, float]:
    """Seconds to start workers, of the work and of the same again; memory of the largest worker."""
    started = time.perf_counter()
    with (
        LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        start = time.perf_counter() - started
        first, again = timed(lambda: work(client)), timed(lambda: work(client))
        return start, first, again, max(client.run(peak).values())


def row(*cells: object) -> None:
    """A line of a table; numbers come as texts."""
    print(
        "".join(f"{cell:>{width}}" for cell, width in zip(cells, (8, 9, 9, 9, 9, 17, 7), strict=False)), flush=True
    )


HEADINGS = ("", "workers", "start", "first", "again", "again, of local", "GB")


def predictions(model: Path, stars: Path, workers: list[int], folder: Path) -> None:
    one, target = folder / "one.parquet", folder / "spread.hats"
    first, again = (timed(lambda: ss.predict(model, stars, one, restart=True)) for _ in range(2))
    local = ss.read(one)
    print(f"\npredict, {local.height:,} MOCK stars, seconds; local {local.height / again:,.0f} stars/s")
    row(*HEADINGS)
    row("local", "", "", f"{first:.1f}", f"{again:.1f}")
    for n in workers:
        report(n, again, lambda client: ss.predict(model, stars, target, engine="lsdb", client=client))
        assert ss.read(target).select(local.columns).equals(local)
    print("all columns of all rows are the same, to the last bit")


def matches(gaia: Path, smss: Path, workers: list[int], folder: Path) -> None:
    one, spread = folder / "one_pairs.parquet", folder / "pairs.parquet"
    first, again = (timed(lambda: ss.match(gaia, smss, output=one, order=4, **SURVEYS)) for _ in range(2))
    pairs = ss.read(one)
    print(f"\nmatch, {pairs.height:,} pairs of MOCK sources, seconds")
    row(*HEADINGS)
    row("tiles", "", "", f"{first:.1f}", f"{again:.1f}")
    for n in workers:
        report(
            n, again, lambda client: ss.match(gaia, smss, output=spread, engine="lsdb", client=client, **SURVEYS)
        )
        assert ss.read(spread).equals(pairs)
    print("pairs are the same")


def report(n: int, local: float, work: Callable[[Client], object]) -> None:
    start, first, again, memory = on_workers(n, work)
    row("lsdb", n, f"{start:.1f}", f"{first:.1f}", f"{again:.1f}", f"{again / local:.2f}", f"{memory:.2f}")


if __name__ == "__main__":
    main()
