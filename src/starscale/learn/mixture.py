"""The default learner: networks that predict the joint density of all labels as a mixture of Gaussians.

Mixture density networks: Bishop (1994). Dwarf and giant solutions of one set of colours are two components,
so the errors of the surface gravity, which have two modes, are described and not averaged. The length of the
training is fixed (one cycle of the learning rate; Smith 2018), which leaves the validation part untouched for
the calibration. Stars without some bands are served by networks that never saw them (:mod:`.band_sets`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from starscale.learn.arrays import Arrays, entry, prefixed, take, tree_from_arrays, tree_to_arrays, under
from starscale.learn.band_sets import BandSets
from starscale.learn.compilation import full_precision
from starscale.learn.density import MixtureDensity
from starscale.learn.ensemble import train_together
from starscale.learn.losses import negative_log_likelihood, rarity_weights
from starscale.learn.networks import MixtureNetwork
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import (
    BLOCK,
    LEVELS,
    FitContext,
    LabelTargets,
    MaskedValidation,
    RawPrediction,
    Threshold,
    in_flight,
    padded,
)
from starscale.learn.scaling import LabelScaler
from starscale.learn.training import Optimiser, n_steps
from starscale.learn.view import View
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import MixtureConfig
from starscale.vocabulary.strict import validate

#: Fewest and most epochs, and the steps between: small samples would otherwise be left before they are learnt.
EPOCHS, STEPS = (20, 40), 2600
WARM_UP = 0.15
BETAS = (0.9, 0.98)
#: Median, then the lower and the upper ends of the intervals of LEVELS.
PROBABILITIES = (0.5, *(0.5 - level / 2 for level in LEVELS), *(0.5 + level / 2 for level in LEVELS))


@dataclass(frozen=True)
class _MixtureLoss:
    """Negative log-likelihood of a batch of (values, flags, standardised labels, present, weight)."""

    components: int

    def __call__(
        self, network: MixtureNetwork, statistics: None, constants: None, batch: Any, key: jax.Array
    ) -> tuple[jax.Array, None]:
        del statistics, constants, key
        values, flags, t, present, weight = batch
        density = MixtureDensity.from_head(network(values, flags), self.components)
        return negative_log_likelihood(density, t, present, weight), None


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


class _Outputs(NamedTuple):
    """Of one chunk: standardised mean (n, L), quantiles (n_probabilities, n, L), and the rest of RawPrediction."""

    mean: jax.Array
    quantiles: jax.Array
    correlation: jax.Array
    below: jax.Array | None
    sides: jax.Array | None


def _pooled(networks: MixtureNetwork, values: jax.Array, flags: jax.Array, components: int) -> MixtureDensity:
    members = jax.lax.map(lambda net: MixtureDensity.from_head(net(values, flags), components), networks)
    return MixtureDensity.pooled(members)


@partial(jax.jit, static_argnames=("components", "threshold"))
@full_precision
def _predict(
    networks: MixtureNetwork,
    values: jax.Array,
    flags: jax.Array,
    cut: jax.Array,
    *,
    components: int,
    threshold: int | None,
) -> _Outputs:
    density = _pooled(networks, values, flags, components)
    quantiles = density.quantiles(jnp.asarray(PROBABILITIES, jnp.float32))
    average = density.average()
    below = sides = None
    if threshold is not None:
        below = density.cdf(jnp.broadcast_to(cut, (1, *average.shape)))[0, :, threshold]
        sides = jnp.stack(density.sides(threshold, cut), axis=1)
    return _Outputs(average, quantiles, density.correlation(), below, sides)


@partial(jax.jit, static_argnames=("components",))
@full_precision
def _quantiles(
    networks: MixtureNetwork, values: jax.Array, flags: jax.Array, probabilities: jax.Array, *, components: int
) -> jax.Array:
    return jnp.moveaxis(_pooled(networks, values, flags, components).quantiles(probabilities), 0, 2)


@partial(jax.jit, static_argnames=("components",))
@full_precision
def _means(networks: MixtureNetwork, values: jax.Array, flags: jax.Array, *, components: int) -> jax.Array:
    return _pooled(networks, values, flags, components).average()


@dataclass(frozen=True)
class Mixture:
    """Trained networks, the sets of inputs that they serve, and what each of them sees."""

    kind: ClassVar[str] = "mixture"
    scaling: ClassVar[Scaling] = "robust"

    config: MixtureConfig
    sets: BandSets
    views: tuple[View, ...]
    labels: LabelScaler
    networks: MixtureNetwork

    @classmethod
    def fit(
        cls,
        config: MixtureConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],  # noqa: ARG003
        fitting: FitContext,
    ) -> Mixture:
        """Train all networks side by side; the validation part is not looked at."""
        seed, observations = fitting.seed, fitting.observations
        # Without any label a star teaches nothing.
        known = np.flatnonzero(~np.isnan(train[1].y).all(axis=1))
        inputs, y = train[0].rows(known), train[1].y[known]
        scaler, present = LabelScaler.fit(y), ~np.isnan(y)
        t = np.where(present, scaler.transform(y), 0.0)
        fixed = [jnp.asarray(a, jnp.float32) for a in (t, present, rarity_weights(t, present, config.rare_power))]
        sets = BandSets.common(
            inputs.missing,
            share=config.set_share,
            most=config.most_sets if config.set_members else 0,
            rare=config.rare_members > 0,
        )
        views = _views(sets, inputs, whiten=config.whiten)
        noise = config.noise and observations.noisy

        @lru_cache(maxsize=1)
        def observed(epoch: int, gaps: bool) -> Inputs:
            # The same stars for all sets of an epoch but the last, so the last copy is all that need be kept.
            if not (noise or gaps):
                return inputs
            return observations.redrawn((seed, epoch, int(gaps)), noise=noise, gaps=gaps).rows(known)

        def stars(epoch: int, number: int) -> tuple[jax.Array, ...]:
            copy, view = observed(epoch, number == len(sets.used)), views[number]
            return (jnp.asarray(view.values(copy)), jnp.asarray(view.flags(copy)), *fixed)

        rng, groups = np.random.default_rng(seed), _members(config, sets)
        epochs = n_epochs(config, len(inputs))
        networks = train_together(
            [_new_network(rng, config, y.shape[1], len(views[0].used)) for _ in range(groups[-1].stop)],
            stars,
            groups,
            loss=_MixtureLoss(config.components),
            optimiser=_optimiser(
                config.learning_rate, config.weight_decay, epochs * n_steps(len(inputs), config.batch)
            ),
            batch=config.batch,
            epochs=epochs,
            seed=seed,
            progress=fitting.progress,
            checkpoint=fitting.checkpoint,
        )
        return cls(config, sets, views, scaler, networks)

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:
        """Predict median (the value), mean, intervals, correlations, and the two sides of a threshold."""
        column, cut = None, 0.0
        if threshold is not None:
            column = threshold.label
            cut = (threshold.value - self.labels.mean[column]) / self.labels.width[column]
        n, n_labels, serving = len(inputs), len(self.labels.mean), self.sets.serving(inputs.missing)
        mean, (quantiles, correlation) = (
            np.empty((n, n_labels)),
            (
                np.empty((len(PROBABILITIES), n, n_labels)),
                np.empty((n, n_labels, n_labels)),
            ),
        )
        below = np.empty(n) if column is not None else None
        sides = np.empty((n, 2, n_labels)) if column is not None else None
        kind = {"components": self.config.components, "threshold": column}
        computed = ((rows, _predict(*seen, jnp.float32(cut), **kind)) for rows, *seen in self._chunks(inputs))
        for rows, found in in_flight(computed):
            k = len(rows)
            mean[rows] = np.asarray(found.mean)[:k]
            quantiles[:, rows] = np.asarray(found.quantiles)[:, :k]
            correlation[rows] = np.asarray(found.correlation)[:k]
            if below is not None and sides is not None:
                below[rows], sides[rows] = np.asarray(found.below)[:k], np.asarray(found.sides)[:k]
        median, *ends = self.labels.restore(quantiles)
        n_levels = len(LEVELS)
        return RawPrediction(
            median,
            self.labels.restore(mean),
            np.stack(ends[:n_levels], axis=-1),
            np.stack(ends[n_levels:], axis=-1),
            below,
            correlation,
            None if sides is None else self.labels.restore(sides),
            serving,
            ~self.sets.exact(inputs.missing),
        )

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray:
        """Return quantiles of the pooled mixture: shape (n, n_labels, n_probabilities)."""
        found = np.empty((len(inputs), len(self.labels.mean), len(probabilities)))
        wanted = jnp.asarray(probabilities, jnp.float32)
        kind = {"components": self.config.components}
        computed = ((rows, _quantiles(*seen, wanted, **kind)) for rows, *seen in self._chunks(inputs))
        for rows, part in in_flight(computed):
            found[rows] = np.asarray(part)[: len(rows)]
        return np.moveaxis(self.labels.restore(np.moveaxis(found, 2, 0)), 0, 2)

    def means(self, inputs: Inputs) -> FloatArray:
        """Return the mean of every label: shape (n, n_labels)."""
        found = np.empty((len(inputs), len(self.labels.mean)))
        kind = {"components": self.config.components}
        computed = ((rows, _means(*seen, **kind)) for rows, *seen in self._chunks(inputs))
        for rows, part in in_flight(computed):
            found[rows] = np.asarray(part)[: len(rows)]
        return self.labels.restore(found)

    def rehearsals(self, missing: NDArray[np.bool_]) -> Sequence[MaskedValidation]:
        """Say on what stars the networks of every set are calibrated."""
        return self.sets.rehearsals(missing)

    def _chunks(self, inputs: Inputs) -> Iterator[tuple[NDArray[np.intp], MixtureNetwork, jax.Array, jax.Array]]:
        """Yield row numbers, the networks that serve them, and what these see, padded to one of few lengths."""
        serving = self.sets.serving(inputs.missing)
        for number, members in enumerate(_members(self.config, self.sets)):
            own = np.flatnonzero(serving == number)
            if not own.size:
                continue
            networks = jax.tree.map(lambda leaf, m=members: leaf[m.start : m.stop], self.networks)
            view = self.views[number]
            for start in range(0, len(own), BLOCK):
                rows = own[start : start + BLOCK]
                chunk = inputs.rows(rows)
                yield (
                    rows,
                    networks,
                    jnp.asarray(padded(view.values(chunk))),
                    jnp.asarray(padded(view.flags(chunk))),
                )

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what :meth:`from_state` needs."""
        document = {
            "config": self.config.model_dump(mode="json"),
            "n_inputs": self.sets.used.shape[1],
            "n_labels": len(self.labels.mean),
            "n_sets": len(self.sets.used),
        }
        arrays = {
            "sets": self.sets.used,
            **prefixed("labels", self.labels.state()),
            **prefixed("networks", tree_to_arrays(self.networks)),
        }
        for number, view in enumerate(self.views):
            arrays |= prefixed(f"view{number}", view.state())
        return document, arrays

    @classmethod
    def from_state(cls, document: Mapping[str, Any], arrays: Arrays) -> Mixture:
        """Rebuild from :meth:`state`."""
        stored, n_inputs, n_labels, n_sets = (
            entry(document, key, "regressor") for key in ("config", "n_inputs", "n_labels", "n_sets")
        )
        config = validate(MixtureConfig, stored, "stored model: regressor.config")
        used = take(arrays, "regressor", "sets", (n_sets, n_inputs), np.bool_)
        sets = BandSets(used, config.rare_members > 0)
        views = tuple(
            View.from_state(under(f"view{number}", arrays), n_inputs, config.whiten) for number in range(len(sets))
        )
        one = _new_network(np.random.default_rng(), config, n_labels, n_inputs)
        n_networks = _members(config, sets)[-1].stop
        skeleton = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (n_networks, *leaf.shape)), one)
        networks = tree_from_arrays(skeleton, under("networks", arrays), "regressor")
        return cls(config, sets, views, LabelScaler.from_state(under("labels", arrays), n_labels), networks)


def n_epochs(config: MixtureConfig, n_stars: int) -> int:
    """Length of the training: as chosen, or as many epochs as it takes for enough steps, within limits."""
    if config.epochs is not None:
        return config.epochs
    return int(np.clip(STEPS // n_steps(n_stars, config.batch), *EPOCHS))


def _members(config: MixtureConfig, sets: BandSets) -> list[range]:
    """Return the numbers of the networks of every set."""
    sizes = [config.members, *[config.set_members] * (len(sets.used) - 1)]
    if sets.rare:
        sizes.append(config.rare_members)
    return [range(a, b) for a, b in pairwise([0, *accumulate(sizes)])]


def _views(sets: BandSets, inputs: Inputs, *, whiten: bool) -> tuple[View, ...]:
    had_gaps = np.asarray(inputs.missing.any(axis=0))
    views = []
    for number in range(len(sets)):
        # Networks for rare sets see every gap; the others those that their training stars have.
        flagged = np.ones_like(had_gaps) if number == len(sets.used) else had_gaps
        views.append(View.fit(inputs, sets.inputs_of(number), flagged, whiten=whiten))
    return tuple(views)


def _new_network(rng: np.random.Generator, config: MixtureConfig, n_labels: int, n_inputs: int) -> MixtureNetwork:
    return MixtureNetwork(
        rng,
        n_values=2 * n_inputs if config.whiten else n_inputs,
        n_flags=n_inputs,
        n_labels=n_labels,
        width=config.width,
        depth=config.layers,
        components=config.components,
        frequencies=config.frequencies,
        frequency_scale=config.frequency_scale,
    )
