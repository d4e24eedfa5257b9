#!/usr/bin/env bash
# Guess: a compiled function returns the same bits whether or not the same program also returns its derivative.
# Truth: on a CPU two of five values of x / sqrt(1 + (x / 4)^2) differ in their last bits. Alone, the division by a
# root becomes a product with a reciprocal root; where the derivative reads the root as well, it stays a division.
# Version: jax and jaxlib 0.10.2, numpy 2.4.6. Seen on 2026-11-30 (x86-64, AVX-512): "52324 of 131072 values differ".
# Source: run below. starscale squashes inputs by this function and rounds what follows; with the derivative for the
# slopes a catalogue had other bits than without, until the root was held by an optimization barrier.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2' 'numpy==2.4.6'
cd "$work" && JAX_PLATFORMS=cpu "$work/venv/bin/python" - <<'PY'
import jax
import jax.numpy as jnp
import numpy as np

x = jnp.asarray(3 * np.random.default_rng(1).normal(size=(4096, 32)).astype(np.float32))


def squashed(x):
    return x / jnp.sqrt(1 + (x / 4) ** 2)


def held(x):
    return x / jax.lax.optimization_barrier(jnp.sqrt(1 + (x / 4) ** 2))


def differ(function):
    alone = jax.jit(function)(x)
    with_derivative, _ = jax.jit(lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),)))(x)
    return int((alone != with_derivative).sum())


print(f"{differ(squashed)} of {x.size} values differ; with the root held, {differ(held)}")
assert differ(squashed) > 0 and differ(held) == 0, "this has changed: the finding is out of date"
PY
