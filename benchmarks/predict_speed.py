"""How fast the networks alone predict MOCK stars, beside Keras and XGBoost.

    python benchmarks/predict_speed.py [--keras-python PYTHON]

On the same array of stars and in turns: the paper's three networks here, and in Keras on TensorFlow; the default;
the means of XGBoost as the `xgboost` learner has it. Beside them, in the same run, the rate of bare matrix
products. The stars are those of a small mock sky, one copy below the other. The networks are trained for few
epochs: their speed does not depend on that. Whole catalogues, from file to file, are measured by
`end_to_end_predict.py`. Run it when the machine has nothing else to do; only ratios mean anything.
"""

from __future__ import annotations

import argparse
import json
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
#: Stars of the comparison, and how often it is made.
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
    options = parser.parse_args()
    prepare()
    networks(options.keras_python or keras_environment(HERE.parents[1] / "build" / "keras"))


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


def networks(keras_python: Path) -> None:
    """Compare the learners, and the paper's networks with the rate of matrix products."""
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


if __name__ == "__main__":
    main()
