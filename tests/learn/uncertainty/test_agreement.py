"""Whether measurements agree as in stars of their kind, on dwarfs and giants of different brightness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from starscale.learn.predictor import Predictor, fit_predictor
from starscale.learn.sample import Sample
from starscale.learn.uncertainty.agreement import FEWEST_OF_KIND, Agreement
from starscale.learn.uncertainty.consistency import Consistency
from starscale.vocabulary.settings.models import RidgeConfig

ERROR = 0.02
#: Column of the natural logarithm of the distance.
DISTANCE = 4


def sky(n: int, seed: int, giants: float = 0.4) -> Sample:
    """Four bands and a distance; dwarfs and giants follow sequences of their own, 0.2 mag wide."""
    rng = np.random.default_rng(seed)
    giant = rng.random(n) < giants
    colour, log_distance = rng.normal(0, 0.3, n), rng.normal(6.0, 1.0, n)
    absolute = np.where(giant, 0.5 - 2 * colour, 5.0 + 4 * colour) + rng.normal(0, 0.2, n)
    brightness = absolute + 5 * log_distance / np.log(10)
    bands = brightness[:, None] + colour[:, None] * np.array([1.5, 0.6, 0.0, -0.4])
    value = np.column_stack([bands, log_distance]) + rng.normal(0, ERROR, (n, 5))
    logg = np.where(giant, 2.5, 4.5) + 0.3 * colour + rng.normal(0, 0.05, n)
    measured = np.stack([value, np.full(value.shape, ERROR)])
    inputs = np.column_stack([value[:, 0] - value[:, 3], absolute + rng.normal(0, ERROR, n)])
    return Sample(inputs, np.column_stack([5500 - 2000 * colour, logg]), measured=measured)


def by_kind(sample: Sample) -> np.ndarray:
    giant = sample.y[:, 1] < 3.5
    return np.stack([~giant, giant])


def fitted(training: Sample, held_out: Sample) -> Agreement:
    found = Agreement.fit(
        tuple(training.measured), tuple(held_out.measured), (by_kind(training), by_kind(held_out)), seed=0
    )
    assert found is not None
    return found


def odd(agreement: Agreement, sample: Sample, distance: float = 1.0) -> float:
    value, error = sample.measured.copy()
    value[:, DISTANCE] += np.log(distance)
    return float((agreement.score(value, error, by_kind(sample)[1]).score > 1).mean())


@pytest.fixture(scope="module")
def agreement() -> Agreement:
    return fitted(sky(4000, 0), sky(2000, 1))


def test_a_wrong_distance_is_noticed_beside_stars_of_the_same_kind(agreement: Agreement) -> None:
    assert agreement.giants is not None
    together = Agreement(Consistency.fit(tuple(sky(4000, 0).measured), tuple(sky(2000, 1).measured), seed=0))
    for factor in (2.0, 0.5):
        assert odd(agreement, sky(2000, 2), factor) > 0.9
        assert odd(together, sky(2000, 2), factor) < 0.5


def test_one_percent_of_either_kind_are_odd(agreement: Agreement) -> None:
    for giants in (0.0, 1.0):
        assert 0.002 < odd(agreement, sky(4000, 3, giants)) < 0.025


def test_scores_stay_with_their_stars(agreement: Agreement) -> None:
    sample = sky(300, 4)
    value, error, giant = *sample.measured, by_kind(sample)[1]
    found, order = agreement.score(value, error, giant), np.random.default_rng(0).permutation(300)
    again = agreement.score(value[order], error[order], giant[order])
    np.testing.assert_allclose(again.score, found.score[order], rtol=1e-9)
    np.testing.assert_array_equal(again.worst, found.worst[order])
    alone = agreement.giants.score(value[giant], error[giant])
    np.testing.assert_allclose(found.score[giant], alone.score, rtol=1e-9)


@pytest.mark.parametrize(("training", "held_out"), [(0.1, 0.4), (0.4, 0.01), (0.95, 0.4), (0.0, 0.0)])
def test_with_few_of_a_kind_all_stars_share_their_relations(training: float, held_out: float) -> None:
    train, validation = sky(2000, 0, training), sky(2000, 1, held_out)
    few = [by_kind(sample).sum(axis=1).min() for sample in (train, validation)]
    assert any(n < fewest for n, fewest in zip(few, FEWEST_OF_KIND, strict=True))
    found = fitted(train, validation)
    assert found.giants is None
    together = Consistency.fit(tuple(train.measured), tuple(validation.measured), seed=0)
    value, error = validation.measured
    np.testing.assert_array_equal(
        found.score(value, error, by_kind(validation)[1]).score, together.score(value, error).score
    )


def test_a_wider_scale_makes_all_scores_smaller(agreement: Agreement) -> None:
    sample = sky(300, 5)
    value, error, giant = *sample.measured, by_kind(sample)[1]
    before, after = (one.score(value, error, giant).score for one in (agreement, agreement.widened(2.0)))
    np.testing.assert_allclose(after, before / 2)


@pytest.fixture(scope="module")
def model() -> Predictor:
    return fit_predictor(RidgeConfig(), ("teff", "logg"), sky(3000, 0), sky(1500, 1), seed=0)


def test_a_model_compares_a_star_with_its_kind(model: Predictor) -> None:
    assert model.consistency is not None
    assert model.consistency.giants is not None
    sample = sky(2000, 2)
    shares = []
    for factor in (1.0, 2.0):
        value, error = sample.measured.copy()
        value[:, DISTANCE] += np.log(factor)
        found = model.predict(sample.x, measured=np.stack([value, error]))
        shares.append((found.consistency_score > 1).mean())
    assert shares[0] < 0.03
    assert shares[1] > 0.9


def test_a_star_without_gravity_takes_no_part_in_the_relations(model: Predictor) -> None:
    train = sky(3000, 0)
    y, measured = train.y.copy(), train.measured.copy()
    y[::10, 1] = np.nan
    measured[0, ::10, 0] += 3.0
    again = fit_predictor(
        RidgeConfig(), ("teff", "logg"), replace(train, y=y, measured=measured), sky(1500, 1), seed=0
    )
    kept = np.ones(3000, dtype=bool)
    kept[::10] = False
    rest = replace(train, x=train.x[kept], y=train.y[kept], measured=train.measured[:, kept])
    expected = fit_predictor(RidgeConfig(), ("teff", "logg"), rest, sky(1500, 1), seed=0)
    np.testing.assert_allclose(again.consistency.common.linear, expected.consistency.common.linear)


def test_relations_of_both_kinds_are_stored(model: Predictor) -> None:
    document, arrays = model.state()
    assert document["consistency"] == {"measurements": 5, "giants": True}
    loaded, sample = Predictor.from_state(document, arrays), sky(500, 6)
    before, after = (one.predict(sample.x, measured=sample.measured) for one in (model, loaded))
    np.testing.assert_array_equal(before.consistency_score, after.consistency_score)


def test_a_bundle_of_an_earlier_build_has_the_relations_of_all_stars(model: Predictor) -> None:
    document, arrays = model.state()
    older = {name: array for name, array in arrays.items() if not name.startswith("consistency.giants")}
    loaded = Predictor.from_state(document | {"consistency": {"measurements": 5}}, older)
    assert loaded.consistency.giants is None
    sample = sky(500, 6)
    found = loaded.predict(sample.x, measured=sample.measured).consistency_score
    np.testing.assert_array_equal(found, model.consistency.common.score(*sample.measured).score)
