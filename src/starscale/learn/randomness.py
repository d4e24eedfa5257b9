"""Random keys and dropout masks.

The generators that JAX offers cost as much on a CPU as the rest of a training step of the paper's network,
because a mask needs a random number for every activation. A mask needs no cryptographic quality: here it is an
integer hash of (key, position), which vectorises.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def seeded(seed: int) -> jax.Array:
    """Make a key; the generator is named so that a user's global setting cannot change a model."""
    return jax.random.key(seed, impl="threefry2x32")


def hashed_bits(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Return 32 bits for every position.

    Parameters
    ----------
    key : array of uint32, shape ()
        A random number of its own for every mask.
    shape : tuple
        (n_rows, n_columns).

    Notes
    -----
    Position times an odd constant (a bijection), plus the key, through the finaliser "lowbias32" of
    C. Wellons, "Prospecting for Hash Functions" (2018, public domain).
    """
    row = jax.lax.broadcasted_iota(jnp.uint32, shape, 0)
    column = jax.lax.broadcasted_iota(jnp.uint32, shape, 1)
    x = (row * jnp.uint32(shape[1]) + column) * jnp.uint32(0x9E3779B9) + key
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    bits: jax.Array = x ^ (x >> 16)
    return bits


def materialised(array: jax.Array) -> jax.Array:
    """Return `array`, computed once: the compiler may not repeat its making in every loop that reads it."""
    held: jax.Array = jax.lax.optimization_barrier(array)  # type: ignore[no-untyped-call]
    return held


def dropout_mask(key: jax.Array, shape: tuple[int, ...], rate: float) -> jax.Array:
    """Factors that set a share `rate` of an array of shape (n, width) to zero and scale up the rest."""
    if rate == 0:
        return jnp.ones((), jnp.float32)
    kept = hashed_bits(key, (shape[0], shape[1])) >= jnp.uint32(round(rate * 2**32))
    # Behind the barrier the mask is computed once; without, anew in every loop over the layer, forward and back.
    return materialised(jnp.where(kept, jnp.float32(1 / (1 - rate)), jnp.float32(0)))
