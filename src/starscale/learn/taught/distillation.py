"""One small network for each group of an ensemble, trained on what the ensemble predicts.

Knowledge distillation (Hinton, Vinyals & Dean 2015, arXiv 1503.02531) for densities: in every epoch the ensemble
sees a new copy of the training stars, labels are drawn from the mixture that it predicts for each, and the small
network maximises their likelihood. In the limit of many draws this minimises the Kullback-Leibler divergence from
the ensemble. The labels of the stars count as much as the drawn ones, which alone give a worse network. As labels
are many, a smaller network is enough, and can be trained for longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from starscale.learn.compilation import seeded
from starscale.learn.density import MixtureDensity, pooled
from starscale.learn.losses import negative_log_likelihood, rarity_weights
from starscale.learn.mixture import Mixture, member_numbers, n_epochs, new_network, one_cycle
from starscale.learn.networks import MixtureNetwork
from starscale.learn.preparation import Inputs
from starscale.learn.regressor import BLOCK, FitContext, padded
from starscale.learn.training.ensemble import train_together
from starscale.learn.training.epochs import n_steps
from starscale.learn.view import Lens
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.models import MixtureConfig, Precision

#: Size of the layers of the small network.
WIDTH = 128
#: Draws of the labels of a star in every epoch.
DRAWS = 4
#: Part of the loss that is of the labels of the stars, and epochs as a multiple of those of the ensemble.
MEASURED, LONGER = 0.5, 2
PHASE = "distillation"


@dataclass(frozen=True)
class _TaughtLoss:
    """Negative log-likelihood of labels drawn from the ensemble, and of those of the stars.

    A batch is (values, flags, draws of shape (n, DRAWS, n_labels), standardised labels, present, weight).
    """

    components: int
    precision: Precision

    def __call__(
        self, network: MixtureNetwork, statistics: None, constants: None, batch: Any, key: jax.Array
    ) -> tuple[jax.Array, None]:
        del statistics, constants, key
        values, flags, drawn, *measured = batch
        density = MixtureDensity.from_head(network(values, flags, self.precision), self.components)
        likelihood = jax.vmap(lambda t: density.log_density(t, jnp.ones_like(t)), in_axes=1)(drawn)
        taught = -likelihood.mean() / drawn.shape[2]
        return (1 - MEASURED) * taught + MEASURED * negative_log_likelihood(density, *measured), None


@partial(jax.jit, static_argnames=("components",))
def _drawn(
    networks: MixtureNetwork,
    lens: Lens,
    values: jax.Array,
    missing: jax.Array,
    key: jax.Array,
    *,
    components: int,
) -> jax.Array:
    """Draw standardised labels from what networks predict: shape (n, DRAWS, n_labels)."""
    return pooled(networks, lens, values, missing, components).draw(key, DRAWS)


def small(config: MixtureConfig) -> MixtureConfig:
    """Return the settings of the small network of an ensemble."""
    return config.model_copy(
        update={
            "members": 1,
            "set_members": min(config.set_members, 1),
            "rare_members": min(config.rare_members, 1),
            "width": min(config.width, WIDTH),
        }
    )


def distilled(teacher: Mixture, y: FloatArray, context: FitContext) -> Mixture:
    """Train a small network for each group of networks of an ensemble.

    Parameters
    ----------
    teacher : Mixture
    y : ndarray, shape (n, n_labels)
        Labels of the training stars, NaN where missing.
    context : FitContext
        Its observations are the training stars.

    Returns
    -------
    Mixture
        With the sets of inputs, views and scaling of the ensemble.
    """
    seed, stars = context.seed, context.observations
    config, n_labels, n_stars = small(teacher.config), len(teacher.labels.mean), len(stars.sample)
    groups = member_numbers(config, len(teacher.sets.used))
    noise, epochs = teacher.config.noise and stars.noisy, LONGER * n_epochs(config, n_stars)
    present = ~np.isnan(y)
    t = np.where(present, teacher.labels.transform(y), 0.0)
    weight = rarity_weights(t, present, config.rare_power)
    measured = [jnp.asarray(array, jnp.float32) for array in (t, present, weight)]

    @lru_cache(maxsize=1)
    def observed(epoch: int, gaps: bool) -> Inputs:
        return stars.resampled((seed, epoch, int(gaps)), noise=noise, gaps=gaps)

    def data(epoch: int, number: int) -> tuple[jax.Array, ...]:
        copy, view = observed(epoch, number == len(teacher.sets.used)), teacher.views[number]
        key = jax.random.fold_in(jax.random.fold_in(seeded(seed), epoch), number)
        drawn = _labels(teacher, number, copy, key)
        return jnp.asarray(view.values(copy)), jnp.asarray(view.flags(copy)), drawn, *measured

    rng = np.random.default_rng(seed)
    networks = train_together(
        [new_network(rng, config, n_labels, len(teacher.views[0].used)) for _ in range(groups[-1].stop)],
        data,
        groups,
        loss=_TaughtLoss(config.components, config.precision),
        optimiser=one_cycle(config.learning_rate, config.weight_decay, epochs * n_steps(n_stars, config.batch)),
        batch=config.batch,
        epochs=epochs,
        context=context,
        phase=PHASE,
    )
    return Mixture(config, teacher.sets, teacher.views, teacher.labels, networks)


def _labels(teacher: Mixture, number: int, inputs: Inputs, key: jax.Array) -> jax.Array:
    """Draw labels for all stars from a group of networks, `BLOCK` stars at a time."""
    parts = []
    for start in range(0, len(inputs), BLOCK):
        chunk = inputs.rows(np.arange(start, min(start + BLOCK, len(inputs))))
        seen = jnp.asarray(padded(chunk.values)), jnp.asarray(padded(chunk.missing))
        part = _drawn(
            teacher.groups[number],
            teacher.views[number].lens,
            *seen,
            jax.random.fold_in(key, start),
            components=teacher.config.components,
        )
        parts.append(part[: len(chunk)])
    return jnp.concatenate(parts)
