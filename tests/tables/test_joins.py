"""Joining catalogues: order, names, and stars that are missing in a joined table."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from starscale.tables.joins import join_by_id, names_in
from support.fakes import survey

LEAD = survey("lead", "source_id", "ra", "g")
DISTANCES = survey("distances", "source", "r", "g")

STARS = pl.DataFrame({"source_id": [3, 1, 4, 2], "ra": [30.0, 10.0, 40.0, 20.0], "g": [13.0, 11.0, 14.0, 12.0]})


def test_a_shared_identifier_keeps_every_row() -> None:
    extra = pl.DataFrame({"g": [0.2, 0.4], "source": [2, 4], "r": [200.0, 400.0]})
    found = join_by_id(STARS, extra, lead=LEAD, survey=DISTANCES)
    assert found.columns == ["source_id", "ra", "g", "g_distances", "r"]
    assert found["source_id"].to_list() == [3, 1, 4, 2]
    assert found["r"].to_list() == [None, None, 400.0, 200.0]
    assert found["g"].to_list() == STARS["g"].to_list()
    assert names_in(found.columns, DISTANCES)["g"] == "g_distances"


def test_a_missing_identifier_meets_no_other_missing_one() -> None:
    stars = STARS.with_columns(source_id=pl.Series([3, None, 4, None], dtype=pl.Int64))
    extra = pl.DataFrame({"source": pl.Series([None, 3], dtype=pl.Int64), "r": [1.0, 300.0]})
    assert join_by_id(stars, extra, lead=LEAD, survey=DISTANCES)["r"].to_list() == [300.0, None, None, None]


@pytest.mark.parametrize("seed", range(5))
def test_joins_are_those_of_a_dictionary(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stars = pl.DataFrame({"source_id": rng.permutation(200), "g": rng.normal(size=200)})
    extra = pl.DataFrame({"source": rng.permutation(150), "r": rng.normal(size=150)})
    before, distance = stars.clone(), dict(extra.rows())
    found = join_by_id(stars, extra, lead=LEAD, survey=DISTANCES)
    assert found["r"].to_list() == [distance.get(i) for i in stars["source_id"]]
    assert_frame_equal(stars, before)
