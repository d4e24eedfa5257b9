"""Joining catalogues: order, names, and stars without a partner."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from starscale.catalogue.joins import join_by_id, join_pairs, names_in
from starscale.surveys import Survey
from starscale.vocabulary.strict import validate


def survey(name: str, identifier: str, *columns: str) -> Survey:
    document: dict[str, Any] = {
        "name": name,
        "title": name,
        "kind": "photometric",
        "id": {"column": identifier},
        "columns": {c: {} for c in (identifier, *columns)},
    }
    return validate(Survey, document, "test")


LEAD = survey("lead", "source_id", "ra", "g")
OTHER = survey("other", "object_id", "ra", "g", "u")
DISTANCES = survey("distances", "source", "r", "g")

STARS = pl.DataFrame({"source_id": [3, 1, 4, 2], "ra": [30.0, 10.0, 40.0, 20.0], "g": [13.0, 11.0, 14.0, 12.0]})
OBJECTS = pl.DataFrame({"object_id": [90, 80, 70], "ra": [9.0, 8.0, 7.0], "u": [19.0, 18.0, 17.0]})


def pairs(*rows: tuple[int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"source_id": pl.Int64, "original_ext_source_id": pl.Int64}, orient="row")


def test_pairs_keep_the_order_of_the_leading_table() -> None:
    found = join_pairs(STARS, pairs((1, 70), (4, 80), (3, 90)), OBJECTS, lead=LEAD, survey=OTHER)
    assert found.columns == ["source_id", "ra", "g", "object_id", "ra_other", "u"]
    assert found["source_id"].to_list() == [3, 1, 4]
    assert found["object_id"].to_list() == [90, 70, 80]
    assert found["ra"].to_list() == [30.0, 10.0, 40.0]
    assert found["ra_other"].to_list() == [9.0, 7.0, 8.0]


def test_names_say_what_joined_columns_are_called() -> None:
    found = join_pairs(STARS, pairs((1, 70)), OBJECTS, lead=LEAD, survey=OTHER)
    names = names_in(found.columns, OTHER)
    assert names["ra"] == "ra_other"
    assert names["u"] == "u"
    for column in OBJECTS.columns:
        assert found[names[column]].to_list() == OBJECTS.filter(object_id=70)[column].to_list()


def test_several_stars_may_share_one_object() -> None:
    found = join_pairs(STARS, pairs((2, 80), (3, 80)), OBJECTS, lead=LEAD, survey=OTHER)
    assert found.select("source_id", "u").rows() == [(3, 18.0), (2, 18.0)]


def test_pairs_with_rows_that_are_not_there_vanish() -> None:
    found = join_pairs(STARS, pairs((99, 70), (1, 999), (2, 90)), OBJECTS, lead=LEAD, survey=OTHER)
    assert found["source_id"].to_list() == [2]
    nothing = join_pairs(STARS, pairs(), OBJECTS, lead=LEAD, survey=OTHER)
    assert nothing.shape == (0, 6)


def test_an_external_identifier_with_the_same_name() -> None:
    same = survey("older", "source_id", "u")
    older = pl.DataFrame({"source_id": [4, 3], "u": [1.0, 2.0]})
    found = join_pairs(STARS, pairs((3, 4), (4, 3)), older, lead=LEAD, survey=same)
    assert found.select("source_id", "source_id_older", "u").rows() == [(3, 4, 1.0), (4, 3, 2.0)]


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
    objects = pl.DataFrame({"object_id": rng.permutation(150) + 1000, "u": rng.normal(size=150)})
    chosen = zip(rng.permutation(200)[:120].tolist(), rng.integers(1000, 1150, 120).tolist(), strict=True)
    links = pairs(*chosen)
    star_before, object_before = stars.clone(), objects.clone()
    found = join_pairs(stars, links, objects, lead=LEAD, survey=OTHER)
    link, u = dict(links.rows()), dict(objects.rows())
    expected = [(i, g, link[i], u[link[i]]) for i, g in stars.rows() if i in link]
    assert found.rows() == expected
    extra = objects.rename({"object_id": "source", "u": "r"}).with_columns(pl.col("source") - 1000)
    distance = dict(extra.rows())
    assert join_by_id(stars, extra, lead=LEAD, survey=DISTANCES)["r"].to_list() == [
        distance.get(i) for i in stars["source_id"]
    ]
    assert_frame_equal(stars, star_before)
    assert_frame_equal(objects, object_before)
