"""Scores against analytic results, and comparison of models on the same stars."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from starscale.learn import Prediction
from starscale.model.scores import (
    DWARF_OR_GIANT,
    FIGURES,
    PARTS,
    PROBABILITIES,
    RATIOS,
    compare,
    crps,
    figures,
    score,
    scored_stars,
)
from starscale.vocabulary.comparison_columns import COMPARISON_COLUMNS

LABELS = ("teff", "logg", "fe_h")


def gaussian_crps(z: np.ndarray) -> np.ndarray:
    """CRPS of a unit Gaussian (Gneiting et al. 2005, eq. 5)."""
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)


def test_crps_of_a_gaussian_is_the_analytic_one() -> None:
    rng = np.random.default_rng(0)
    sigma, y = rng.uniform(0.1, 5, 300), rng.normal(size=300)
    found = crps(3 + sigma[:, None] * ndtri(PROBABILITIES), 3 + sigma * y)
    np.testing.assert_allclose(found, sigma * gaussian_crps(y), rtol=3e-4)


def test_crps_of_a_point_is_the_absolute_error() -> None:
    points, truth = np.array([1.0, -2.0, 0.0]), np.array([3.0, -2.0, -0.5])
    found = crps(np.repeat(points[:, None], len(PROBABILITIES), axis=1), truth)
    np.testing.assert_allclose(found, np.abs(points - truth))


@given(st.floats(0.2, 5), st.floats(-3, 3))
@settings(deadline=None, max_examples=30)
def test_crps_is_least_for_the_distribution_that_truth_is_drawn_from(width: float, shift: float) -> None:
    # A proper score: no other Gaussian has a smaller score on these quantiles.
    truth = ndtri(PROBABILITIES)
    own = np.repeat(truth[None], len(truth), axis=0)
    assert crps(own, truth).mean() <= crps(shift + width * own, truth).mean() + 1e-3


def stars(n: int = 400, seed: int = 0, noise: float = 1.0) -> pl.DataFrame:
    """Scored stars whose errors are Gaussian, with intervals of the true width."""
    rng = np.random.default_rng(seed)
    truth = np.column_stack([rng.uniform(4000, 7000, n), rng.uniform(1, 5, n), rng.uniform(-3, 0.4, n)])
    sigma = noise * np.array([80.0, 0.2, 0.15])
    error = sigma * np.random.default_rng(seed + 1).normal(size=(n, 3))
    value = truth + error
    prediction = Prediction(
        value=value,
        mean=value + 0.1 * sigma,
        change=value,
        error=np.tile(sigma, (n, 1)),
        lower=value - sigma,
        upper=value + sigma,
        lower95=value - 2 * sigma,
        upper95=value + 2 * sigma,
        p_giant=np.zeros(n),
        correlation=np.tile(np.eye(3), (n, 1, 1)),
        giant_solution=value,
        dwarf_solution=value,
        p_below=np.zeros((n, 0)),
        domain_score=np.zeros(n),
        label_score=np.zeros(n),
        consistency_score=np.zeros(n),
        oddest=np.full(n, -1),
        imputed=np.zeros(n, dtype=bool),
        n_missing=np.zeros(n, dtype=int),
        uncertain=np.zeros(n, dtype=bool),
        impossible=np.zeros(n, dtype=bool),
        predicted=np.ones(n, dtype=bool),
    )
    known = pl.DataFrame(
        {"source_id": np.arange(n), "magnitude": rng.uniform(10, 18, n), "ebv": rng.uniform(0, 0.3, n)}
        | {name: truth[:, i] for i, name in enumerate(LABELS)}
    )
    quantiles = value[:, :, None] + sigma[:, None] * ndtri(PROBABILITIES)
    return scored_stars(prediction, quantiles, known, LABELS)


def test_figures_of_known_errors() -> None:
    table = stars(20_000)
    found = figures(table, "teff")
    error = (table["teff"] - table["teff_label"]).to_numpy()
    assert found["n"] == 20_000
    assert found["mae"] == pytest.approx(np.abs(error).mean())
    assert found["bias"] == pytest.approx(error.mean() + 8)
    assert found["rmse"] == pytest.approx(np.sqrt(((error + 8) ** 2).mean()))
    assert found["mad"] == pytest.approx(80, rel=0.03)
    assert found["coverage68"] == pytest.approx(0.6827, abs=0.01)
    assert found["coverage95"] == pytest.approx(0.9545, abs=0.005)
    assert found["half_width"] == found["mean_half_width"] == pytest.approx(80)
    # Mean of the analytic score over Gaussian errors: sigma / sqrt(pi).
    assert found["crps"] == pytest.approx(80 / np.sqrt(np.pi), rel=0.02)


def test_a_star_without_label_or_prediction_does_not_count() -> None:
    table = stars(50)
    gap = pl.arange(0, 50, eager=True)
    table = table.with_columns(
        pl.when(gap == 3).then(np.nan).otherwise(pl.col("teff_label")).alias("teff_label"),
        pl.when(gap == 4).then(np.nan).otherwise(pl.col("teff")).alias("teff"),
    )
    assert figures(table, "teff")["n"] == 48
    assert all(np.isfinite(figures(table, "teff")[name]) for name in FIGURES)
    empty = figures(table.clear(), "teff")
    assert empty["n"] == 0
    assert np.isnan(empty["mad"])


def test_bins_hold_the_stars_that_they_say() -> None:
    table = stars(2000)
    found = score(table, LABELS)
    poor = found.filter((pl.col("by") == "metal-poor") & (pl.col("label") == "fe_h")).row(0, named=True)
    assert poor["n"] == (table["fe_h_label"] < -2).sum()
    assert (poor["low"], poor["high"]) == (None, -2.0)
    kinds = found.filter((pl.col("by") == DWARF_OR_GIANT) & (pl.col("label") == "teff"))
    assert kinds["n"].to_list() == [(table["logg"] < 3.5).sum(), (table["logg"] >= 3.5).sum()]
    for by in ("magnitude", "E(B-V)"):
        assert found.filter((pl.col("by") == by) & (pl.col("label") == "logg"))["n"].sum() == 2000
    row = found.filter((pl.col("by") == "predicted teff") & (pl.col("label") == "fe_h") & (pl.col("low") == 5000))
    inside = table.filter(pl.col("teff").is_between(5000, 5500, closed="left"))
    assert row.row(0, named=True)["rmse"] == pytest.approx(figures(inside, "fe_h")["rmse"])


def test_ratios_are_paired_and_means_over_repeats() -> None:
    good, bad = ([stars(300, seed, noise) for seed in (0, 7, 11)] for noise in (1.0, 1.5))
    table = compare({"good": good, "bad": bad}, LABELS, "good")
    whole = table.filter((pl.col("by") == "all") & (pl.col("label") == "logg")).rows_by_key("model", named=True)
    ratios = [figures(b, "logg")["rmse"] / figures(g, "logg")["rmse"] for g, b in zip(good, bad, strict=True)]
    assert whole["bad"][0]["rmse_ratio"] == pytest.approx(np.mean(ratios)) == pytest.approx(1.5)
    assert whole["bad"][0]["rmse_ratio_spread"] == pytest.approx(np.std(ratios, ddof=1), abs=1e-12)
    assert whole["good"][0]["crps_ratio"] == 1
    assert whole["good"][0]["mad"] == pytest.approx(np.mean([figures(g, "logg")["mad"] for g in good]))
    assert whole["good"][0]["repeats"] == 3
    # Bins of predicted values contain different stars for every model.
    predicted = table.filter(pl.col("by").str.starts_with("predicted"))
    assert predicted.height
    assert all(predicted[f"{name}_ratio"].is_null().all() for name in RATIOS)


def test_models_are_compared_on_the_stars_that_all_of_them_predict() -> None:
    one, two = stars(100), stars(100)
    gone = pl.when(pl.col("source_id") < 10).then(np.nan)
    two = two.with_columns(gone.otherwise(pl.col(f"{n}{p}")).alias(f"{n}{p}") for n in LABELS for p in PARTS[1:])
    table = compare({"one": [one], "two": [two]}, LABELS, "one").filter(pl.col("by") == "all")
    assert table["n"].to_list() == [90.0] * 6
    assert table["rmse_ratio"].to_list() == [1.0] * 6
    assert table["rmse_spread"].is_null().all()


def test_fewer_repeats_are_compared_with_the_same_repeats() -> None:
    tables = [stars(100, seed) for seed in (0, 5)]
    table = compare({"all": tables, "first": tables[:1]}, LABELS, "all").filter(pl.col("by") == "all")
    first = table.filter(pl.col("model") == "first")
    assert first["repeats"].to_list() == [1, 1, 1]
    assert first["mad_ratio"].to_list() == [1.0, 1.0, 1.0]


def test_other_stars_are_refused() -> None:
    with pytest.raises(ValueError, match="differ between the models"):
        compare({"one": [stars(20)], "two": [stars(20).reverse()]}, LABELS, "one")


@given(st.permutations(range(12)))
@settings(deadline=None, max_examples=20)
def test_the_order_of_stars_does_not_matter(order: list[int]) -> None:
    table = stars(12)
    first, second = (score(t, LABELS) for t in (table, table[order]))
    assert first.select("label", "by", "low", "high", "n").equals(second.select("label", "by", "low", "high", "n"))
    np.testing.assert_allclose(first.select(FIGURES).to_numpy(), second.select(FIGURES).to_numpy(), rtol=1e-12)


def test_every_column_of_the_table_is_described() -> None:
    assert set(compare({"one": [stars(50)]}, LABELS, "one").columns) == set(COMPARISON_COLUMNS)
