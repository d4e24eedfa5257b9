#!/usr/bin/env bash
# Guess: the quotient of a column and a constant is the correctly rounded quotient, whatever the number of rows.
# Truth: with two rows or more polars multiplies by the rounded reciprocal; with one row it divides. The value of a
#        row therefore depends on the other rows being there.
# Version: polars 2.1.0. Seen on 2026-11-29: "[1.2] [1.2000000000000002, 1.2000000000000002]".
# Source: run below.
# starscale divides by a column of constants in features and cuts, so that a row does not depend on its chunk.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'polars==2.1.0'
"$work/venv/bin/python" - <<'PY'
import polars as pl

seen = [pl.DataFrame({"x": [3.0] * n}).select(pl.col("x") / 2.5).to_series().to_list() for n in (1, 2)]
print(*seen)
assert seen == [[1.2], [1.2000000000000002] * 2], "this has changed: the finding is out of date"
PY
