"""Effect of missing bands: stars that have a band are predicted with and without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from starscale.features.measurements import Measurement
from starscale.model.evaluate import mad
from starscale.model.model import Model
from starscale.tables.arrays import as_floats

#: Largest number of stars that are predicted.
MOST = 5000
COLUMNS = ("missing", "label", "n", "mad_with", "mad_without", "ratio", "coverage68", "error")


def cost_of_missing(model: Model, table: pl.DataFrame) -> pl.DataFrame:
    """Measure the errors of a model without each of its measurements, and without all bands of each survey.

    Parameters
    ----------
    model : Model
    table : polars.DataFrame, (n, any)
        Stars that the model has not seen, with labels.

    Returns
    -------
    polars.DataFrame
        One row for each measurement and label: `missing` (the measurement), `label`, `n` (stars that have the
        measurement), `mad_with` and `mad_without` it, their `ratio`; and, without it, `coverage68` (share of
        labels inside the 68 % interval) and `error` (median predicted error). Stars that cannot be predicted
        without the measurement count only in `n`.
    """
    table, model = table.head(MOST), model.without_slopes()
    whole = model.predict(table)
    rows: list[dict[str, object]] = []
    for name, columns in _left_out(model.measurements):
        present = pl.all_horizontal(pl.col(c).is_not_null() for c in columns if c in table.columns)
        has = table.select(present).to_series()
        stars = table.filter(has)
        without = model.predict(stars.with_columns(_null(table, c) for c in columns if c in table.columns))
        rows += [_row(name, label, stars[label], whole.filter(has), without) for label in model.labels]
    texts, numbers = dict.fromkeys(COLUMNS[:2], pl.String), dict.fromkeys(COLUMNS[2:], pl.Float64)
    return pl.DataFrame(rows, schema={**texts, **numbers})


def _null(table: pl.DataFrame, column: str) -> pl.Expr:
    return pl.lit(None, dtype=table.schema[column]).alias(column)


def _left_out(measurements: Sequence[Measurement]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what is left out, and its columns: every measurement, then all bands of a survey together."""
    for measurement in measurements:
        yield measurement.name, measurement.columns
    surveys = [m.name.split(".")[0] for m in measurements if "." in m.name]
    for survey in dict.fromkeys(surveys):
        own = [m for m in measurements if m.name.startswith(f"{survey}.")]
        if 1 < len(own) < len(surveys):
            yield f"all bands of {survey}", tuple(c for m in own for c in m.columns)


def _row(name: str, label: str, truth: pl.Series, whole: pl.DataFrame, without: pl.DataFrame) -> dict[str, object]:
    columns = [label, f"{label}_lower", f"{label}_upper", f"{label}_error"]
    value, low, high, error = (as_floats(without[name]) for name in columns)
    y, before = as_floats(truth), as_floats(whole[label])
    known = np.isfinite(y) & np.isfinite(value) & np.isfinite(before)
    figures = [mad(before[known] - y[known]), mad(value[known] - y[known])] if known.any() else [np.nan, np.nan]
    inside = (y[known] >= low[known]) & (y[known] <= high[known])
    return {
        "missing": name,
        "label": label,
        "n": float(len(y)),
        "mad_with": figures[0],
        "mad_without": figures[1],
        "ratio": figures[1] / figures[0] if figures[0] > 0 else float("nan"),
        "coverage68": float(inside.mean()) if known.any() else float("nan"),
        "error": float(np.median(error[known])) if known.any() else float("nan"),
    }
