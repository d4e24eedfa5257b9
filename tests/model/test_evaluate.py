"""Figures of merit: by hand, against their definitions, and on empty samples."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from starscale.model.evaluate import BINS, FIGURES, evaluate, figures, mad, summarise


def catalogue(prediction: list[float | None], error: float = 10.0, label: str = "teff") -> pl.DataFrame:
    value = pl.Series(label, prediction, dtype=pl.Float64)
    return pl.DataFrame(
        {
            label: value,
            f"{label}_error": value * 0 + error,
            f"{label}_lower": value - error,
            f"{label}_upper": value + error,
            f"{label}_lower95": value - 2 * error,
            f"{label}_upper95": value + 2 * error,
        }
    )


def reference(values: list[float | None], label: str = "teff") -> pl.DataFrame:
    return pl.DataFrame({label: pl.Series(values, dtype=pl.Float64)})


def test_the_median_absolute_deviation() -> None:
    assert mad(np.array([1.0, 2.0, 3.0, 4.0, 100.0])) == pytest.approx(1.4826)
    assert np.isnan(mad(np.empty(0)))
    assert mad(np.array([5.0])) == 0.0
    rng = np.random.default_rng(0)
    n = 200_000
    # The standard error of the MAD of a Gaussian is 1.17 sigma / sqrt(n).
    assert mad(rng.normal(70, 3.0, n)) == pytest.approx(3.0, abs=5 * 1.17 * 3 / np.sqrt(n))


def test_figures_by_hand() -> None:
    difference = np.array([-1.0, 0.0, 1.0, 2.0, 98.0])
    found = figures(
        difference, np.array([1, 1, 0, 0, np.nan]), np.array([1.0, 1, 1, 1, 0]), np.array([1, 2, 3, np.nan, 9])
    )
    assert list(found) == ["n", *FIGURES]
    assert found == {
        "n": 5,
        "mean": 20.0,
        "median": 1.0,
        "std": pytest.approx(np.sqrt(((difference - 20) ** 2).sum() / 5)),
        "mad": pytest.approx(1.4826),
        "rmse": pytest.approx(np.sqrt((1 + 0 + 1 + 4 + 98**2) / 5)),
        "outliers": 0.2,
        "coverage68": 0.5,
        "coverage95": 0.8,
        "error": 2.5,
    }
    # Four different quantities; rmse^2 = mean^2 + std^2.
    assert found["rmse"] ** 2 == pytest.approx(found["mean"] ** 2 + found["std"] ** 2)


def test_an_empty_sample() -> None:
    nothing = np.empty(0)
    found = figures(nothing, nothing, nothing, nothing)
    assert found["n"] == 0
    assert all(np.isnan(found[name]) for name in FIGURES)
    table = evaluate(catalogue([None, 5000.0]), reference([5000.0, None]), ["teff"])
    assert table.height == 1
    assert table["n"].to_list() == [0]


def test_without_intervals_there_is_no_coverage() -> None:
    nothing = np.full(3, np.nan)
    found = figures(np.zeros(3), nothing, nothing, nothing)
    assert np.isnan([found["coverage68"], found["coverage95"], found["error"]]).all()
    assert found["std"] == 0.0


def test_difference_is_prediction_minus_reference() -> None:
    table = evaluate(catalogue([5010.0, 5030.0, 4990.0, 4980.0]), reference([5000.0] * 4), ["teff"])
    row = table.row(0, named=True)
    assert (row["label"], row["by"], row["n"], row["mean"], row["error"]) == ("teff", "all", 4, 2.5, 10.0)
    assert (row["coverage68"], row["coverage95"]) == (0.5, 0.75)  # either edge of an interval is inside


def test_missing_values_on_either_side_do_not_count() -> None:
    truth = reference([5000.0, None, 5000.0, float("nan"), 5000.0])
    table = evaluate(catalogue([5001.0, 5001.0, None, 5001.0, float("nan")]), truth, ["teff"])
    row = table.row(0, named=True)
    assert (row["n"], row["mean"], row["coverage68"]) == (1, 1.0, 1.0)


def test_coverage_of_gaussian_errors() -> None:
    rng = np.random.default_rng(1)
    n = 40_000
    truth = rng.normal(5000, 500, n)
    table = evaluate(catalogue((truth + rng.normal(0, 80, n)).tolist(), 80.0), reference(truth.tolist()), ["teff"])
    row = table.row(0, named=True)
    assert row["coverage68"] == pytest.approx(0.6827, abs=0.01)
    assert row["coverage95"] == pytest.approx(0.9545, abs=0.005)
    assert row["outliers"] == pytest.approx(0.0027, abs=0.0015)
    for figure in ("std", "mad", "rmse"):
        assert row[figure] == pytest.approx(80, rel=0.03)


def test_bins_are_those_of_the_reference_and_the_magnitude() -> None:
    truth = [3000.0, 3999.9, 4000.0, 4400.0, 9000.0, None]
    prediction: list[float | None] = [9000.0, 3999.9, 4010.0, 4400.0, 9000.0, 4000.0]
    magnitude = pl.Series([11.0, 11.0, None, 13.5, 13.5, 11.0])
    table = evaluate(catalogue(prediction), reference(truth), ["teff"], magnitude=magnitude)
    assert table.select("by", "low", "high", "n").rows()[1:] == [
        ("teff", 3000.0, 4000.0, 2),
        ("teff", 4000.0, 4500.0, 2),
        ("magnitude", 10.0, 12.0, 2),
        ("magnitude", 13.0, 14.0, 2),
    ]
    assert table["n"][0] == 5
    means = dict(zip(table["low"].to_list()[1:3], table["mean"].to_list()[1:3], strict=True))
    assert means == {3000.0: 3000.0, 4000.0: 5.0}
    own = evaluate(catalogue(prediction), reference(truth), ["teff"], bins={"teff": (0, 4000, 10_000)})
    assert own["n"].to_list() == [5, 2, 3]


def test_every_label_is_binned_by_every_label() -> None:
    both = pl.concat([catalogue([5000.0, 6000.0]), catalogue([2.0, 4.2], 0.1, "logg")], how="horizontal")
    truth = pl.concat([reference([5000.0, 6000.0]), reference([2.0, None], "logg")], how="horizontal")
    table = evaluate(both, truth, ["teff", "logg"])
    found = table.select("label", "by", "low", "n").filter(pl.col("by") != "all").rows()
    assert found == [
        ("teff", "teff", 5000.0, 1),
        ("teff", "teff", 6000.0, 1),
        ("teff", "logg", 2.0, 1),
        ("logg", "teff", 5000.0, 1),
        ("logg", "logg", 2.0, 1),
    ]


def test_the_edges_of_the_bins_rise() -> None:
    assert all((np.diff(edges) > 0).all() for edges in BINS.values())


def test_the_mean_and_spread_of_repeats() -> None:
    truth = reference([5000.0, 5000.0, 6200.0])
    runs = [evaluate(catalogue(p), truth, ["teff"]) for p in ([5010.0, 5010.0, 6200.0], [5040.0, 5040.0, None])]
    table = summarise(runs)
    whole, cool, warm = table.rows(named=True)
    assert (whole["by"], whole["low"], whole["repeats"], whole["n"]) == ("all", None, 2, 2.5)
    assert whole["mean"] == pytest.approx((20 / 3 + 40) / 2)
    assert whole["mean_spread"] == pytest.approx(abs(20 / 3 - 40) / np.sqrt(2))
    assert (cool["low"], cool["mean"], cool["mean_spread"]) == (5000.0, 25.0, pytest.approx(30 / np.sqrt(2)))
    # A bin that is empty in one repeat.
    assert (warm["low"], warm["repeats"], warm["mean"], warm["mean_spread"]) == (6000.0, 1, 0.0, None)


def test_one_repeat_has_no_spread() -> None:
    table = summarise([evaluate(catalogue([5010.0]), reference([5000.0]), ["teff"])])
    assert table["mean"].to_list() == [10.0, 10.0]
    assert table["mean_spread"].null_count() == 2


def test_repeats_without_stars_are_left_out_of_the_mean() -> None:
    nobody = evaluate(catalogue([None]), reference([5000.0]), ["teff"])
    table = summarise([nobody, evaluate(catalogue([5010.0]), reference([5000.0]), ["teff"])])
    assert table.row(0, named=True)["mean"] == 10.0
    assert summarise([nobody]).row(0, named=True)["mean"] is None
