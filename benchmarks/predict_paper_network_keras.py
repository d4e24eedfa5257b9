"""The paper's three networks predicting in Keras on TensorFlow: the other side of predict_speed.py.

That one runs it. It runs in an environment of its own and therefore imports nothing but numpy and keras.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np


def network(settings: dict) -> keras.Model:
    layers: list = [keras.Input((settings["n_inputs"],))]
    for width in settings["widths"]:
        layers += [
            keras.layers.Dense(width),
            keras.layers.LeakyReLU(negative_slope=settings["slope"]),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(settings["dropout"]),
        ]
    return keras.Sequential([*layers, keras.layers.Dense(1)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the .npz with stars and settings")
    data = np.load(parser.parse_args().data)
    settings = json.loads(str(data["settings"]))
    x = data["x"].astype(np.float32)
    keras.utils.set_random_seed(1)
    networks = [network(settings) for _ in range(settings["n_labels"])]
    for one in networks:
        one.predict(x[: settings["batch"]], batch_size=settings["batch"], verbose=0)
    started, processor = time.perf_counter(), time.process_time()
    for one in networks:
        one.predict(x, batch_size=settings["batch"], verbose=0)
    result = {
        "seconds": time.perf_counter() - started,
        "processor": time.process_time() - processor,
        "what": f"Keras {keras.__version__} on {keras.backend.backend()}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
