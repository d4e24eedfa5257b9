"""Physical limits: of the inputs, of predicted values and of the ends of intervals, for every learner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from starscale.features.features import evaluate_features
from starscale.learn.prediction import Prediction
from starscale.learn.predictor import fit_predictor
from starscale.learn.sample import Sample
from starscale.model.predict import predict_in_memory
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.flags import CatalogueFlag
from starscale.vocabulary.settings.models import RidgeConfig
from support.small_model import FEATURES, small_model, small_stars

LABEL = LABELS["teff"]
IMPLAUSIBLE, IMPOSSIBLE = int(CatalogueFlag.INPUT_IMPLAUSIBLE), int(CatalogueFlag.LABEL_IMPOSSIBLE)
PARTS = ("lower", "upper", "lower95", "upper95")


@pytest.mark.parametrize("wild", [98.9, 99.269, -9.73, 1e6])
def test_a_wild_magnitude_is_missing_flagged_and_counted(wild: float) -> None:
    model, stars = small_model(), small_stars(20)
    survey = model.inputs
    columns = survey.columns | {"r": survey.columns["r"].model_copy(update={"lower": -8.0, "upper": 40.0})}
    model = replace(model, inputs=survey.model_copy(update={"columns": columns}))
    damaged = stars.with_columns(r=pl.when(pl.int_range(20) < 3).then(wild).otherwise("r"))
    absent = stars.with_columns(r=pl.when(pl.int_range(20) >= 3).then("r"))
    found, expected = model.predict(damaged), model.predict(absent)
    assert (found["flags"] & IMPLAUSIBLE > 0).to_list() == [True] * 3 + [False] * 17
    assert (expected["flags"] & IMPLAUSIBLE == 0).all()
    assert found.drop("flags").equals(expected.drop("flags"))
    assert predict_in_memory(model, damaged).flags["INPUT_IMPLAUSIBLE"] == 3


def test_an_impossible_value_is_null_with_a_flag_and_the_others_stay() -> None:
    stars = small_stars(40)
    samples = []
    for seed in (1, 2):
        table = small_stars(80, seed)
        samples.append(Sample(evaluate_features(table, FEATURES), table.select(pl.col("teff") - 3400).to_numpy()))
    cool = replace(small_model(), predictor=fit_predictor(RidgeConfig(), ("teff",), *samples, seed=1))
    # Of a redder star than all others, the ridge regression predicts less than 1000 K.
    red = stars.with_columns(r=pl.when(pl.int_range(40) == 5).then(pl.col("g") - 10).otherwise("r"))
    found, before = cool.predict(red), cool.predict(stars)
    own = [name for name in found.columns if name.startswith("teff")]
    assert found[5].select(own).null_count().row(0) == (1,) * len(own)
    assert found["flags"][5] & IMPOSSIBLE
    assert found["p_giant"].equals(before["p_giant"])
    others = pl.int_range(40) != 5
    assert found.filter(others).equals(before.filter(others))
    assert (found.filter(others)["flags"] & IMPOSSIBLE == 0).all()


@given(arrays(np.float64, (7, 5), elements=st.floats(-1e6, 1e6)))
@settings(max_examples=25, deadline=None)
def test_what_is_left_is_possible_and_ordered(drawn: np.ndarray) -> None:
    prediction = Prediction.empty(7, 1)
    lower95, lower, value, upper, upper95 = np.sort(drawn, axis=1).T
    for name, column in zip((*PARTS, "value"), (lower, upper, lower95, upper95, value), strict=True):
        getattr(prediction, name)[:, 0] = column
    prediction.limit(["teff"])
    possible = (value >= LABEL.lower) & (value <= LABEL.upper)
    np.testing.assert_array_equal(prediction.impossible, ~possible)
    np.testing.assert_array_equal(prediction.value[:, 0], np.where(possible, value, np.nan))
    for name, column in zip(PARTS, (lower, upper, lower95, upper95), strict=True):
        expected = np.where(possible, np.clip(column, LABEL.lower, LABEL.upper), np.nan)
        np.testing.assert_array_equal(getattr(prediction, name)[:, 0], expected)
