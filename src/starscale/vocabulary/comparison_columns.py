"""Columns and file names of the comparison of models."""

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
    "half_width": "median of half the width of the 68 % interval, in the unit of the label",
    "mean_half_width": "mean of half the width of the 68 % interval, in the unit of the label",
}


#: Figures whose ratio to the reference model is given.
_RATIOS: Final = ("mad", "mae", "rmse", "crps", "half_width", "mean_half_width")


def _columns() -> list[Column]:
    columns = [
        Column("model", "string", description="name of the model; 'model' is the model of the run"),
        Column("label", "string", description="name of the label"),
        Column("by", "string", description="quantity that is binned; 'all': all stars"),
        Column("low", "float64", description="lower edge of the bin; null: open"),
        Column("high", "float64", description="upper edge of the bin, exclusive; null: open"),
        Column("n", "float64", "", "meta.number", "number of stars in the bin, mean over the repeats"),
        Column("repeats", "int64", "", "meta.number", "number of repeats with stars in the bin"),
    ]
    for name, meaning in _FIGURES.items():
        spread = f"standard deviation of {name} over the repeats; null: one repeat"
        columns += [Column(name, description=meaning), Column(f"{name}_spread", description=spread)]
    for name in _RATIOS:
        ratio = (
            f"ratio of {name} to that of the reference model in the same repeat; null: bins of predicted values"
        )
        spread = f"standard deviation of {name}_ratio over the repeats; null: one repeat"
        columns += [
            Column(f"{name}_ratio", description=ratio),
            Column(f"{name}_ratio_spread", description=spread),
        ]
    return columns


COMPARISON_COLUMNS: Final[Mapping[str, Column]] = {column.name: column for column in _columns()}


#: Table of the comparison, for programs.
COMPARED: Final = "models.parquet"


#: The same table as text.
COMPARED_CSV: Final = "models.csv"


#: Name of the step of a run that compares models.
STEP: Final = "compare models"


def scored_file(name: str) -> str:
    """Return the name of the file with the scored stars of a model."""
    return f"scored_{name}.parquet"
