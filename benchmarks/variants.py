"""Other losses, settings and starts of the default's networks, beside the default.

    python benchmarks/variants.py [TABLE ...] [--only NAME ...] [--seeds 901 902]

Tables are those of ``distil.py``. Each variant is an ensemble of five networks for all bands, trained on the
training part and judged on all other stars, which it has not seen; seeds are those of the split and of the
networks. Printed for each label: RMSE of the mean, MAD of the median and CRPS over those of the default with the
same seed, mean and spread over the seeds; and the fewest seconds of the processor that a training took over the
default's.

========= =============================================================================================
student   components of Student's t with 10 degrees of freedom (in predictions, Gaussians of their widths)
robust    1 % of the labels come from a broad Gaussian, whatever the inputs
weighted  a star's weight is the predicted width to the power 1 (Seitzer et al. 2022, with beta = 0.5)
squared   the squared error of the mean is added to the loss
scored    the CRPS of every label is added to the loss
averaged  weights averaged over the last quarter of the epochs (Izmailov et al. 2018)
denoised  hidden layers that have learnt all inputs of all stars, from copies with noise and gaps
decay     five times the weight decay
deep      four layers, and twice the scale of the frequencies
ten       ten networks
========= =============================================================================================
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jax.scipy.stats import norm

import distil
from starscale.io.threads import one_thread_each
from starscale.learn import mixture
from starscale.learn.density import MixtureDensity
from starscale.learn.losses import negative_log_likelihood
from starscale.learn.networks import MixtureNetwork
from starscale.learn.observations import Observations
from starscale.learn.preparation import InputPreparation
from starscale.learn.regressor import FitContext, LabelTargets
from starscale.learn.training import ensemble
from starscale.learn.training.checkpoint import Checkpoint
from starscale.model.scores import PROBABILITIES, crps
from starscale.pipeline.learnable import TrainingArrays
from starscale.vocabulary.progress import SILENT
from starscale.vocabulary.settings.models import MixtureConfig

#: Degrees of freedom of `student`; share and width of the wrong labels of `robust`, in standard deviations of all.
FREEDOM, WRONG, BROAD = 10.0, 0.01, 1.5
#: Share of the epochs whose weights are averaged.
LAST = 0.25
#: An ensemble for all bands.
ONE_GROUP = {"set_members": 0, "rare_members": 0}


@dataclass(frozen=True)
class Task:
    """What is to be learnt: the stars, their inputs, the networks' settings."""

    stars: TrainingArrays
    rows: dict[str, np.ndarray]
    seed: int
    preparation: InputPreparation
    config: MixtureConfig

    def fit(self, part: str, y: np.ndarray | None = None, **settings: Any) -> mixture.Mixture:
        """Train networks on the labels of a part of the stars, or on other labels of these stars."""
        sample = self.stars.noisy_sample(self.rows[part], self.seed)
        inputs = self.preparation.apply(sample.x)
        made_of = self.stars.made_of.of(self.preparation.usable)
        context = FitContext(
            self.seed, Observations(sample, self.preparation, made_of), SILENT, "variant", Checkpoint()
        )
        y = sample.y if y is None else y
        given = inputs, LabelTargets(tuple(map(str, range(y.shape[1]))), y)
        return mixture.Mixture.fit(self.config.model_copy(update=settings), given, given, context)


def student(d: MixtureDensity, t: jax.Array, present: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log-likelihood of components of Student's t."""
    z = (t[:, None, :] - d.mean) * jnp.exp(-d.log_sigma)
    norming = gammaln((FREEDOM + 1) / 2) - gammaln(FREEDOM / 2) - 0.5 * np.log(FREEDOM * np.pi)
    terms = norming - (FREEDOM + 1) / 2 * jnp.log1p(z**2 / FREEDOM) - d.log_sigma
    found = jax.nn.logsumexp(d.log_weight + (terms * present[:, None, :]).sum(axis=2), axis=1)
    return -(weight * found).mean() / t.shape[1]


def robust(d: MixtureDensity, t: jax.Array, present: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log-likelihood where some labels are wrong."""
    broad = (norm.logpdf(t, scale=BROAD) * present).sum(axis=1)
    found = jnp.logaddexp(jnp.log1p(-WRONG) + d.log_density(t, present), jnp.log(WRONG) + broad)
    return -(weight * found).mean() / t.shape[1]


def weighted(d: MixtureDensity, t: jax.Array, present: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log-likelihood that does not leave the stars with wide distributions to the others."""
    share, away = jnp.exp(d.log_weight)[:, :, None], d.mean - d.average()[:, None, :]
    variance = (share * (jnp.exp(2 * d.log_sigma) + away**2)).sum(axis=1)
    width = jax.lax.stop_gradient(jnp.exp(0.5 * jnp.log(variance).mean(axis=1)))
    return negative_log_likelihood(d, t, present, weight * width / width.mean())


def squared(d: MixtureDensity, t: jax.Array, present: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log-likelihood and squared error."""
    error = (weight[:, None] * present * (d.average() - t) ** 2).mean()
    return negative_log_likelihood(d, t, present, weight) + error


def scored(d: MixtureDensity, t: jax.Array, present: jax.Array, weight: jax.Array) -> jax.Array:
    """Negative log-likelihood and CRPS (of a mixture of Gaussians: Grimit et al. 2006)."""
    share, sigma = jnp.exp(d.log_weight)[:, :, None], jnp.exp(d.log_sigma)

    def distance(mean: jax.Array, width: jax.Array) -> jax.Array:
        return mean * (2 * norm.cdf(mean / width) - 1) + 2 * width * norm.pdf(mean / width)

    to_label = (share * distance(t[:, None, :] - d.mean, sigma)).sum(axis=1)
    between = d.mean[:, :, None, :] - d.mean[:, None, :, :]
    width = jnp.sqrt(sigma[:, :, None, :] ** 2 + sigma[:, None, :, :] ** 2)
    own = (share[:, :, None] * share[:, None] * distance(between, width)).sum(axis=(1, 2))
    return negative_log_likelihood(d, t, present, weight) + (present * (to_label - 0.5 * own)).mean()


class Averaged(ensemble._Threaded):
    """Trains as the default does; the weights that it returns are averaged over the last epochs."""

    kept: list[list[Any]]

    def run(self, *given: Any) -> list[Any]:
        """Train the one group for an epoch."""
        losses = super().run(*given)
        self.kept = [*getattr(self, "kept", []), list(super().states())]
        return losses

    def states(self) -> list[Any]:
        """Return the state of every network."""
        last = self.kept[-max(int(LAST * len(self.kept)), 1) :]
        averages = [
            jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *(s.params for s in each))
            for each in zip(*last, strict=True)
        ]
        return [state._replace(params=mean) for state, mean in zip(last[-1], averages, strict=True)]


def with_loss(loss: Callable[..., jax.Array], task: Task) -> mixture.Mixture:
    """Train with another loss."""
    with patch.object(mixture, "negative_log_likelihood", loss):
        return task.fit("train")


def with_settings(task: Task, **settings: Any) -> mixture.Mixture:
    """Train with other settings."""
    return task.fit("train", **settings)


def averaged(task: Task) -> mixture.Mixture:
    """Train with averaged weights."""
    with patch.object(ensemble, "_Threaded", Averaged):
        return task.fit("train")


def denoised(task: Task) -> mixture.Mixture:
    """Train networks whose hidden layers have learnt to predict the inputs of all stars."""
    values = task.preparation.apply(task.stars.x[task.rows["all"]])
    inputs = np.where(values.missing, np.nan, values.values)
    # The networks that are trained with gaps, which are the last ones.
    first = task.fit("all", inputs, members=1, set_members=1, rare_members=task.config.members).networks
    original, numbers = mixture.new_network, iter(range(-task.config.members, 0))

    def started(*given: Any) -> MixtureNetwork:
        number = next(numbers)
        learnt = jax.tree.map(lambda leaf: leaf[number], first)
        return replace(original(*given), embedding=learnt.embedding, layers=learnt.layers)

    with patch.object(mixture, "new_network", started):
        return task.fit("train")


VARIANTS: dict[str, Callable[[Task], mixture.Mixture]] = {
    "default": with_settings,
    "student": partial(with_loss, student),
    "robust": partial(with_loss, robust),
    "weighted": partial(with_loss, weighted),
    "squared": partial(with_loss, squared),
    "scored": partial(with_loss, scored),
    "averaged": averaged,
    "denoised": denoised,
    "decay": partial(with_settings, weight_decay=0.5),
    "deep": partial(with_settings, layers=4, frequency_scale=0.1),
    "ten": partial(with_settings, members=10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    distil.add_tables(parser)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[901, 902])
    asked = parser.parse_args()
    for table in asked.tables or distil.TABLES:
        stars = distil.prepared(table)
        found = {
            name: [measured(stars, seed, VARIANTS[name]) for seed in asked.seeds]
            for name in dict.fromkeys(["default", *asked.only])
        }
        for name in asked.only:
            show(table, name, stars.run.config.target, np.array(found[name]), np.array(found["default"]))


def show(table: str, name: str, labels: Sequence[str], own: np.ndarray, default: np.ndarray) -> None:
    """Print the figures of a variant over those of the default, both of shape (n_seeds, 1 + 3 n_labels)."""
    ratios = (own / default)[:, 1:].reshape(len(own), -1, 3)
    mean, spread = ratios.mean(axis=0), ratios.std(axis=0, ddof=1 if len(own) > 1 else 0)
    cost = own[:, 0].min() / default[:, 0].min()
    print(f"{table} {name}: {cost:.2f} times the seconds of the processor")
    for label, *rows in zip(labels, mean, spread, strict=True):
        texts = (f"{what} {m:.4f} +- {s:.4f}" for what, m, s in zip(("RMSE", "MAD", "CRPS"), *rows, strict=True))
        print(f"  {label}: {', '.join(texts)}", flush=True)


@one_thread_each
def measured(stars: TrainingArrays, seed: int, variant: Callable[[Task], mixture.Mixture]) -> list[float]:
    """Seconds of the processor, and RMSE, MAD and CRPS of every label."""
    # Programs of another loss are others, though their arguments are equal.
    jax.clear_caches()
    rows = stars.rows(seed - stars.run.config.seed)
    rows["all"] = np.concatenate(list(rows.values()))
    preparation = InputPreparation.fit(stars.x[rows["train"]], mixture.Mixture.scaling, seed)
    task = Task(stars, rows, seed, preparation, stars.run.config.model.model_copy(update=ONE_GROUP))
    before = sum(os.times()[:2])
    networks = variant(task)
    seconds = sum(os.times()[:2]) - before
    held = np.setdiff1d(rows["all"], rows["train"])
    inputs, y = preparation.apply(stars.x[held]), stars.y[held]
    mean = networks.means(inputs)
    quantiles = networks.quantiles(inputs, np.array([0.5, *PROBABILITIES]))
    return [
        seconds,
        *(figure for i in range(y.shape[1]) for figure in figures(mean[:, i], quantiles[:, i], y[:, i])),
    ]


def figures(mean: np.ndarray, quantiles: np.ndarray, y: np.ndarray) -> list[float]:
    """RMSE of the mean, MAD of the median (the first quantile), CRPS."""
    known = ~np.isnan(y)
    off = quantiles[known, 0] - y[known]
    mad = np.median(np.abs(off - np.median(off)))
    rmse = np.sqrt(((mean - y)[known] ** 2).mean())
    return [float(rmse), float(mad), float(crps(quantiles[known, 1:], y[known]).mean())]


if __name__ == "__main__":
    main()
