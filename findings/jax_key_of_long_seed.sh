#!/usr/bin/env bash
# Guess: a seed of more than 32 bits is either used as a whole or refused.
# Truth: without 64-bit mode the upper bits are dropped without a word, so two seeds give the same random numbers.
# Version: jax 0.10.2. Seen on 2026-11-29: "True".
# Source: run below.
# starscale refuses seeds above 32 bits.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2'
JAX_PLATFORMS=cpu "$work/venv/bin/python" -W error - <<'PY'
import jax

seen = bool((jax.random.key_data(jax.random.key(5)) == jax.random.key_data(jax.random.key(2**32 + 5))).all())
print(seen)
assert seen, "this has changed: the finding is out of date"
PY
