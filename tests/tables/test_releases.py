"""A table of another release of the survey is refused by every reader that is told the survey."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale.surveys import load_survey, survey_names
from starscale.vocabulary.errors import InputError

STARS = pl.DataFrame(
    {"object_id": [1, 2], "raj2000": [10.0, 11.0], "dej2000": [-5.0, -6.0], "g_psf": [15.0, 16.0]}
)


def test_a_table_of_another_release_is_refused(tmp_path: Path) -> None:
    table = STARS.with_columns(pl.lit(3.5).alias("SELF_DIST1"), pl.lit(7).alias("gaia_dr3_id1"))
    path = tmp_path / "stars.parquet"
    ss.write(table, path)
    said = r"has columns of skymapper_dr4 \(SELF_DIST1, gaia_dr3_id1\).*skymapper_dr2.*Use the survey"
    for given in (path, table):
        with pytest.raises(InputError, match=said):
            ss.read(given, survey="skymapper_dr2")
    with pytest.raises(InputError, match=said):
        ss.clean(path, survey="skymapper_dr2", output=tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
    assert ss.read(path, survey="skymapper_dr4").height == 2
    assert ss.read(STARS, survey="skymapper_dr2").height == 2


@pytest.mark.parametrize("name", survey_names())
def test_other_releases_are_packaged_and_do_not_refuse_each_other_for_their_own_columns(name: str) -> None:
    survey = load_survey(name)
    for release, columns in survey.other_releases.items():
        assert release in survey_names()
        assert columns
        assert not set(columns) & set(survey.columns)
