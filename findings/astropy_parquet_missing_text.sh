#!/usr/bin/env bash
# Guess: astropy reads every Parquet table of plain columns; a missing text is masked.
# Truth: a text column with a missing value ends in a TypeError, since the lengths of all texts are measured first.
# Version: astropy 8.0.2, pandas 3.1.1, pyarrow 26.0.1. Seen on 2026-11-29: "object of type 'NoneType' has no len()".
# Source: run below. pandas, which astropy needs for this, reads the file.
# starscale documents it (docs/formats.md): write FITS or VOTable for astropy where texts are missing.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'astropy==8.0.2' 'pandas==3.1.1' \
  'pyarrow==26.0.1'
cd "$work" && "$work/venv/bin/python" - <<'PY'
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

pq.write_table(pa.table({"id": [1, 2], "name": ["M 67", None]}), "t.parquet")
assert pd.read_parquet("t.parquet")["name"].isna().to_list() == [False, True]
try:
    Table.read("t.parquet")
    seen = "read"
except TypeError as error:
    seen = str(error)
print(seen)
assert seen == "object of type 'NoneType' has no len()", "this has changed: the finding is out of date"
PY
