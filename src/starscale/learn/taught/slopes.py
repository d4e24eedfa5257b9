"""A small network that says how labels change with reddening, in the place of the derivative of large ones.

The derivative of a network takes as long as its values. It is a function of the inputs, which a network of a few
percent of the size learns from copies of the training stars, whose derivatives the large one gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from starscale.io.threads import one_thread_each
from starscale.learn.arrays import entry, expected
from starscale.learn.compilation import full_precision
from starscale.learn.mixture import one_cycle
from starscale.learn.networks import Dense
from starscale.learn.preparation import Inputs
from starscale.learn.regressor import BLOCK, FitContext, Regressor, in_flight, padded
from starscale.learn.scaling import SQUASH
from starscale.learn.training.ensemble import train_together
from starscale.learn.training.epochs import n_steps
from starscale.learn.uncertainty.around import raw_prediction
from starscale.learn.view import Lens, View
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.later import Later

#: Needed in training alone.
optax = Later("optax")

#: Sizes of the hidden layers.
WIDTHS = (128, 128, 128)
#: Most stars to learn from, chosen by whoever has more, and copies of them: every second one has further gaps.
MOST_STARS, COPIES = 50_000, 4
#: With fewer stars a small network knows little of the large one.
LEAST_STARS = 200
#: One star in so many is not learnt from: the difference from the derivative is measured with it.
HELD_OUT = 10
#: Fewest and most epochs, and the number of steps that is aimed at in between.
EPOCHS, STEPS = (20, 500), 6000
BATCH, LEARNING_RATE, WEIGHT_DECAY = 256, 3e-3, 1e-3
#: Standard deviation of a normal distribution over its median absolute deviation.
_MAD = 1.4826
PHASE = "slopes with E(B-V)"

Layers = tuple[Dense, ...]


@dataclass(frozen=True)
class _SlopeLoss:
    """Huber loss of a batch of (seen inputs, standardised slopes, 1 where the slope is known).

    Networks with kinks have slopes far from those of the stars around.
    """

    def __call__(
        self, layers: Layers, statistics: None, constants: None, batch: Any, key: jax.Array
    ) -> tuple[jax.Array, None]:
        del statistics, constants, key
        seen, slopes, known = batch
        loss = optax.huber_loss(_forward(layers, seen), slopes).mean(axis=1)
        return (loss * known).sum() / jnp.maximum(known.sum(), 1), None


@dataclass(frozen=True)
class SlopeNetwork:
    """How much labels change with a small, given change of a star's inputs, learnt from a trained learner.

    Parameters
    ----------
    view : View
        The inputs that it sees.
    center, width : ndarray, shape (n_labels,)
        Median and scatter of the changes in the training stars.
    layers : tuple of Dense
    difference : ndarray, shape (n_labels,)
        Root mean square of the difference from the change that the learner itself gives, over that of the change,
        for stars that were not learnt from.
    """

    view: View
    center: FloatArray
    width: FloatArray
    layers: Layers
    difference: FloatArray

    @classmethod
    @one_thread_each
    def fit(cls, regressor: Regressor, change: FloatArray, context: FitContext) -> SlopeNetwork | None:
        """Learn from a trained learner.

        Parameters
        ----------
        regressor : Regressor
        change : ndarray, shape (n_stars, n_features)
            By how much the inputs of the stars in `context` change; NaN where the star lacks the input.
        context : FitContext

        Returns
        -------
        SlopeNetwork or None
            None with fewer than `LEAST_STARS` stars whose inputs change.
        """
        first = _Copy.of(regressor, change, context, 0)
        if first.known.sum() < LEAST_STARS:
            return None
        copies = [first, *(_Copy.of(regressor, change, context, number) for number in range(1, COPIES))]
        learnt = np.arange(len(change)) % HELD_OUT > 0
        rows, center = np.flatnonzero(learnt), np.median(first.change[first.known], axis=0)
        scatter = _MAD * np.median(np.abs(first.change[first.known] - center), axis=0)
        width = np.where(scatter > 0, scatter, 1.0)
        clipped = _within(first.inputs)
        all_used = np.ones(clipped.values.shape[1], dtype=bool)
        view = View.fit(clipped, all_used, all_used, whiten=True)

        @lru_cache(maxsize=COPIES)
        def stars(number: int) -> tuple[jax.Array, ...]:
            copy = copies[number]
            seen = _within(copy.inputs.rows(rows))
            inputs = np.concatenate([view.values(seen), view.flags(seen)], axis=1)
            slopes, known = (copy.change[rows] - center) / width, copy.known[rows]
            return jnp.asarray(inputs), jnp.asarray(slopes, jnp.float32), jnp.asarray(known, jnp.float32)

        rng, steps = np.random.default_rng(context.seed), n_steps(len(rows), BATCH)
        sizes = (stars(0)[0].shape[1], *WIDTHS, len(center))
        layers = tuple(Dense.fan_in(rng, a, b) for a, b in pairwise(sizes))
        epochs = int(np.clip(STEPS // steps, *EPOCHS))
        trained = train_together(
            [layers],
            lambda epoch, _: stars(epoch % COPIES),
            [[0]],
            loss=_SlopeLoss(),
            optimiser=one_cycle(LEARNING_RATE, WEIGHT_DECAY, epochs * steps),
            batch=BATCH,
            epochs=epochs,
            context=context,
            phase=PHASE,
        )
        network = cls(view, center, width, jax.tree.map(lambda leaf: leaf[0], trained), np.zeros(len(center)))
        return network._measured(first, np.flatnonzero(~learnt & first.known))

    def _measured(self, copy: _Copy, rows: NDArray[np.intp]) -> SlopeNetwork:
        """Return the network with its difference from the learner for some stars of a copy."""
        exact = copy.change[rows]
        size = np.sqrt((exact**2).mean(axis=0))
        difference = np.sqrt(((self.changes(copy.inputs.rows(rows)) - exact) ** 2).mean(axis=0))
        return replace(self, difference=difference / np.where(size > 0, size, 1.0))

    def changes(self, inputs: Inputs) -> FloatArray:
        """Return the changes of the labels: shape (n, n_labels), in their units."""
        found = np.empty((len(inputs), len(self.center)))

        def computed(rows: slice) -> tuple[slice, jax.Array]:
            seen = padded(inputs.values[rows]), padded(inputs.missing[rows])
            return rows, _changes_of_block(self._on_device, self.view.lens, *seen)

        blocks = (slice(start, min(start + BLOCK, len(inputs))) for start in range(0, len(inputs), BLOCK))
        for rows, part in in_flight(map(computed, blocks)):
            found[rows] = np.asarray(part)[: rows.stop - rows.start]
        return self.center + self.width * found

    @cached_property
    def _on_device(self) -> Layers:
        layers: Layers = jax.device_put(self.layers)
        return layers

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {"sizes": [len(layer.weight) for layer in self.layers]}

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> SlopeNetwork:
        """Return a network to be filled with stored arrays."""
        sizes = entry(document, "sizes", "slopes")
        view, labels = View.skeleton(whiten=True), expected("labels")
        hidden = [_expected(a, b) for a, b in pairwise(sizes)]
        return cls(view, labels, labels, (*hidden, _expected(sizes[-1], "labels")), labels)

    def check(self, where: str) -> None:
        """Check that the network sees values, whitened values and flags."""
        seen, wanted = len(self.layers[0].weight), 3 * len(self.view.used)
        if seen != wanted:
            raise InputError(Problem(f"{where}.layers", f"see {seen} inputs", f"{wanted}"))


@dataclass(frozen=True)
class _Copy:
    """A copy of the training stars, the changes of their labels, and where there are any."""

    inputs: Inputs
    change: FloatArray
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, regressor: Regressor, change: FloatArray, context: FitContext, number: int) -> _Copy:
        stars = context.observations
        x = stars.drawn((context.seed, number), noise=number > 0 and stars.noisy, gaps=number % 2 > 0)
        inputs, moved = stars.preparation.apply_both(x, x + change)
        # A star with a gap in the place of the quantity, or of all that depends on it, has no slope.
        known = (inputs.values != moved.values).any(axis=1)
        found = raw_prediction(regressor, inputs, None, (), None, moved).change
        if found is None:
            raise TypeError("the learner does not say how labels change with its inputs")
        return cls(inputs, found, known)


def _expected(n_in: int, n_out: int | str) -> Dense:
    return Dense(expected(n_in, n_out, dtype=np.float32), expected(n_out, dtype=np.float32))


def _within(inputs: Inputs) -> Inputs:
    """Return inputs within the range in which networks are trained: what is beyond has the slope of its edge."""
    return Inputs(np.clip(inputs.values, -SQUASH, SQUASH), inputs.missing)


def _forward(layers: Layers, seen: jax.Array) -> jax.Array:
    *hidden, last = layers
    for layer in hidden:
        seen = jax.nn.silu(layer.in_training(seen, "bfloat16"))
    return last(seen)


@jax.jit
@full_precision
def _changes_of_block(layers: Layers, lens: Lens, values: jax.Array, missing: jax.Array) -> jax.Array:
    """Standardised changes of a block: shape (n, n_labels)."""
    return _forward(layers, jnp.concatenate(lens.seen(jnp.clip(values, -SQUASH, SQUASH), missing), axis=1))
