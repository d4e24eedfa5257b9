"""What commands cost with this build, as ratios to another one, file to file.

    git worktree add ../before 89b6cc8
    python benchmarks/builds.py ../before [--work help check again start ...] [--stars 500000] [--rounds 5]

Each build trains models of its own from the same table of MOCK stars, and predicts the same table of MOCK stars
with them; commands run in turns, each in a process of its own, after one that is not counted and compiles. Printed
are medians of the seconds of the processor (user and system), of the peak memory, and of the ratio of each round.
``help`` and ``check`` are `starscale --help` and `starscale check` of a run file; ``again`` is `starscale run`
where nothing has changed, on 40,000 stars; ``start`` predicts 1,000 stars with the default; ``small`` is the small
model of this build (`starscale distil`) against the other build's ensemble; ``match`` matches two MADE-UP tables
of a million rows each, as ``end_to_end.py`` makes them, and ``large_match`` two of two million. Models are kept in
``build/builds``.
Only ratios mean anything, on a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import polars as pl

import starscale as ss
from end_to_end import tables
from predict_speed import RUN_FILE

HERE = Path(__file__).resolve()
FOLDER = HERE.parents[1] / "build" / "builds"
WORKS = ("help", "check", "again", "start", "predict", "small", "paper", "train", "match", "large_match")
#: Settings of the models that predict: few epochs, on which the speed does not depend.
PREDICTING = {
    "default": 'kind = "mixture"\nepochs = 3\n',
    "paper": 'kind = "turchi2024"\nepochs_mae = 2\nepochs_smape = 1\n',
}
#: Rows of the table of which hardly more than the start is to be seen.
FEW = 1_000
#: Rows of the training table of the timed training, and of the tables of the timed matches.
ROWS = 20_000
MATCHED = {"match": 1_000_000, "large_match": 2_000_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of another build")
    parser.add_argument("--work", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--stars", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sources = {"this": HERE.parents[1] / "src", "other": options.other.resolve() / "src"}
    if set(options.work) - set(MATCHED):
        prepare(sources, options.stars)
    for work in options.work:
        if work in MATCHED and not (folder := FOLDER / work).exists():
            folder.mkdir(parents=True)
            tables(MATCHED[work], folder)
        if work == "again":
            for build, source in sources.items():
                run(source, *command(work, build, FOLDER))
        compare(work, sources, options.rounds)


def prepare(sources: dict[str, Path], stars: int) -> None:
    """Make the tables, and the models of both builds, unless they are there."""
    if not (FOLDER / "mock").exists():
        ss.make_mock(FOLDER / "mock", stars=40_000, seed=1)
    for name, model in {**PREDICTING, "train": 'kind = "mixture"\n'}.items():
        (FOLDER / f"{name}.toml").write_text(RUN_FILE.format(model=model))
    if not (FOLDER / "run" / "matched.parquet").exists():
        ss.run(FOLDER / "default.toml", FOLDER / "run")
    for name, rows in (("stars", stars), ("few", FEW)):
        repeated(FOLDER / "run" / "matched.parquet", rows).write_parquet(FOLDER / f"{name}.parquet")
    repeated(FOLDER / "run" / "training.parquet", ROWS).write_parquet(FOLDER / "training.parquet")
    for build, source in sources.items():
        for name in PREDICTING:
            if not (folder := FOLDER / build / name).exists():
                folder.parent.mkdir(exist_ok=True)
                table = str(FOLDER / "run" / "training.parquet")
                run(source, "train", str(FOLDER / f"{name}.toml"), "--table", table, "-o", str(folder))
    if not (FOLDER / "this" / "small").exists():
        table = str(FOLDER / "run" / "training.parquet")
        ensemble = str(FOLDER / "default.toml"), str(FOLDER / "this" / "default")
        # A small model of an ensemble of three epochs is none that one would keep.
        settings = ("--table", table, "--limit", "1", "-o", str(FOLDER / "this" / "small"))
        run(sources["this"], "distil", *ensemble, *settings)


def repeated(path: Path, rows: int) -> pl.DataFrame:
    """Return copies of a table, one below the other, with identifiers of their own."""
    table = pl.read_parquet(path)
    copies = pl.concat([table] * -(-rows // table.height)).head(rows)
    return copies.with_columns((pl.int_range(pl.len()) + 1).alias("source_id"))


def command(work: str, build: str, output: Path) -> list[str]:
    """Return the arguments of a timed command."""
    run_file = str(FOLDER / "default.toml")
    match work:
        case "help":
            return ["--help"]
        case "check":
            return ["check", run_file]
        case "again":
            return ["run", run_file, "-o", str(FOLDER / build / "run")]
    if work in MATCHED:
        sides = [str(FOLDER / work / f"{side}.parquet") for side in ("gaia", "other")]
        return ["match", *sides, "--left", "gaia_dr3", "--right", "skymapper_dr2", "-o", str(output)]
    if work == "train":
        table = str(FOLDER / "training.parquet")
        return ["train", str(FOLDER / "train.toml"), "--table", table, "-o", str(output)]
    model = "paper" if work == "paper" else "small" if work == "small" and build == "this" else "default"
    stars = FOLDER / ("few.parquet" if work == "start" else "stars.parquet")
    return ["predict", str(FOLDER / build / model), str(stars), "-o", str(output)]


def run(source: Path, *arguments: str) -> tuple[float, float]:
    """Run a command of a build; return its seconds of the processor and its peak memory in MB."""
    environment = os.environ | {"PYTHONPATH": str(source), "STARSCALE_CACHE": str(FOLDER / "programs")}
    # Without compiled modules a start takes twice as long, whatever the build.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(
        [sys.executable, "-m", "starscale", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        message = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(message.decode())
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def compare(work: str, sources: dict[str, Path], rounds: int) -> None:
    """Print the medians of both builds, and of the ratio of their seconds of the processor."""
    seen: dict[str, list[tuple[float, float]]] = {build: [] for build in sources}
    for turn in range(rounds + 1):
        for build, source in sources.items():
            output = FOLDER / ("bundle" if work == "train" else "catalogue.parquet")
            found = run(source, *command(work, build, output))
            if output.is_dir():
                shutil.rmtree(output)
            else:
                output.unlink(missing_ok=True)
            if turn:
                seen[build].append(found)
    for build, found in seen.items():
        seconds, memory = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"{work:>8} {build:>6}: {seconds:.2f} s of the processor, {memory:.0f} MB", flush=True)
    ratios = [own[0] / its[0] for own, its in zip(*seen.values(), strict=True)]
    print(
        f"{work:>8}  ratio: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True
    )


if __name__ == "__main__":
    main()
