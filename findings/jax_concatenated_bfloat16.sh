#!/usr/bin/env bash
# Guess: on a CPU, jax copies two bytes for every bfloat16 value where arrays are only joined, padded or cut.
# Truth: a compiled concatenation, padding, slice or gather converts every value to single precision and back, while a
# transposition, a repetition and the same operations on float16 or on the bits as uint16 do not. What is joined or
# padded is therefore not always what was given: a NaN loses its payload (0x7f81 and 0x7fc3 both become 0x7fc0).
# Version: jax and jaxlib 0.10.2. Seen on 2026-12-01 (x86-64):
# "converted: concatenate, pad, slice, gather; as it is: transpose, tile, float16, uint16",
# "joined: 0x7fc0 0x7fc0 0x3f80; as uint16: 0x7f81 0x7fc3 0x3f80".
# Source: run below. starscale joins rounded factors as their bits (`starscale.learn.compilation`).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2'
cd "$work" && JAX_PLATFORMS=cpu "$work/venv/bin/python" - <<'PY'
import jax
import jax.numpy as jnp
import numpy as np


def converts(function, kind):
    given = jax.ShapeDtypeStruct((64, 128), kind)
    return " convert(" in jax.jit(function).lower(given).compile().as_text()


def joined(a):
    return jnp.concatenate([a, a])


copies = {
    "concatenate": (joined, jnp.bfloat16),
    "pad": (lambda a: jnp.pad(a, ((1, 1), (0, 0))), jnp.bfloat16),
    "slice": (lambda a: a[3:9], jnp.bfloat16),
    "gather": (lambda a: a[jnp.array([1, 5, 3])], jnp.bfloat16),
    "transpose": (lambda a: a.reshape(8, 8, 128).transpose(2, 0, 1), jnp.bfloat16),
    "tile": (lambda a: jnp.tile(a, (2, 2)), jnp.bfloat16),
    "float16": (joined, jnp.float16),
    "uint16": (joined, jnp.uint16),
}
found = {name: converts(*copy) for name, copy in copies.items()}
print(
    f"converted: {', '.join(n for n, c in found.items() if c)};",
    f"as it is: {', '.join(n for n, c in found.items() if not c)}",
)
bits = jnp.asarray(np.array([0x7F81, 0x7FC3, 0x3F80], np.uint16))


def as_bfloat16(values):
    return jax.lax.bitcast_convert_type(values, jnp.bfloat16)


floats = jax.jit(lambda b: jax.lax.bitcast_convert_type(joined(as_bfloat16(b)), jnp.uint16))
first, second = ([hex(v) for v in np.asarray(f(bits))[:3]] for f in (floats, jax.jit(joined)))
print(f"joined: {' '.join(first)}; as uint16: {' '.join(second)}")
assert list(found.values()) == [True] * 4 + [False] * 4, "this has changed: the finding is out of date"
assert first == ["0x7fc0", "0x7fc0", "0x3f80"], "this has changed: the finding is out of date"
assert second == ["0x7f81", "0x7fc3", "0x3f80"]
PY
