"""The default learner: networks that predict the joint density of all labels as a mixture of Gaussians.

Mixture density networks: Bishop (1994). Dwarf and giant solutions of one set of colours are two components,
so the errors of the surface gravity, which have two modes, are described and not averaged. The length of the
training is fixed (one cycle of the learning rate; Smith 2018), which leaves the validation part untouched for
the calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from starscale.learn.arrays import Arrays, entry, prefixed, tree_from_arrays, tree_to_arrays, under
from starscale.learn.density import MixtureDensity
from starscale.learn.losses import negative_log_likelihood
from starscale.learn.networks import MixtureNetwork
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.randomness import seeded
from starscale.learn.regressor import LEVELS, Progress, Raw, Targets, Threshold, padded
from starscale.learn.sample import FloatArray
from starscale.learn.scaling import LabelScaler
from starscale.learn.training import Optimiser, TrainState, mean_loss, n_steps, run_epoch, stacked
from starscale.learn.view import View
from starscale.vocabulary.model_config import MixtureConfig
from starscale.vocabulary.strict import validate

#: Stars that go through the networks together in prediction.
CHUNK = 4096
WARM_UP = 0.15
BETAS = (0.9, 0.98)
#: Median, then the lower and the upper ends of the intervals of LEVELS.
PROBABILITIES = (0.5, *(0.5 - level / 2 for level in LEVELS), *(0.5 + level / 2 for level in LEVELS))


@dataclass(frozen=True)
class _Loss:
    """Negative log-likelihood of a batch of (values, flags, standardised labels, present)."""

    components: int

    def __call__(
        self, network: MixtureNetwork, statistics: None, constants: None, batch: Any, key: jax.Array
    ) -> tuple[jax.Array, None]:
        del statistics, constants, key
        values, flags, t, present = batch
        density = MixtureDensity.from_head(network(values, flags), self.components)
        return negative_log_likelihood(density, t, present), None


def _decays(network: MixtureNetwork) -> Any:
    """Tell the optimiser which leaves decay: weights do, biases, frequencies and phases do not."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].name == "weight", network)


@lru_cache(maxsize=8)
def _optimiser(learning_rate: float, weight_decay: float, total_steps: int) -> Optimiser:
    """AdamW on one cycle: linear rise, then half a cosine down to 0."""
    warm = max(round(WARM_UP * total_steps), 1)
    schedule = optax.join_schedules(
        [
            optax.linear_schedule(learning_rate / warm, learning_rate, warm),
            optax.cosine_decay_schedule(learning_rate, max(total_steps - warm, 1)),
        ],
        [warm],
    )
    return optax.adamw(schedule, *BETAS, weight_decay=weight_decay, mask=_decays)  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("components", "threshold"))
def _predict(
    networks: MixtureNetwork,
    values: jax.Array,
    flags: jax.Array,
    cut: jax.Array,
    *,
    components: int,
    threshold: int | None,
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Return the mean (n, L), the quantiles (n_probabilities, n, L), and the mass below the cut (n,)."""
    density = _pooled(networks, values, flags, components)
    quantiles = density.quantiles(jnp.asarray(PROBABILITIES, jnp.float32))
    average = density.average()
    below = None
    if threshold is not None:
        below = density.cdf(jnp.broadcast_to(cut, (1, *average.shape)))[0, :, threshold]
    return average, quantiles, below


@partial(jax.jit, static_argnames=("components",))
def _quantiles(
    networks: MixtureNetwork, values: jax.Array, flags: jax.Array, probabilities: jax.Array, *, components: int
) -> jax.Array:
    return _pooled(networks, values, flags, components).quantiles(probabilities)


def _pooled(networks: MixtureNetwork, values: jax.Array, flags: jax.Array, components: int) -> MixtureDensity:
    members = jax.lax.map(lambda net: MixtureDensity.from_head(net(values, flags), components), networks)
    return MixtureDensity.pooled(members)


@dataclass(frozen=True)
class Mixture:
    """A trained ensemble."""

    kind: ClassVar[str] = "mixture"
    scaling: ClassVar[Scaling] = "robust"

    config: MixtureConfig
    view: View
    labels: LabelScaler
    networks: MixtureNetwork

    @classmethod
    def fit(
        cls,
        config: MixtureConfig,
        train: tuple[Inputs, Targets],
        validation: tuple[Inputs, Targets],  # noqa: ARG003
        *,
        seed: int,
        progress: Progress,
    ) -> Mixture:
        """Train the members one after the other; the validation part is not looked at."""
        inputs, targets = train
        # Without any label a star teaches nothing.
        known = ~np.isnan(targets.y).all(axis=1)
        inputs, y = Inputs(inputs.values[known], inputs.missing[known]), targets.y[known]
        view, scaler = View.fit(inputs, config.whiten), LabelScaler.fit(y)
        present = ~np.isnan(y)
        t = np.where(present, scaler.transform(y), 0.0)
        data = tuple(jnp.asarray(a, jnp.float32) for a in (view.values(inputs), view.flags(inputs), t, present))
        loss = _Loss(config.components)
        optimiser = _optimiser(
            config.learning_rate, config.weight_decay, config.epochs * n_steps(len(inputs), config.batch)
        )
        rng, members = np.random.default_rng(seed), []
        for member, key in enumerate(jax.random.split(seeded(seed), config.members), 1):
            phase = f"member {member} of {config.members}"
            network = _new_network(rng, config, _sizes(view, y.shape[1]))
            state = TrainState(network, None, jax.jit(optimiser.init)(network))
            for epoch in range(1, config.epochs + 1):
                epoch_key = jax.random.fold_in(key, epoch)
                state, losses = run_epoch(
                    state, data, None, epoch_key, loss=loss, optimiser=optimiser, batch=config.batch
                )
                progress(phase, epoch, config.epochs, {"training": mean_loss(losses, phase, epoch)})
            members.append(state.params)
        return cls(config, view, scaler, stacked(members))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> Raw:
        """Predict median (the value), mean, intervals, and the probability below the threshold."""
        column, cut = None, 0.0
        if threshold is not None:
            column = threshold.label
            cut = (threshold.value - self.labels.mean[column]) / self.labels.width[column]
        values, flags = self.view.values(inputs), self.view.flags(inputs)
        means, quantiles, below = [], [], []
        for start in range(0, max(len(inputs), 1), CHUNK):
            rows = slice(start, min(start + CHUNK, len(inputs)))
            mean, quantile, mass = _predict(
                self.networks,
                jnp.asarray(padded(values[rows])),
                jnp.asarray(padded(flags[rows])),
                jnp.float32(cut),
                components=self.config.components,
                threshold=column,
            )
            n = rows.stop - rows.start
            means.append(np.asarray(mean)[:n])
            quantiles.append(np.asarray(quantile)[:, :n])
            if mass is not None:
                below.append(np.asarray(mass, dtype=np.float64)[:n])
        median, *ends = self.labels.restore(np.concatenate(quantiles, axis=1))
        n_levels = len(LEVELS)
        return Raw(
            median,
            self.labels.restore(np.concatenate(means)),
            np.stack(ends[:n_levels], axis=-1),
            np.stack(ends[n_levels:], axis=-1),
            np.concatenate(below) if below else None,
        )

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray:
        """Return quantiles of the pooled mixture: shape (n, n_labels, n_probabilities)."""
        values, flags = self.view.values(inputs), self.view.flags(inputs)
        parts = []
        for start in range(0, max(len(inputs), 1), CHUNK):
            rows = slice(start, min(start + CHUNK, len(inputs)))
            found = _quantiles(
                self.networks,
                jnp.asarray(padded(values[rows])),
                jnp.asarray(padded(flags[rows])),
                jnp.asarray(probabilities, jnp.float32),
                components=self.config.components,
            )
            parts.append(np.asarray(found)[:, : rows.stop - rows.start])
        return np.moveaxis(self.labels.restore(np.concatenate(parts, axis=1)), 0, 2)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        document = {
            "config": self.config.model_dump(mode="json"),
            "n_inputs": len(self.view.flagged),
            "n_labels": len(self.labels.mean),
        }
        return document, {
            **prefixed("view", self.view.state()),
            **prefixed("labels", self.labels.state()),
            **prefixed("networks", tree_to_arrays(self.networks)),
        }

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Mixture:
        """Rebuild from :meth:`state`."""
        stored, n_inputs, n_labels = (
            entry(document, key, "regressor") for key in ("config", "n_inputs", "n_labels")
        )
        config = validate(MixtureConfig, stored, "stored model: regressor.config")
        view = View.from_state(under("view", arrays), n_inputs, config.whiten)
        one = _new_network(np.random.default_rng(), config, _sizes(view, n_labels))
        skeleton = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (config.members, *leaf.shape)), one)
        networks = tree_from_arrays(skeleton, under("networks", arrays), "regressor")
        return cls(config, view, LabelScaler.from_state(under("labels", arrays), n_labels), networks)


def _sizes(view: View, n_labels: int) -> tuple[int, int, int]:
    """Numbers of values, flags and labels."""
    n_inputs = len(view.flagged)
    return n_inputs if view.whitening is None else 2 * n_inputs, int(view.flagged.sum()), n_labels


def _new_network(rng: np.random.Generator, config: MixtureConfig, sizes: tuple[int, int, int]) -> MixtureNetwork:
    n_values, n_flags, n_labels = sizes
    return MixtureNetwork(
        rng,
        n_values=n_values,
        n_flags=n_flags,
        n_labels=n_labels,
        width=config.width,
        depth=config.layers,
        components=config.components,
        frequencies=config.frequencies,
        frequency_scale=config.frequency_scale,
    )
