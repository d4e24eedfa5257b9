#!/usr/bin/env bash
# Guess: get_zpt of gaiadr3-zeropoint takes the values of one star as plain numbers, as its docstring says.
# Truth: with numpy 2 plain numbers end in a TypeError; arrays of one star give the bias of the parallax.
# Version: gaiadr3-zeropoint 0.1.0, numpy 2.4.6. Seen on 2026-11-29: "TypeError", and -0.042 mas with arrays, the two printed in this order.
# Source: run below.
# starscale passes arrays alone.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'gaiadr3-zeropoint==0.1.0' 'numpy==2.4.6'
"$work/venv/bin/python" - <<'PY'
import numpy as np
from zero_point import zpt

zpt.load_tables()
star = {"phot_g_mean_mag": 15.0, "nu_eff_used_in_astrometry": 1.5, "pseudocolour": 1.5, "ecl_lat": 10.0,
        "astrometric_params_solved": 31}
try:
    seen = f"{zpt.get_zpt(*star.values()):.3f}"
except TypeError as error:
    seen = type(error).__name__
arrays = float(zpt.get_zpt(*(np.array([value]) for value in star.values()))[0])
print(seen, round(arrays, 3))
assert seen == "TypeError" and -0.06 < arrays < 0, "this has changed: the finding is out of date"
PY
