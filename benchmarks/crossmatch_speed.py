"""How fast the cross-match is, and in how much memory, against what one would use instead.

    python benchmarks/crossmatch_speed.py [--stars 1000000] [--largest 10000000] [--lsdb-python PYTHON]

Side by side in one run, on the same made-up field of 30 by 30 degrees (seven in ten sources have a counterpart
0.1 arcsec away), each in a process of its own, in turns:

- starscale: proper motions, covariances, learnt errors, density, probabilities, neighbours, mates, losses; arrays
  in (positions, motions and all errors), tables out;
- astropy ``match_to_catalog_sky``: the nearest neighbour and nothing else;
- LSDB ``crossmatch``: the nearest neighbour within 1 arcsec; timed is its second call in the process, with
  catalogues that were built beforehand.

Two figures of memory: the peak of the process, libraries and input included, and how far it rose above what the
process held when the timed work began (LSDB: the first of its two calls). Seconds are of the wall, and of the
processor in brackets.

Without --lsdb-python a virtual environment with LSDB is made under build/. Then starscale alone, from 10^5 rows of
each catalogue to --largest, at the same density. Run it when the machine has nothing else to do; only ratios mean
anything.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()
#: Sources per square degree: a million in 30 by 30 degrees.
DENSITY = 1e6 / 900


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=1_000_000)
    parser.add_argument("--largest", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lsdb-python", type=Path, help="interpreter of an environment with lsdb 0.11.1")
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)  # one side, in its own process
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](dict(np.load(options.data)))))
        return
    pythons = {"starscale": Path(sys.executable), "astropy": Path(sys.executable)}
    pythons["lsdb"] = options.lsdb_python or lsdb_environment(HERE.parents[1] / "build" / "lsdb")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        made_up(options.stars, data)
        compare(pythons, data, options.rounds)
        print("\ngrowth (starscale alone)")
        for n in dict.fromkeys((100_000, options.stars, options.largest)):
            made_up(n, data)
            result = run(pythons["starscale"], "starscale", data)
            microseconds = 1e6 * result["seconds"] / n
            print(f"{n:>12,} rows of each: {microseconds:.2f} microseconds a star, {memory(result)}")


def compare(pythons: dict[str, Path], data: Path, rounds: int) -> None:
    """Print the three sides of every round, and the medians of the ratios."""
    seen: dict[str, list[dict[str, float]]] = {side: [] for side in pythons}
    for number in range(1, rounds + 1):
        for side, python in pythons.items():
            r = run(python, side, data)
            seen[side].append(r)
            print(f"round {number}: {side} {r['seconds']:.2f} s ({r['processor']:.2f} s), {memory(r)}")
    print(f"pairs: {seen['starscale'][-1]['pairs']:,} here, {seen['lsdb'][-1]['pairs']:,} LSDB")
    for side in ("astropy", "lsdb"):
        times = [r["seconds"] / own["seconds"] for r, own in zip(seen[side], seen["starscale"], strict=True)]
        work = [r["processor"] / own["processor"] for r, own in zip(seen[side], seen["starscale"], strict=True)]
        peaks, rises = (
            max(r[what] for r in seen[side]) / max(r[what] for r in seen["starscale"])
            for what in ("peak_mb", "rise_mb")
        )
        print(
            f"{side} takes {np.median(times):.2f} times as long ({min(times):.2f} to {max(times):.2f}), "
            f"{np.median(work):.2f} times the work of the processor ({min(work):.2f} to {max(work):.2f}), "
            f"{peaks:.2f} times the peak memory and {rises:.2f} times the rise of memory"
        )


def memory(result: dict[str, float]) -> str:
    """Both figures of memory."""
    return f"peak {result['peak_mb']:.0f} MB, of which {result['rise_mb']:.0f} MB risen"


class Work:
    """Seconds and memory of some work in this process."""

    def __init__(self) -> None:
        self._before, self._held = memory_of("VmHWM"), memory_of("VmRSS")
        # The peak so far, of making the input, is forgotten (man 5 proc).
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self.again()

    def again(self) -> None:
        """Start the clocks once more."""
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def done(self, pairs: int) -> dict[str, float]:
        """What it took."""
        wall, processor = time.perf_counter() - self._wall, time.process_time() - self._processor
        peak = memory_of("VmHWM")
        return {
            "seconds": wall,
            "processor": processor,
            "peak_mb": max(self._before, peak),
            "rise_mb": peak - self._held,
            "pairs": pairs,
        }


def memory_of(name: str) -> float:
    """Memory of this process, now (VmRSS) or at most (VmHWM), MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def made_up(n: int, path: Path) -> None:
    """A field of `n` stars and as many sources of another survey, seven in ten of them the same."""
    rng = np.random.default_rng(1)
    side = np.sqrt(n / DENSITY)
    dec = rng.uniform(-side / 2, side / 2, n)
    ra = 180 + rng.uniform(-side / 2, side / 2, n) / np.cos(np.radians(dec))
    pm = rng.normal(0, 8, (2, n))
    same, years = int(0.7 * n), -1.0
    shift = rng.normal(0, 0.1, (2, same)) / 3600
    other_dec = rng.uniform(-side / 2, side / 2, n)
    other_ra = 180 + rng.uniform(-side / 2, side / 2, n) / np.cos(np.radians(other_dec))
    other_dec[:same] = dec[:same] + pm[1, :same] * years / 3.6e6 + shift[1]
    other_ra[:same] = ra[:same] + (pm[0, :same] * years / 3.6e6 + shift[0]) / np.cos(np.radians(dec[:same]))
    order = rng.permutation(n)
    np.savez(path, ra=ra, dec=dec, pmra=pm[0], pmdec=pm[1], other_ra=other_ra[order], other_dec=other_dec[order])


def by_starscale(data: dict[str, Any]) -> dict[str, float]:
    """Everything, from arrays."""
    import polars as pl

    from starscale.crossmatch.kernel.engine import crossmatch
    from starscale.crossmatch.kernel.pieces import Side
    from starscale.tables.position_errors import MotionErrors, PositionErrors
    from starscale.tables.positions import Positions
    from starscale.vocabulary.settings.match import MatchConfig

    n = len(data["ra"])

    def errors(*values: float) -> Any:
        return (np.full(n, value, dtype=np.float32) for value in values)

    own = PositionErrors(*errors(0.01, 0.01, 0.002), np.ones(n, dtype=bool))
    motion = MotionErrors(*errors(0.1, 0.1, 0.001, 0.002, 0.001, 0.001, 0.002))
    true = np.ones(n, dtype=bool)
    # As they come out of tables: one epoch for all stars of Gaia, one of its own for every other source.
    epoch = np.broadcast_to(2016.0, n)
    moving = Positions(data["ra"], data["dec"], epoch, data["pmra"], data["pmdec"], true, own, motion)
    other = PositionErrors(*errors(1e4, 1e4, 0.0), true)
    standing = Positions(data["other_ra"], data["other_dec"], np.full(n, 2015.0), None, None, true, other)
    ids = pl.Series(np.arange(n))
    work = Work()
    found = crossmatch(Side.of(moving, ids), Side.of(standing, ids), MatchConfig(), "dense")
    return work.done(found.best.height)


def by_astropy(data: dict[str, Any]) -> dict[str, float]:
    """Nearest neighbour, positions as they are."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    work = Work()
    stars = SkyCoord(data["ra"] * u.deg, data["dec"] * u.deg)
    stars.match_to_catalog_sky(SkyCoord(data["other_ra"] * u.deg, data["other_dec"] * u.deg))
    return work.done(len(stars))


def by_lsdb(data: dict[str, Any]) -> dict[str, float]:
    """Nearest neighbour within an arcsecond; the second call, which finds everything loaded and compiled."""
    import lsdb
    import pandas as pd

    frames = [
        pd.DataFrame({"id": np.arange(len(data["ra"])), "ra": data[f"{which}ra"], "dec": data[f"{which}dec"]})
        for which in ("", "other_")
    ]
    left, right = (
        lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", margin_threshold=10.0) for frame in frames
    )
    work = Work()
    for _ in range(2):
        work.again()
        found = left.crossmatch(right, radius_arcsec=1.0, n_neighbors=1, suffixes=("_a", "_b")).compute()
    return work.done(len(found))


SIDES = {"starscale": by_starscale, "astropy": by_astropy, "lsdb": by_lsdb}


def run(python: Path, side: str, data: Path) -> dict[str, float]:
    """One side in a process of its own."""
    command = [str(python), str(HERE), "--side", side, "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def lsdb_environment(folder: Path) -> Path:
    """Make a virtual environment with LSDB, or take the one that is there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "lsdb==0.11.1", "hats==0.11.1"], check=True
        )
    return python


if __name__ == "__main__":
    main()
