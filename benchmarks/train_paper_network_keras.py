"""The paper's network in Keras on TensorFlow: the other side of train_paper_network.py, which runs this.

It runs in an environment of its own and therefore imports nothing but numpy and keras.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np


class Clock(keras.callbacks.Callback):
    """Notes when each epoch, validation included, has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []
        self.processor: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 (the names are keras's)
        self.ends.append(time.perf_counter())
        self.processor.append(time.process_time())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the .npz with data and settings")
    data = np.load(parser.parse_args().data)
    settings = json.loads(str(data["settings"]))
    x, t = data["x"].astype(np.float32), data["t"].astype(np.float32)
    held_out = data["x_validation"].astype(np.float32), data["t_validation"].astype(np.float32)

    keras.utils.set_random_seed(settings["seed"])
    network = keras.Sequential([keras.Input((x.shape[1],))])
    for width in settings["widths"]:
        network.add(keras.layers.Dense(width))
        network.add(keras.layers.LeakyReLU(negative_slope=settings["slope"]))
        network.add(keras.layers.BatchNormalization())
        network.add(keras.layers.Dropout(settings["dropout"]))
    network.add(keras.layers.Dense(1))
    network.compile(optimizer=keras.optimizers.Adam(settings["learning_rate"]), loss="mae")
    clock = Clock()
    history = network.fit(
        x,
        t,
        batch_size=settings["batch"],
        epochs=settings["epochs"],
        validation_data=held_out,
        validation_batch_size=8192,
        verbose=0,
        callbacks=[clock],
    )
    result = {
        "seconds": np.diff(clock.ends).tolist(),
        "processor": np.diff(clock.processor).tolist(),
        "loss": min(history.history["val_loss"]),
        "what": f"Keras {keras.__version__} on {keras.backend.backend()}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
