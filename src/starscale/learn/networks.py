"""The two networks, as trees of arrays and pure functions of whole batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import Chebyshev, Polynomial, chebyshev

from starscale.learn.compilation import dropout_mask, materialised, rounded_dense
from starscale.learn.scaling import SQUASH
from starscale.vocabulary.settings.models import Precision

#: Batch normalisation as Keras has it by default.
BATCH_NORM_MOMENTUM = 0.99
BATCH_NORM_EPSILON = 1e-3

#: (mean, variance) of every block, each of shape (width,).
Statistics = tuple[tuple[jax.Array, jax.Array], ...]


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], limit: float) -> jax.Array:
    # Drawn by numpy: nothing to compile, and the same on every device.
    drawn: jax.Array = jax.device_put(rng.uniform(-limit, limit, shape).astype(np.float32))
    return drawn


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Dense:
    """``x @ weight + bias``; both factors are rounded to the type of the weight, sums have single precision."""

    weight: jax.Array
    bias: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (n, n_in) to (n, n_out)."""
        product = jnp.matmul(x.astype(self.weight.dtype), self.weight, preferred_element_type=jnp.float32)
        return product + self.bias

    def in_training(self, x: jax.Array, precision: Precision) -> jax.Array:
        """Do the same in a training, with weights of single precision; `precision` is that of the factors."""
        return self(x) if precision == "float32" else rounded_dense(x, self.weight, self.bias)

    @classmethod
    def glorot(cls, rng: np.random.Generator, n_in: int, n_out: int) -> Dense:
        """Uniform weights of variance 2 / (n_in + n_out), no bias (Glorot & Bengio 2010; the Keras default)."""
        limit = (6 / (n_in + n_out)) ** 0.5
        return cls(_uniform(rng, (n_in, n_out), limit), jax.device_put(np.zeros(n_out, np.float32)))

    @classmethod
    def fan_in(cls, rng: np.random.Generator, n_in: int, n_out: int, gain: float = 1.0) -> Dense:
        """Weights and biases uniform within ``gain / sqrt(n_in)``."""
        limit = gain / n_in**0.5
        return cls(_uniform(rng, (n_in, n_out), limit), _uniform(rng, (n_out,), limit))


#: Bits of the exponent and the mantissa of a bfloat16.
_BFLOAT16 = (8, 7)


def rounded_away(x: jax.Array) -> jax.Array:
    """Return what rounding to bfloat16 takes from inputs; the first layer gets it as further inputs."""
    rest: jax.Array = x - jax.lax.reduce_precision(x, *_BFLOAT16)
    return rest


def leaky_relu(x: jax.Array, slope: float) -> jax.Array:
    """Return x where positive, ``slope * x`` elsewhere."""
    return jnp.where(x >= 0, x, slope * x)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class DiamondBlock:
    """Dense, then scale and shift of the batch normalisation."""

    dense: Dense
    scale: jax.Array
    shift: jax.Array


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _activated(
    z: jax.Array, scale: jax.Array, shift: jax.Array, key: jax.Array, slope: float, rate: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """LeakyReLU, BatchNorm and Dropout of a layer in training, with a derivative of its own.

    The one that follows from the definition walks over the layer more often. The statistics count as constants:
    nothing that is learnt depends on them.

    Parameters
    ----------
    z : array, shape (n, width)
    scale, shift : array, shape (width,)
        Of the batch normalisation.
    key : array of uint32, shape ()
        Of the mask of the dropout.
    slope, rate : float

    Returns
    -------
    output : array, shape (n, width)
    mean, variance : array, shape (width,)
        Of this batch, behind the LeakyReLU.
    """
    return _activated_forward(z, scale, shift, key, slope, rate)[0]


def _activated_forward(
    z: jax.Array, scale: jax.Array, shift: jax.Array, key: jax.Array, slope: float, rate: float
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], tuple[jax.Array, ...]]:
    # Otherwise each of the reductions below would begin with it: a quarter faster on a CPU.
    a = materialised(leaky_relu(z, slope))
    mean = a.mean(axis=0)
    # From the squares themselves, not from deviations, which would be a further array to store.
    variance = jnp.maximum((a * a).mean(axis=0) - mean * mean, 0)
    inverse = jax.lax.rsqrt(variance + BATCH_NORM_EPSILON)
    mask = dropout_mask(key, z.shape, rate)
    output = (a * (scale * inverse) + (shift - mean * scale * inverse)) * mask
    return (output, mean, variance), (a, mean, inverse, scale, mask)


def _activated_backward(
    slope: float, rate: float, kept: tuple[jax.Array, ...], slopes: tuple[jax.Array, jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    """Derivatives by `z`, `scale` and `shift` (Ioffe & Szegedy 2015, section 3)."""
    del rate
    a, mean, inverse, scale, mask = kept
    of_output = materialised(slopes[0] * mask)
    of_shift = of_output.sum(axis=0)
    # The sum of of_output times the normalised a, without an array of the latter.
    of_scale = inverse * ((of_output * a).sum(axis=0) - mean * of_shift)
    of_a = scale * inverse * (of_output - (of_shift + (a - mean) * inverse * of_scale) / len(a))
    return jnp.where(a >= 0, of_a, slope * of_a), of_scale, of_shift, None


_activated.defvjp(_activated_forward, _activated_backward)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class DiamondNetwork:
    """The network of Turchi et al. 2024 in training: Dense -> LeakyReLU -> BatchNorm -> Dropout, one output."""

    blocks: tuple[DiamondBlock, ...]
    head: Dense

    @classmethod
    def drawn(cls, rng: np.random.Generator, n_inputs: int, widths: tuple[int, ...]) -> DiamondNetwork:
        """Return an untrained network."""
        sizes = (n_inputs, *widths)
        blocks = tuple(
            DiamondBlock(Dense.glorot(rng, a, b), jnp.ones(b, jnp.float32), jnp.zeros(b, jnp.float32))
            for a, b in pairwise(sizes)
        )
        return cls(blocks, Dense.glorot(rng, sizes[-1], 1))

    def train_forward(
        self, x: jax.Array, key: jax.Array, *, slope: float, rate: float, precision: Precision
    ) -> tuple[jax.Array, Statistics]:
        """Run a batch with its own statistics and with dropout.

        Returns
        -------
        output : array, shape (n,)
        statistics : tuple
            Mean and (biased) variance of every block in this batch.
        """
        mask_keys = jax.random.bits(key, (len(self.blocks),), jnp.uint32)
        statistics = []
        for block, mask_key in zip(self.blocks, mask_keys, strict=True):
            x, mean, variance = _activated(
                block.dense.in_training(x, precision), block.scale, block.shift, mask_key, slope, rate
            )
            statistics.append((mean, variance))
        return self.head(x)[:, 0], jax.lax.stop_gradient(tuple(statistics))

    def initial_statistics(self) -> Statistics:
        """Mean 0 and variance 1 for every block."""
        return tuple((jnp.zeros_like(block.shift), jnp.ones_like(block.scale)) for block in self.blocks)

    def folded(self, statistics: Statistics) -> tuple[Dense, ...]:
        """Layers of the trained network with every batch normalisation worked into the Dense after it."""
        layers = [self.blocks[0].dense]
        following = [*(block.dense for block in self.blocks[1:]), self.head]
        for block, (mean, variance), after in zip(self.blocks, statistics, following, strict=True):
            factor = block.scale * jax.lax.rsqrt(variance + BATCH_NORM_EPSILON)
            offset = block.shift - mean * factor
            layers.append(Dense(factor[:, None] * after.weight, after.bias + offset @ after.weight))
        return tuple(layers)


def moving_average(running: Statistics, batch: Statistics) -> Statistics:
    """Move the running statistics one step towards those of a batch."""
    keep = BATCH_NORM_MOMENTUM
    moved: Statistics = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, running, batch)
    return moved


def with_two_parts(layers: tuple[Dense, ...], precision: Precision) -> tuple[Dense, ...]:
    """Round the weights of layers but the last; the first gets what is rounded off its inputs as well.

    The layers may be those of one network, or stacked along a leading axis.
    """
    if precision == "float32":
        return layers
    first = layers[0]
    twice = np.tile(np.arange(first.weight.shape[-2]), 2)
    rounded = (Dense(first.weight[..., twice, :], first.bias), *layers[1:-1])
    return (*(Dense(layer.weight.astype(jnp.bfloat16), layer.bias) for layer in rounded), layers[-1])


def folded_forward(layers: tuple[Dense, ...], x: jax.Array, slope: float) -> jax.Array:
    """Run a folded network: shape (n, n_inputs) to (n,)."""
    if layers[0].weight.dtype != jnp.float32:
        x = jnp.concatenate([x, rounded_away(x)], axis=1)
    for layer in layers[:-1]:
        x = leaky_relu(layer(x), slope)
    return layers[-1](x)[:, 0]


#: ``cos(2 pi r)`` for |r| <= 1/2 as a polynomial in r^2, off by less than single precision resolves.
_COSINE = tuple(
    Chebyshev.interpolate(lambda t: np.cos(2 * np.pi * np.sqrt(t)), 6, domain=[0, 0.25])
    .convert(kind=Polynomial)
    .coef.tolist()
)


def cosine_of_turns(turns: jax.Array) -> jax.Array:
    """Return ``cos(2 pi turns)``; in turns the range is reduced exactly, and a CPU computes many at a time."""
    rest = turns - jnp.round(turns)
    square = rest * rest
    result = jnp.full_like(square, _COSINE[-1])
    for coefficient in _COSINE[-2::-1]:
        result = result * square + coefficient
    return result


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class PeriodicEmbedding:
    """Each input x becomes x and three mixtures of ``cos(2 pi (f x + phase))`` (PBLD; Holzmueller et al. 2024)."""

    frequency: jax.Array
    phase: jax.Array
    weight: jax.Array
    bias: jax.Array

    @classmethod
    def drawn(cls, rng: np.random.Generator, n_inputs: int, n_frequencies: int, scale: float) -> PeriodicEmbedding:
        """Return an untrained embedding, frequencies from a normal distribution of this `scale`."""
        shape, limit = (n_inputs, n_frequencies), n_frequencies**-0.5
        return cls(
            frequency=jax.device_put((scale * rng.standard_normal(shape)).astype(np.float32)),
            phase=_uniform(rng, shape, 0.5),
            weight=_uniform(rng, (*shape, EMBEDDING - 1), limit),
            bias=_uniform(rng, (n_inputs, EMBEDDING - 1), limit),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (n, n_inputs) to (n, n_inputs * EMBEDDING)."""
        # The stars stand last: then waves and their mixtures vectorise, several times as fast on a CPU.
        stars = x.T[:, None, :]
        waves = cosine_of_turns(self.frequency[:, :, None] * stars + self.phase[:, :, None])
        mixed = jnp.einsum("ifk,ifn->ikn", self.weight, waves) + self.bias[:, :, None]
        return jnp.concatenate([stars, mixed], axis=1).reshape(-1, x.shape[0]).T


#: Numbers that the periodic embedding makes of one input, the input itself included.
EMBEDDING = 4


#: A :class:`PowerSeries` holds for inputs within this; those in training are within :data:`.scaling.SQUASH`.
REACH = 1.25 * SQUASH
#: Terms that its degree is rounded up to, so that models share programs, and beyond which waves cost less.
_TERMS, _MOST_TERMS = 4, 32
#: Largest deviation from the waves, whose mixtures are of order 1.
_TOLERANCE = 1e-5


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class PowerSeries:
    """The mixtures of waves of a trained :class:`PeriodicEmbedding` as polynomials, which take less time.

    Parameters
    ----------
    coefficients : array, shape (n_terms, n_inputs * (EMBEDDING - 1))
        Of the powers of x / :data:`REACH`, from the zeroth.
    """

    coefficients: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (n, n_inputs) to (n, n_inputs * EMBEDDING): the inputs, then the mixtures of each."""
        inside = jnp.clip(x / REACH, -1, 1)
        t = jnp.broadcast_to(inside[:, :, None], (*x.shape, EMBEDDING - 1)).reshape(x.shape[0], -1)
        result = jnp.broadcast_to(self.coefficients[-1], t.shape)
        for k in range(self.coefficients.shape[0] - 2, -1, -1):
            result = result * t + self.coefficients[k]
        return jnp.concatenate([x, result], axis=1)

    @classmethod
    def of(cls, embeddings: PeriodicEmbedding) -> PowerSeries | None:
        """Expand stacked embeddings (leading axis of networks), or return None where that would not pay."""
        frequency, phase, weight, bias = (
            np.asarray(a, np.float64)
            for a in (embeddings.frequency, embeddings.phase, embeddings.weight, embeddings.bias)
        )

        n = 2 * _MOST_TERMS
        nodes = chebyshev.chebpts1(n)
        turns = frequency[..., None] * REACH * nodes + phase[..., None]
        exact = np.einsum("mifk,mift->mtik", weight, np.cos(2 * np.pi * turns)) + bias[:, None]
        exact = exact.reshape(len(exact), n, -1)
        # At the nodes the Chebyshev polynomials are orthogonal.
        series = chebyshev.chebvander(nodes, n - 1).T @ exact * (2 / n)
        series[:, 0] /= 2
        rest = np.abs(series).max(axis=(0, 2))[::-1].cumsum()[::-1]
        n_terms = -(-max(int((rest > _TOLERANCE / 10).sum()), 1) // _TERMS) * _TERMS
        if n_terms > _MOST_TERMS:
            return None
        powers = np.stack([np.pad(chebyshev.cheb2poly(row), (0, n_terms))[:n_terms] for row in np.eye(n_terms)])
        coefficients = (powers.T @ series[:, :n_terms]).astype(np.float32)
        t = nodes.astype(np.float32)[:, None]
        found = coefficients[:, -1, None]
        for k in range(n_terms - 2, -1, -1):
            found = found * t + coefficients[:, k, None]
        # Terms of a long series cancel; then single precision is not enough.
        return cls(coefficients) if np.abs(found - exact).max() < _TOLERANCE else None


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class MixtureNetwork:
    """A multilayer perceptron (SiLU) whose output parametrises a mixture of diagonal Gaussians."""

    embedding: PeriodicEmbedding | PowerSeries | None
    layers: tuple[Dense, ...]
    head: Dense

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        *,
        n_values: int,
        n_flags: int,
        n_labels: int,
        width: int,
        depth: int,
        components: int,
        frequencies: int,
        frequency_scale: float,
    ) -> MixtureNetwork:
        """Return an untrained network."""
        embedding = PeriodicEmbedding.drawn(rng, n_values, frequencies, frequency_scale) if frequencies else None
        sizes = [n_values * (EMBEDDING if frequencies else 1) + n_flags, *(width,) * depth]
        layers = tuple(Dense.fan_in(rng, a, b) for a, b in pairwise(sizes))
        # Small at first, so that training starts from one broad distribution for all stars.
        return cls(embedding, layers, Dense.fan_in(rng, width, components * (1 + 2 * n_labels), gain=0.5))

    def __call__(self, values: jax.Array, flags: jax.Array, training: Precision = "float32") -> jax.Array:
        """Map values and flags to the raw head.

        Parameters
        ----------
        values, flags : array, shape (n, n_values), (n, n_flags)
        training : str
            Precision of the factors in a training, whose weights have single precision.

        Returns
        -------
        array, shape (n, components * (1 + 2 n_labels))
        """
        x = values if self.embedding is None else self.embedding(values)
        rest = [] if self.layers[0].weight.dtype == jnp.float32 else [rounded_away(values)]
        x = jnp.concatenate([x, flags, *rest], axis=1)
        for layer in self.layers:
            x = jax.nn.silu(layer.in_training(x, training))
        return self.head(x)

    def folded(self, precision: Precision, n_values: int) -> MixtureNetwork:
        """Return stacked networks (leading axis, arrays of numpy) for predictions: faster, and all but the same.

        Waves become power series, and the factors of the products of hidden layers are rounded, but for the
        inputs; in single precision nothing changes.
        """
        if precision == "float32":
            return self
        embedding, weights = self.embedding, [np.asarray(layer.weight) for layer in self.layers]
        # Each value stands before its own mixtures; flags are last.
        order = np.arange(n_values * (1 if embedding is None else EMBEDDING)).reshape(n_values, -1)
        plain, rows = order[:, 0], np.arange(weights[0].shape[1])
        if isinstance(embedding, PeriodicEmbedding) and (series := PowerSeries.of(embedding)) is not None:
            # A series returns all values first.
            embedding, rows = series, np.concatenate([plain, order[:, 1:].ravel(), rows[order.size :]])
        weights[0] = weights[0][:, np.concatenate([rows, plain])]
        rounded: list[Any] = [weight.astype(jnp.dtype(precision)) for weight in weights]
        layers = tuple(Dense(weight, layer.bias) for weight, layer in zip(rounded, self.layers, strict=True))
        return replace(self, embedding=embedding, layers=layers)
