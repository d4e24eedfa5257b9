"""Verbs that are ended at random moments, and what their repetition writes.

``python tests/support/kills.py --kills 50 --verbs clean match`` starts every verb in a process, ends it with
SIGKILL, SIGTERM or a limit of memory at a random moment, one to three times in a row, with the times of its files
set back or forward, repeats it, and compares all files with those of an undisturbed call. Files that differ
between two undisturbed calls (they hold times) need only be there.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl

import starscale as ss
from starscale import io

#: Share of calls that are ended by too little memory.
MEMORY = 0.2
#: How often rows are repeated, so that a verb takes long enough to be ended within it.
_TIMES = 20
RUN = """mock = true
seed = 3
catalogue = { survey = "gaia_dr3", path = "mock/gaia_dr3.parquet", join = [
    { survey = "bailer_jones_edr3", path = "mock/bailer_jones_edr3.parquet" } ] }
photometry = [{ survey = "skymapper_dr2", path = "mock/skymapper_dr2.parquet" }]
labels = [{ survey = "galah_dr3", path = "mock/galah_dr3.parquet" }]
model = MODEL
"""
RIDGE = '{ kind = "ridge" }'
MIXTURE = '{ kind = "mixture", members = 2, epochs = 12, batch = 32, width = 16, layers = 1, frequencies = 2 }'


def prepare(data: Path, *, networks: bool = False) -> None:
    """Make the inputs of all verbs, in the folder `data`; `networks`: those of verbs that train networks too."""
    from fuzz.originals import as_toml
    from support import homogenize_skies

    ss.make_mock(data / "mock", stars=3000, seed=5)
    (data / "run.toml").write_text(RUN.replace("MODEL", RIDGE))
    (data / "networks.toml").write_text(RUN.replace("MODEL", MIXTURE))
    ss.run(data / "run.toml", data / "run")
    if networks:
        ss.train(data / "networks.toml", table=data / "run" / "training.parquet").save(data / "ensemble")
    matched = io.read(data / "run" / "matched.parquet")
    ss.write(pl.concat([matched] * _TIMES * 2), data / "many.parquet")
    gaia = io.read(data / "mock" / "gaia_dr3.parquet")
    unlike = pl.Series("source_id", np.arange(1, gaia.height * _TIMES + 1, dtype=np.int64))
    ss.write(pl.concat([gaia] * _TIMES).with_columns(unlike), data / "gaia.parquet")
    catalogue = io.read(data / "run" / "catalogue.parquet")
    ss.write(pl.concat([catalogue] * _TIMES), data / "catalogue.parquet")
    rng, truth = np.random.default_rng(1), homogenize_skies.stars(600, np.random.default_rng(1))
    text = ""
    for name in ("anchor", "second", "third"):
        part = homogenize_skies.observed(name, truth, rng.permutation(600)[:400], rng)
        part.table.write_parquet(data / f"{name}.parquet")
        document = part.survey.model_dump(mode="json", exclude_defaults=True)
        (data / f"{name}.toml").write_text(as_toml(document))
        text += f'[[labels]]\nsurvey = "{name}.toml"\npath = "{name}.parquet"\n'
    (data / "labels.toml").write_text(text)


DATA = Path("../data")
VERBS: Mapping[str, Callable[[], object]] = {
    "clean": lambda: ss.clean(
        DATA / "gaia.parquet", survey="gaia_dr3", output="out.parquet", cuts=ss.Cuts(without=("distance",))
    ),
    "convert": lambda: ss.convert(DATA / "many.parquet", "out.fits"),
    "match": lambda: ss.match(
        DATA / "mock" / "gaia_dr3.parquet",
        DATA / "mock" / "skymapper_dr2.parquet",
        left_survey="gaia_dr3",
        right_survey="skymapper_dr2",
        output="out.parquet",
        order=3,
    ),
    "homogenize": lambda: ss.homogenize(DATA / "labels.toml", "out.parquet"),
    "predict": lambda: ss.predict(DATA / "run" / "model", DATA / "many.parquet", "out.parquet", chunk=2000),
    "validate": lambda: ss.validate(
        DATA / "run" / "catalogue.parquet",
        "out",
        benchmark=DATA / "mock" / "truth.parquet",
        include_training=True,
    ),
    "publish": lambda: ss.publish(DATA / "catalogue.parquet", "out"),
    "run": lambda: ss.run(DATA / "run.toml", "out"),
    "apply": lambda: ss.apply(
        DATA / "run" / "model",
        [DATA / "mock" / f"{name}.parquet" for name in ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2")],
        "out.parquet",
    ),
    "train": lambda: ss.train(DATA / "networks.toml", table=DATA / "run" / "training.parquet", output="out"),
    "distil": lambda: ss.distil(
        DATA / "networks.toml",
        DATA / "ensemble",
        table=DATA / "run" / "training.parquet",
        output="out",
        limit=10.0,
    ),
}
#: Those that train networks: a process of theirs takes longest.
NETWORKS = ("train", "distil")


def _call(verb: str, place: Path, room: int | None = None) -> None:
    """Call a verb in a folder; `room`: bytes of memory more than this process has already."""
    os.chdir(place)
    if room is not None:
        # A library that ends the process, as Rust does without memory, says so at length.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
    VERBS[verb]()


def _turn_clock(place: Path, rng: random.Random) -> None:
    """Give files times as if the clock had been set back, or forward, since they were written."""
    moved = time.time() + rng.choice((-10, 0, 1)) * 365 * 86_400
    for path in place.rglob("*"):
        os.utime(path, (moved, moved))


@dataclass(frozen=True)
class Killed:
    """What became of a verb: signals sent to it, calls that ended by themselves, and what was found."""

    verb: str
    kills: int
    finished: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        found = f": {'; '.join(self.faults[:3])}" if self.faults else ", all as undisturbed"
        return f"{self.verb}: {self.kills} kills, {self.finished} results{found}"


def _digests(place: Path) -> dict[str, str]:
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def context() -> ForkServerContext:
    """A server that has the libraries loaded forks the processes: ended are verbs, not imports."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["starscale.pipeline.pipeline", "starscale.pipeline.training", "support.kills"])
    return made


def _fresh(root: Path, name: str) -> Path:
    shutil.rmtree(root / name, ignore_errors=True)
    (root / name).mkdir()
    return root / name


def killed(verb: str, kills: int, root: Path, seed: int = 1) -> Killed:
    """End a verb `kills` times, and compare what its repetitions write; the inputs are in ``data`` of `root`."""
    processes, rng = context(), random.Random(f"{verb}-{seed}")
    seconds, wanted = 0.0, list[dict[str, str]]()
    for name in ("whole", "again"):
        place, started = _fresh(root, name), time.monotonic()
        process = processes.Process(target=_call, args=(verb, place))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"{verb} fails undisturbed")
        seconds = time.monotonic() - started
        wanted.append(_digests(place))
    same = {name for name, digest in wanted[0].items() if wanted[1].get(name) == digest}
    done, finished, faults = 0, 0, list[str]()
    while done < kills:
        place = _fresh(root, "tries")
        for _ in range(rng.randint(1, 3)):
            done += _ended(processes, verb, place, seconds, rng)
            _turn_clock(place, rng)
        last = processes.Process(target=_call, args=(verb, place))
        last.start()
        last.join()
        faults += [f"ended with {last.exitcode} after {done} kills"] if last.exitcode else []
        finished += 1
        faults += _differences(_digests(place), wanted[0], same)
    return Killed(verb, done, finished, tuple(faults))


def _ended(processes: ForkServerContext, verb: str, place: Path, seconds: float, rng: random.Random) -> bool:
    """Call a verb, and end it after a random time or with little memory; whether it did not end by itself."""
    room = rng.randrange(200 * 2**20) if rng.random() < MEMORY else None
    process = processes.Process(target=_call, args=(verb, place, room))
    process.start()
    process.join(None if room is not None else rng.uniform(0, seconds))
    if process.is_alive():
        os.kill(process.pid or 0, rng.choice((signal.SIGKILL, signal.SIGTERM)))
        process.join()
    return process.exitcode != 0


def _differences(found: Mapping[str, str], wanted: Mapping[str, str], same: set[str]) -> Iterator[str]:
    for name in sorted({*found, *wanted}):
        if name not in found:
            yield f"{name} is missing"
        elif name not in wanted:
            yield f"{name} is left over"
        elif name in same and found[name] != wanted[name]:
            yield f"{name} differs"


def main() -> None:
    """End verbs, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbs", nargs="*", default=list(VERBS), choices=list(VERBS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        root = Path(folder)
        prepare(root / "data", networks=bool({*given.verbs} & {*NETWORKS}))
        found = []
        for verb in given.verbs:
            found.append(killed(verb, given.kills, root, given.seed))
            print(found[-1], flush=True)
    print(f"{sum(item.kills for item in found)} kills, {sum(len(item.faults) for item in found)} faults")
    sys.exit(any(item.faults for item in found))


if __name__ == "__main__":
    main()
