"""Scores of the probabilities to be below thresholds."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_curve

from starscale.model.probabilities import SCORES, probability_bins, purity_curve, score_probabilities
from starscale.vocabulary.columns import LABELS, below_column, below_columns

probabilities = st.floats(0, 1, width=32).map(lambda p: round(p, 2))
samples = st.lists(st.tuples(probabilities, st.booleans()), min_size=1, max_size=60)


def one(p: object, truth: object, column: str = "p_fe_h_below_m2") -> dict[str, float]:
    found = score_probabilities(pl.DataFrame({column: p}), pl.DataFrame({"fe_h": truth}))
    return found.row(0, named=True)


@given(samples)
@settings(max_examples=30, deadline=None)
def test_the_scores_are_those_of_scikit_learn(sample: list[tuple[float, bool]]) -> None:
    p, below = np.array([s[0] for s in sample]), np.array([s[1] for s in sample])
    found = one(p, np.where(below, -2.5, -1.0))
    assert found["n"] == len(p)
    assert found["below"] == below.sum()
    assert found["share"] == pytest.approx(below.mean())
    assert found["mean_probability"] == pytest.approx(p.mean())
    assert found["deviation"] == pytest.approx(abs(p.mean() - below.mean()))
    if below.all() or not below.any():
        assert np.isnan([found["skill"], found["purity50"], found["average_purity"]]).all()
        return
    assert found["brier"] == pytest.approx(brier_score_loss(below, p))
    assert found["skill"] == pytest.approx(1 - found["brier"] / below.var())
    assert found["average_purity"] == pytest.approx(average_precision_score(below, p))
    purity, completeness, limits = precision_recall_curve(below, p)
    curve = purity_curve(p, below)
    assert curve["limit"].to_list() == pytest.approx(limits[::-1][: curve.height])
    assert curve["purity"].to_list() == pytest.approx(purity[-2::-1][: curve.height])
    assert curve["completeness"].to_list() == pytest.approx(completeness[-2::-1][: curve.height])
    half = curve.filter(pl.col("completeness") >= 0.5 - 1e-12).row(0, named=True)
    assert found["purity50"] == half["purity"]


def test_a_perfect_and_a_useless_classifier() -> None:
    truth = np.r_[np.full(10, -3.0), np.full(90, 0.0)]
    perfect, useless = one((truth < -2).astype(float), truth), one(np.full(100, 0.1), truth)
    assert perfect["brier"] == 0
    assert perfect["skill"] == 1
    assert perfect["purity50"] == 1
    assert useless["skill"] == pytest.approx(0)
    assert useless["purity50"] == pytest.approx(0.1)
    assert useless["deviation"] == pytest.approx(0)


def test_a_bin_shows_what_the_mean_hides() -> None:
    # Right on average, and wrong by 0.2 among the 300 stars at either end.
    p, truth = np.repeat([0.3, 0.7], 300), np.r_[np.full(150, -3.0), np.zeros(300), np.full(150, -3.0)]
    found = one(p, truth)
    assert found["mean_probability"] == pytest.approx(found["share"]) == 0.5
    assert found["deviation"] == pytest.approx(0.2)
    assert probability_bins(p, truth < -2)["n"].to_list() == [300, 300]


def test_unknown_values_take_no_part() -> None:
    found = one([0.5, None, 0.2, float("nan")], [-3.0, -3.0, None, -3.0])
    assert found["n"] == 1
    assert found["below"] == 1


@pytest.mark.parametrize("value", [-1.0, -2.5, 0.0, 5000.0, 3.5, -0.001, 1e-5])
def test_a_column_says_its_threshold(value: float) -> None:
    columns = {below_column(label, value).name: name for name, label in LABELS.items()}
    assert below_columns(["teff", "p_giant", *columns]) == [
        (n, pytest.approx(value), c) for c, n in columns.items()
    ]


def test_thresholds_without_labels_or_stars() -> None:
    catalogue = pl.DataFrame({"p_fe_h_below_m1": [0.1], "p_teff_below_5000": [0.1], "p_giant": [0.1]})
    assert score_probabilities(catalogue, pl.DataFrame({"fe_h": [None]}, schema={"fe_h": pl.Float64})).select(
        "label", "threshold", "n"
    ).rows() == [("fe_h", -1.0, 0)]
    assert score_probabilities(catalogue, pl.DataFrame({"logg": [4.0]})).is_empty()
    assert set(SCORES) <= set(score_probabilities(catalogue, catalogue).columns)
    assert probability_bins(np.empty(0), np.empty(0, bool)).is_empty()
