#!/usr/bin/env bash
# Guess: a Table that was read from a FITS file with DATASUM and CHECKSUM, and written again, has no sums or new ones.
# Truth: both keywords are kept in Table.meta and written with the old values, without their comments, although the
#   rows are others; readers that verify sums report a damaged file.
# Version: astropy 8.0.2, numpy 2.4.6. Seen on 2026-11-29: "DATASUM 2146435072 True '' -> verified 0".
# Source: run below; FITS 4.0, section 4.4.2.7.
# starscale does not verify sums without comments whose header does not agree with them, and writes comments.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'astropy==8.0.2' 'numpy==2.4.6'
cd "$work" && "$work/venv/bin/python" - <<'PY'
import warnings

from astropy.io import fits
from astropy.table import Table

table = fits.BinTableHDU(Table({"x": [1.0, 2.0]}))
fits.HDUList([fits.PrimaryHDU(), table]).writeto("whole.fits", checksum=True)
Table.read("whole.fits")[:1].write("part.fits")
old, new = fits.getheader("whole.fits", 1), fits.getheader("part.fits", 1)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    with fits.open("part.fits", checksum=True) as file:
        verified = file[1].verify_datasum()
same = old["DATASUM"] == new["DATASUM"] and old["CHECKSUM"] == new["CHECKSUM"]
seen = f"DATASUM {new['DATASUM']} {same} {new.comments['DATASUM']!r} -> verified {verified}"
print(seen)
assert seen == "DATASUM 2146435072 True '' -> verified 0", "this has changed: the finding is out of date"
PY
