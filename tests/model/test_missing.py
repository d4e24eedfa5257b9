"""The effect of missing bands against a model with known predictions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest

from starscale.features.measurements import Measurement
from starscale.model.missing import COLUMNS, cost_of_missing


@dataclass
class Known:
    """Predicts 5500 + 300 a; without a, 5500; without b, nothing."""

    labels: tuple[str, ...] = ("teff",)
    measurements: tuple[Measurement, ...] = (
        Measurement("one.a", ("a", "e_a")),
        Measurement("one.b", ("b",)),
        Measurement("two.c", ("c",)),
    )
    seen: list[int] = field(default_factory=list)

    def without_slopes(self) -> Known:
        return self

    def predict(self, table: pl.DataFrame) -> pl.DataFrame:
        self.seen.append(table.height)
        value = 5500 + 300 * pl.col("a").fill_null(0.0)
        half = pl.when(pl.col("a").is_null()).then(300.0).otherwise(50.0)
        known = pl.when(pl.col("b").is_not_null())
        return table.select(
            known.then(value).alias("teff"),
            known.then(value - half).alias("teff_lower"),
            known.then(value + half).alias("teff_upper"),
            known.then(half).alias("teff_error"),
        )


def stars(n: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    a = rng.normal(size=n)
    return pl.DataFrame(
        {
            "a": a,
            "e_a": 0.1,
            "b": 1.0,
            "c": [None, 1.0] * (n // 2),
            "teff": 5500 + 300 * a + 50 * rng.normal(size=n),
        }
    )


def test_the_cost_of_every_measurement_and_of_every_survey() -> None:
    table = cost_of_missing(Known(), stars(4000))  # type: ignore[arg-type]
    assert table.columns == list(COLUMNS)
    rows = {row["missing"]: row for row in table.iter_rows(named=True)}
    assert list(rows) == ["one.a", "one.b", "two.c", "all bands of one"]
    without_a = rows["one.a"]
    assert without_a["mad_with"] == pytest.approx(50, rel=0.05)
    assert without_a["mad_without"] == pytest.approx(np.hypot(300, 50), rel=0.05)
    assert without_a["ratio"] == pytest.approx(without_a["mad_without"] / without_a["mad_with"])
    assert without_a["coverage68"] == pytest.approx(0.675, abs=0.03)
    assert without_a["error"] == 300
    assert rows["two.c"]["n"] == 2000, "only stars that have it"
    assert rows["two.c"]["ratio"] == 1
    assert np.isnan(rows["one.b"]["mad_without"])
    assert rows["one.b"]["n"] == 4000


def test_no_star_has_the_measurement() -> None:
    table = cost_of_missing(Known(), stars(10).with_columns(pl.lit(None, pl.Float64).alias("c")))  # type: ignore[arg-type]
    assert table.filter(pl.col("missing") == "two.c")["n"].to_list() == [0]
