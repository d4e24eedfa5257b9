#!/usr/bin/env bash
# Guess: a product of bfloat16 factors with sums in single precision is multiplied in bfloat16 whether or not one of
# the factors is transposed, as the factors of derivatives are.
# Truth: on a CPU a product with a transposed factor, the first or the second, converts both factors to single
# precision before it multiplies; without a transposition it does not. A transposed copy that is joined from two parts
# is not seen through, and stays in bfloat16.
# Version: jax and jaxlib 0.10.2. Seen on 2026-11-30 (x86-64 with AVX-512 BF16):
# "factors: plain bf16, second transposed f32, first transposed f32, joined copy bf16".
# Source: run below. starscale trains with rounded factors; half of the products of a training step had single
# precision until both transpositions were such copies.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2'
cd "$work" && JAX_PLATFORMS=cpu "$work/venv/bin/python" - <<'PY'
import re

import jax
import jax.numpy as jnp


def multiplied(function, *shapes):
    """Return the type of the factors that the compiled program multiplies."""
    given = [jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in shapes]
    program = jax.jit(function).lower(*given).compile().as_text()
    (first,) = re.findall(r" dot\((%[\w.]+),", program)
    return re.search(re.escape(first) + r" = (\w+)\[", program)[1]


def product(a, b):
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


def joined(a):
    middle = a.shape[1] // 2
    return jnp.concatenate([a[:, :middle].T, a[:, middle:].T])


stars, square = (128, 192), (192, 192)
found = {
    "plain": multiplied(product, stars, square),
    "second transposed": multiplied(lambda a, b: product(a, b.T), stars, square),
    "first transposed": multiplied(lambda a, b: product(a.T, b), stars, stars),
    "joined copy": multiplied(lambda a, b: product(a, joined(b)), stars, square),
}
print("factors:", ", ".join(f"{name} {kind}" for name, kind in found.items()))
if found["plain"] != "bf16":
    raise SystemExit("this processor does not multiply bfloat16: nothing to be seen here")
assert list(found.values()) == ["bf16", "f32", "f32", "bf16"], "this has changed: the finding is out of date"
PY
