"""Columns of the table of compared models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starscale.vocabulary.columns import Column

_FIGURES: Final[Mapping[str, str]] = {
    "mad": "1.4826 times the median absolute deviation of value - label, in the unit of the label",
    "mae": "mean absolute error of the value, in the unit of the label",
    "rmse": "root mean square error of the predicted mean, in the unit of the label",
    "bias": "mean of predicted mean - label, in the unit of the label",
    "crps": "mean continuous ranked probability score, in the unit of the label",
    "coverage68": "share of labels inside the 68.27 % interval",
    "coverage95": "share of labels inside the 95.45 % interval",
    "half_width": "median of half of the 68 % interval, in the unit of the label",
    "mean_half_width": "mean of half of the 68 % interval, in the unit of the label",
}


#: Figures whose ratio to the reference model is given.
_RATIOS: Final = ("mad", "mae", "rmse", "crps", "half_width", "mean_half_width")


def _columns() -> list[Column]:
    columns = [
        Column("model", "string", description="name of the model; model: the run's own"),
        Column("label", "string", description="label that was predicted"),
        Column("by", "string", description="what the bin is of; all: no bin"),
        Column("low", "float64", description="lower end of the bin; null: open"),
        Column("high", "float64", description="upper end of the bin, not in it; null: open"),
        Column("n", "float64", "", "meta.number", "stars in the bin, mean over the repeats"),
        Column("repeats", "int64", "", "meta.number", "trainings that have stars in the bin"),
    ]
    for name, meaning in _FIGURES.items():
        spread = f"standard deviation of {name} over the repeats; null for one"
        columns += [Column(name, description=meaning), Column(f"{name}_spread", description=spread)]
    for name in _RATIOS:
        ratio = f"{name} over that of the reference model in the same repeat; null in bins of predicted values"
        spread = f"standard deviation of {name}_ratio over the repeats; null for one"
        columns += [
            Column(f"{name}_ratio", description=ratio),
            Column(f"{name}_ratio_spread", description=spread),
        ]
    return columns


COMPARISON_COLUMNS: Final[Mapping[str, Column]] = {column.name: column for column in _columns()}


#: Tables of the comparison: for programs, and for reading.
COMPARED: Final = "models.parquet"


COMPARED_CSV: Final = "models.csv"


STEP: Final = "compare models"


def scored_file(name: str) -> str:
    """Name of the file with the scored stars of a model."""
    return f"scored_{name}.parquet"
