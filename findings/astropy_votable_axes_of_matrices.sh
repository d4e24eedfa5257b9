#!/usr/bin/env bash
# Guess: a column whose cells are 2 by 3 matrices (numpy shape) is written with arraysize="3x2", because VOTable 1.5
#        (section 2.2) names the axis that varies fastest first.
# Truth: it is written with arraysize="2x3", and the numbers in the order of numpy: another reader gets the numbers in
#        the wrong cells. astropy reads its own file back unchanged.
# Version: astropy 8.0.2, numpy 2.4.6. Seen on 2026-11-29: "2x3 0 1 2 3 4 5".
# Source: run below; VOTable 1.5, section 2.2.
# starscale reads the axes as the standard says, and refuses to write matrices to VOTable.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'astropy==8.0.2' 'numpy==2.4.6'
cd "$work" && "$work/venv/bin/python" - <<'PY'
import re
from pathlib import Path

import numpy as np
from astropy.table import Table

Table({"m": np.arange(6.0).reshape(1, 2, 3)}).write("t.vot", format="votable", tabledata_format="tabledata")
text = Path("t.vot").read_text()
print(re.search(r'arraysize="(.*?)"', text)[1], re.search(r"<TD>(.*?)</TD>", text, re.S)[1])
assert 'arraysize="2x3"' in text, "this has changed: the finding is out of date"
PY
