"""The learner of Turchi et al. 2024: one deep multilayer perceptron for each label.

From the paper: 18 hidden layers of 80 to 160 units "in a diamond", blocks of Dense, LeakyReLU, BatchNorm and
Dropout, mean absolute error first and SMAPE after it, one network a label. Not stated there, hence ours:
slope, dropout rate, optimiser, batch, epochs, early stopping, and all scaling. Inputs have mean 0 and variance 1
in the training part and gaps filled by their conditional mean. The network's output is the standardised label.
The first phase compares that (the optimiser does not care about the constant factor to physical units); SMAPE is
taken in physical units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from starscale.io.threads import in_threads
from starscale.learn.arrays import Arrays, entry, prefixed, tree_from_arrays, tree_to_arrays, under
from starscale.learn.checkpoint import Checkpoint
from starscale.learn.compilation import full_precision, seeded
from starscale.learn.losses import absolute_error, smape
from starscale.learn.networks import Dense, DiamondNetwork, Statistics, folded_forward, moving_average
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import (
    BLOCK,
    FitContext,
    LabelTargets,
    PointRegressor,
    Progress,
    RawPrediction,
    Threshold,
    in_flight,
    padded,
)
from starscale.learn.scaling import LabelScaler
from starscale.learn.training import EarlyStopping, Optimiser, TrainState, computed, mean_loss, run_epoch, stacked
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import Turchi2024Config

#: Inputs (n, n_inputs) and standardised label (n,), on the device.
Data = tuple[jax.Array, jax.Array]


@dataclass(frozen=True)
class _PaperLoss:
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
    network: DiamondNetwork, statistics: Statistics, constants: Any, data: Data, *, loss: _PaperLoss
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
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        fitting: FitContext,
    ) -> Turchi2024:
        """Train the networks side by side, epoch by epoch.

        The validation part decides when each phase stops and which epoch's weights are kept.
        """
        names, n_inputs = train[1].labels, train[0].values.shape[1]
        scaler = LabelScaler.fit(train[1].y)
        rng, trainings = np.random.default_rng(fitting.seed), []
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
            trainings.append(_Training(config, _Label(name, parts[0], parts[1], constants, key), network))
        _train(trainings, fitting)
        return cls(n_inputs, config.widths, config.slope, scaler, stacked([t.layers() for t in trainings]))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        blocks = np.split(inputs.values, range(BLOCK, len(inputs), BLOCK))
        found = in_flight(_predict(self.layers, jnp.asarray(padded(block)), slope=self.slope) for block in blocks)
        parts = [np.asarray(part)[: len(block)] for part, block in zip(found, blocks, strict=True)]
        value: FloatArray = self.labels.restore(np.concatenate(parts))
        return RawPrediction(value, value)

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


class _Progress(NamedTuple):
    """What a checkpoint holds of a label.

    `counts` are the number of the phase, the epochs that are done of it, its best loss, and the epochs waited.
    """

    state: TrainState
    best: tuple[DiamondNetwork, Statistics]
    counts: Any


class _Training:
    """The training of the network of one label, epoch by epoch."""

    def __init__(self, config: Turchi2024Config, label: _Label, network: DiamondNetwork) -> None:
        self.label = label
        self._config = config
        self._phases = [
            (_PaperLoss(smape, config.slope, config.dropout), epochs, key)
            for (smape, epochs), key in zip(
                ((False, config.epochs_mae), (True, config.epochs_smape)),
                jax.random.split(label.key),
                strict=True,
            )
            if epochs
        ]
        self._optimiser, self._batch = _adam(config.learning_rate), batch_size(config, len(label.train[1]))
        self._best = network, network.initial_statistics()
        self._begin(0)

    @property
    def finished(self) -> bool:
        """Whether all phases are over."""
        return self._phase == len(self._phases)

    @property
    def program(self) -> _PaperLoss:
        """What is compiled for the epochs of this phase."""
        return self._phases[self._phase][0]

    def epoch(self) -> tuple[TrainState, jax.Array, jax.Array]:
        """Run the next epoch: the state after it, the losses of its batches and that of the validation part.

        Nothing is changed: epochs of several labels may run in threads.
        """
        loss, _, key = self._phases[self._phase]
        state, losses = run_epoch(
            self._state,
            self.label.train,
            self.label.constants,
            jax.random.fold_in(key, self._done + 1),
            loss=loss,
            optimiser=self._optimiser,
            batch=self._batch,
        )
        return computed((state, losses, self._held_out(state.params, state.statistics)))

    def take(self, result: tuple[TrainState, jax.Array, jax.Array], progress: Progress) -> None:
        """Take note of an epoch that was run, and go to the next phase where it was the last of this one."""
        self._state, losses, held_out = result
        self._done += 1
        loss, epochs, _ = self._phases[self._phase]
        phase = f"{self.label.name}, {'SMAPE' if loss.smape else 'absolute error'}"
        figures = {
            "training": mean_loss(losses, phase, self._done),
            "validation": mean_loss(held_out[None], f"{phase}, validation", self._done),
        }
        progress(phase, self._done, epochs, figures)
        stop = self._stopping.update(figures["validation"], (self._state.params, self._state.statistics))
        if stop or self._done == epochs:
            self._best = self._stopping.best
            self._begin(self._phase + 1)

    def save(self, checkpoint: Checkpoint, *, now: bool) -> None:
        """Keep the state."""
        counts = np.array([self._phase, self._done, self._stopping.best_loss, self._stopping.waited])
        kept = _Progress(self._state, self._stopping.best or self._best, counts)
        checkpoint.save(self._part, partial(tree_to_arrays, kept), now=now or self.finished)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from where it was left."""
        saved = checkpoint.load(self._part)
        if saved is None:
            return
        left = tree_from_arrays(_Progress(self._state, self._best, np.zeros(4)), saved, "checkpoint")
        self._best = left.best
        phase, done, best_loss, waited = left.counts.tolist()
        self._begin(int(phase))
        self._state, self._done = left.state, int(done)
        # Nothing is the best of a phase that has not begun.
        if np.isfinite(best_loss):
            self._stopping.best, self._stopping.best_loss, self._stopping.waited = (
                left.best,
                best_loss,
                int(waited),
            )

    def layers(self) -> tuple[Dense, ...]:
        """The trained network, batch normalisation worked into the layers."""
        layers: tuple[Dense, ...] = _folded(*self._best)
        return layers

    @property
    def _part(self) -> str:
        return f"{self.label.name}, training"

    def _begin(self, phase: int) -> None:
        """Begin a phase with the best weights of the one before."""
        self._phase, self._done, self._stopping = phase, 0, EarlyStopping(self._config.patience)
        if phase and not self.finished:
            # The second phase may not end worse, in its own loss, than the first one left off.
            self._stopping.update(float(self._held_out(*self._best)), self._best)
        # Each phase starts its optimiser afresh: the gradients of the two losses differ in size.
        self._state = TrainState(*self._best, jax.jit(self._optimiser.init)(self._best[0]))

    def _held_out(self, network: DiamondNetwork, statistics: Statistics) -> jax.Array:
        """Loss of the validation part."""
        label = self.label
        loss: jax.Array = _validation_loss(
            network, statistics, label.constants, label.validation, loss=self.program
        )
        return loss


def _train(trainings: Sequence[_Training], fitting: FitContext) -> None:
    """Train until all are finished: an epoch of every label at a time, in threads."""
    for training in trainings:
        training.resume(fitting.checkpoint)
    compiled: set[_PaperLoss] = set()
    while going := [training for training in trainings if not training.finished]:
        results = {}
        # The first that needs a program compiles it; the others then find it.
        for training in going:
            if training.program not in compiled:
                compiled.add(training.program)
                results[training] = training.epoch()
        rest = [training for training in going if training not in results]
        results |= zip(rest, in_threads(_Training.epoch, rest), strict=True)
        due = fitting.checkpoint.due
        for training in going:
            training.take(results[training], fitting.progress)
            training.save(fitting.checkpoint, now=due)
