"""The default learner: networks that predict the joint density of all labels as a mixture of Gaussians.

Mixture density networks: Bishop (1994). The dwarf and the giant solution of the same colours are two components,
so the two modes of the surface gravity are both described and not averaged. The number of epochs is fixed (one
cycle of the learning rate; Smith 2018), which leaves the validation part untouched for the calibration. Stars
without some bands are predicted by networks that were trained without them (:mod:`.band_sets`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import entry, expected, stored_as
from starscale.learn.band_sets import BandSets
from starscale.learn.density import (
    PROBABILITIES,
    MixtureDensity,
    means_of_block,
    predict_block,
    quantiles_of_block,
    tilted_block,
)
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
    Tilt,
    in_flight,
    padded,
)
from starscale.learn.scaling import LabelScaler
from starscale.learn.training.ensemble import train_together
from starscale.learn.training.epochs import Optimiser, n_steps, stacked_skeleton
from starscale.learn.view import Lens, View
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later
from starscale.vocabulary.settings.models import MixtureConfig, Precision
from starscale.vocabulary.strict import validate

#: Needed in training alone.
optax = Later("optax")

#: Fewest and most epochs, and the number of steps that is aimed at in between: small samples need more epochs.
EPOCHS, STEPS = (20, 40), 2600
#: Fewest and most frequencies of an input, and the number of all that is aimed at in between: labels depend on
#: finer details of few inputs, whose waves cost little.
FREQUENCIES, WAVES = (8, 16), 128
WARM_UP = 0.15
BETAS = (0.9, 0.98)


@dataclass(frozen=True)
class _MixtureLoss:
    """Negative log-likelihood of a batch of (values, flags, standardised labels, present, weight)."""

    components: int
    precision: Precision

    def __call__(
        self, network: MixtureNetwork, statistics: None, constants: None, batch: Any, key: jax.Array
    ) -> tuple[jax.Array, None]:
        del statistics, constants, key
        values, flags, t, present, weight = batch
        density = MixtureDensity.from_head(network(values, flags, self.precision), self.components)
        return negative_log_likelihood(density, t, present, weight), None


def _decays(network: MixtureNetwork) -> Any:
    """Return which leaves decay: weights do; biases, frequencies and phases do not."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].name == "weight", network)


@lru_cache(maxsize=8)
def one_cycle(learning_rate: float, weight_decay: float, total_steps: int) -> Optimiser:
    """AdamW with one cycle of the learning rate: a linear rise, then half a cosine down to 0."""
    warm = max(round(WARM_UP * total_steps), 1)
    schedule = optax.join_schedules(
        [
            optax.linear_schedule(learning_rate / warm, learning_rate, warm),
            optax.cosine_decay_schedule(learning_rate, max(total_steps - warm, 1)),
        ],
        [warm],
    )
    return optax.adamw(schedule, *BETAS, weight_decay=weight_decay, mask=_decays)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Mixture:
    """Trained networks, the sets of inputs that they predict from, and the view of each group of networks.

    The validation part is not used in training. Networks of all groups are stacked along the first axis of
    `networks`.
    """

    kind: ClassVar[str] = "mixture"
    scaling: ClassVar[Scaling] = "robust"

    config: MixtureConfig
    sets: BandSets
    views: tuple[View, ...] = field(metadata=stored_as("view{}"))
    labels: LabelScaler
    networks: MixtureNetwork

    @classmethod
    def fit(
        cls,
        config: MixtureConfig,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],  # noqa: ARG003
        context: FitContext,
    ) -> Mixture:
        """Train all networks in parallel; the validation part is not used."""
        seed, observations = context.seed, context.observations
        # What a bundle states must not depend on a rule that another build may change.
        config = config.model_copy(update={"frequencies": n_frequencies(config, train[0].values.shape[1])})
        # A star without any label has no loss.
        known = np.flatnonzero(~np.isnan(train[1].y).all(axis=1))
        inputs, y = train[0].rows(known), train[1].y[known]
        scaler, present = LabelScaler.fit(y), ~np.isnan(y)
        t = np.where(present, scaler.transform(y), 0.0)
        fixed = [jnp.asarray(a, jnp.float32) for a in (t, present, rarity_weights(t, present, config.rare_power))]
        sets = BandSets.common(
            inputs.missing,
            share=config.set_share,
            most=config.most_sets if config.set_members else 0,
            shared=config.rare_members > 0,
        )
        views = _views(sets, inputs, whiten=config.whiten)
        noise = config.noise and observations.noisy

        @lru_cache(maxsize=1)
        def observed(epoch: int, gaps: bool) -> Inputs:
            # All groups of an epoch but the last one train on the same copy, so keeping one copy is enough.
            if not (noise or gaps):
                return inputs
            return observations.resampled((seed, epoch, int(gaps)), noise=noise, gaps=gaps).rows(known)

        def stars(epoch: int, number: int) -> tuple[jax.Array, ...]:
            copy, view = observed(epoch, number == len(sets.used)), views[number]
            return (jnp.asarray(view.values(copy)), jnp.asarray(view.flags(copy)), *fixed)

        rng, groups = np.random.default_rng(seed), member_numbers(config, len(sets.used))
        epochs = n_epochs(config, len(inputs))
        networks = train_together(
            [new_network(rng, config, y.shape[1], len(views[0].used)) for _ in range(groups[-1].stop)],
            stars,
            groups,
            loss=_MixtureLoss(config.components, config.precision),
            optimiser=one_cycle(
                config.learning_rate, config.weight_decay, epochs * n_steps(len(inputs), config.batch)
            ),
            batch=config.batch,
            epochs=epochs,
            context=context,
        )
        return cls(config, sets, views, scaler, networks)

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:
        """Predict median (the value), mean, intervals, correlations, and the two solutions of a threshold."""
        return self.predict_density(inputs, threshold)

    def predict_density(
        self,
        inputs: Inputs,
        threshold: Threshold | None = None,
        below: tuple[Threshold, ...] = (),
        tilt: Tilt | None = None,
        moved: Inputs | None = None,
    ) -> RawPrediction:
        """Predict also the probabilities below further thresholds, labels under other priors, and a change."""
        (column, cut), *further = (self._standardised(item) for item in (threshold, *below))
        cuts = np.array([cut, *(value for _, value in further)], dtype=np.float32)
        labels_below = np.array([item.label for item in below], dtype=np.int32)
        found = self._outputs(inputs, moved, cuts, column, labels_below)
        median, *ends = np.moveaxis(self.labels.restore(found["quantiles"]), 1, 0)
        n_levels = len(LEVELS)
        raw = RawPrediction(
            value=median,
            mean=self.labels.restore(found["mean"]),
            lower=np.stack(ends[:n_levels], axis=-1),
            upper=np.stack(ends[n_levels:], axis=-1),
            p_below=found.get("p_below"),
            correlation=found["correlation"],
            solutions=self.labels.restore(found["solutions"]) if "solutions" in found else None,
            member=self.sets.serving(inputs.missing),
            imputed=~self.sets.exact(inputs.missing),
            change=found["change"] * self.labels.width if moved is not None else None,
            below=found["below"],
        )
        return raw if tilt is None else self._tilted(raw, inputs, threshold, below, tilt)

    def _outputs(
        self, inputs: Inputs, moved: Inputs | None, cuts: Any, threshold: int | None, below: Any
    ) -> dict[str, FloatArray]:
        """Return the fields of :class:`.density.BlockOutputs` of all stars, the stars along the first axis."""
        kind = {"components": self.config.components, "threshold": threshold}

        def change(rows: NDArray[np.intp]) -> NDArray[np.float32] | None:
            return None if moved is None else padded(moved.values[rows] - inputs.values[rows])

        computed = (
            (rows, predict_block(*seen, change(rows), cuts, below, **kind)) for rows, *seen in self._blocks(inputs)
        )
        n, n_labels = len(inputs), len(self.labels.mean)
        shapes: dict[str, tuple[int, ...]] = {
            "mean": (n_labels,),
            "quantiles": (len(PROBABILITIES), n_labels),
            "correlation": (n_labels, n_labels),
            "below": (len(below),),
            **({} if threshold is None else {"p_below": (), "solutions": (2, n_labels)}),
            **({} if moved is None else {"change": (n_labels,)}),
        }
        found = {name: np.empty((n, *shape)) for name, shape in shapes.items()}
        for rows, block in in_flight(computed):
            for name, array in found.items():
                array[rows] = np.asarray(getattr(block, name))[: len(rows)]
        return found

    def _tilted(
        self,
        raw: RawPrediction,
        inputs: Inputs,
        threshold: Threshold | None,
        below: tuple[Threshold, ...],
        tilt: Tilt,
    ) -> RawPrediction:
        """Return a prediction with the labels of other priors in the place of those of the training."""
        found = {name: np.array(getattr(raw, name)) for name in ("value", "mean", "lower", "upper", "below")}
        p_below = raw.p_below
        for label in tilt.changed:
            own = [number for number, item in enumerate(below) if item.label == label]
            of_limit = [threshold] if threshold is not None and threshold.label == label else []
            cuts = [*of_limit, *(below[number] for number in own)]
            mean, quantiles, shares = self._under(inputs, label, tilt, [item.value for item in cuts])
            found["value"][:, label], found["mean"][:, label] = quantiles[:, 0], mean
            found["lower"][:, label], found["upper"][:, label] = np.split(quantiles[:, 1:], 2, axis=1)
            found["below"][:, own] = shares[:, len(of_limit) :]
            if of_limit:
                p_below = shares[:, 0]
        return replace(raw, p_below=p_below, **found)

    def _under(
        self, inputs: Inputs, label: int, tilt: Tilt, cuts: Sequence[float]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean (n,), quantiles (n, n_probabilities) and probabilities below `cuts` of a label with a new prior."""
        center, width = self.labels.mean[label], self.labels.width[label]
        bins = jnp.asarray((tilt.edges[label] - center) / width, jnp.float32)
        weight = jnp.asarray(tilt.weight[label], jnp.float32)
        scaled = jnp.asarray((np.array(cuts, dtype=np.float64) - center) / width, jnp.float32)
        mean, found = np.empty(len(inputs)), np.empty((len(inputs), len(PROBABILITIES)))
        shares = np.empty((len(inputs), len(cuts)))
        kind = {"components": self.config.components, "label": label}
        given = (bins, weight, scaled)
        computed = ((rows, tilted_block(*seen, *given, **kind)) for rows, *seen in self._blocks(inputs))
        for rows, part in in_flight(computed):
            mean[rows], found[rows], shares[rows] = (np.asarray(array)[: len(rows)] for array in part)
        return center + width * mean, center + width * found, shares

    def _standardised(self, threshold: Threshold | None) -> tuple[int | None, float]:
        """Return the column of a threshold and its value on the scale of the networks."""
        if threshold is None:
            return None, 0.0
        column = threshold.label
        return column, (threshold.value - self.labels.mean[column]) / self.labels.width[column]

    def quantiles(self, inputs: Inputs, probabilities: FloatArray) -> FloatArray:
        """Return quantiles of the pooled mixture: shape (n, n_labels, n_probabilities)."""
        found = np.empty((len(inputs), len(self.labels.mean), len(probabilities)))
        wanted = jnp.asarray(probabilities, jnp.float32)
        kind = {"components": self.config.components}
        computed = ((rows, quantiles_of_block(*seen, wanted, **kind)) for rows, *seen in self._blocks(inputs))
        for rows, part in in_flight(computed):
            found[rows] = np.asarray(part)[: len(rows)]
        return np.moveaxis(self.labels.restore(np.moveaxis(found, 2, 0)), 0, 2)

    def means(self, inputs: Inputs) -> FloatArray:
        """Return the mean of every label, shape (n, n_labels)."""
        found = np.empty((len(inputs), len(self.labels.mean)))
        kind = {"components": self.config.components}
        computed = ((rows, means_of_block(*seen, **kind)) for rows, *seen in self._blocks(inputs))
        for rows, part in in_flight(computed):
            found[rows] = np.asarray(part)[: len(rows)]
        return self.labels.restore(found)

    def masked_validations(self, missing: NDArray[np.bool_]) -> Sequence[MaskedValidation]:
        """Return the masked validation stars on which the networks of every set are calibrated."""
        return self.sets.masked_validations(missing)

    @cached_property
    def groups(self) -> list[MixtureNetwork]:
        """The networks of every set of bands, folded, once: it takes as long as predicting thousands of stars."""
        # Cut by numpy: on the device every cut is a program to compile. Folded together: then all groups have
        # series of as many terms, and share programs.
        n_values = self.sets.used.shape[1] * (2 if self.config.whiten else 1)
        folded = jax.tree.map(np.asarray, self.networks).folded(self.config.precision, n_values)
        return [
            jax.tree.map(lambda leaf, m=members: jax.device_put(leaf[m.start : m.stop]), folded)
            for members in member_numbers(self.config, len(self.sets.used))
        ]

    def _blocks(
        self, inputs: Inputs
    ) -> Iterator[tuple[NDArray[np.intp], MixtureNetwork, Lens, NDArray[np.float32], NDArray[np.bool_]]]:
        """Yield row numbers, the networks that predict these rows, their view, and `BLOCK` rows of inputs."""
        serving = self.sets.serving(inputs.missing)
        for number, networks in enumerate(self.groups):
            own = np.flatnonzero(serving == number)
            if not own.size:
                continue
            lens = self.views[number].lens
            for start in range(0, len(own), BLOCK):
                rows = own[start : start + BLOCK]
                chunk = inputs.rows(rows)
                yield (
                    rows,
                    networks,
                    lens,
                    padded(chunk.values),
                    padded(chunk.missing),
                )

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        # As in the bundles of earlier builds, which knew only this precision.
        left_out = {"precision"} if self.config.precision == "float32" else None
        return {
            "config": self.config.model_dump(mode="json", exclude=left_out),
            "n_inputs": self.sets.used.shape[1],
            "n_labels": len(self.labels.mean),
            "n_sets": len(self.sets.used),
        }

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Mixture:
        """Return networks of the stored shape, to be filled with stored arrays."""
        stored, n_inputs, n_labels, n_sets = (
            entry(document, key, "regressor") for key in ("config", "n_inputs", "n_labels", "n_sets")
        )
        config = validate(MixtureConfig, {"precision": "float32", **stored}, "stored model: regressor.config")
        groups = member_numbers(config, n_sets)
        one = new_network(np.random.default_rng(), config, n_labels, n_inputs)
        return cls(
            config,
            BandSets(expected(n_sets, n_inputs, dtype=np.bool_), config.rare_members > 0),
            tuple(View.skeleton(whiten=config.whiten) for _ in groups),
            LabelScaler.skeleton(),
            stacked_skeleton(one, groups[-1].stop),
        )


def n_frequencies(config: MixtureConfig, n_inputs: int) -> int:
    """Number of frequencies of an input: as chosen, or `WAVES` in all, within the limits of `FREQUENCIES`."""
    if config.frequencies is not None:
        return config.frequencies
    return int(np.clip(WAVES // n_inputs, *FREQUENCIES))


def n_epochs(config: MixtureConfig, n_stars: int) -> int:
    """Number of epochs: as chosen, or as many as give `STEPS` steps, within the limits of `EPOCHS`."""
    if config.epochs is not None:
        return config.epochs
    return int(np.clip(STEPS // n_steps(n_stars, config.batch), *EPOCHS))


def member_numbers(config: MixtureConfig, n_sets: int) -> list[range]:
    """Return the numbers of the networks of every set, and of the shared ones if there are any."""
    sizes = [config.members, *[config.set_members] * (n_sets - 1)]
    if config.rare_members:
        sizes.append(config.rare_members)
    return [range(a, b) for a, b in pairwise([0, *accumulate(sizes)])]


def _views(sets: BandSets, inputs: Inputs, *, whiten: bool) -> tuple[View, ...]:
    had_gaps = np.asarray(inputs.missing.any(axis=0))
    views = []
    for number in range(len(sets)):
        # The shared networks flag every gap; the others only gaps that occur in their training stars.
        flagged = np.ones_like(had_gaps) if number == len(sets.used) else had_gaps
        views.append(View.fit(inputs, sets.inputs_of(number), flagged, whiten=whiten))
    return tuple(views)


def new_network(rng: np.random.Generator, config: MixtureConfig, n_labels: int, n_inputs: int) -> MixtureNetwork:
    """Return an untrained network of these settings."""
    return MixtureNetwork.drawn(
        rng,
        n_values=2 * n_inputs if config.whiten else n_inputs,
        n_flags=n_inputs,
        n_labels=n_labels,
        width=config.width,
        depth=config.layers,
        components=config.components,
        frequencies=n_frequencies(config, n_inputs),
        frequency_scale=config.frequency_scale,
    )
