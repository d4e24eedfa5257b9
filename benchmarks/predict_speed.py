"""How fast, and in how much memory, a catalogue of MOCK stars is predicted.

    python benchmarks/predict_speed.py [--keras-python PYTHON] [--rows N ...] [--networks-only]

First the networks alone, on the same array of stars and in turns: the paper's three networks here, and in Keras on
TensorFlow; the default; XGBoost as the `xgboost` learner has it. Beside them, in the same run, the rate of bare
matrix products. Then whole catalogues, Parquet to Parquet, each size in a process of its own: rows per second, the
share of the whole that the networks take, the greatest memory. The stars are those of a small mock sky, one copy
below the other with new identifiers; 11.4 million is the final sample of Turchi et al. 2024. The networks are
trained for few epochs: their speed does not depend on that. Run it when the machine has nothing else to do; only
ratios mean anything.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale import io
from starscale.features.features import evaluate_features
from starscale.model.model import Model
from starscale.tables.standardise import standardise
from train_paper_network import keras_environment, matrix_rates, run

HERE = Path(__file__).resolve()
BUILD = HERE.parents[1] / "build" / "predict"
KERAS_SIDE = HERE.with_name("predict_paper_network_keras.py")
#: The final sample of Turchi et al. 2024, and sizes to see whether the cost of a star stays the same.
SIZES = (100_000, 1_000_000, 11_400_000)
#: Tables up to this size are predicted several times.
SMALL = 1_000_000
#: Stars of the comparison of the networks alone, and how often it is made.
STARS, ROUNDS = 200_000, 3
#: Stars that Keras is given at a time; with its default of 32 it is several times slower.
KERAS_BATCH = 8192
MODELS = {
    "turchi2024": 'kind = "turchi2024"\nepochs_mae = 2\nepochs_smape = 1\n',
    "mixture": 'kind = "mixture"\nepochs = 3\n',
    "xgboost": 'kind = "xgboost"\n',
}
RUN_FILE = """\
title = "speed of prediction"
mock = true
seed = 1
[importance]
apply = false
[catalogue]
survey = "gaia_dr3"
path = "mock/gaia_dr3.parquet"
[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "mock/bailer_jones_edr3.parquet"
[[photometry]]
survey = "skymapper_dr2"
path = "mock/skymapper_dr2.parquet"
[[labels]]
survey = "galah_dr3"
path = "mock/galah_dr3.parquet"
[model]
{model}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--keras-python", type=Path, help="interpreter of an environment with keras and tensorflow"
    )
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--networks-only", action="store_true")
    parser.add_argument("--model", default="turchi2024", choices=MODELS, help="whose catalogues")
    parser.add_argument("--one", type=Path, nargs=3, help=argparse.SUPPRESS)  # one catalogue, in its own process
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_catalogue(*options.one)))
        return
    prepare()
    keras_python = options.keras_python or keras_environment(HERE.parents[1] / "build" / "keras")
    alone = networks(keras_python)
    if not options.networks_only:
        catalogues(options.model, options.rows, alone)


def prepare() -> None:
    """Make the mock sky, the models and a table of stars, unless they are there."""
    if not (BUILD / "mock").exists():
        ss.make_mock(BUILD / "mock", stars=40_000, seed=1)
    for name, text in MODELS.items():
        if (BUILD / name).exists():
            continue
        (BUILD / f"{name}.toml").write_text(RUN_FILE.format(model=text))
        if not (BUILD / "run" / "matched.parquet").exists():
            ss.run(BUILD / f"{name}.toml", BUILD / "run")
        ss.train(BUILD / f"{name}.toml", table=BUILD / "run" / "training.parquet").save(BUILD / name)


def networks(keras_python: Path) -> float:
    """Compare the learners alone; returns the seconds that the paper's networks need for a star."""
    models = {name: ss.load(BUILD / name) for name in MODELS}
    inputs = {name: prepared(model) for name, model in models.items()}
    paper = models["turchi2024"].predictor.regressor
    settings = {
        "n_inputs": paper.n_inputs,
        "n_labels": len(paper.labels.mean),
        "widths": list(paper.widths),
        "slope": paper.slope,
        "dropout": 0.1,
        "batch": KERAS_BATCH,
    }
    np.savez(BUILD / "stars.npz", x=inputs["turchi2024"].values, settings=json.dumps(settings))
    sizes = [paper.n_inputs, *paper.widths, 1]
    flops = 2 * len(paper.labels.mean) * sum(a * b for a, b in pairwise(sizes))
    seconds: dict[str, list[float]] = {}
    rates = []
    for _ in range(ROUNDS):
        rates.append(matrix_rates()["large_rate"])
        for name, model in models.items():
            seconds.setdefault(name, []).append(
                timed(lambda m=model, n=name: m.predictor.regressor.means(inputs[n]))
            )
        seconds.setdefault("keras", []).append(
            run([str(keras_python), str(KERAS_SIDE), str(BUILD / "stars.npz")])["seconds"]
        )
        rates.append(matrix_rates()["large_rate"])
    ours = np.array(seconds["turchi2024"])
    share = flops * STARS / ours / np.mean(np.reshape(rates, (ROUNDS, 2)), axis=1)
    print(f"The learners alone, mean labels of {STARS:,} MOCK stars, {ROUNDS} rounds")
    for name, values in seconds.items():
        print(f"{name:12s} median {STARS / np.median(values):10,.0f} stars/s")
    for name in ("keras", "xgboost", "mixture"):
        ratio = np.array(seconds[name]) / ours
        bar = "   (at least 1.5)" if name == "keras" else ""
        print(
            f"{name:12s} needs {np.median(ratio):.2f} times as long, "
            f"from {ratio.min():.2f} to {ratio.max():.2f}{bar}"
        )
    print(
        f"the paper's networks: {flops / 1e6:.2f} MFLOP a star; {100 * np.median(share):.0f} % of the rate of "
        f"matrix products, from {100 * share.min():.0f} to {100 * share.max():.0f} %   (at least 50 %)"
    )
    return float(np.median(ours)) / STARS


def prepared(model: Model) -> object:
    """The same stars as each learner sees them."""
    table = io.read(BUILD / "run" / "matched.parquet")
    many = pl.concat([table] * (STARS // table.height + 1)).head(STARS)
    clean = standardise(many, model.inputs, whole=False)
    return model.predictor.preparation.apply(evaluate_features(clean, model.features))


def timed(work: Callable[[], object]) -> float:
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def catalogues(name: str, sizes: list[int], networks_alone: float) -> None:
    """Predict tables of growing size; small ones in turns and several times, since the machine's speed wanders."""
    print(f"\nWhole catalogues, Parquet to Parquet, model {name}, MOCK stars; the median of the runs of a size")
    small, large = ([rows for rows in sizes if (rows <= SMALL) is which] for which in (True, False))
    # Before and after the large ones, which take minutes.
    rounds = [small, small, large, small, small]
    found: dict[int, list[dict[str, float]]] = {}
    for rows in (rows for some in rounds for rows in some):
        source, target = BUILD / f"stars_{rows}.parquet", BUILD / f"catalogue_{rows}.parquet"
        if not source.exists():
            tile(source, rows)
        found.setdefault(rows, []).append(
            run([sys.executable, str(HERE), "--one", str(BUILD / name), str(source), str(target)])
        )
        target.unlink()
    print(
        f"{'rows':>12} {'runs':>5} {'rows/s':>9} {'us/star':>8} {'of the runs':>13} {'networks':>9} {'memory':>9}"
    )
    costs = []
    for rows, results in found.items():
        cost = [1e6 * result["seconds"] / rows for result in results]
        costs.append(float(np.median(cost)))
        # The mean labels are made twice: once for themselves, once for their slope with E(B-V).
        share = 2e6 * networks_alone / costs[-1] if name == "turchi2024" else float("nan")
        memory = max(result["memory"] for result in results)
        spread = f"{min(cost):.1f} to {max(cost):.1f}"
        print(
            f"{rows:12,} {len(results):5} {1e6 / costs[-1]:9,.0f} {costs[-1]:8.1f} {spread:>13} "
            f"{100 * share:7.0f} % {memory:6,.0f} MB"
        )
        (BUILD / f"stars_{rows}.parquet").unlink()
    print(f"dearest over cheapest star: {max(costs) / min(costs):.3f} (at most 1.15); memory below 2,000 MB")


def tile(path: Path, rows: int) -> None:
    """Write copies of the mock stars, one below the other, with identifiers of their own."""
    table = io.read(BUILD / "run" / "matched.parquet")
    with io.open_writer(path, table.schema, n_rows=rows) as writer:
        for start in range(0, rows, table.height):
            part = table.head(min(table.height, rows - start))
            writer.append(part.with_columns((pl.int_range(pl.len()) + start + 1).alias("source_id")))


def one_catalogue(model: Path, source: Path, target: Path) -> dict[str, float]:
    """Predict a catalogue; compiling and loading are not counted, which small tables would be all about."""
    warm = BUILD / "warm.parquet"
    io.write(io.read(BUILD / "run" / "matched.parquet").head(20_000), warm)
    loaded = ss.load(model)
    ss.predict(loaded, warm, BUILD / "warm_catalogue.parquet")
    started = time.perf_counter()
    ss.predict(loaded, source, target)
    seconds = time.perf_counter() - started
    # Not `ru_maxrss`, which begins with the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return {"seconds": seconds, "memory": float(status.split("VmHWM:")[1].split()[0]) / 1024}


if __name__ == "__main__":
    main()
