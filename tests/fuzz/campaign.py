"""Changed files, each from a number, read as the commands read them.

Each must end in a result or in one InputError, within 10 seconds and 2 GB, and without a file outside the output.

``python tests/fuzz/campaign.py --inputs 100000 --kinds fits votable --first 0`` runs many; a failure names its
kind and number, and ``--one fits:1234`` repeats it and shows the traceback.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.kinds import KINDS
from starscale.vocabulary.errors import StarscaleError

#: Seconds of processor and bytes that one file may cost; seconds on the clock, where it only waits.
SECONDS, MEMORY, WAIT = 10, 2 * 2**30, 60


Case = tuple[str, int]


@dataclass(frozen=True)
class Failure:
    """A file that did not end in a result or one clear error."""

    kind: str
    seed: int
    what: str
    trace: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}: {self.what}\n{self.trace}"


class TooSlowError(BaseException):
    """The time of an input is over."""


def _ring(number: int, frame: object) -> None:
    raise TooSlowError


def one(kind: str, seed: int, folder: Path) -> Failure | None:
    """Make the file of a number, read it, and judge."""
    random = Random(f"{kind}-{seed}")
    place = folder / f"{seed}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    target = KINDS[kind].changed(place, random)
    before = {item for item in folder.rglob("*") if item != place / "out"}
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, _ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAIT)
    failure: Failure | None = None
    try:
        KINDS[kind].read(target, place / "out", random)
    except StarscaleError as error:
        # What was converted is read again to see what was lost: then the error names that file.
        if "/" not in str(error) and KINDS[kind].names_file:
            failure = Failure(kind, seed, f"the error does not name the file: {str(error)[:300]}")
    except TooSlowError:
        failure = Failure(kind, seed, f"took over {SECONDS} s", traceback.format_exc())
    except BaseException as error:  # noqa: BLE001  what is to be found
        failure = Failure(kind, seed, f"{type(error).__name__}: {str(error)[:300]}", traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    made = {item for item in folder.rglob("*") if place / "out" not in (item, *item.parents)} - before
    if failure is None and made:
        failure = Failure(kind, seed, f"files outside the output: {sorted(map(str, made))[:3]}")
    shutil.rmtree(place, ignore_errors=True)
    return failure


def _work(cases: Sequence[Case], folder: Path, pipe: Connection) -> None:
    """Try cases in this process; tell which one is begun, and what failed."""
    warnings.simplefilter("ignore")
    os.chdir(folder)
    for kind in {kind for kind, _ in cases}:
        KINDS[kind].warm()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2 * MEMORY, resource.RLIM_INFINITY))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for kind, seed in cases:
        pipe.send((kind, seed))
        # Ends the process where a library does not return.
        faulthandler.dump_traceback_later(WAIT + 5, exit=True, file=sys.__stderr__)
        failure = one(kind, seed, folder)
        faulthandler.cancel_dump_traceback_later()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if failure is None and (grown - peak) * 1024 > MEMORY:
            failure = Failure(kind, seed, f"took {(grown - peak) / 2**20:.1f} GiB")
        peak = max(peak, grown)
        if failure is not None:
            pipe.send(failure)
    pipe.send(None)


def campaign(cases: Sequence[Case]) -> Iterator[Failure]:
    """Yield what fails; a process that dies is a failure of the case that it had begun."""
    context = multiprocessing.get_context("spawn")
    rest = list(cases)
    while rest:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(rest, folder, theirs))
        child.start()
        theirs.close()
        begun = None
        try:
            while (said := ours.recv()) is not None:
                if isinstance(said, Failure):
                    yield said
                else:
                    begun = said
            rest = []
        except EOFError:
            child.join()
            if begun is None:
                raise RuntimeError("the process ended before the first case") from None
            yield Failure(*begun, f"the process ended with {child.exitcode}")
            rest = rest[rest.index(begun) + 1 :]
        child.join()
        shutil.rmtree(folder, ignore_errors=True)


def _signature(failure: Failure) -> str:
    """Return the fault and the last places of a traceback in starscale."""
    places = [line.strip() for line in failure.trace.splitlines() if 'File "' in line and "starscale/" in line]
    shown = " < ".join(p.split("starscale/")[-1].replace('", line ', ":") for p in places[:-4:-1])
    return f"{failure.what[:110]} @ {shown}"


def main() -> None:
    """Run a campaign and print every kind of failure once, with the numbers that show it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--one", help="KIND:NUMBER, to show its traceback")
    given = parser.parse_args()
    if given.one:
        kind, seed = given.one.split(":")
        print(*campaign([(kind, int(seed))]), sep="\n")
        return
    found: Counter[str] = Counter()
    cases = [(kind, seed) for kind in given.kinds for seed in range(given.first, given.first + given.inputs)]
    start = time.monotonic()
    for failure in campaign(cases):
        signature = f"{failure.kind}: {_signature(failure)}"
        found[signature] += 1
        if found[signature] == 1:
            print(f"{signature} [{failure.kind}:{failure.seed}]", flush=True)
    print(f"{len(cases)} inputs, {found.total()} failures, {time.monotonic() - start:.0f} s")
    for signature, times in found.most_common():
        print(f"  {times} x {signature}")
    sys.exit(found.total() > 0)


if __name__ == "__main__":
    main()
