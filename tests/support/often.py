"""How often the slow tests repeat what they do at random."""

from __future__ import annotations

import os

#: Factor for random examples and kills; `make nightly` takes 4.
OFTEN = int(os.environ.get("STARSCALE_OFTEN", "1"))
