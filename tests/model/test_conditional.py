"""Whether the inputs tell which intervals miss."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale.model.conditional import FEWEST, SCHEMA, excess_risk
from starscale.vocabulary import libraries
from support.small_model import small_model, small_stars

NOMINAL = 0.6827


def drawn(n: int, share_left: float, share_right: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and whether intervals hold, whose share depends on the sign of the first input."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    x[::7, 1] = np.nan
    return x, (rng.uniform(size=n) < np.where(x[:, 0] < 0, share_left, share_right)).astype(float)


def test_a_planted_dependence_is_found() -> None:
    x, inside = drawn(4000, NOMINAL - 0.2, NOMINAL + 0.2)
    found = excess_risk(x, inside, NOMINAL)
    assert found["share"] == pytest.approx(NOMINAL, abs=0.03)
    assert abs(found["excess"] - 0.04) < 4 * found["excess_error"]
    assert found["deviation"] == pytest.approx(0.2, abs=0.03)


def test_inputs_without_a_number_and_with_one() -> None:
    x, inside = drawn(1000, NOMINAL - 0.2, NOMINAL + 0.2)
    x[:, 1], x[1:, 2] = np.nan, np.nan
    assert excess_risk(x, inside, NOMINAL)["deviation"] == pytest.approx(0.2, abs=0.06)
    # Whether a number is missing tells, too.
    told = np.where(x[:, :1] < 0, np.nan, 1.0)
    assert excess_risk(told, inside, NOMINAL)["deviation"] == pytest.approx(0.2, abs=0.06)


def test_nothing_is_found_where_nothing_is() -> None:
    for seed in range(4):
        found = excess_risk(*drawn(3000, NOMINAL, NOMINAL, seed), NOMINAL)
        assert found["excess"] < 3 * found["excess_error"]
        assert found["deviation"] < 0.05


def test_the_same_wrong_share_everywhere_is_a_deviation_too() -> None:
    found = excess_risk(*drawn(3000, 0.5, 0.5), NOMINAL)
    assert found["deviation"] == pytest.approx(NOMINAL - 0.5, abs=0.03)
    nearly_all = excess_risk(*drawn(600, 1.0, 1.0), NOMINAL)
    assert nearly_all["excess"] == pytest.approx((1 - NOMINAL) ** 2)


def test_the_verb_measures_every_label_with_enough_stars(monkeypatch: pytest.MonkeyPatch) -> None:
    model, stars = small_model(), small_stars(FEWEST + 200, seed=5)
    found = ss.evaluate_coverage(model, stars, include_training=True)
    assert found.schema == pl.Schema(SCHEMA)
    assert found.select("label", "interval", "n").rows() == [("teff", i, FEWEST + 200) for i in (68, 95)]
    assert ss.evaluate_coverage(model, stars.head(FEWEST - 1), include_training=True).is_empty()
    unmeasured = stars.with_columns(g=pl.lit(None, pl.Float64))
    assert set(ss.evaluate_coverage(model, unmeasured, include_training=True)["n"]) <= {FEWEST + 200}
    monkeypatch.setattr(libraries, "find_spec", lambda _: None)
    with pytest.raises(ss.InputError, match=r"conditional coverage: needs scikit-learn.*starscale\[baselines"):
        ss.evaluate_coverage(model, stars, include_training=True)
