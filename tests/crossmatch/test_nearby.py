"""Rows of label surveys find the same stars, whether the leading catalogue is held in memory or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import starscale as ss
from starscale import io
from starscale.crossmatch import linking
from starscale.crossmatch.linking import LeadingTable
from starscale.crossmatch.nearby import stars_near
from starscale.tables import stream
from starscale.tables.positions import positions
from starscale.vocabulary.settings.match import MatchConfig


@pytest.mark.parametrize("name", ["lamost_dr5", "rave_dr6", "galah_dr3"])
@pytest.mark.parametrize("radius", [1.0, 5.0])
def test_same_links(sky: Path, name: str, radius: float, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lead, survey = sky / "mock" / "gaia_dr3.parquet", ss.load_survey("gaia_dr3"), ss.load_survey(name)
    # Some rows without a star anywhere near.
    table = ss.read(sky / "mock" / f"{name}.parquet", survey=survey)
    assert survey.position is not None
    table = table.with_columns(pl.when(pl.int_range(pl.len()) % 7 == 0).then(12.5).otherwise(survey.position.dec))
    whole = LeadingTable(path, lead, MatchConfig()).by_position(table, survey, radius, "table")
    monkeypatch.setattr(stream, "CHUNK", 777)
    monkeypatch.setattr(linking, "HELD", 0)
    piecewise = LeadingTable(path, lead, MatchConfig()).by_position(table, survey, radius, "table")
    assert whole.height > table.height / 2
    assert_frame_equal(piecewise, whole)


def test_what_can_come_near_is_kept_and_little_else(sky: Path, tmp_path: Path) -> None:
    lead = ss.load_survey("gaia_dr3")
    stars = ss.read(sky / "mock" / "gaia_dr3.parquet", survey=lead).with_row_index("n")
    # One star in fifty is looked for (in crowded fields others are near); one more crosses half a degree.
    few = stars[::50]
    fast = pl.col("n") == 1
    stars = stars.with_columns(
        pmra=pl.when(fast).then(2e5).otherwise("pmra"), parallax=pl.when(fast).then(1.0).otherwise("parallax")
    )
    io.write(stars.drop("n"), tmp_path / "gaia.parquet")
    around = positions(few.with_columns(ref_epoch=pl.lit(2025.0)), lead, "few")
    found = stars_near(tmp_path / "gaia.parquet", lead, around, radius=2.0)
    assert set(few["source_id"]) <= set(found.side.ids)
    assert stars["source_id"][1] in found.side.ids
    assert len(found.side) < stars.height / 3
    assert found.density.counts.sum() == stars.height
    assert np.all(np.diff([stars["source_id"].to_list().index(i) for i in found.side.ids]) > 0)
