#!/usr/bin/env bash
# Guess: SubsampleSelectionFunction of gaiaunlimited gives the variance of the beta posterior of its probability,
#   (k + 1)(n - k + 1) / ((n + 2)^2 (n + 3)), for k of n stars kept: the square of 0.031 for 10 of 100.
# Truth: the first factor is n + 1: the error is three times as large there, and does not fall where few are kept.
# Version: gaiaunlimited 0.3.3. Seen on 2026-11-30: "probability 0.108, error 0.093, of the beta posterior 0.031".
# Source: run below.
# starscale writes binomial errors of its own beside the counts, and does not take them from there.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'gaiaunlimited==0.3.3' 'healpy==1.20.1' 'numpy==2.4.6' 'xarray==2026.9.0'
GAIAUNLIMITED_DATADIR=$work "$work/venv/bin/python" - <<'PY'
import os
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gaiaunlimited.selectionfunctions import SubsampleSelectionFunction

n, k = 100, 10
bins = {"healpix": 0, "phot_g_mean_mag": [8.0, 10.0, 1.0]}
rows = [f"{cell},{magnitude},{n},{k}" for cell in range(12) for magnitude in range(2)]
table = [f"#{bins}", "healpix_,phot_g_mean_mag_,n,k", *rows]
Path(os.environ["GAIAUNLIMITED_DATADIR"], "counts.csv").write_text("\n".join(table) + "\n")
counts = SubsampleSelectionFunction("any", "counts", bins)
place = SkyCoord(10 * u.deg, 20 * u.deg)
found = counts.query(place, return_variance=True, phot_g_mean_mag_=8.5)
probability, variance = (float(np.ravel(value)[0]) for value in found)
beta = (k + 1) * (n - k + 1) / (n + 2) ** 2 / (n + 3)
print(f"probability {probability:.3f}, error {variance**0.5:.3f}, of the beta posterior {beta**0.5:.3f}")
wrong = (n + 1) * (n - k + 1) / (n + 2) ** 2 / (n + 3)
assert abs(variance - wrong) < 1e-9 and abs(probability - 11 / 102) < 1e-9, "this has changed: the finding is out of date"
PY
