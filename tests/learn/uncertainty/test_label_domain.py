"""Distance of predicted labels from those of the training stars, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from starscale.learn.uncertainty.label_domain import NEIGHBOUR, LabelDomain


def test_the_distance_is_that_of_a_loop_and_what_is_not_finite_is_infinitely_far() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(60, 2)) * (500.0, 0.3)
    domain = LabelDomain.fit(y, y[:30] + 1.0, 0)
    predicted = np.concatenate([rng.normal(size=(5, 2)), [[np.inf, 0.0], [np.nan, 0.0], [0.0, -np.inf]]])
    found = domain.score(predicted)
    for place, score in zip(predicted[:5], found, strict=False):
        distances = np.sort(np.sqrt((((y - place) / y.std(axis=0)) ** 2).sum(axis=1)))
        assert score == pytest.approx(distances[NEIGHBOUR - 1] / domain.scale[0])
    assert np.isinf(found[5:]).all()
    tiny = LabelDomain(domain.points, np.full(2, 1e-320), domain.scale)
    assert np.isinf(tiny.score(np.ones((1, 2)))).all()
