"""Compiled functions: where they are stored, in which precision they multiply, and their random numbers."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import jaxlib.version

from starscale.version import __version__

P = ParamSpec("P")


T = TypeVar("T")


#: Environment variable with the folder to use; empty: nothing is kept.
VARIABLE = "STARSCALE_CACHE"


@cache
def keep_compiled() -> None:
    """Store compiled functions in the user's cache folder, unless jax has been given a folder already.

    The next training or prediction need not compile them again. Programs that are read there are run: the folder
    is open to its user alone, and one that others could write to is not used. Other versions are kept apart.
    """
    folder = os.environ.get(VARIABLE)
    if folder == "" or getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    if folder is None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starscale"
    else:
        base = Path(folder)
    programs = base / f"{__version__}-jax{jax.__version__}-jaxlib{jaxlib.version.__version__}"
    # Without such a folder, as in a read-only home directory, they are compiled again, no more.
    if not private_folder(programs):
        return
    jax.config.update("jax_compilation_cache_dir", str(programs))  # type: ignore[no-untyped-call]
    # Small programs are compiled as fast as they are read.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)  # type: ignore[no-untyped-call]


def private_folder(path: Path) -> bool:
    """Make a folder that its user alone may open; return whether that is so, and nobody else owns it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        if (found := path.lstat()).st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
            return False
        path.chmod(0o700)
        # Who may write to the folder above could put another one in the place of this one.
        above = path.parent.stat()
        shared = bool(above.st_mode & stat.S_IWOTH) and not above.st_mode & stat.S_ISVTX
        return above.st_uid in (0, os.getuid()) and not shared
    except OSError:
        return False


def full_precision(function: Callable[P, T]) -> Callable[P, T]:
    """Compute the matrix products of a function in full single precision.

    By default an accelerator rounds the factors to ten bits, which is enough for a gradient but changes the values
    of a catalogue. On a CPU this makes no difference.
    """

    @wraps(function)
    def exact(*arguments: P.args, **named: P.kwargs) -> T:
        with jax.default_matmul_precision("highest"):
            return function(*arguments, **named)

    return exact


@jax.custom_vjp
def rounded_dense(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
    """Return ``x @ weight + bias`` for a training: factors are rounded to bfloat16, sums have single precision.

    So are those of the derivatives, which need a rule of their own for it.

    Parameters
    ----------
    x : array, shape (n, n_in)
    weight : array, shape (n_in, n_out)
    bias : array, shape (n_out,)

    Returns
    -------
    array, shape (n, n_out)
    """
    return _rounded_forward(x, weight, bias)[0]


def _rounded_forward(
    x: jax.Array, weight: jax.Array, bias: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    factors = x.astype(jnp.bfloat16), weight.astype(jnp.bfloat16)
    return jnp.matmul(*factors, preferred_element_type=jnp.float32) + bias, factors


def _rounded_backward(
    factors: tuple[jax.Array, jax.Array], slope: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, weight = factors
    rounded = slope.astype(jnp.bfloat16)
    of_weight = jnp.matmul(_turned(x), rounded, preferred_element_type=jnp.float32)
    of_x = jnp.matmul(rounded, _turned(weight), preferred_element_type=jnp.float32)
    # Of the rounded slope, too: the other one need not be stored then.
    return of_x, of_weight, rounded.astype(jnp.float32).sum(axis=0)


def _turned(factor: jax.Array) -> jax.Array:
    """Transpose a rounded factor, by a copy.

    A transposed factor is multiplied on a CPU as if it were not rounded (jax 0.10.2), twice as slowly, and a
    transposition before the product becomes such a factor. Joined from two parts it is a copy that stays one. As
    integers the parts are copied as they are; numbers would be widened and rounded again on the way.
    """
    bits, middle = jax.lax.bitcast_convert_type(factor, jnp.uint16), factor.shape[1] // 2
    turned = jnp.concatenate([bits[:, :middle].T, bits[:, middle:].T])
    return jax.lax.bitcast_convert_type(turned, factor.dtype)


rounded_dense.defvjp(_rounded_forward, _rounded_backward)


def changed(function: Callable[[jax.Array], T], x: jax.Array, change: jax.Array, *, rounded: bool) -> tuple[T, T]:
    """Return the arrays that a function makes of `x`, and how much they change with a small change of `x`.

    The difference of two values, but where their factors are `rounded`: there it would be noise, and the change
    follows from the derivative.
    """
    if rounded:
        found: tuple[T, T] = jax.jvp(function, (x,), (change,))
        return found
    value = function(x)
    difference: T = jax.tree.map(jnp.subtract, function(x + change), value)
    return value, difference


def seeded(seed: int) -> jax.Array:
    """Return a random key; the generator is fixed, so that a user's global setting cannot change a model."""
    return jax.random.key(seed, impl="threefry2x32")


def hashed_bits(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Return 32 random bits for each element of an array.

    Parameters
    ----------
    key : array of uint32, shape ()
        A random number, another one for each mask.
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
    """Return `array`, computed once: the compiler may not compute it again in each loop that reads it."""
    held: jax.Array = jax.lax.optimization_barrier(array)  # type: ignore[no-untyped-call]
    return held


def dropout_mask(key: jax.Array, shape: tuple[int, ...], rate: float) -> jax.Array:
    """Return factors, shape (n, width), that set a fraction `rate` of an array to zero and scale up the rest."""
    if rate == 0:
        return jnp.ones((), jnp.float32)
    kept = hashed_bits(key, (shape[0], shape[1])) >= jnp.uint32(round(rate * 2**32))
    # Otherwise the compiler computes the mask again in each loop over the layer, forward and backward.
    return materialised(jnp.where(kept, jnp.float32(1 / (1 - rate)), jnp.float32(0)))
