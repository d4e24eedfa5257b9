"""What a comparison of models leaves in its folder, and what its step is called."""

from __future__ import annotations

from typing import Final

#: Tables of the comparison: for programs, and for reading.
COMPARED: Final = "models.parquet"
COMPARED_CSV: Final = "models.csv"
STEP: Final = "compare models"


def scored_file(name: str) -> str:
    """Name of the file with the scored stars of a model."""
    return f"scored_{name}.parquet"
