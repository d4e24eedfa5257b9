"""Training several networks of one shape, epoch by epoch, with a checkpoint of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from starscale.io.threads import in_threads
from starscale.learn.arrays import tree_from_arrays, tree_to_arrays
from starscale.learn.checkpoint import Checkpoint
from starscale.learn.compilation import seeded
from starscale.learn.regressor import Progress
from starscale.learn.training import (
    BatchLoss,
    Optimiser,
    TrainState,
    computed,
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
    seed: int,
    progress: Progress,
    checkpoint: Checkpoint,
    together: bool | None = None,
) -> Any:
    """Train networks of one shape and return their weights, stacked along a first axis.

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
    seed : int
        Of the order of the stars; every network and epoch has its own.
    progress : callable
    checkpoint : Checkpoint
        Where the state is kept, so that a killed training goes on.
    together : bool, optional
        Whether the networks of a group go through the device at once; by default where it is an accelerator.
    """
    if together is None:
        together = jax.default_backend() != "cpu"
    init = jax.jit(optimiser.init)
    states = [TrainState(network, None, init(network)) for network in networks]
    first, states = _resumed(states, checkpoint)
    keys = jax.random.split(seeded(seed), len(networks))
    options: dict[str, Any] = {"loss": loss, "optimiser": optimiser, "batch": batch}
    kept = (_Together if together else _BySelf)(states, groups)
    for epoch in range(first, epochs + 1):
        losses: list[Any] = []
        for number, members in enumerate(groups):
            own = [jax.random.fold_in(keys[i], epoch) for i in members]
            losses += kept.run(number, data(epoch, number), own, options)
        figures = {"training": float(np.mean([mean_loss(values, PHASE, epoch) for values in losses]))}
        progress(PHASE, epoch, epochs, figures)
        checkpoint.save(PHASE, partial(_arrays, kept, epoch), now=epoch == epochs)
    return stacked([state.params for state in kept.states()])


class _BySelf:
    """The networks, each by itself; those of a group in threads."""

    def __init__(self, states: Sequence[TrainState], groups: Sequence[Sequence[int]]) -> None:
        self._states, self._groups = list(states), groups
        self._begun: set[int] = set()

    def run(self, number: int, stars: Any, keys: Sequence[jax.Array], options: Mapping[str, Any]) -> list[Any]:
        """Train a group for an epoch; returns the losses of each of its networks."""
        members = self._groups[number]

        def run(at: int) -> tuple[TrainState, Any]:
            return computed(run_epoch(self._states[members[at]], stars, None, keys[at], **options))

        numbers = range(len(members))
        # The first time, one compiles the program that the others then find.
        alone = 0 if number in self._begun else 1
        self._begun.add(number)
        done = [*map(run, numbers[:alone]), *in_threads(run, numbers[alone:])]
        for i, (state, _) in zip(members, done, strict=True):
            self._states[i] = state
        return [losses for _, losses in done]

    def states(self) -> list[TrainState]:
        """Return the state of every network."""
        return self._states


class _Together:
    """The networks of a group stacked, as they go through the device.

    They stay stacked between epochs: to take them apart is hundreds of small pieces of work for an accelerator.
    """

    def __init__(self, states: Sequence[TrainState], groups: Sequence[Sequence[int]]) -> None:
        self._groups, self._n = groups, len(states)
        self._joined = [stacked([states[i] for i in members]) for members in groups]

    def run(self, number: int, stars: Any, keys: Sequence[jax.Array], options: Mapping[str, Any]) -> list[Any]:
        """Train a group for an epoch; returns the losses of each of its networks."""
        self._joined[number], losses = run_epoch_together(
            self._joined[number], stars, None, jax.numpy.stack(keys), **options
        )
        return list(np.asarray(losses))

    def states(self) -> list[TrainState]:
        """Return the state of every network."""
        found: list[Any] = [None] * self._n
        for members, joined in zip(self._groups, self._joined, strict=True):
            here = jax.tree.map(np.asarray, joined)
            for at, i in enumerate(members):
                found[i] = jax.tree.map(lambda leaf, at=at: leaf[at], here)
        return found


def _arrays(kept: _BySelf | _Together, epoch: int) -> Any:
    return {**tree_to_arrays(kept.states()), _EPOCH: np.array([epoch])}


def _resumed(states: list[TrainState], checkpoint: Checkpoint) -> tuple[int, list[TrainState]]:
    """Return the next epoch, and the states as they were left or as they are."""
    arrays = checkpoint.load(PHASE)
    if arrays is None:
        return 1, states
    epoch = int(arrays.pop(_EPOCH)[0])
    return epoch + 1, tree_from_arrays(states, arrays, "checkpoint")
