"""The error of a scale: a further survey differs by it from the anchor."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.scale_error import scale_error


class Corrections:
    """In place of a calibration: the corrections of every survey at every star, shape (3, n, S)."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.surveys = tuple(f"s{i}" for i in range(values.shape[2]))

    def of_survey(self, stars: Any, survey: int) -> tuple[Any, Any]:
        return self.values[:, :, survey], np.zeros(len(stars), dtype=bool)


def errors(corrections: Any, measured: Any = None) -> Any:
    everywhere = np.ones((3, corrections.shape[2]), dtype=bool)
    stars = np.zeros((corrections.shape[1], 3))
    calibration = cast("Calibration", Corrections(corrections))
    return scale_error(calibration, stars, everywhere if measured is None else measured)


@pytest.mark.parametrize("n_surveys", [2, 4, 9])
def test_it_is_the_scatter_of_a_further_survey_about_the_anchor(n_surveys: int) -> None:
    """Every "star" is a sky of its own, whose surveys have scales with a scatter of 30."""
    rng = np.random.default_rng(n_surveys)
    scales = rng.normal(5, 30, (3, 40_000, n_surveys + 1))
    further = scales[:, :, -1] - scales[:, :, 0]
    found = errors(scales[:, :, :-1] - scales[:, :, :1])
    assert np.mean(found**2, axis=1) == pytest.approx(np.mean(further**2, axis=1), rel=0.04)


def test_two_surveys_differ_by_their_difference() -> None:
    assert errors(np.array([0.0, -40.0]).reshape(1, 1, 2).repeat(3, axis=0)).tolist() == [[40.0]] * 3


def test_a_label_of_one_survey_has_none() -> None:
    measured = np.array([[True, True, True], [True, False, False], [True, True, False]])
    found = errors(np.array([0.0, 3.0, 100.0]).reshape(1, 1, 3).repeat(3, axis=0), measured)
    assert np.isnan(found[1, 0])
    # The correction of a survey without the label says nothing.
    assert found[2, 0] == pytest.approx(3.0)
    assert found[0, 0] > 50
