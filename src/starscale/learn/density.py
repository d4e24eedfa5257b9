"""Mixtures of diagonal Gaussians: density, moments, quantiles; and what networks predict for blocks of stars."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from starscale.learn.compilation import changed, full_precision
from starscale.learn.networks import MixtureNetwork
from starscale.learn.regressor import LEVELS
from starscale.learn.view import Lens

#: Halvings of the bracket of a quantile: then the distribution within it is linear, as far as single precision
#: resolves.
BISECTIONS = 16
#: ``log sigma = 3 tanh(s / 3) - 1`` keeps every width between exp(-4) and exp(2) standard deviations.
LOG_SIGMA_RANGE = 3.0
LOG_SIGMA_CENTER = -1.0
#: Networks of a group whose mean is differentiated: it takes longer than to run them.
FEW = 1
#: Median, then the lower and the upper ends of the intervals of LEVELS.
PROBABILITIES = (0.5, *(0.5 - level / 2 for level in LEVELS), *(0.5 + level / 2 for level in LEVELS))


class MixtureDensity(NamedTuple):
    """One mixture for each star, over the joint space of standardised labels.

    Parameters
    ----------
    log_weight : array, shape (n, n_components)
        Logarithms of weights that sum to 1.
    mean, log_sigma : array, shape (n, n_components, n_labels)
        Centres and widths of the components.
    """

    log_weight: jax.Array
    mean: jax.Array
    log_sigma: jax.Array

    @classmethod
    def from_head(cls, head: jax.Array, components: int) -> MixtureDensity:
        """Read the output of a network, shape (n, components * (1 + 2 n_labels))."""
        logits, rest = head[:, :components], head[:, components:]
        mean, raw = jnp.split(rest.reshape(head.shape[0], components, -1), 2, axis=2)
        log_sigma = LOG_SIGMA_RANGE * jnp.tanh(raw / LOG_SIGMA_RANGE) + LOG_SIGMA_CENTER
        return cls(jax.nn.log_softmax(logits), mean, log_sigma)

    @classmethod
    def pooled(cls, members: MixtureDensity) -> MixtureDensity:
        """Equal-weight mixture of an ensemble, whose arrays have a leading axis of members."""
        n_members, n = members.log_weight.shape[:2]
        weight = jnp.moveaxis(members.log_weight, 0, 1).reshape(n, -1) - jnp.log(n_members)
        mean, log_sigma = (
            jnp.moveaxis(a, 0, 1).reshape(n, weight.shape[1], -1) for a in (members.mean, members.log_sigma)
        )
        return cls(weight, mean, log_sigma)

    def log_density(self, t: jax.Array, present: jax.Array) -> jax.Array:
        """Log density of labels (n, n_labels), those with `present` 0 integrated out: shape (n,)."""
        z = (t[:, None, :] - self.mean) * jnp.exp(-self.log_sigma)
        terms = -0.5 * z**2 - self.log_sigma - 0.5 * jnp.log(2 * jnp.pi)
        return jax.nn.logsumexp(self.log_weight + (terms * present[:, None, :]).sum(axis=2), axis=1)

    def draw(self, key: jax.Array, n: int) -> jax.Array:
        """Draw labels of each star: shape (n_stars, n, n_labels)."""
        which, where = jax.random.split(key)
        component = jax.random.categorical(
            which, self.log_weight[:, None, :], shape=(self.log_weight.shape[0], n)
        )[:, :, None]
        mean, log_sigma = (jnp.take_along_axis(a, component, axis=1) for a in (self.mean, self.log_sigma))
        return mean + jnp.exp(log_sigma) * jax.random.normal(where, mean.shape)

    def average(self) -> jax.Array:
        """Mean of each label: shape (n, n_labels)."""
        return (jnp.exp(self.log_weight)[:, :, None] * self.mean).sum(axis=1)

    def correlation(self) -> jax.Array:
        """Correlation matrix of the labels: shape (n, n_labels, n_labels)."""
        weight = jnp.exp(self.log_weight)
        deviation = self.mean - self.average()[:, None, :]
        covariance = jnp.einsum("nc,nci,ncj->nij", weight, deviation, deviation)
        own = (weight[:, :, None] * jnp.exp(2 * self.log_sigma)).sum(axis=1)
        covariance += own[:, :, None] * jnp.eye(own.shape[1])
        width = jnp.sqrt(jnp.diagonal(covariance, axis1=1, axis2=2))
        return covariance / (width[:, :, None] * width[:, None, :])

    def conditional_means(self, label: int, cut: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean of each label given that one label is below `cut`, and given that it is above: each (n, n_labels).

        Within a component the labels are independent, so the other labels keep their mean. The mean of the label
        itself is that of a truncated Gaussian: with ``z = (cut - mu) / sigma``, ``mu - sigma phi(z) / Phi(z)``
        below the cut and ``mu + sigma phi(z) / Phi(-z)`` above it. Weights are multiplied by ``Phi(z)`` or
        ``Phi(-z)``.
        """
        mean, sigma = self.mean[:, :, label], jnp.exp(self.log_sigma[:, :, label])
        z = (cut - mean) / sigma
        log_density = jax.scipy.stats.norm.logpdf(z)
        found = []
        for sign, log_mass in zip((-1, 1), log_tails(z), strict=True):
            weight = jax.nn.softmax(self.log_weight + log_mass, axis=1)
            truncated = mean + sign * sigma * jnp.exp(log_density - log_mass)
            found.append((weight[:, :, None] * self.mean.at[:, :, label].set(truncated)).sum(axis=1))
        return found[0], found[1]

    def cdf(self, t: jax.Array) -> jax.Array:
        """Marginal probability of each label below `t`, shape (n_values, n, n_labels) in and out."""
        return _stars_first(_cdf(*self._stars_last(), jnp.moveaxis(t, 1, 2)))

    def below(self, label: int | jax.Array, cut: jax.Array) -> jax.Array:
        """Probability that one label is below `cut`: shape (n,)."""
        z = (cut - self.mean[:, :, label]) * jnp.exp(-self.log_sigma[:, :, label])
        return jnp.clip((jnp.exp(self.log_weight) * jax.scipy.special.ndtr(z)).sum(axis=1), 0, 1)

    def tilted(self, label: int, edges: jax.Array, weight: jax.Array) -> BinnedDensity:
        """Return the marginal density of one label times a weight in bins; the outermost extend to infinity."""
        inverse_sigma = jnp.exp(-self.log_sigma[:, :, label, None])
        inner = jax.scipy.special.ndtr((edges[1:-1] - self.mean[:, :, label, None]) * inverse_sigma)
        below = (jnp.exp(self.log_weight)[:, :, None] * inner).sum(axis=1)
        mass = jnp.diff(below, prepend=0.0, append=1.0, axis=1) * weight
        return BinnedDensity(edges, mass / mass.sum(axis=1, keepdims=True))

    def quantiles(self, probabilities: jax.Array) -> jax.Array:
        """Quantiles of each label's marginal: shape (n_probabilities, n, n_labels).

        A quantile of a mixture lies between the smallest and the largest of its components'; bisection from
        there, and a linear interpolation at the end.
        """
        weight, mean, inverse_sigma = self._stars_last()
        p = probabilities[:, None, None]
        ends = mean[:, None] + jax.scipy.special.ndtri(p) / inverse_sigma[:, None]

        def halve(_: int, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = bracket
            middle = 0.5 * (low + high)
            short = _cdf(weight, mean, inverse_sigma, middle) < p
            return jnp.where(short, middle, low), jnp.where(short, high, middle)

        low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (ends.min(axis=0), ends.max(axis=0)))
        below, above = (_cdf(weight, mean, inverse_sigma, end) for end in (low, high))
        rise = above - below
        share = jnp.where(rise > 0, (p - below) / jnp.where(rise > 0, rise, 1.0), 0.5)
        return _stars_first(low + jnp.clip(share, 0, 1) * (high - low))

    def _stars_last(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Weight (C, n), mean and 1/sigma (C, n_labels, n): in this layout loops vectorise, 5 times as fast."""
        return (
            jnp.exp(self.log_weight).T,
            jnp.moveaxis(self.mean, 0, 2),
            jnp.exp(-jnp.moveaxis(self.log_sigma, 0, 2)),
        )


class BinnedDensity(NamedTuple):
    """The density of one label of n stars, constant in bins.

    Parameters
    ----------
    edges : array, shape (n_bins + 1,)
    mass : array, shape (n, n_bins)
        Sums to 1 over the bins.
    """

    edges: jax.Array
    mass: jax.Array

    def average(self) -> jax.Array:
        """Mean: shape (n,)."""
        return self.mass @ (0.5 * (self.edges[1:] + self.edges[:-1]))

    def quantiles(self, probabilities: jax.Array) -> jax.Array:
        """Quantiles: shape (n_probabilities, n)."""
        return jax.vmap(jnp.interp, in_axes=(None, 0, None), out_axes=1)(probabilities, self._below(), self.edges)

    def below(self, cuts: jax.Array) -> jax.Array:
        """Probability below each cut: shape (n_cuts, n)."""
        return jax.vmap(jnp.interp, in_axes=(None, None, 0), out_axes=1)(cuts, self.edges, self._below())

    def _below(self) -> jax.Array:
        """Probability below every edge: shape (n, n_bins + 1)."""
        return jnp.pad(jnp.clip(jnp.cumsum(self.mass, axis=1), 0, 1), ((0, 0), (1, 0)))


def _stars_first(array: jax.Array) -> jax.Array:
    return jnp.moveaxis(array, 2, 1)


def _cdf(weight: jax.Array, mean: jax.Array, inverse_sigma: jax.Array, t: jax.Array) -> jax.Array:
    """Probability below `t`, shape (n_values, n_labels, n)."""

    # A loop: of all components in one expression, the compiler takes the arrays apart and loses its vectors.
    def add(c: int, total: jax.Array) -> jax.Array:
        return total + weight[c] * jax.lax.erf((t - mean[c]) * (inverse_sigma[c] * 2**-0.5))

    total = jax.lax.fori_loop(0, len(weight), add, jnp.zeros_like(t))
    # The weights sum to 1 but for rounding, hence the clipping.
    return jnp.clip(0.5 + 0.5 * total, 0, 1)


def log_tails(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logarithms of the unit normal probability below and above `z`: log Phi(z) and log Phi(-z).

    The smaller one from the complementary error function, and where that is too small for single precision from
    the asymptotic series (Abramowitz & Stegun 1964, 26.2.12).
    """
    size, limit = jnp.abs(z), 9.0
    tail, far = 0.5 * jax.lax.erfc(jnp.minimum(size, limit) * 2**-0.5), jnp.maximum(size, limit)
    r = 1 / far**2
    series = -r * (1 - r * (3 - r * (15 - r * 105)))
    beyond = -0.5 * far**2 - jnp.log(far) - 0.5 * jnp.log(2 * jnp.pi) + jnp.log1p(series)
    small, large = jnp.where(size > limit, beyond, jnp.log(tail)), jnp.log1p(-tail)
    return jnp.where(z < 0, small, large), jnp.where(z < 0, large, small)


class BlockOutputs(NamedTuple):
    """Standardised prediction of a block of n stars.

    Parameters
    ----------
    mean : array, shape (n, n_labels)
    quantiles : array, shape (n, n_probabilities, n_labels)
    correlation : array, shape (n, n_labels, n_labels)
    p_below : array, shape (n,), or None
    solutions : array, shape (n, 2, n_labels), or None
    below : array, shape (n, n_thresholds)
    change : array, shape (n, n_labels), or None
        Of the mean by the first `FEW` networks, to first order.
    """

    mean: jax.Array
    quantiles: jax.Array
    correlation: jax.Array
    p_below: jax.Array | None
    solutions: jax.Array | None
    below: jax.Array
    change: jax.Array | None


def pooled(
    networks: MixtureNetwork, lens: Lens, values: jax.Array, missing: jax.Array, components: int
) -> MixtureDensity:
    """Return the mixture that a group of networks predicts, on the device."""
    return MixtureDensity.pooled(_members_of(networks, lens, values, missing, components))


def _members_of(
    networks: MixtureNetwork, lens: Lens, values: jax.Array, missing: jax.Array, components: int
) -> MixtureDensity:
    values, flags = lens.seen(values, missing)
    members: MixtureDensity = jax.lax.map(
        lambda net: MixtureDensity.from_head(net(values, flags), components), networks
    )
    return members


def _members_and_change(
    networks: MixtureNetwork,
    lens: Lens,
    values: jax.Array,
    missing: jax.Array,
    change: jax.Array,
    components: int,
) -> tuple[MixtureDensity, jax.Array]:
    """Return what each network predicts, and how much the mean of the first `FEW` changes with the values."""
    few, rest = (
        jax.tree.map(lambda leaf, part=part: leaf[part], networks) for part in (slice(FEW), slice(FEW, None))
    )

    def mean_and_few(values: jax.Array) -> tuple[jax.Array, MixtureDensity]:
        members = _members_of(few, lens, values, missing, components)
        return MixtureDensity.pooled(members).average(), members

    rounded = networks.layers[0].weight.dtype == jnp.bfloat16
    (_, members), (difference, _) = changed(mean_and_few, values, change, rounded=rounded)
    if rest.head.bias.shape[0]:
        others = _members_of(rest, lens, values, missing, components)
        members = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), members, others)
    return members, difference


@partial(jax.jit, static_argnames=("components", "threshold"))
@full_precision
def predict_block(
    networks: MixtureNetwork,
    lens: Lens,
    values: jax.Array,
    missing: jax.Array,
    change: jax.Array | None,
    cuts: jax.Array,
    below: jax.Array,
    *,
    components: int,
    threshold: int | None,
) -> BlockOutputs:
    """Predict everything of a block.

    Parameters
    ----------
    networks, lens, values, missing
        As in :func:`pooled`.
    change : array, shape (n, n_inputs), or None
        A small change of the values, whose effect on the mean is wanted.
    cuts, below : array, shapes (1 + n_thresholds,), (n_thresholds,)
        Value of `threshold` and of further thresholds, and the labels of these.
    components, threshold : int
        Number of components, and the label of a threshold or None; compiled in.
    """
    if change is None:
        members, difference = _members_of(networks, lens, values, missing, components), None
    else:
        members, difference = _members_and_change(networks, lens, values, missing, change, components)
    density = MixtureDensity.pooled(members)
    quantiles = jnp.moveaxis(density.quantiles(jnp.asarray(PROBABILITIES, jnp.float32)), 0, 1)
    average = density.average()
    p_below = solutions = None
    if threshold is not None:
        cut = cuts[0]
        p_below = density.cdf(jnp.broadcast_to(cut, (1, *average.shape)))[0, :, threshold]
        solutions = jnp.stack(density.conditional_means(threshold, cut), axis=1)
    # Labels as an array: one compiled program serves thresholds of all labels.
    further = jax.vmap(density.below, out_axes=1)(below, cuts[1:]) if below.size else average[:, :0]
    return BlockOutputs(average, quantiles, density.correlation(), p_below, solutions, further, difference)


@partial(jax.jit, static_argnames=("components", "label"))
@full_precision
def tilted_block(
    networks: MixtureNetwork,
    lens: Lens,
    values: jax.Array,
    missing: jax.Array,
    edges: jax.Array,
    weight: jax.Array,
    cuts: jax.Array,
    *,
    components: int,
    label: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean, quantiles and probabilities below `cuts` of one label under another prior."""
    density = pooled(networks, lens, values, missing, components).tilted(label, edges, weight)
    quantiles = density.quantiles(jnp.asarray(PROBABILITIES, jnp.float32))
    return density.average(), quantiles.T, density.below(cuts).T


@partial(jax.jit, static_argnames=("components",))
@full_precision
def quantiles_of_block(
    networks: MixtureNetwork,
    lens: Lens,
    values: jax.Array,
    missing: jax.Array,
    probabilities: jax.Array,
    *,
    components: int,
) -> jax.Array:
    """Quantiles of the pooled mixture: shape (n, n_labels, n_probabilities)."""
    return jnp.moveaxis(pooled(networks, lens, values, missing, components).quantiles(probabilities), 0, 2)


@partial(jax.jit, static_argnames=("components",))
@full_precision
def means_of_block(
    networks: MixtureNetwork, lens: Lens, values: jax.Array, missing: jax.Array, *, components: int
) -> jax.Array:
    """Means of the pooled mixture: shape (n, n_labels)."""
    return pooled(networks, lens, values, missing, components).average()
