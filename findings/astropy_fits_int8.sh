#!/usr/bin/env bash
# Guess: a column of 8-bit integers survives Table.write to FITS, stored as unsigned bytes with TZERO -128.
# Truth: it is written as a logical column (TFORM L); read back, every number but 0 has become True.
# Version: astropy 8.0.2, numpy 2.4.6. Seen on 2026-11-29: "L [False  True  True  True]".
# Source: run below; FITS 4.0, table 19, has no signed 8-bit integer, but section 5.2.5 the offset for one.
# starscale writes such columns as 16-bit integers.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'astropy==8.0.2' 'numpy==2.4.6'
cd "$work" && "$work/venv/bin/python" - <<'PY'
import numpy as np
from astropy.io import fits
from astropy.table import Table

Table({"n": np.array([0, 1, -5, 100], dtype=np.int8)}).write("t.fits")
form, values = fits.getheader("t.fits", 1)["TFORM1"], Table.read("t.fits")["n"]
seen = f"{form} {values.data}"
print(seen)
assert seen == "L [False  True  True  True]", "this has changed: the finding is out of date"
PY
