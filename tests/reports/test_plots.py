"""The pictures: right scales, nothing global changed, nothing that breaks on odd tables."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest

from starscale.plots.columns import numbers
from starscale.plots.drawing import binomial_error, running_quantiles
from starscale.plots.style import png
from starscale.reports import plots
from starscale.reports.accuracy import coverage_in_bins
from starscale.vocabulary.columns import LABELS
from support.fakes import predictions


def odd_tables() -> dict[str, pl.DataFrame]:
    full = predictions(40)
    numeric = [c for c, t in full.schema.items() if t.is_float()]
    return {
        "one star": full.head(1),
        "equal stars": pl.concat([full.head(1)] * 30),
        "no star": full.head(0),
        "all null": full.with_columns(pl.lit(None, pl.Float64).alias(c) for c in numeric),
        "all nan": full.with_columns(pl.lit(float("nan")).alias(c) for c in numeric),
        "infinite": full.with_columns(pl.lit(float("inf")).alias(c) for c in numeric),
        "one known": full.with_columns(
            pl.when(pl.int_range(pl.len()) == 3).then(pl.col(c)).alias(c) for c in numeric
        ),
        "no spread": full.with_columns(
            *(pl.col(f"{c}_label").alias(c) for c in LABELS), *(pl.lit(0.0).alias(f"{c}_error") for c in LABELS)
        ),
    }


@pytest.mark.parametrize("case", list(odd_tables()))
def test_no_picture_breaks_or_warns(case: str) -> None:
    table, labels = odd_tables()[case], ["teff", "fe_h"]
    before = table.clone()
    shares = coverage_in_bins(table.head(0) if case == "infinite" else table, labels)
    pictures = [
        plots.one_to_one(table, labels),
        plots.error_distribution(table, labels),
        plots.residual_trends(table, labels, [*labels, "magnitude"]),
        plots.pulls(table, labels),
        plots.coverage(shares, labels),
        plots.separations({"a": np.abs(numbers(table, "fe_h")), "b": np.empty(0)}),
        plots.match_quality({"a": np.clip(numbers(table, "fe_h"), 0, 1), "b": np.empty(0)}),
        plots.kiel(table),
        plots.label_distributions(table, pl.DataFrame(), labels),
        plots.sky(table),
        plots.reliability(table, labels),
    ]
    for picture in pictures:
        assert png(picture, mock=True).startswith(b"\x89PNG")
    assert table.equals(before)


def test_pictures_change_nothing_global() -> None:
    before = dict(mpl.rcParams)
    png(plots.kiel(predictions(100)))
    assert dict(mpl.rcParams) == before


def test_one_to_one_has_equal_axes_and_a_diagonal() -> None:
    figure = plots.one_to_one(predictions(500), list(LABELS))
    panels = [a for a in figure.axes if a.get_xlabel().startswith("spectroscopic")]
    assert [a.get_ylabel() for a in panels] == [
        "predicted $T_{\\mathrm{eff}}$ (K)",
        "predicted log g (dex)",
        "predicted [Fe/H] (dex)",
    ]
    for axes in panels:
        assert axes.get_xlim() == axes.get_ylim()
        assert np.array_equal(*axes.lines[-1].get_data())


def test_error_distribution_is_a_share_on_a_log_scale() -> None:
    figure = plots.error_distribution(predictions(2000), ["logg"])
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    shares = axes.patches[0].get_data().values
    off = int(re.findall(r", (\d+) off", axes.texts[0].get_text())[0])
    assert shares.sum() == pytest.approx(1 - off / 2000)
    low, high = axes.get_xlim()
    assert low == -high


def test_kiel_diagram_is_upside_down() -> None:
    for axes in plots.kiel(predictions(500)).axes[:2]:
        assert axes.get_xlim()[0] > axes.get_xlim()[1]
        assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_running_quantiles_of_a_known_law() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 10, 40_000)
    centre, (low, median, high) = running_quantiles(x, x + rng.standard_normal(len(x)) * 0.1, (0, 10))
    assert len(centre) == 20
    assert np.allclose(median, centre, atol=0.03)
    # Within a bin of half a unit the law itself spreads the central 68 % over 0.34.
    assert np.allclose(high - low, 0.37, atol=0.06)


def test_running_quantiles_leave_out_bins_with_few_stars() -> None:
    x = np.repeat([0.5, 5.5, 9.5], [19, 20, 400])
    centre, quantiles = running_quantiles(x, np.zeros_like(x), (0, 10))
    assert centre.tolist() == [5.5, 9.5]
    assert quantiles.shape == (3, 2)
    assert running_quantiles(x[:5], x[:5], (0, 10))[1].shape == (3, 0)


def test_sky_map_counts_stars_per_square_degree() -> None:
    rng = np.random.default_rng(5)
    n = 400_000
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    density = plots.sky(pl.DataFrame({"ra": ra, "dec": dec}), weight=3).axes[0].collections[0].get_array()
    assert np.ma.median(density) == pytest.approx(3 * n / 41_253, rel=0.05)


@pytest.mark.parametrize("centre", [10.0, 359.9])
def test_a_small_field_is_shown_alone(centre: float) -> None:
    rng = np.random.default_rng(5)
    ra, dec = (centre + rng.uniform(-2, 2, 20_000)) % 360, 60 + rng.uniform(-1, 1, 20_000)
    axes = plots.sky(pl.DataFrame({"ra": ra, "dec": dec})).axes[0]
    assert axes.name == "rectilinear"
    left, right = axes.get_xlim()
    assert 3.9 < left - right < 4.6
    ticks = axes.xaxis.get_major_formatter()
    assert float(ticks((left + right) / 2)) == pytest.approx(centre, abs=0.05)
    assert all(0 <= float(ticks(x)) < 360 for x in axes.get_xticks())
    density = axes.collections[0].get_array()
    assert np.ma.median(density) == pytest.approx(20_000 / (4 * 2 * np.cos(np.radians(60))), rel=0.15)


def test_coverage_draws_only_bins_with_stars_enough() -> None:
    rows = {"label": ["teff"] * 2, "by": ["predicted"] * 2, "low": [4000.0, 5000.0], "high": [5000.0, 6000.0]}
    shares = pl.DataFrame(rows | {"n": [19, 20], "coverage68": [0.1, 0.7], "coverage95": [0.2, 0.95]})
    axes = plots.coverage(shares, ["teff"]).axes[0]
    points = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
    assert [list(p) for p in points] == [[5500.0]]


def test_coverage_is_by_predicted_value() -> None:
    table = predictions(4000)
    shares = coverage_in_bins(table, ["teff"]).filter((pl.col("by") == "predicted") & (pl.col("low") == 5500))
    inside = table.filter(pl.col("teff").is_between(5500, 6000, closed="left"))
    share = inside.select(pl.col("teff_label").is_between("teff_lower", "teff_upper").mean()).item()
    assert shares["n"].item() == inside.height
    assert shares["coverage68"].item() == pytest.approx(share)


def test_binomial_error() -> None:
    assert binomial_error(np.array([0.68]), np.array([1000.0]))[0] == pytest.approx(0.01475, rel=0.01)
    assert binomial_error(np.array([1.0]), np.array([20.0]))[0] > 0.02


# ---- a browser --------------------------------------------------------------------------------
