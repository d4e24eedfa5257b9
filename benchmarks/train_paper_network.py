"""How fast the paper's network trains here, against Keras on TensorFlow.

    python benchmarks/train_paper_network.py [--keras-python PYTHON]

Both sides train the same network (one label; widths, slope, dropout, batch, Adam, mean absolute error) on the same
made-up data with 27 features, each in a process of its own, in turns. Here also three such networks are trained at
once, as `starscale train` does it for three labels; Keras trains one after the other. Timed are whole epochs,
validation included, after the first, which compiles; a star counts once for every network that has seen it. Beside
them, in the same process as ours, stands the rate of bare matrix products: of large ones, and of those of this
network (forward and back, same batch), one product after the other.
Without --keras-python a virtual environment with tensorflow-cpu is made under build/. Run it when the machine has
nothing else to do; only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from starscale.learn import Sample, fit_predictor
from starscale.vocabulary.progress import SilentProgress, SilentTask
from starscale.vocabulary.settings.models import Turchi2024Config

HERE = Path(__file__).resolve()
KERAS_SIDE = HERE.with_name("train_paper_network_keras.py")
N_FEATURES = 27
SEED = 1
BATCH = 256
LABELS = ("teff", "logg", "fe_h")
#: Middles and widths of the labels: those of stars, so that they pass the check of their range.
RANGES = ((6000.0, 500.0), (3.0, 0.5), (-1.0, 0.5))
#: What is trained here, and what it should reach.
OURS = ("one network", "three at once")
BARS = {"one network": " (at least 4)", "three at once": " (at least 5)"}
#: Sides of the large matrices.
LARGE = 1024
_SIZES = (N_FEATURES, *Turchi2024Config().widths, 1)
LAYERS = list(pairwise(_SIZES))
#: Multiplications and additions of the matrix products of a training step: forward once, backward twice.
FLOPS_PER_STAR = 6 * sum(a * b for a, b in LAYERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--keras-python", type=Path, help="interpreter of an environment with keras and tensorflow"
    )
    parser.add_argument("--stars", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=6, help="epochs of a round, the first of which is not timed")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)  # one round of this side, in its own process
    options = parser.parse_args()
    if options.data:
        print(json.dumps(train_here(options.data)))
        return
    keras_python = options.keras_python or keras_environment(HERE.parents[1] / "build" / "keras")
    speeds: dict[str, list[float]] = {}
    work: dict[str, list[float]] = {}
    matrix: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        make_data(data, options.stars, options.epochs)
        for number in range(1, options.rounds + 1):
            ours = run([sys.executable, str(HERE), "--data", str(data)])
            theirs = run([str(keras_python), str(KERAS_SIDE), str(data)])
            for side, result in (("one network", ours["1"]), ("three at once", ours["3"]), ("Keras", theirs)):
                networks = result.get("networks", 1)
                speed = options.stars * networks / float(np.median(result["seconds"]))
                speeds.setdefault(side, []).append(speed)
                work.setdefault(side, []).append(float(np.median(result["processor"])) / networks)
                loss = f"best validation loss {result['loss']:.4f}"
                print(f"round {number}  {side:14s}{result['what']:28s} {speed:9,.0f} stars/s   {loss}", flush=True)
            rates = {what: ours[f"{what}_rate"] for what in ("large", "own")}
            matrix.append({f"{what}_rate": rate for what, rate in rates.items()})
            for side in OURS:
                reached = FLOPS_PER_STAR * speeds[side][-1]
                matrix[-1] |= {f"{side}, {what}": reached / rate for what, rate in rates.items()}
    for side, values in speeds.items():
        print(f"{side:14s} median {np.median(values):9,.0f} stars/s")
    for side in OURS:
        ratios = np.array(speeds[side]) / np.array(speeds["Keras"])
        seconds = np.array(work["Keras"]) / np.array(work[side])
        print(
            f"{side}: {np.median(ratios):.2f} times Keras, {min(ratios):.2f} to {max(ratios):.2f}{BARS[side]}; "
            f"Keras needs {np.median(seconds):.2f} times the seconds of the processor, {min(seconds):.2f} to "
            f"{max(seconds):.2f}"
        )
    for what, name, bar in (
        ("large", "large matrix products", " (at least 40 %)"),
        ("own", "matrix products of this network", ""),
    ):
        print(f"{name}: {np.median([result[f'{what}_rate'] for result in matrix]) / 1e9:.1f} GFLOP/s")
        for side in OURS:
            shares = [100 * result[f"{side}, {what}"] for result in matrix]
            spread = f"{min(shares):.0f} to {max(shares):.0f} %"
            print(f"  {side} trains at {np.median(shares):.0f} % of that, {spread}{bar}")


def make_data(path: Path, n_stars: int, epochs: int) -> None:
    """Write correlated features and a label that depends on them smoothly, with noise."""
    rng = np.random.default_rng(SEED)
    n = n_stars + n_stars // 8
    x = rng.normal(size=(n, N_FEATURES)) @ rng.normal(size=(N_FEATURES, N_FEATURES)) / N_FEATURES**0.5
    x = (x - x[:n_stars].mean(axis=0)) / x[:n_stars].std(axis=0)
    t = np.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + 0.3 * x[:, 3] + 0.1 * rng.normal(size=n)
    t = (t - t[:n_stars].mean()) / t[:n_stars].std()
    model = Turchi2024Config(batch=BATCH)
    settings = model.model_dump(include={"widths", "slope", "dropout", "batch", "learning_rate"})
    np.savez(
        path,
        x=x[:n_stars],
        t=t[:n_stars],
        x_validation=x[n_stars:],
        t_validation=t[n_stars:],
        settings=json.dumps({**settings, "epochs": epochs, "seed": SEED}),
    )


def train_here(path: Path) -> dict[str, object]:
    """Train through the public function, one network and three at once, and look at matrix products."""
    before = matrix_rates()
    found = {str(n): trained(path, LABELS[:n]) for n in (1, len(LABELS))}
    # Before and after, since other work of the machine comes and goes.
    return {**found, **{name: float(np.mean([rate, before[name]])) for name, rate in matrix_rates().items()}}


def trained(path: Path, labels: tuple[str, ...]) -> dict[str, object]:
    """Train a network for each label and note when every epoch of all of them has ended."""
    data = np.load(path)
    epochs = json.loads(str(data["settings"]))["epochs"]
    ends: list[float] = []
    losses: list[float] = []
    processor: list[float] = []

    class Clock(SilentTask):
        """Notes the time and the validation loss of every epoch; times are those of the last label."""

        def __init__(self, title: str) -> None:
            self.last = title.startswith(f"training: {labels[-1]},")

        def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002
            losses.append(float(note.partition("validation ")[2]))
            if self.last:
                ends.append(time.perf_counter())
                processor.append(time.process_time())

    class Clocks(SilentProgress):
        def task(self, title: str, total: int | None = None, unit: str = "rows") -> Clock:  # noqa: ARG002
            return Clock(title)

    def sample(suffix: str) -> Sample:
        # In the range of each label; standardising gives t back.
        t = data[f"t{suffix}"][:, None]
        return Sample(
            data[f"x{suffix}"], np.hstack([middle + width * t for middle, width in RANGES[: len(labels)]])
        )

    config = Turchi2024Config(batch=BATCH, epochs_mae=epochs, epochs_smape=0, patience=epochs)
    fit_predictor(config, labels, sample(""), sample("_validation"), seed=SEED, progress=Clocks())
    seconds = {"seconds": np.diff(ends).tolist(), "processor": np.diff(processor).tolist()}
    what = f"starscale, JAX {jax.__version__}"
    return {**seconds, "loss": min(losses), "what": what, "networks": len(labels)}


def matrix_rates() -> dict[str, float]:
    """Floating-point operations per second of bare matrix products in single precision, on all cores."""
    rng = np.random.default_rng(SEED)

    def matrix(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    square, repeats = matrix(LARGE, LARGE), 24
    large = timed(jax.jit(lambda a: a @ a), square)
    # Of every layer: forward, gradient of the weights, gradient of the inputs.
    layers = [(matrix(BATCH, a), matrix(a, b), matrix(BATCH, b)) for a, b in LAYERS]

    @jax.jit
    def own(layers: list[tuple[jax.Array, jax.Array, jax.Array]]) -> jax.Array:
        def once(total: jax.Array, _: None) -> tuple[jax.Array, None]:
            # The sum makes every round depend on the one before, so that none is left out.
            moved = [(x + 1e-20 * total, weight, g) for x, weight, g in layers]
            products = [p for x, weight, g in moved for p in (x @ weight, x.T @ g, (g + 1e-20 * total) @ weight.T)]
            return sum((p[0, 0] for p in products), jnp.float32(0)), None

        return jax.lax.scan(once, jnp.float32(0), None, length=repeats)[0]

    return {
        "large_rate": 2 * LARGE**3 / large,
        "own_rate": FLOPS_PER_STAR * BATCH * repeats / timed(own, layers),
    }


def timed(function: Callable[[Any], jax.Array], argument: object, rounds: int = 15) -> float:
    """Median seconds of a call, once compiled."""
    jax.block_until_ready(function(argument))
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        jax.block_until_ready(function(argument))
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def run(command: list[str]) -> dict[str, Any]:
    """Run one side and read the line of JSON that it prints last."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def keras_environment(path: Path) -> Path:
    """Make a virtual environment with TensorFlow, unless it is there already."""
    python = path / "bin" / "python"
    if not python.exists():
        print(f"installing tensorflow-cpu in {path} ...", flush=True)
        venv.create(path, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "tensorflow-cpu", "keras"], check=True)
    return python


if __name__ == "__main__":
    main()
