"""The learner of Turchi et al. 2024: one deep multilayer perceptron for each label.

From the paper: 18 hidden layers of 80 to 160 units "in a diamond", blocks of Dense, LeakyReLU, BatchNorm and
Dropout, mean absolute error first and SMAPE after it, one network a label. Not stated there, hence ours:
slope, dropout rate, optimiser, batch, epochs, early stopping, and all scaling. Inputs have mean 0 and variance 1
in the training part and gaps filled by their conditional mean. The network's output is the standardised label.
The first phase compares that (the optimiser does not care about the constant factor to physical units); SMAPE is
taken in physical units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from starscale.learn.arrays import Arrays, entry, prefixed, tree_from_arrays, tree_to_arrays, under
from starscale.learn.compilation import full_precision
from starscale.learn.losses import absolute_error, smape
from starscale.learn.networks import Dense, DiamondNetwork, Statistics, folded_forward, moving_average
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.randomness import seeded
from starscale.learn.regressor import BLOCK, Fitting, PointRegressor, Raw, Targets, Threshold, in_flight, padded
from starscale.learn.sample import FloatArray
from starscale.learn.scaling import LabelScaler
from starscale.learn.training import EarlyStopping, Optimiser, TrainState, mean_loss, run_epoch, stacked
from starscale.vocabulary.model_config import Turchi2024Config

#: Inputs (n, n_inputs) and standardised label (n,), on the device.
Data = tuple[jax.Array, jax.Array]


@dataclass(frozen=True)
class _Loss:
    """Loss of a batch in one of the two phases; `constants` are mean and width of the label."""

    smape: bool
    slope: float
    dropout: float

    def value(self, output: jax.Array, t: jax.Array, constants: tuple[jax.Array, jax.Array]) -> jax.Array:
        mean, width = constants
        if self.smape:
            return smape(mean + width * output, mean + width * t)
        return absolute_error(output, t)

    def __call__(
        self,
        network: DiamondNetwork,
        statistics: Statistics,
        constants: tuple[jax.Array, jax.Array],
        batch: Data,
        key: jax.Array,
    ) -> tuple[jax.Array, Statistics]:
        x, t = batch
        output, of_batch = network.train_forward(x, key, slope=self.slope, rate=self.dropout)
        return self.value(output, t, constants), moving_average(statistics, of_batch)


@partial(jax.jit, static_argnames=("loss",))
def _validation_loss(
    network: DiamondNetwork, statistics: Statistics, constants: Any, data: Data, *, loss: _Loss
) -> jax.Array:
    x, t = data
    return loss.value(folded_forward(network.folded(statistics), x, loss.slope), t, constants)


@lru_cache(maxsize=8)
def _adam(learning_rate: float) -> Optimiser:
    # One object for one rate: compiled epochs are found again by the identity of their optimiser. eps as in Keras.
    return optax.adam(learning_rate, eps=1e-7)  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("slope",))
@full_precision
def _predict(layers: tuple[Dense, ...], x: jax.Array, *, slope: float) -> jax.Array:
    """Run one network for each label (leading axis of `layers`): shape (n, n_labels)."""
    outputs: jax.Array = jax.lax.map(lambda chain: folded_forward(chain, x, slope), layers)
    return outputs.T


@dataclass(frozen=True)
class Turchi2024(PointRegressor):
    """Trained networks, batch normalisation worked into the layers."""

    kind: ClassVar[str] = "turchi2024"
    scaling: ClassVar[Scaling] = "standard"

    n_inputs: int
    widths: tuple[int, ...]
    slope: float
    labels: LabelScaler
    layers: tuple[Dense, ...]

    @classmethod
    def fit(
        cls,
        config: Turchi2024Config,
        train: tuple[Inputs, Targets],
        validation: tuple[Inputs, Targets],
        fitting: Fitting,
    ) -> Turchi2024:
        """Train one network after the other.

        The validation part decides when each phase stops and which epoch's weights are kept.
        """
        names, n_inputs = train[1].labels, train[0].values.shape[1]
        scaler = LabelScaler.fit(train[1].y)
        rng, chains = np.random.default_rng(fitting.seed), []
        keys = jax.random.split(seeded(fitting.seed), len(names))
        for name, key, mean, width, *t in zip(
            names,
            keys,
            scaler.mean,
            scaler.width,
            *(scaler.transform(targets.y).T for _, targets in (train, validation)),
            strict=True,
        ):
            parts = [
                _of_label(inputs, of_part) for (inputs, _), of_part in zip((train, validation), t, strict=True)
            ]
            network = DiamondNetwork(rng, n_inputs, config.widths)
            constants = (jnp.float32(mean), jnp.float32(width))
            label = _Label(name, parts[0], parts[1], constants, key)
            chains.append(_fit_label(config, label, network, fitting))
        return cls(n_inputs, config.widths, config.slope, scaler, stacked(chains))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> Raw:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        blocks = np.split(inputs.values, range(BLOCK, len(inputs), BLOCK))
        found = in_flight(_predict(self.layers, jnp.asarray(padded(block)), slope=self.slope) for block in blocks)
        parts = [np.asarray(part)[: len(block)] for part, block in zip(found, blocks, strict=True)]
        value: FloatArray = self.labels.restore(np.concatenate(parts))
        return Raw(value, value)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        document = {
            "n_inputs": self.n_inputs,
            "n_labels": len(self.labels.mean),
            "widths": list(self.widths),
            "slope": self.slope,
        }
        return document, {
            **prefixed("layers", tree_to_arrays(self.layers)),
            **prefixed("labels", self.labels.state()),
        }

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Turchi2024:
        """Rebuild from :meth:`state`."""
        n_inputs, n_labels, widths, slope = (
            entry(document, key, "regressor") for key in ("n_inputs", "n_labels", "widths", "slope")
        )
        network = DiamondNetwork(np.random.default_rng(), n_inputs, tuple(widths))
        one = _folded(network, network.initial_statistics())
        skeleton = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (n_labels, *leaf.shape)), one)
        layers = tree_from_arrays(skeleton, under("layers", arrays), "regressor")
        labels = LabelScaler.from_state(under("labels", arrays), n_labels)
        return cls(n_inputs, tuple(widths), float(slope), labels, layers)


@jax.jit
@full_precision
def _folded(network: DiamondNetwork, statistics: Statistics) -> tuple[Dense, ...]:
    return network.folded(statistics)


def _of_label(inputs: Inputs, t: FloatArray) -> Data:
    """Return inputs and standardised label of the stars that have the label."""
    present = ~np.isnan(t)
    return jnp.asarray(inputs.values[present]), jnp.asarray(t[present], dtype=jnp.float32)


def batch_size(config: Turchi2024Config, n_stars: int) -> int:
    """Stars in a batch: as chosen, or enough batches in an epoch for the batch normalisation to follow."""
    if config.batch is not None:
        return config.batch
    return int(2 ** np.clip(np.floor(np.log2(max(n_stars, 1) / 50)), 5, 8))


class _Label(NamedTuple):
    """What one network learns: the label's name, the two parts, mean and width of the label, a random key."""

    name: str
    train: Data
    validation: Data
    constants: tuple[jax.Array, jax.Array]
    key: jax.Array


def _fit_label(
    config: Turchi2024Config,
    label: _Label,
    network: DiamondNetwork,
    fitting: Fitting,
) -> tuple[Dense, ...]:
    """Train one network, or take it from the checkpoint where it is done already."""
    part = f"{label.name}, network"
    statistics = network.initial_statistics()
    layers: tuple[Dense, ...] = _folded(network, statistics)
    if (done := fitting.checkpoint.load(part)) is not None:
        return tree_from_arrays(layers, done, "checkpoint")
    phases = ((False, config.epochs_mae), (True, config.epochs_smape))
    for (is_smape, epochs), key in zip(phases, jax.random.split(label.key), strict=True):
        phase = f"{label.name}, {'SMAPE' if is_smape else 'absolute error'}"
        loss = _Loss(is_smape, config.slope, config.dropout)
        network, statistics = _fit_phase(config, label, (network, statistics), loss, (phase, epochs, key), fitting)
    layers = _folded(network, statistics)
    fitting.checkpoint.save(part, lambda: tree_to_arrays(layers), now=True)
    return layers


def _fit_phase(
    config: Turchi2024Config,
    label: _Label,
    start: tuple[DiamondNetwork, Statistics],
    loss: _Loss,
    phase_of: tuple[str, int, jax.Array],
    fitting: Fitting,
) -> tuple[DiamondNetwork, Statistics]:
    """Train with one loss until it stops getting better, and return the best weights."""
    phase, epochs, key = phase_of
    (network, statistics), (optimiser, stopping) = (
        start,
        (_adam(config.learning_rate), EarlyStopping(config.patience)),
    )
    batch = batch_size(config, len(label.train[1]))
    if loss.smape and config.epochs_mae:
        # The second phase may not end worse, in its own loss, than the first one left off.
        first = _validation_loss(network, statistics, label.constants, label.validation, loss=loss)
        stopping.update(float(first), (network, statistics))
    # Each phase starts its optimiser afresh: the gradients of the two losses differ in size.
    state = TrainState(network, statistics, jax.jit(optimiser.init)(network))
    begun = 0
    if (saved := fitting.checkpoint.load(phase)) is not None:
        left = tree_from_arrays(_Progress(state, start, np.zeros(3)), saved, "checkpoint")
        state, stopping.best = left.state, left.best
        stopping.best_loss, stopping.waited, begun = (
            kind(x) for kind, x in zip((float, int, int), left.counts, strict=True)
        )
    for epoch in range(begun + 1, epochs + 1):
        if stopping.waited >= config.patience:
            break
        state, losses = run_epoch(
            state,
            label.train,
            label.constants,
            jax.random.fold_in(key, epoch),
            loss=loss,
            optimiser=optimiser,
            batch=batch,
        )
        figures = {"training": mean_loss(losses, phase, epoch)}
        held_out = _validation_loss(state.params, state.statistics, label.constants, label.validation, loss=loss)
        figures["validation"] = mean_loss(held_out[None], f"{phase}, validation", epoch)
        fitting.progress(phase, epoch, epochs, figures)
        stopping.update(figures["validation"], (state.params, state.statistics))
        counts = np.array([stopping.best_loss, stopping.waited, epoch])
        finished = stopping.waited >= config.patience or epoch == epochs
        now = _Progress(state, stopping.best, counts)
        fitting.checkpoint.save(phase, partial(tree_to_arrays, now), now=finished)
    best: tuple[DiamondNetwork, Statistics] = stopping.best or (network, statistics)
    return best


class _Progress(NamedTuple):
    """What a checkpoint holds of a phase; `counts` are the best loss, the epochs waited, and the epoch."""

    state: TrainState
    best: tuple[DiamondNetwork, Statistics]
    counts: Any
