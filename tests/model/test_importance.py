"""Permutation importance against known results."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.model.importance import ALL, correlated, importance_groups, permutation_importance
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.run import ImportanceConfig

CONFIG = ImportanceConfig(repeats=20, max_stars=4000)


def stars(n: int = 4000, seed: int = 0) -> pl.DataFrame:
    """An informative band, a copy of it, a band with little information, and one without any."""
    rng = np.random.default_rng(seed)
    a, b, noise = rng.normal(size=(3, n))
    teff = 5500 + 300 * a + 40 * b + 50 * rng.normal(size=n)
    return pl.DataFrame(
        {"a": a, "twin": a, "b": b, "noise": noise, "teff": teff, "logg": np.full(n, 4.0) + 0.1 * b}
    )


def linear(table: pl.DataFrame) -> pl.DataFrame:
    """The optimal prediction, which uses the band and its copy equally."""
    return table.select(
        (5500 + 150 * (pl.col("a") + pl.col("twin")) + 40 * pl.col("b")).alias("teff"), pl.lit(4.0).alias("logg")
    )


def found(label: str, group: str, **groups: list[str]) -> dict[str, float]:
    table = permutation_importance(linear, stars(), ["teff", "logg"], groups, CONFIG)
    return table.row(by_predicate=(pl.col("label") == label) & (pl.col("group") == group), named=True)


@pytest.mark.parametrize(("group", "slope"), [("a", 150.0), ("twin", 150.0), ("pair", 300.0), ("b", 40.0)])
def test_errors_grow_as_theory_says(group: str, slope: float) -> None:
    """Shuffling x in a term s x adds s (x' - x), of variance 2 s^2, to errors of 50 K."""
    row = found("teff", group, a=["a"], twin=["twin"], pair=["a", "twin"], b=["b"])
    after = np.sqrt(50**2 + 2 * slope**2)
    assert row["n"] == 4000
    assert row["rmse"] == pytest.approx(50, rel=0.05)
    assert row["mad"] == pytest.approx(50, rel=0.05)
    assert row["rmse_increase"] == pytest.approx(after - 50, rel=0.06)
    assert row["mad_increase"] == pytest.approx(after - 50, rel=0.06)
    assert 0 < row["rmse_increase_spread"] < 0.1 * row["rmse_increase"]


def test_twins_hide_each_other_and_show_as_a_group() -> None:
    groups = importance_groups(stars(), ["a", "twin", "b", "noise"], 0.9)
    assert groups == {
        "a": ("a",),
        "twin": ("twin",),
        "b": ("b",),
        "noise": ("noise",),
        "a + twin": ("a", "twin"),
        ALL: ("a", "twin", "b", "noise"),
    }
    alone, both = (found("teff", g, **groups)["rmse_increase"] for g in ("a", "a + twin"))
    assert both > 1.8 * alone


def test_what_is_not_used_and_what_is_not_predicted_have_no_importance() -> None:
    row = found("teff", "noise", noise=["noise"])
    assert row["rmse_increase"] == row["mad_increase"] == row["rmse_increase_spread"] == 0
    row = found("logg", "b", b=["b"])
    assert row["rmse_increase"] == 0


def test_a_fitted_model_gives_a_useless_band_nothing_within_its_error() -> None:
    """Fitted on other stars, the useless band has a small slope: its effect is within the statistical error."""
    train, test = stars(300, 1), stars(3000, 2)
    x = np.column_stack([np.ones(300), train.select("a", "b", "noise").to_numpy()])
    slope = np.linalg.lstsq(x, train["teff"].to_numpy(), rcond=None)[0]
    names = ["a", "b", "noise"]

    def predict(table: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame({"teff": slope[0] + table.select(names).to_numpy() @ slope[1:]})

    rows = permutation_importance(predict, test, ["teff"], {n: [n] for n in names}, CONFIG).to_dicts()
    useless = next(row for row in rows if row["group"] == "noise")
    assert abs(useless["rmse_increase"]) < 0.5
    assert abs(useless["mad_increase"]) < 3 * useless["mad_increase_spread"] + 0.5
    assert [row["group"] for row in sorted(rows, key=lambda row: -row["rmse_increase"])] == names


def test_a_group_is_measured_alike_whoever_else_is_asked_for() -> None:
    one = permutation_importance(linear, stars(), ["teff"], {"b": ["b"]}, CONFIG)
    many = permutation_importance(linear, stars(), ["teff"], {"a": ["a"], "b": ["b"]}, CONFIG)
    assert many.filter(group="b").equals(one)
    again = permutation_importance(linear, stars(), ["teff"], {"b": ["b"]}, CONFIG)
    assert again.equals(one)


def test_only_stars_with_a_label_count_and_at_most_so_many() -> None:
    table = stars().with_columns(pl.when(pl.int_range(pl.len()) < 3000).then("teff").alias("teff"))
    rows = permutation_importance(linear, table, ["teff"], {"a": ["a"]}, CONFIG)
    assert rows["n"].to_list() == [3000]
    few = ImportanceConfig(max_stars=100)
    assert permutation_importance(linear, table, ["teff"], {"a": ["a"]}, few)["n"].to_list() == [100]


def test_shuffled_columns_of_a_group_stay_together() -> None:
    """Two bands that are shuffled together give the colour of a real star."""
    seen = []

    def predict(table: pl.DataFrame) -> pl.DataFrame:
        seen.append(table)
        return linear(table)

    table = stars(50)
    permutation_importance(predict, table, ["teff"], {"ab": ["a", "twin"]}, ImportanceConfig(repeats=2))
    together = pl.concat(seen)
    assert together.height == 150
    assert (together["a"] == together["twin"]).all()
    assert together["a"][50:100].sort().equals(table["a"].sort())
    assert not together["a"][50:100].equals(table["a"])
    assert together["b"][50:100].equals(table["b"])


def test_problems_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        permutation_importance(linear, stars(), ["teff", "fe_h"], {"x": ["u_mag", "a"], "empty": []}, CONFIG)
    text = str(caught.value)
    assert "group 'x': column 'u_mag' is not in the table" in text
    assert "group 'empty': names no column" in text
    assert "label 'fe_h': is known for fewer than two stars" in text


# ---- groups ------------------------------------------------------------------------------------------


def test_groups_of_known_correlation() -> None:
    """Rank correlation of either sign and any monotonic relation; constant and empty columns are single."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500))
    table = pl.DataFrame(
        {
            "x": x,
            "exp": np.exp(3 * x),
            "minus": -(x**3),
            "y": y,
            "near_y": y + 0.05 * rng.normal(size=500),
            "flat": np.ones(500),
            "empty": pl.Series([None] * 500, dtype=pl.Float64),
            "gaps": pl.Series(y).set(pl.Series(rng.random(500) < 0.3), None),
        }
    )
    groups = correlated(table, table.columns, 0.9)
    assert groups == [("x", "exp", "minus"), ("y", "near_y", "gaps"), ("flat",), ("empty",)]
    assert correlated(table, ["x"], 0.9) == [("x",)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_every_column_is_in_one_group(seed: int, correlation: float) -> None:
    rng = np.random.default_rng(seed)
    table = pl.DataFrame(rng.normal(size=(40, 3)) @ rng.normal(size=(3, 6)), schema=list("abcdef"), orient="row")
    groups = correlated(table, table.columns, correlation)
    assert sorted(name for group in groups for name in group) == list("abcdef")
