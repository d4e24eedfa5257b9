"""One epoch as one compiled loop, early stopping, and the check that a loss stays finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from starscale.learn.training.lanes import on_lane
from starscale.vocabulary.errors import StarscaleError


class TrainState(NamedTuple):
    """What a training step changes."""

    params: Any
    statistics: Any
    optimiser: Any


class BatchLoss(Protocol):
    """Loss of a batch. Hashable by value: two equal losses share one compilation."""

    def __call__(
        self, params: Any, statistics: Any, constants: Any, batch: Any, key: jax.Array, /
    ) -> tuple[Any, Any]:
        """Return the loss and the new statistics."""

    def __hash__(self) -> int: ...


class Optimiser(Protocol):
    """The two functions of an optax gradient transformation."""

    @property
    def init(self) -> Callable[..., Any]:
        """Make the optimiser's state from parameters."""

    @property
    def update(self) -> Callable[..., Any]:
        """Turn gradients into updates."""

    def __hash__(self) -> int: ...


def n_steps(n_stars: int, batch: int) -> int:
    """Count the steps of an epoch: whole batches only (the stars left out change every epoch), at least one."""
    return max(n_stars // batch, 1)


class EpochStars(NamedTuple):
    """Stars to train on.

    Parameters
    ----------
    data : tree of arrays
        Each with the stars along its first axis, and rows of zeros after them.
    n : int
        Number of stars.
    """

    data: Any
    n: int

    @classmethod
    def of(cls, data: Any) -> EpochStars:
        """Append rows of zeros up to one of few numbers, at most an eighth above.

        Repeats, and samples of about the same size, then share the program of an epoch, which takes seconds to
        compile.
        """
        n = jax.tree.leaves(data)[0].shape[0]
        step = 1 << max((n - 1).bit_length() - 4, 0)
        return cls(_longer(data, length=-(-n // step) * step), n)


@partial(jax.jit, static_argnames=("length",))
def _longer(data: Any, *, length: int) -> Any:
    def longer(array: jax.Array) -> jax.Array:
        return jnp.pad(array, [(0, length - array.shape[0]), *[(0, 0)] * (array.ndim - 1)])

    return jax.tree.map(longer, data)


def shuffled(key: jax.Array, n_stars: int, batch: int) -> NDArray[np.int32]:
    """Return the rows of every batch of an epoch, shape (n_steps, size); a batch is at most the whole sample."""
    # By numpy: jax sorts random numbers for it, twice, which takes many times as long.
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    size, steps = min(batch, n_stars), n_steps(n_stars, batch)
    return rng.permutation(n_stars)[: steps * size].reshape(steps, size).astype(np.int32)


def run_epoch(
    state: TrainState,
    stars: EpochStars,
    constants: Any,
    key: jax.Array,
    *,
    loss: BatchLoss,
    optimiser: Optimiser,
    batch: int,
) -> tuple[TrainState, NDArray[np.float32]]:
    """Train for one epoch on shuffled batches, on a lane (:mod:`.lanes`); return when it is done.

    Parameters
    ----------
    state : TrainState
    stars : EpochStars
    constants : tree of arrays
        Handed to the loss as they are.
    key : array
        Of the random numbers of this epoch.
    loss, optimiser, batch
        Compiled in, but for the batch.

    Returns
    -------
    state : TrainState
    losses : array, shape (n_steps,)
    """
    order = shuffled(key, stars.n, batch)
    done: tuple[TrainState, NDArray[np.float32]] = on_lane(
        _trained, state, constants, stars.data, order, key, loss=loss, optimiser=optimiser
    )
    return done


@partial(jax.jit, static_argnames=("loss", "optimiser"))
def _trained(
    state: TrainState,
    constants: Any,
    data: Any,
    order: jax.Array,
    key: jax.Array,
    *,
    loss: BatchLoss,
    optimiser: Optimiser,
) -> tuple[TrainState, jax.Array]:
    """Take one step for each row of `order`."""

    def step(state: TrainState, item: tuple[jax.Array, jax.Array]) -> tuple[TrainState, jax.Array]:
        rows, number = item
        drawn = jax.tree.map(lambda array: array[rows], data)
        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(
            state.params, state.statistics, constants, drawn, jax.random.fold_in(key, number)
        )
        updates, inner = optimiser.update(gradient, state.optimiser, state.params)
        params = jax.tree.map(lambda p, u: p + u, state.params, updates)
        return TrainState(params, statistics, inner), value

    return jax.lax.scan(step, state, (order, jnp.arange(order.shape[0])))


def run_epoch_together(
    states: TrainState,
    stars: EpochStars,
    constants: Any,
    keys: Sequence[jax.Array],
    *,
    loss: BatchLoss,
    optimiser: Optimiser,
    batch: int,
) -> tuple[TrainState, jax.Array]:
    """Train several networks of one shape for one epoch on the same stars, each in its own order.

    Parameters are those of :func:`run_epoch`, with a leading axis of networks in `states` and `keys`. One
    network leaves most of an accelerator idle; on a CPU this is no faster than one after the other.
    """
    orders = np.stack([shuffled(key, stars.n, batch) for key in keys])
    together: tuple[TrainState, jax.Array] = _trained_together(
        states, constants, stars.data, orders, jnp.stack(keys), loss=loss, optimiser=optimiser
    )
    return together


@partial(jax.jit, static_argnames=("loss", "optimiser"))
def _trained_together(
    states: TrainState,
    constants: Any,
    data: Any,
    orders: jax.Array,
    keys: jax.Array,
    *,
    loss: BatchLoss,
    optimiser: Optimiser,
) -> tuple[TrainState, jax.Array]:
    """Do what :func:`_trained` does for several networks: the first axis of `states`, `orders` and `keys`."""
    each = jax.vmap(partial(_trained, loss=loss, optimiser=optimiser), in_axes=(0, None, None, 0, 0))
    together: tuple[TrainState, jax.Array] = each(states, constants, data, orders, keys)
    return together


def mean_loss(losses: ArrayLike, phase: str, epoch: int) -> float:
    """Average the losses of an epoch, or say at which step they stopped being numbers.

    Raises
    ------
    StarscaleError
        When a loss is not finite.
    """
    host: NDArray[np.float32] = np.atleast_1d(losses)
    bad = np.flatnonzero(~np.isfinite(host))
    if bad.size:
        raise StarscaleError(
            f"{phase}: the loss is {host[bad[0]]} at step {(epoch - 1) * host.size + int(bad[0]) + 1} "
            f"(epoch {epoch}). Try a smaller learning_rate or a larger batch, and look for wild values in the "
            "features."
        )
    return float(host.mean(dtype=np.float64))


def stacked(trees: Sequence[Any]) -> Any:
    """Stack the leaves of equal trees along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves])), *trees)


def stacked_skeleton(tree: Any, n: int) -> Any:
    """Return the shapes and types of `n` trees stacked along a new first axis."""

    def shape_of(leaf: jax.Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((n, *leaf.shape), leaf.dtype)  # type: ignore[no-untyped-call]

    return jax.tree.map(shape_of, tree)


class EarlyStopping:
    """Keeps the candidate with the smallest loss and tells when to stop.

    Parameters
    ----------
    patience : int
        Epochs without a better loss after which to stop.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_loss = float("inf")
        self.best: Any = None
        self.waited = 0

    def update(self, loss: float, candidate: Any) -> bool:
        """Take note of a candidate; return True when it is time to stop."""
        if self.best is None or loss < self.best_loss:
            self.best_loss, self.best, self.waited = loss, candidate, 0
        else:
            self.waited += 1
        return self.waited >= self.patience
