"""The default learner on an accelerator, beside the processor of the same machine.

    python benchmarks/train_accelerator.py [--stars 60000] [--epochs 20]

Each side in a process of its own, on the same MADE-UP stars with two branches (dwarfs and giants): the networks of
the ensemble trained together on the accelerator, as the program does it there; one after the other there; and on
the processor. Shown are stars per second of an epoch after compilation (a star counts once an epoch, however many
networks see it), the time of a whole fit, the errors of stars that were held out, and the rate of prediction. In
the end one bundle is predicted on both: how far values and ends of intervals are apart, in units of the interval.
Exits with 1 where there is no accelerator.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import jax
import numpy as np

from starscale.learn import Predictor, Sample, fit_predictor, load_bundle, mixture, save_bundle
from starscale.learn.training.ensemble import train_together
from starscale.vocabulary.progress import SilentProgress, SilentTask
from starscale.vocabulary.settings.models import MixtureConfig

HERE = Path(__file__).resolve()
LABELS = ("teff", "logg", "fe_h")
N_FEATURES = 24
SEED = 1
#: Name of a side -> JAX's platform (None: its own choice) and whether networks go through the device together.
SIDES: dict[str, tuple[str | None, bool]] = {
    "accelerator, together": (None, True),
    "accelerator, in turn": (None, False),
    "processor": ("cpu", False),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)  # one side, in its own process
    parser.add_argument("--apply", type=Path, help=argparse.SUPPRESS)  # predict with this bundle
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one_side(asked.one, asked.stars, asked.epochs, asked.folder)))
        return 0
    if asked.apply:
        np.save(asked.folder, applied(asked.apply, asked.stars))
        return 0
    if jax.default_backend() == "cpu":
        print("JAX sees no accelerator here")
        return 1
    device = jax.devices()[0].device_kind
    print(f"{device}, {os.cpu_count()} cores, JAX {jax.__version__}; {asked.stars:,} MADE-UP stars")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {}
        for side in asked.sides:
            found[side] = json.loads(
                run(["--one", side, "--folder", str(folder / side)], asked, SIDES[side][0]).splitlines()[-1]
            )
            shown(side, found[side])
        first = asked.sides[0]
        values = []
        for number, platform in enumerate((None, "cpu")):
            file = folder / f"{number}.npy"
            run(["--apply", str(folder / first), "--folder", str(file)], asked, platform)
            values.append(np.load(file))
    compared(*values)
    return 0


def shown(side: str, found: Mapping[str, float]) -> None:
    """Print one side."""
    errors = ", ".join(f"{label} {found[label]:.4g}" for label in LABELS)
    print(
        f"{side:22s} {found['rate']:11,.0f} stars/s in an epoch, fit {found['fit']:6.1f} s; "
        f"prediction {found['prediction']:11,.0f} stars/s; median absolute error {errors}; "
        f"68 % intervals hold {100 * found['coverage']:.1f} %",
        flush=True,
    )


def compared(here: np.ndarray, there: np.ndarray) -> None:
    """Print how far the predictions of one bundle on two devices are apart."""
    width = (there[2] - there[1]) / 2
    apart = np.abs(here - there) / width
    print(
        f"one bundle on both: values and ends of intervals at most {apart.max():.2g} half widths of the 68 % "
        f"interval apart, median {np.median(apart):.2g}"
    )


def run(command: list[str], asked: argparse.Namespace, platform: str | None) -> str:
    """Run this file once more, on a platform."""
    environment = {**os.environ, "STARSCALE_CACHE": "", **({"JAX_PLATFORMS": platform} if platform else {})}
    sizes = ["--stars", str(asked.stars), "--epochs", str(asked.epochs)]
    done = subprocess.run(
        [sys.executable, str(HERE), *sizes, *command], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def made_up(n: int, seed: int) -> Sample:
    """Stars of two branches; features that depend on the labels smoothly, with noise."""
    rng = np.random.default_rng((SEED, seed))
    giant = rng.random(n) < 0.3
    teff = np.where(giant, rng.normal(4800, 250, n), rng.normal(5900, 700, n))
    logg = np.where(giant, 2.5 + (teff - 4800) / 900, 4.3 - (teff - 5900) / 6000) + rng.normal(0, 0.12, n)
    fe_h = rng.normal(-0.4, 0.4, n)
    t = np.column_stack([(teff - 5500) / 700, (logg - 3.8) / 0.8, (fe_h + 0.4) / 0.4])
    mixing = np.random.default_rng(SEED).normal(size=(6, N_FEATURES))
    # The surface gravity hardly shows, so that some stars could be either.
    terms = np.column_stack(
        [t[:, 0], 0.15 * t[:, 1], 0.4 * t[:, 2], t[:, 0] ** 2, t[:, 0] * t[:, 2], np.sin(t[:, 0])]
    )
    x = np.tanh(terms @ mixing / 3) + rng.normal(0, 0.03, (n, N_FEATURES))
    noise = rng.normal(size=(n, 3)) * (60, 0.08, 0.06)
    return Sample(x, np.column_stack([teff, logg, fe_h]) + noise)


def one_side(side: str, n_stars: int, epochs: int, folder: Path) -> dict[str, float]:
    """Train and predict in this process."""
    ends: list[float] = []

    class Clock(SilentTask):
        """Notes when every epoch has ended."""

        def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002
            ends.append(time.perf_counter())

    class Clocks(SilentProgress):
        def task(self, title: str, total: int | None = None, unit: str = "rows") -> Clock:  # noqa: ARG002
            return Clock()

    mixture.train_together = partial(train_together, together=SIDES[side][1])  # type: ignore[attr-defined]
    train, validation, test = (made_up(n, i) for i, n in enumerate((n_stars, n_stars // 5, n_stars // 5)))
    started = time.perf_counter()
    predictor = fit_predictor(
        MixtureConfig(epochs=epochs), LABELS, train, validation, seed=SEED, progress=Clocks()
    )
    fit = time.perf_counter() - started
    save_bundle(folder, predictor, {}, card="A benchmark's.")
    found = predictor.predict(test.x)
    inside = (found.lower <= test.y) & (test.y <= found.upper)
    errors = np.median(np.abs(found.value - test.y), axis=0)
    return {
        "rate": n_stars / float(np.median(np.diff(ends))),
        "fit": fit,
        "prediction": prediction_rate(predictor, train.x),
        "coverage": float(inside.mean()),
        **dict(zip(LABELS, errors.tolist(), strict=True)),
    }


def prediction_rate(predictor: Predictor, x: np.ndarray) -> float:
    """Stars per second, once compiled."""
    predictor.predict(x[:5000])
    started = time.perf_counter()
    predictor.predict(x)
    return len(x) / (time.perf_counter() - started)


def applied(bundle: Path, n_stars: int) -> np.ndarray:
    """Value and 68 % interval of the test stars with a bundle: shape (3, n, n_labels)."""
    found = load_bundle(bundle)[0].predict(made_up(n_stars // 5, 2).x)
    return np.stack([found.value, found.lower, found.upper])


if __name__ == "__main__":
    sys.exit(main())
