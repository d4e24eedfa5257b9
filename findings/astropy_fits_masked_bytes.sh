#!/usr/bin/env bash
# Guess: the number that astropy declares as null (TNULL) of a masked column is none of the values that are not masked.
# Truth: it is 999999 in the type of the column, 63 for unsigned bytes, whatever the column holds: a measured 63 comes
#        back as masked, without a word.
# Version: astropy 8.0.2, numpy 2.4.6. Seen on 2026-11-29: "TNULL 63, written [62, 63, --], read [62, --, --]".
# Source: run below; the default of serialize_method["fits"] is "null_value".
# starscale reads what the file says, and chooses a number that the column does not hold when it writes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'astropy==8.0.2' 'numpy==2.4.6'
cd "$work" && "$work/venv/bin/python" - <<'PY'
import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table

column = MaskedColumn(np.array([62, 63, 64], dtype=np.uint8), mask=[False, False, True])
Table({"n": column}).write("t.fits")
null, back = fits.getheader("t.fits", 1)["TNULL1"], Table.read("t.fits")["n"]
seen = [f"[{', '.join(map(str, values))}]" for values in (column, back)]
print(f"TNULL {null}, written {seen[0]}, read {seen[1]}")
assert (null, *seen) == (63, "[62, 63, --]", "[62, --, --]"), "this has changed: the finding is out of date"
PY
