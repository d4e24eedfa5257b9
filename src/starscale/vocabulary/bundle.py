"""Names of the files of a model bundle."""

from __future__ import annotations

INDEX = "bundle.json"
WEIGHTS = "weights.safetensors"
CARD = "MODEL_CARD.md"
#: Hashes of the stars of the training; bundles of earlier builds lack it.
STARS = "training_stars.safetensors"
#: Checksums of all files, the index included, in the form of ``sha256sum``; bundles of earlier builds lack it.
SUMS = "SHA256SUMS"
