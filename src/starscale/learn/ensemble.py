"""Training several networks of one shape, epoch by epoch, with a checkpoint of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from starscale.learn.arrays import tree_from_arrays, tree_to_arrays
from starscale.learn.checkpoint import Checkpoint
from starscale.learn.randomness import seeded
from starscale.learn.regressor import Progress
from starscale.learn.training import (
    BatchLoss,
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
    for epoch in range(first, epochs + 1):
        losses = []
        for number, members in enumerate(groups):
            stars = data(epoch, number)
            own = [jax.random.fold_in(keys[i], epoch) for i in members]
            if together:
                joined, loss_of_all = run_epoch_together(
                    stacked([states[i] for i in members]), stars, None, jax.numpy.stack(own), **options
                )
                for at, i in enumerate(members):
                    states[i] = jax.tree.map(lambda leaf, at=at: leaf[at], joined)
                losses += list(loss_of_all)
            else:
                for i, key in zip(members, own, strict=True):
                    states[i], loss_of_one = run_epoch(states[i], stars, None, key, **options)
                    losses.append(loss_of_one)
        figures = {"training": float(np.mean([mean_loss(values, PHASE, epoch) for values in losses]))}
        progress(PHASE, epoch, epochs, figures)
        checkpoint.save(PHASE, partial(_arrays, states, epoch), now=epoch == epochs)
    return stacked([state.params for state in states])


def _arrays(states: Sequence[TrainState], epoch: int) -> Any:
    return {**tree_to_arrays(list(states)), _EPOCH: np.array([epoch])}


def _resumed(states: list[TrainState], checkpoint: Checkpoint) -> tuple[int, list[TrainState]]:
    """Return the next epoch, and the states as they were left or as they are."""
    arrays = checkpoint.load(PHASE)
    if arrays is None:
        return 1, states
    epoch = int(arrays.pop(_EPOCH)[0])
    return epoch + 1, tree_from_arrays(states, arrays, "checkpoint")
