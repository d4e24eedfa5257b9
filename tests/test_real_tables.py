"""Real tables, where they are at hand: known pairs, cuts, damaged identifiers. `make real` measures more."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.match import MatchConfig

pytestmark = pytest.mark.shared


@pytest.mark.parametrize(
    ("name", "survey"),
    [
        ("sdss_dr14", "sdss_dr13"),
        ("ps1", "panstarrs1"),
        ("tmass", "tmass"),
        ("allwise", "allwise"),
    ],
)
def test_known_pairs_of_m67_are_recovered(shared: Path, name: str, survey: str | Path) -> None:
    folder = shared / "real" / "m67"
    medians = []
    for moving in (True, False):
        found = ss.match(
            folder / "gaia_dr2.parquet",
            folder / f"{name}.parquet",
            left_survey="gaia_dr2",
            right_survey=survey,
            settings=MatchConfig(proper_motion=moving),
        )
        medians.append(found.statistics.median_distance)
        truth = pl.read_parquet(folder / "truth.parquet").filter(pl.col(f"{name}_id").is_not_null())
        both = truth.join(found.best, on="source_id", how="left")
        assert (both[f"{name}_id"] == both["original_ext_source_id"]).fill_null(False).mean() >= 0.99
    assert medians[0] < medians[1]


def test_shared_neighbours_of_m67_are_mates(shared: Path) -> None:
    """One 2MASS entry belongs to two Gaia sources: both see it, neither pair is clean."""
    folder = shared / "real" / "m67"
    found = ss.match(
        folder / "gaia_dr2.parquet", folder / "tmass.parquet", left_survey="gaia_dr2", right_survey="tmass"
    )
    mates = found.best.filter(pl.col("number_of_mates") > 0)
    assert mates.height == 2
    assert mates["original_ext_source_id"].n_unique() == 1
    assert not set(mates["source_id"]) & set(found.pairs["source_id"])


def test_benchmark_stars_through_the_gaia_cuts(shared: Path) -> None:
    cleaned = ss.clean(shared / "real" / "gaia_benchmark_stars_v3.fits", survey="gaia_dr3")
    assert cleaned.attrition.n_in == 192
    assert cleaned.attrition.rows[0].in_sequence == 13  # too bright for Gaia: no identifier
    assert cleaned.table.height == cleaned.attrition.n_out
    assert cleaned.table["ruwe"].max() <= 1.4


def test_damaged_identifiers_are_refused(shared: Path) -> None:
    with pytest.raises(InputError, match="cannot be matched"):
        ss.check(shared / "real" / "damaged_gaia_ids.csv", survey="gaia_dr3")
