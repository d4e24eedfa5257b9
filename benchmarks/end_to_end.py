"""From file to file: `starscale match` against the scripts that one would write instead.

    python benchmarks/end_to_end.py [--stars 1000000] [--rounds 5] [--largest 10000000]

Two Parquet files go in and one comes out; imports, reading and writing are part of the time. In turns, each in a
process of its own:

- starscale: the command, with all that it does (motions, errors, densities, repeated entries, mates);
- starscale in tiles on disk, as where memory is short;
- astropy: ``match_to_catalog_sky`` with the positions as they are, pairs within 5 arcsec;
- cKDTree: scipy's tree on unit vectors, the same;
- DuckDB, where it is installed: a join on zones of declination, every pair within 5 arcsec.

Printed are seconds of the processor (user and system), seconds of the wall, the peak memory of the process, and
the median of the ratio of each round. Only ratios mean anything on a machine that does other things.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from crossmatch_speed import made_up

MATCH = "match {gaia} {other} --left gaia_dr3 --right skymapper_dr2 -o {output}"
#: HEALPix order of the tiles.
TILES = 2
READ = """
import sys
import polars as pl
import numpy as np
gaia, other, output = sys.argv[1:]
a = pl.read_parquet(gaia, columns=["source_id", "ra", "dec"])
b = pl.read_parquet(other, columns=["object_id", "raj2000", "dej2000"])
def write(at, to, distance):
    near = distance <= 5
    pl.DataFrame({"source_id": a["source_id"].filter(near), "object_id": b["object_id"].gather(to[near]),
                  "distance": distance[near]}).write_parquet(output)
"""
SCRIPTS = {
    "astropy": READ
    + """
from astropy import units as u
from astropy.coordinates import SkyCoord
to, distance, _ = SkyCoord(a["ra"].to_numpy() * u.deg, a["dec"].to_numpy() * u.deg).match_to_catalog_sky(
    SkyCoord(b["raj2000"].to_numpy() * u.deg, b["dej2000"].to_numpy() * u.deg))
write(a, to, distance.arcsec)
""",
    "cKDTree": READ
    + """
from scipy.spatial import cKDTree
def vectors(ra, dec):
    ra, dec = np.radians(ra.to_numpy()), np.radians(dec.to_numpy())
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
chord, to = cKDTree(vectors(b["raj2000"], b["dej2000"])).query(vectors(a["ra"], a["dec"]))
write(a, to, np.degrees(2 * np.arcsin(chord / 2)) * 3600)
""",
    "DuckDB": """
import sys
import duckdb
gaia, other, output = sys.argv[1:]
r = 5 / 3600
duckdb.sql(f'''
    copy (
        with b as (select object_id, raj2000, dej2000, unnest([-1, 0, 1]) + floor(dej2000 / {r})::int as zone
                   from '{other}'),
             a as (select source_id, ra, dec, floor(dec / {r})::int as zone from '{gaia}'),
             near as (select source_id, object_id, 3600 * degrees(2 * asin(sqrt(
                          sin(radians(dec - dej2000) / 2) ** 2
                          + cos(radians(dec)) * cos(radians(dej2000)) * sin(radians(ra - raj2000) / 2) ** 2
                      ))) as distance
                      from a join b on a.zone = b.zone
                          and a.ra between b.raj2000 - {r} / cos(radians(b.dej2000))
                          and b.raj2000 + {r} / cos(radians(b.dej2000)))
        select * from near where distance <= 5
    ) to '{output}' (format parquet)
''')
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=10_000_000, help="0: no growth")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tables(options.stars, Path(folder))
        compare(commands(Path(folder)), options.rounds)
        for n in sorted({100_000, options.stars, options.largest} if options.largest else ()):
            tables(n, Path(folder))
            print_growth(n, commands(Path(folder))["starscale"], "rows of each")


def tables(n: int, folder: Path) -> None:
    """Write the made-up field of `crossmatch_speed.py` as tables of Gaia and of SkyMapper."""
    made_up(n, folder / "field.npz")
    field, rng = dict(np.load(folder / "field.npz")), np.random.default_rng(2)

    def errors(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, n).astype(np.float32)

    pl.DataFrame(
        {"source_id": rng.permutation(n) + 2**40 + 1}
        | {name: field[name] for name in ("ra", "dec", "pmra", "pmdec")}
        | {name: errors(0.01, 0.3) for name in ("ra_error", "dec_error", "pmra_error", "pmdec_error")}
        | {"ref_epoch": np.full(n, 2016.0), "phot_g_mean_mag": errors(12, 19)}
    ).write_parquet(folder / "gaia.parquet")
    pl.DataFrame(
        {"object_id": rng.permutation(n) + 1, "raj2000": field["other_ra"], "dej2000": field["other_dec"]}
        | {name: errors(50, 200) for name in ("e_raj2000", "e_dej2000")}
        | {"mean_epoch": np.full(n, 57023.25), "ngood": np.full(n, 5, dtype=np.int32)}
        | {f"{band}_psf": errors(12, 19) for band in "uvgriz"}
    ).write_parquet(folder / "other.parquet")


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the command of each side; the first is ours."""
    files = {name: str(folder / f"{name}.parquet") for name in ("gaia", "other", "output")}
    installed = [name for name in SCRIPTS if name != "DuckDB" or importlib.util.find_spec("duckdb") is not None]
    ours = [sys.executable, "-m", "starscale", *(part.format(**files) for part in MATCH.split())]
    return {
        "starscale": ours,
        "starscale, in tiles": [*ours, "--tiles", str(TILES)],
        **{name: [sys.executable, "-c", SCRIPTS[name], *files.values()] for name in installed},
    }


def measured(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its seconds of the processor and of the wall, and its peak memory in MB."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and process.stderr is not None:
            sys.exit(process.stderr.read().decode())
    return used.ru_utime + used.ru_stime, time.perf_counter() - started, used.ru_maxrss / 1024


def compare(sides: dict[str, list[str]], rounds: int) -> None:
    """Print the medians of all commands, and of the processor seconds of the first over theirs."""
    seen: dict[str, list[tuple[float, float, float]]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, command in sides.items():
            seen[side].append(measured(command))
    first = next(iter(seen))
    for side, values in seen.items():
        seconds, wall, memory = (statistics.median(column) for column in zip(*values, strict=True))
        ratio = statistics.median(own[0] / its[0] for own, its in zip(seen[first], values, strict=True))
        print(
            f"{side:>30}: {seconds:.2f} s of the processor, {wall:.2f} s of wall, {memory:.0f} MB; "
            f"{first} takes {ratio:.2f} times its work"
        )


def print_growth(n: int, command: list[str], what: str) -> None:
    """Run a command once and print what a row costs."""
    seconds, wall, memory = measured(command)
    print(f"{n:>12,} {what}: {1e6 * seconds / n:.1f} us a star, {wall:.1f} s of wall, {memory:.0f} MB")


if __name__ == "__main__":
    main()
