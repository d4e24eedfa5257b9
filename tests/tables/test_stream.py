"""Tables piece by piece: what a table lacks is said, however little of it is wanted."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale.surveys import load_survey
from starscale.tables.stream import pieces
from starscale.vocabulary.errors import InputError

FOREIGN = pl.DataFrame({"name": ["a", "b"], "flux": [1.0, 2.0]})


@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "csv"])
def test_a_table_with_none_of_the_columns_lacks_the_identifier(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"foreign.{suffix}"
    ss.write(FOREIGN, path)
    survey = load_survey("skymapper_dr2")
    for columns in ([survey.id.column], ["raj2000", "dej2000"], None):
        with pytest.raises(InputError, match=r"'object_id'.*is missing"):
            list(pieces(path, survey, columns))


def test_a_match_of_a_foreign_table_names_what_it_lacks_and_writes_nothing(sky: Path, tmp_path: Path) -> None:
    foreign, output = tmp_path / "foreign.parquet", tmp_path / "pairs.parquet"
    FOREIGN.write_parquet(foreign)
    gaia, skymapper = sky / "mock" / "gaia_dr3.parquet", sky / "mock" / "skymapper_dr2.parquet"
    surveys = {"left_survey": "gaia_dr3", "right_survey": "skymapper_dr2"}
    for left, right, missing in ((foreign, skymapper, "source_id"), (gaia, foreign, "object_id")):
        with pytest.raises(InputError, match=rf"foreign\.parquet.*'{missing}'.*is missing"):
            ss.match(left, right, output=output, **surveys)
    assert not output.exists()
