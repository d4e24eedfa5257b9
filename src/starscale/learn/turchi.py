"""The learner of Turchi et al. 2024: one deep multilayer perceptron for each label.

From the paper: 18 hidden layers of 80 to 160 units "in a diamond"; blocks of Dense, LeakyReLU, BatchNorm and
Dropout; first the mean absolute error as loss, then SMAPE; one network per label. Not stated in the paper, and
chosen here: slope, dropout rate, optimiser, batch, epochs, early stopping, and all scaling. Inputs have mean 0 and
variance 1 in the training part, and gaps are filled with their conditional mean. The output of a network is the
standardised label. The first phase compares standardised labels (a constant factor to physical units does not
change the optimisation); SMAPE is computed in physical units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from types import TracebackType
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from starscale.io.threads import in_turns
from starscale.learn.arrays import arrays_of, entry, filled
from starscale.learn.compilation import changed, full_precision, seeded
from starscale.learn.losses import absolute_error, smape
from starscale.learn.networks import (
    Dense,
    DiamondNetwork,
    Statistics,
    folded_forward,
    moving_average,
    with_two_parts,
)
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import (
    BLOCK,
    FitContext,
    LabelTargets,
    PointRegressor,
    RawPrediction,
    Threshold,
    in_flight,
    note_of,
    padded,
)
from starscale.learn.scaling import LabelScaler
from starscale.learn.training.checkpoint import Checkpoint
from starscale.learn.training.epochs import (
    EarlyStopping,
    EpochStars,
    Optimiser,
    TrainState,
    mean_loss,
    run_epoch,
    stacked,
    stacked_skeleton,
)
from starscale.learn.training.lanes import on_lane
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later
from starscale.vocabulary.progress import Task
from starscale.vocabulary.settings.models import Precision, Turchi2024Config
from starscale.vocabulary.strict import validate

#: Needed in training alone.
optax = Later("optax")

#: Inputs (n, n_inputs) and standardised label (n,), on the device.
Data = tuple[jax.Array, jax.Array]


@dataclass(frozen=True)
class _PhaseLoss:
    """Loss of a batch in one of the two phases; `constants` are mean and standard deviation of the label."""

    smape: bool
    slope: float
    dropout: float
    precision: Precision

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
        output, of_batch = network.train_forward(
            x, key, slope=self.slope, rate=self.dropout, precision=self.precision
        )
        return self.value(output, t, constants), moving_average(statistics, of_batch)


@partial(jax.jit, static_argnames=("loss",))
def _validation_loss(
    network: DiamondNetwork, statistics: Statistics, constants: Any, data: Data, *, loss: _PhaseLoss
) -> jax.Array:
    """Loss of the network that would be used for predictions."""
    x, t = data
    layers = with_two_parts(network.folded(statistics), loss.precision)
    # A few stars at a time: their layers stay in the cache of the processor.
    number = -(-len(x) // BLOCK)
    size = -(-len(x) // number)
    blocks = jnp.pad(x, ((0, number * size - len(x)), (0, 0))).reshape(number, size, -1)
    outputs = jax.lax.map(lambda block: folded_forward(layers, block, loss.slope), blocks).ravel()[: len(x)]
    return loss.value(outputs, t, constants)


@lru_cache(maxsize=8)
def _adam(learning_rate: float) -> Optimiser:
    # Compiled epochs are looked up by the identity of their optimiser, hence one object per rate. eps as in Keras.
    return optax.adam(learning_rate, eps=1e-7)  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("slope",))
@full_precision
def _predict(
    layers: tuple[Dense, ...], x: jax.Array, change: jax.Array | None, *, slope: float
) -> tuple[jax.Array, jax.Array | None]:
    """Run the network of every label (leading axis of `layers`); return labels, and how they change with `x`."""

    def outputs(x: jax.Array) -> jax.Array:
        found: jax.Array = jax.lax.map(lambda chain: folded_forward(chain, x, slope), layers)
        return found.T

    if change is None:
        return outputs(x), None
    return changed(outputs, x, change, rounded=layers[0].weight.dtype == jnp.bfloat16)


@dataclass(frozen=True)
class Turchi2024(PointRegressor):
    """Trained networks, with the batch normalisation merged into the layers.

    The validation part decides when each phase stops and which epoch's weights are kept.
    """

    kind: ClassVar[str] = "turchi2024"
    scaling: ClassVar[Scaling] = "standard"

    n_inputs: int
    widths: tuple[int, ...]
    slope: float
    precision: Precision
    labels: LabelScaler
    layers: tuple[Dense, ...]

    @classmethod
    def fit(
        cls,
        config: Turchi2024Config,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        context: FitContext,
    ) -> Turchi2024:
        """Train the networks of all labels in parallel, epoch by epoch."""
        names, n_inputs = train[1].labels, train[0].values.shape[1]
        scaler = LabelScaler.fit(train[1].y)
        t_train, t_validation = (scaler.transform(targets.y) for _, targets in (train, validation))
        rng, keys = np.random.default_rng(context.seed), jax.random.split(seeded(context.seed), len(names))
        trainings = []
        for column, name in enumerate(names):
            label = _Label(
                name,
                _of_label(train[0], t_train[:, column]),
                _of_label(validation[0], t_validation[:, column]),
                (jnp.float32(scaler.mean[column]), jnp.float32(scaler.width[column])),
                keys[column],
            )
            trainings.append(_Training(config, label, DiamondNetwork.drawn(rng, n_inputs, config.widths)))
        _train(trainings, context)
        layers = stacked([t.layers() for t in trainings])
        return cls(n_inputs, config.widths, config.slope, config.precision, scaler, layers)

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        return self._predicted(inputs, None)

    def predict_change(self, inputs: Inputs, moved: Inputs) -> RawPrediction:
        """Predict the labels, and how they change towards slightly other inputs of the same stars."""
        return self._predicted(inputs, moved)

    def _predicted(self, inputs: Inputs, moved: Inputs | None) -> RawPrediction:
        n_labels = len(self.labels.mean)
        value, differences = np.empty((2, len(inputs), n_labels))

        def computed(rows: slice) -> tuple[slice, tuple[jax.Array, jax.Array | None]]:
            x = inputs.values[rows]
            change = None if moved is None else padded(moved.values[rows] - x)
            return rows, _predict(self._rounded, padded(x), change, slope=self.slope)

        blocks = (slice(start, min(start + BLOCK, len(inputs))) for start in range(0, len(inputs), BLOCK))
        for rows, (outputs, change) in in_flight(map(computed, blocks)):
            value[rows] = np.asarray(outputs)[: rows.stop - rows.start]
            if change is not None:
                differences[rows] = np.asarray(change)[: rows.stop - rows.start]
        value = self.labels.restore(value)
        return RawPrediction(value, value, change=None if moved is None else differences * self.labels.width)

    @cached_property
    def _rounded(self) -> tuple[Dense, ...]:
        """The layers for predictions."""
        return with_two_parts(jax.tree.map(np.asarray, self.layers), self.precision)

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {
            "n_inputs": self.n_inputs,
            "n_labels": len(self.labels.mean),
            "widths": list(self.widths),
            "slope": self.slope,
            # As in the bundles of earlier builds, which knew only single precision.
            **({} if self.precision == "float32" else {"precision": self.precision}),
        }

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Turchi2024:
        """Return networks of the stored shape, to be filled with stored arrays."""
        n_inputs, n_labels, widths, slope = (
            entry(document, key, "regressor") for key in ("n_inputs", "n_labels", "widths", "slope")
        )
        network = DiamondNetwork.drawn(np.random.default_rng(), n_inputs, tuple(widths))
        one = _folded(network, network.initial_statistics())
        config = validate(
            Turchi2024Config, {"precision": document.get("precision", "float32")}, "stored model: regressor"
        )
        layers = stacked_skeleton(one, n_labels)
        return cls(n_inputs, tuple(widths), float(slope), config.precision, LabelScaler.skeleton(), layers)


@jax.jit
@full_precision
def _folded(network: DiamondNetwork, statistics: Statistics) -> tuple[Dense, ...]:
    return network.folded(statistics)


def _of_label(inputs: Inputs, t: FloatArray) -> Data:
    """Return inputs and standardised label of the stars that have the label."""
    present = ~np.isnan(t)
    return jnp.asarray(inputs.values[present]), jnp.asarray(t[present], dtype=jnp.float32)


def batch_size(config: Turchi2024Config, n_stars: int) -> int:
    """Return the stars in a batch: as chosen, or a number that gives an epoch some fifty batches."""
    if config.batch is not None:
        return config.batch
    return int(2 ** np.clip(np.floor(np.log2(max(n_stars, 1) / 50)), 5, 8))


class _Label(NamedTuple):
    """Data of the network of one label; `constants` are mean and standard deviation of the label."""

    name: str
    train: Data
    validation: Data
    constants: tuple[jax.Array, jax.Array]
    key: jax.Array


class _Epoch(NamedTuple):
    """State after an epoch, the losses of its batches, and the validation loss."""

    state: TrainState
    losses: NDArray[np.float32]
    held_out: NDArray[np.float32]


class _Saved(NamedTuple):
    """State of the training of one label in a checkpoint.

    `counts` are the number of the phase, its finished epochs, its best loss, and the epochs since the best one.
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
            (_PhaseLoss(smape, config.slope, config.dropout, config.precision), epochs, key)
            for (smape, epochs), key in zip(
                ((False, config.epochs_mae), (True, config.epochs_smape)),
                jax.random.split(label.key),
                strict=True,
            )
            if epochs
        ]
        self._stars = EpochStars.of(label.train)
        self._optimiser, self._batch = _adam(config.learning_rate), batch_size(config, self._stars.n)
        self._best = network, network.initial_statistics()
        self._task: Task | None = None
        self._begin(0)

    @property
    def finished(self) -> bool:
        """Whether all phases are over."""
        return self._phase == len(self._phases)

    def epoch(self) -> _Epoch:
        """Run the next epoch.

        This changes nothing in the object, so epochs of several labels may run in threads.
        """
        loss, _, key = self._phases[self._phase]
        state, losses = run_epoch(
            self._state,
            self._stars,
            self.label.constants,
            jax.random.fold_in(key, self._done + 1),
            loss=loss,
            optimiser=self._optimiser,
            batch=self._batch,
        )
        return _Epoch(state, losses, self._held_out(state.params, state.statistics))

    def open_task(self, context: FitContext) -> None:
        """Show the current phase as a task, unless it is shown already."""
        if self._task is None:
            loss, epochs, _ = self._phases[self._phase]
            self._task = context.task(self._title(loss), epochs).__enter__()
            if self._done:
                self._task.resumed(self._done)

    def close_task(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """End the task of the current phase, if there is one; the arguments are those of ``__exit__``."""
        if self._task is not None:
            self._task.__exit__(kind, error, trace)
            self._task = None

    def record(self, result: _Epoch) -> None:
        """Store the result of an epoch, and begin the next phase if it was the last epoch of this one."""
        self._state, losses, held_out = result
        self._done += 1
        loss, epochs, _ = self._phases[self._phase]
        phase = self._title(loss)
        figures = {
            "training": mean_loss(losses, phase, self._done),
            "validation": mean_loss(held_out, f"{phase}, validation", self._done),
        }
        if self._task is not None:
            self._task.advance(1, note_of(figures))
        stop = self._stopping.update(figures["validation"], (self._state.params, self._state.statistics))
        if stop or self._done == epochs:
            self._best = self._stopping.best
            self.close_task()
            self._begin(self._phase + 1)

    def save(self, checkpoint: Checkpoint) -> None:
        """Save the state in the checkpoint."""
        counts = np.array([self._phase, self._done, self._stopping.best_loss, self._stopping.waited])
        kept = _Saved(self._state, self._stopping.best or self._best, counts)
        checkpoint.save(self._part, partial(arrays_of, kept), now=True)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Restore the state from the checkpoint, if it has one."""
        saved = checkpoint.load(self._part)
        if saved is None:
            return
        left = filled(_Saved(self._state, self._best, np.zeros(4)), saved, "checkpoint")
        self._best = left.best
        phase, done, best_loss, waited = left.counts.tolist()
        self._begin(int(phase))
        self._state, self._done = left.state, int(done)
        # A phase without a finished epoch has no best loss.
        if np.isfinite(best_loss):
            self._stopping.best, self._stopping.best_loss, self._stopping.waited = (
                left.best,
                best_loss,
                int(waited),
            )

    def layers(self) -> tuple[Dense, ...]:
        """Return the trained network, with the batch normalisation merged into the layers."""
        layers: tuple[Dense, ...] = _folded(*self._best)
        return layers

    @property
    def _part(self) -> str:
        return f"{self.label.name}, training"

    def _title(self, loss: _PhaseLoss) -> str:
        return f"{self.label.name}, {'SMAPE' if loss.smape else 'absolute error'}"

    def _begin(self, phase: int) -> None:
        """Begin a phase with the best weights of the previous one."""
        self._phase, self._done, self._stopping = phase, 0, EarlyStopping(self._config.patience)
        if phase and not self.finished:
            # So that the second phase does not end with a larger SMAPE than the first one did.
            self._stopping.update(float(self._held_out(*self._best)), self._best)
        # The optimiser restarts with every phase, because the gradients of the two losses differ in size.
        self._state = TrainState(*self._best, jax.jit(self._optimiser.init)(self._best[0]))

    def _held_out(self, network: DiamondNetwork, statistics: Statistics) -> NDArray[np.float32]:
        """Return the loss of the validation part."""
        loss, label = self._phases[self._phase][0], self.label
        found: NDArray[np.float32] = on_lane(
            _validation_loss, network, statistics, label.constants, label.validation, loss=loss
        )
        return found


def _train(trainings: Sequence[_Training], context: FitContext) -> None:
    """Train all labels side by side; where there are more than lanes, their epochs take turns."""
    for training in trainings:
        training.resume(context.checkpoint)
    with ExitStack() as open_tasks:
        for training in trainings:
            open_tasks.push(training.close_task)
            if not training.finished:
                training.open_task(context)
        for training, result in in_turns(_Training.epoch, trainings, lambda training: training.finished):
            training.record(result)
            if not training.finished:
                training.open_task(context)
            if training.finished or context.checkpoint.due:
                for each in trainings:
                    each.save(context.checkpoint)
