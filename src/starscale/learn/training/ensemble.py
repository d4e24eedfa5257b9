"""Training of several networks of one shape, epoch by epoch, with one checkpoint for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from starscale.io.threads import in_threads
from starscale.learn.arrays import Arrays, arrays_of, filled
from starscale.learn.compilation import seeded
from starscale.learn.regressor import FitContext, note_of
from starscale.learn.training.checkpoint import Checkpoint
from starscale.learn.training.epochs import (
    BatchLoss,
    EpochStars,
    Optimiser,
    TrainState,
    mean_loss,
    run_epoch,
    run_epoch_together,
    stacked,
)

PHASE = "networks"
_EPOCH = "epoch"


def train_together(
    networks: Sequence[Any],
    data: Callable[[int, int], Any],
    groups: Sequence[Sequence[int]],
    *,
    loss: BatchLoss,
    optimiser: Optimiser,
    batch: int,
    epochs: int,
    context: FitContext,
    together: bool | None = None,
    phase: str = PHASE,
) -> Any:
    """Train networks of one shape.

    Parameters
    ----------
    networks : sequence of tree
        Initial weights.
    data : callable
        Stars of an epoch (counted from 1) for a group, as arrays on the device.
    groups : sequence of sequence of int
        Networks that train on the same stars.
    loss, optimiser, batch, epochs
        The same for all.
    context : FitContext
        Its seed determines the order of the stars of every network and epoch; its checkpoint keeps the state, so
        that an interrupted training can resume.
    together : bool, optional
        Whether the networks of a group are trained in one batched computation; by default on an accelerator only.

    Returns
    -------
    tree of arrays
        Weights, stacked along a first axis of networks.
    """
    if together is None:
        together = jax.default_backend() != "cpu"
    init = jax.jit(optimiser.init)
    states = [TrainState(network, None, init(network)) for network in networks]
    first, states = _resumed(states, context.checkpoint, phase)
    keys = jax.random.split(seeded(context.seed), len(networks))
    options: dict[str, Any] = {"loss": loss, "optimiser": optimiser, "batch": batch}
    trainer = (_Batched if together else _Threaded)(states, groups)
    with context.task(phase, epochs) as task:
        if first > 1:
            task.resumed(first - 1)
        for epoch in range(first, epochs + 1):
            losses: list[Any] = []
            for number, members in enumerate(groups):
                epoch_keys = [jax.random.fold_in(keys[i], epoch) for i in members]
                losses += trainer.run(number, EpochStars.of(data(epoch, number)), epoch_keys, options)
            figures = {"training": float(np.mean([mean_loss(values, phase, epoch) for values in losses]))}
            task.advance(1, note_of(figures))
            context.checkpoint.save(phase, partial(_arrays, trainer, epoch), now=epoch == epochs)
    return stacked([state.params for state in trainer.states()])


class _Threaded:
    """Trains the networks of a group in threads, each with its own computation."""

    def __init__(self, states: Sequence[TrainState], groups: Sequence[Sequence[int]]) -> None:
        self._states, self._groups = list(states), groups

    def run(
        self, number: int, stars: EpochStars, keys: Sequence[jax.Array], options: Mapping[str, Any]
    ) -> list[Any]:
        """Train a group for an epoch and return the losses of each of its networks."""
        members = self._groups[number]

        def run(at: int) -> tuple[TrainState, Any]:
            return run_epoch(self._states[members[at]], stars, None, keys[at], **options)

        done = in_threads(run, range(len(members)))
        for i, (state, _) in zip(members, done, strict=True):
            self._states[i] = state
        return [losses for _, losses in done]

    def states(self) -> list[TrainState]:
        """Return the state of every network."""
        return self._states


class _Batched:
    """Trains the networks of a group stacked, in one batched computation.

    They stay stacked between epochs: separating them would be hundreds of small operations on an accelerator.
    """

    def __init__(self, states: Sequence[TrainState], groups: Sequence[Sequence[int]]) -> None:
        self._groups, self._n = groups, len(states)
        self._joined = [stacked([states[i] for i in members]) for members in groups]

    def run(
        self, number: int, stars: EpochStars, keys: Sequence[jax.Array], options: Mapping[str, Any]
    ) -> list[Any]:
        """Train a group for an epoch and return the losses of each of its networks."""
        self._joined[number], losses = run_epoch_together(self._joined[number], stars, None, keys, **options)
        return list(np.asarray(losses))

    def states(self) -> list[TrainState]:
        """Return the state of every network."""
        found: list[Any] = [None] * self._n
        for members, joined in zip(self._groups, self._joined, strict=True):
            here = jax.tree.map(np.asarray, joined)
            for at, i in enumerate(members):
                found[i] = jax.tree.map(lambda leaf, at=at: leaf[at], here)
        return found


def _arrays(trainer: _Threaded | _Batched, epoch: int) -> Arrays:
    return {**arrays_of(trainer.states()), _EPOCH: np.array([epoch])}


def _resumed(states: list[TrainState], checkpoint: Checkpoint, phase: str) -> tuple[int, list[TrainState]]:
    """Return the next epoch, and the states of the checkpoint, or the initial ones if there is none."""
    arrays = checkpoint.load(phase)
    if arrays is None:
        return 1, states
    epoch = int(arrays.pop(_EPOCH)[0])
    return epoch + 1, filled(states, arrays, "checkpoint")
