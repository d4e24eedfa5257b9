"""Columns of several catalogues side by side, from file to file: order, names, and stars without a partner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from starscale import io
from starscale.crossmatch.join import Counterparts, join_on_disk
from starscale.io import joining
from starscale.surveys import Survey
from starscale.tables.joins import names_in
from support.fakes import survey


@pytest.fixture(params=[1, joining.HELD], autouse=True, ids=["on disk", "in memory"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test with as many groups on disk as there are rows, and with none."""
    monkeypatch.setattr(joining, "HELD", request.param)


LEAD = survey("lead", "source_id", "ra", "g")
OTHER = survey("other", "object_id", "ra", "g", "u")

STARS = pl.DataFrame({"source_id": [3, 1, 4, 2], "ra": [30.0, 10.0, 40.0, 20.0], "g": [13.0, 11.0, 14.0, 12.0]})
OBJECTS = pl.DataFrame({"object_id": [90, 80, 70], "ra": [9.0, 8.0, 7.0], "u": [19.0, 18.0, 17.0]})


def joined(
    folder: Path, stars: pl.DataFrame, *others: tuple[pl.DataFrame, pl.DataFrame, Survey], lead: Survey = LEAD
) -> pl.DataFrame:
    """Join by way of files; `others` are pairs, table and survey."""
    io.write(stars, folder / "lead.parquet")
    photometry = []
    for links, table, other in others:
        one = Counterparts(other, folder / f"{other.name}.parquet", folder / f"pairs_{other.name}.parquet")
        io.write(table, one.table)
        io.write(links, one.pairs)
        photometry.append(one)
    before = sorted(folder.iterdir())
    rows = join_on_disk(folder / "lead.parquet", lead, photometry, folder / "out.parquet", columns={}, metadata={})
    assert sorted(folder.iterdir()) == sorted([*before, folder / "out.parquet"])
    found = io.read(folder / "out.parquet")
    (folder / "out.parquet").unlink()
    assert rows == found.height
    return found


def pairs(*rows: tuple[int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"source_id": pl.Int64, "original_ext_source_id": pl.Int64}, orient="row")


def test_pairs_keep_the_order_of_the_leading_table(tmp_path: Path) -> None:
    found = joined(tmp_path, STARS, (pairs((1, 70), (4, 80), (3, 90)), OBJECTS, OTHER))
    assert found.columns == ["source_id", "ra", "g", "object_id", "ra_other", "u"]
    assert found["source_id"].to_list() == [3, 1, 4]
    assert found["object_id"].to_list() == [90, 70, 80]
    assert found["ra"].to_list() == [30.0, 10.0, 40.0]
    assert found["ra_other"].to_list() == [9.0, 7.0, 8.0]


def test_names_say_what_joined_columns_are_called(tmp_path: Path) -> None:
    found = joined(tmp_path, STARS, (pairs((1, 70)), OBJECTS, OTHER))
    names = names_in(found.columns, OTHER)
    assert names["ra"] == "ra_other"
    assert names["u"] == "u"
    for column in OBJECTS.columns:
        assert found[names[column]].to_list() == OBJECTS.filter(object_id=70)[column].to_list()


def test_several_stars_may_share_one_object(tmp_path: Path) -> None:
    found = joined(tmp_path, STARS, (pairs((2, 80), (3, 80)), OBJECTS, OTHER))
    assert found.select("source_id", "u").rows() == [(3, 18.0), (2, 18.0)]


def test_pairs_with_rows_that_are_not_there_vanish(tmp_path: Path) -> None:
    found = joined(tmp_path, STARS, (pairs((99, 70), (1, 999), (2, 90)), OBJECTS, OTHER))
    assert found["source_id"].to_list() == [2]
    nothing = joined(tmp_path, STARS, (pairs(), OBJECTS, OTHER))
    assert nothing.shape == (0, 6)


def test_an_external_identifier_with_the_same_name(tmp_path: Path) -> None:
    same = survey("older", "source_id", "u")
    older = pl.DataFrame({"source_id": [4, 3], "u": [1.0, 2.0]})
    found = joined(tmp_path, STARS, (pairs((3, 4), (4, 3)), older, same))
    assert found.select("source_id", "source_id_older", "u").rows() == [(3, 4, 1.0), (4, 3, 2.0)]


def test_a_leading_table_whose_identifier_has_another_name(tmp_path: Path) -> None:
    lead, gaia = survey("lead", "objid", "g"), survey("gaia", "source_id", "u")
    stars, table = pl.DataFrame({"objid": [5, 6], "g": [1.0, 2.0]}), pl.DataFrame({"source_id": [8], "u": [3.0]})
    found = joined(tmp_path, stars, (pairs((6, 8)), table, gaia), lead=lead)
    assert found.to_dicts() == [{"objid": 6, "g": 2.0, "source_id": 8, "u": 3.0}]


@pytest.mark.parametrize("seed", range(3))
def test_joins_are_those_of_a_dictionary(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    stars = pl.DataFrame({"source_id": rng.permutation(200), "g": rng.normal(size=200)})
    objects = pl.DataFrame({"object_id": rng.permutation(150) + 1000, "u": rng.normal(size=150)})
    third = survey("third", "object_id", "z")
    others = pl.DataFrame({"object_id": rng.permutation(90), "z": rng.normal(size=90)})
    chosen = zip(rng.permutation(200)[:120].tolist(), rng.integers(1000, 1150, 120).tolist(), strict=True)
    again = zip(rng.permutation(200)[:150].tolist(), rng.integers(0, 90, 150).tolist(), strict=True)
    first, second = pairs(*chosen), pairs(*again)
    found = joined(tmp_path, stars, (first, objects, OTHER), (second, others, third))
    link, u, links, z = (dict(table.rows()) for table in (first, objects, second, others))
    assert found.columns == ["source_id", "g", "object_id", "u", "object_id_third", "z"]
    assert found.rows() == [
        (i, g, link[i], u[link[i]], links[i], z[links[i]]) for i, g in stars.rows() if i in link and i in links
    ]
